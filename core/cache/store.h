// A folder of cached results, shared by threads and processes. Every entry is whole or absent.
//
//   <root>/<kind>-<hash>/            an entry; key.txt inside is the key it was built for
//   <root>/<kind>-<hash>.part/       an entry being built, or what a killed build left (removed by the next build of that key)
//   <root>/locks/<kind>-<hash>       held (flock) while the entry is built
//   <root>/digests.tsv               remembered digests of input files
#pragma once

#include <filesystem>
#include <functional>

#include "oncekit/workspace.h"

namespace oncekit {

class CacheStore {
 public:
  using Build = std::function<void(const std::filesystem::path& folder)>;

  /// The root is made on first use.
  explicit CacheStore(std::filesystem::path root);

  const std::filesystem::path& root() const noexcept { return root_; }

  /// The folder of the entry; built first when absent. While another process builds it, waits and calls `waiting` ten times a
  /// second (it may throw). What `build` throws passes through, and nothing stays under the final name; a full disk is
  /// Error(kRun). Thread-safe.
  std::filesystem::path get(const CacheKey& key, const Build& build, const std::function<void()>& waiting = {}) const;

  /// Whether the entry stands there whole.
  bool has(const CacheKey& key) const;

 private:
  std::filesystem::path folder(const CacheKey& key) const;
  std::filesystem::path root_;
};

}  // namespace oncekit
