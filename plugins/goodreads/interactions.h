// Interactions in memory: who rated which book high or low, and when. 12 bytes each while they are read, 8 afterwards.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "goodreads.h"
#include "stream.h"

namespace oncekit::goodreads {

/// Strings -> numbers in the order of arrival. find() may be called from many threads while nobody inserts.
class Names {
 public:
  std::int32_t find(std::string_view name) const noexcept;  ///< -1 when absent
  std::int32_t insert(std::string_view name);
  std::size_t size() const noexcept { return names_.size(); }
  std::string_view operator[](std::size_t i) const noexcept { return names_[i]; }

 private:
  StringColumn names_;
  std::vector<std::int32_t> slots_;
};

/// A rated book. Books are numbers in Interactions::books.
struct Event {
  std::uint32_t book = 0;
  std::uint32_t time = 0;  ///< seconds since 1970, of the wall clock with order = "released"; 0 for low ratings
};

/// Readers and what they rated, readers end to end. Reader r has events [begin[r], begin[r + 1]): first the high ratings, oldest first
/// (equal times: as in the file), then the low ones as in the file. No book twice.
struct Readers {
  std::vector<std::int32_t> names;      ///< in Interactions::users
  std::vector<std::size_t> begin{0};
  std::vector<std::uint32_t> positives;  ///< how many of a reader's events are high ratings
  std::vector<Event> events;
  std::size_t size() const noexcept { return names.size(); }
  std::span<const Event> high(std::size_t r) const noexcept { return std::span(events).subspan(begin[r], positives[r]); }
  std::span<const Event> low(std::size_t r) const noexcept { return std::span(events).subspan(begin[r] + positives[r], begin[r + 1] - begin[r] - positives[r]); }
};

struct Interactions {
  Names users, books;
  Readers readers;          ///< those with at least one high rating, in the order of the file
  std::int64_t lines = 0;   ///< of the file
};

/// Reads the file whole. Throws Error(kData) when it is damaged, or more lines are malformed than options.bad_lines allows.
Interactions read_interactions(const std::filesystem::path& file, const Options& options, Workspace& workspace, Tally& tally);

}  // namespace oncekit::goodreads
