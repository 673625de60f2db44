// What stands in a cache folder, and the removal of it: the logic of `oncekit cache ls`, `verify` and `clean`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cache/file_list.h"

namespace oncekit {

struct CacheEntry {
  enum class State {
    kWhole,
    kPartial,   ///< left by a build that was interrupted or killed
    kBuilding,  ///< a process works on it now
    kBroken,    ///< under its final name, but key.txt is missing or belongs to another
  };
  std::string name;              ///< of the folder, e.g. "states-0123456789abcdef", or the same with .part
  std::filesystem::path folder;
  std::string kind;
  State state = State::kWhole;
  bool resumable = false;        ///< of a partial one: the next build goes on from it
  bool in_use = false;           ///< a process that got it still runs
  std::int64_t files = 0, bytes = 0;
  std::int64_t built = 0, used = 0;  ///< seconds since 1970: last change, last time it was asked for
  std::string description;       ///< from key.txt, at most 100 characters
};

/// "whole", "partial", "building" or "broken".
const char* state_name(CacheEntry::State state);

/// All entries, sorted by name; none when there is no such folder. Changes nothing. It takes locks, each for a moment: of two that look at
/// once one may take the other for a user.
std::vector<CacheEntry> list_cache(const std::filesystem::path& root);

/// Those of `entries` that are meant by `names`: a name, the beginning of one (of its digits), or a kind. All when there are no names. Throws Error(kUsage).
std::vector<CacheEntry> named_entries(const std::vector<CacheEntry>& entries, const std::vector<std::string>& names);

/// What is wrong with an entry. REQUIRES: whole or broken.
FileCheck verify_entry(const CacheEntry& entry, const ReadProgress& read = {});

struct CleanWish {
  bool all = false;
  std::optional<double> older_than_days;  ///< not asked for since; partial ones: not changed since
  std::string kind;
};

/// Without a wish: what is partial or broken. Else what fits all of it. Never what is being built or used.
std::vector<CacheEntry> to_clean(const std::vector<CacheEntry>& entries, const CleanWish& wish, std::int64_t now);

/// Removes the folder, under the entry's locks. False when another process builds it or uses it; then nothing is touched.
/// Throws Error(kRun) when it cannot be removed.
bool remove_entry(const std::filesystem::path& root, const CacheEntry& entry);

}  // namespace oncekit
