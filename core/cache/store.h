// A folder of cached results, shared by threads and processes. Every entry is whole or absent.
//
//   <root>/<kind>-<hash>/            an entry; key.txt inside is the key it was built for (its time of change: when it was last asked for),
//                                    files.tsv what it held then
//   <root>/<kind>-<hash>.part/       an entry being built, or what a killed build left. With a key.txt: a resumable build, which the next
//                                    build of that key goes on from; without: the next build removes it
//   <root>/locks/<kind>-<hash>       held (flock) while the entry is built
//   <root>/locks/<kind>-<hash>.use   held, shared, by those who use it
//   <root>/digests.tsv               remembered digests of input files
#pragma once

#include <filesystem>
#include <functional>
#include <optional>

#include "oncekit/workspace.h"

namespace oncekit {

class CacheStore {
 public:
  using Build = std::function<void(const std::filesystem::path& folder)>;

  /// The root is made on first use.
  explicit CacheStore(std::filesystem::path root);

  const std::filesystem::path& root() const noexcept { return root_; }

  /// The folder of the entry; built first when absent. Calls `check` ten times a second while another process builds it, and
  /// now and then while the end of a build reads all files for files.tsv (it may throw). What `build` throws passes through, and nothing stays under the final name; a full disk is
  /// Error(kRun). With kResumable what was built so far stays for the next build of the same key. Thread-safe.
  std::filesystem::path get(const CacheKey& key, const Build& build, CacheBuild mode = CacheBuild::kFresh,
                            const std::function<void()>& check = {}) const;

  /// The folder of the entry when it stands there whole.
  std::optional<std::filesystem::path> find(const CacheKey& key) const;
  bool has(const CacheKey& key) const { return find(key).has_value(); }

 private:
  std::filesystem::path folder(const CacheKey& key) const;
  std::filesystem::path root_;
};

}  // namespace oncekit
