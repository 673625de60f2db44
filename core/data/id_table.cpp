#include "data/id_table.h"

#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace oncekit {
namespace {

std::uint32_t hash_of(std::string_view id) { return static_cast<std::uint32_t>(XXH3_64bits(id.data(), id.size())); }

}  // namespace

std::int32_t IdTable::find(std::string_view id) const noexcept {
  if (slots_.empty()) return -1;
  const std::uint32_t hash = hash_of(id);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.row < 0) return -1;
    if (slot.hash == hash && ids_[static_cast<std::size_t>(slot.row)] == id) return slot.row;
  }
}

std::int32_t IdTable::insert(std::string_view id, bool* fresh) {
  const std::int32_t known = find(id);
  if (fresh) *fresh = known < 0;
  if (known >= 0) return known;
  if (2 * (ids_.size() + 1) > slots_.size()) grow();
  const std::uint32_t hash = hash_of(id);
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash & mask;
  while (slots_[at].row >= 0) at = (at + 1) & mask;
  slots_[at] = {hash, static_cast<std::int32_t>(ids_.size())};
  ids_.push_back(id);
  return slots_[at].row;
}

void IdTable::grow() {
  std::vector<Slot> larger(slots_.empty() ? 1024 : 2 * slots_.size());
  const std::size_t mask = larger.size() - 1;
  for (const Slot& slot : slots_) {
    if (slot.row < 0) continue;
    std::size_t at = slot.hash & mask;
    while (larger[at].row >= 0) at = (at + 1) & mask;
    larger[at] = slot;
  }
  slots_ = std::move(larger);
}

StringColumn IdTable::take() {
  slots_.clear();
  return std::exchange(ids_, {});
}

}  // namespace oncekit
