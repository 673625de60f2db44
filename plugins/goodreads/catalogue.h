// Texts of the books that the first filters left: titles, descriptions, authors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "interactions.h"

namespace oncekit::goodreads {

/// One entry a book of Interactions::books; texts of books that nobody asked for are empty.
struct Catalogue {
  std::vector<std::uint8_t> in;        ///< may be an item
  std::vector<std::int32_t> order;     ///< books in the order of the file that gives the titles
  std::vector<std::string> titles, descriptions, authors;
};

/// Reads the books (and, as the options ask, works and authors) of `wanted` (one flag a book). Throws Error(kData) as read_interactions.
Catalogue read_catalogue(const Files& files, const Names& books, const std::vector<std::uint8_t>& wanted, const Options& options,
                         Workspace& workspace, Tally& tally);

}  // namespace oncekit::goodreads
