// Which readers and books stay: the filters of the released scripts, in their order, until nothing changes any more.
#pragma once

#include <cstdint>
#include <vector>

#include "interactions.h"

namespace oncekit::goodreads {

/// Books seen book_first_min to book_max times, at most reader_cap high and low ratings a reader (the limit shrinks step by step from
/// 30,000), then readers with at least reader_min high ratings. Each round counts books anew.
void filter_first(Readers& readers, std::size_t books, const Options& options, Workspace& workspace, Tally& tally);

/// Books that are in the catalogue (in_catalogue[book]), seen at least book_min times, readers with at least reader_min high ratings; then,
/// where `users` or `items` asks for fewer, half of what is too many of the one further off is removed at random, and filtered again, until
/// both are met.
void filter_last(Readers& readers, const std::vector<std::uint8_t>& in_catalogue, const Options& options, Workspace& workspace, Tally& tally);

/// How often each book is rated.
std::vector<std::uint32_t> count_books(const Readers& readers, std::size_t books);

}  // namespace oncekit::goodreads
