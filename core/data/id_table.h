// Strings -> row numbers, in the order of arrival. Open addressing over a StringColumn: millions of look-ups a second.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "oncekit/corpus.h"

namespace oncekit {

/// find() is const and thread-safe while nobody inserts.
class IdTable {
 public:
  /// The row of an id, or -1.
  std::int32_t find(std::string_view id) const noexcept;
  /// The row of an id, made when absent; `fresh` tells which.
  std::int32_t insert(std::string_view id, bool* fresh = nullptr);
  std::size_t size() const noexcept { return ids_.size(); }
  std::string_view operator[](std::size_t row) const noexcept { return ids_[row]; }
  /// Gives the ids away; the table is empty after it.
  StringColumn take();

 private:
  struct Slot {
    std::uint32_t hash = 0;
    std::int32_t row = -1;
  };
  void grow();

  StringColumn ids_;
  std::vector<Slot> slots_;
};

}  // namespace oncekit
