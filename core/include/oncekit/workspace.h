// All a plugin may ask of the host.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "oncekit/rng.h"

namespace oncekit {

/// All that goes into a cached result, as text. Equal keys mean equal content.
class CacheKey {
 public:
  /// kind: a short name for the folder, e.g. "corpus", "tokens", "states". version: of the code that builds it.
  CacheKey(std::string kind, int version);
  CacheKey& add(std::string_view name, std::string_view value);
  CacheKey& add(std::string_view name, std::int64_t value);
  CacheKey& add(std::string_view name, double value);
  /// A file's content: its digest (remembered by path, size and time of change). Throws Error(kData) when unreadable.
  CacheKey& add_file(std::string_view name, const std::filesystem::path& file);

  const std::string& kind() const noexcept { return kind_; }
  const std::string& text() const noexcept { return text_; }  ///< the whole key, one "name = value" a line
  std::string hash() const;                                   ///< 16 hex digits

 private:
  std::string kind_, text_;
};

/// What a build finds in its folder. kFresh: nothing, ever. kResumable: what an interrupted, failed or killed build of the same key left
/// there, to go on from. Such a builder keeps a progress file of its own, written when what it speaks of is on the disk, and trusts
/// nothing that this file does not vouch for.
enum class CacheBuild { kFresh, kResumable };

/// What a build will take, as far as it is known.
struct BuildEstimate {
  std::string what;         ///< e.g. "states of 65238 items: 1,400,000 tokens, 30 layers"
  double seconds = 0;
  std::int64_t memory = 0;  ///< bytes at its peak
  std::int64_t disk = 0;    ///< bytes at its peak
  std::int64_t result = 0;  ///< bytes that stay
};

/// Progress of one stage. Thread-safe. Ends when destroyed.
class Progress {
 public:
  virtual ~Progress();
  virtual void advance(std::int64_t n = 1) = 0;
  virtual void note(std::string_view text) = 0;  ///< shown behind the bar, e.g. "loss 1.234"
};

class Workspace {
 public:
  virtual ~Workspace();

  /// The folder of a cached result. When absent, `build` fills a folder under a lock, which is renamed into place when whole; a build
  /// that throws or is killed leaves nothing under the final name. The names key.txt and files.tsv in it are the host's.
  /// `estimate` is asked before a build alone: the host shows what it says, and a plan (`oncekit recipes check`), for which nothing is built,
  /// ends there with an error. Thread-safe, and safe between processes.
  virtual std::filesystem::path cache(const CacheKey& key, const std::function<void(const std::filesystem::path& folder)>& build,
                                      CacheBuild mode = CacheBuild::kFresh, const std::function<BuildEstimate()>& estimate = {}) = 0;

  /// The folder of a cached result when it stands there whole. Builds nothing and waits for nobody. Thread-safe.
  virtual std::optional<std::filesystem::path> find_cache(const CacheKey& key) const = 0;

  /// The folder (or .gguf file) of a language model: `name` as a path when there is one, else under --models. Looks no further into it.
  /// Throws Error(kData) that says where it was looked for and what to put there. Thread-safe.
  virtual std::filesystem::path model(std::string_view name) const = 0;

  /// Runs body(begin, end) over [0, n) in chunks of `grain`, a function of the data only. Blocks; rethrows the first error (in chunk order).
  virtual void parallel_for(std::int64_t n, std::int64_t grain,
                            const std::function<void(std::int64_t begin, std::int64_t end)>& body) = 0;

  /// total = 0: unknown. unit: e.g. "impressions". done: so many were there before, when something goes on; they count in no rate.
  virtual std::unique_ptr<Progress> progress(std::string_view stage, std::int64_t total, std::string_view unit, std::int64_t done = 0) = 0;

  /// Throws Error(kInterrupted) once the user has asked to stop. Call it every second or so.
  virtual void check_cancelled() const = 0;

  virtual std::int64_t memory_budget() const = 0;  ///< bytes this process may use in all
  virtual std::string device() const = 0;          ///< "cpu" or "cuda:0"
  virtual Rng rng(std::string_view name) const = 0;  ///< a stream of the run's seed
  /// Something met and survived, n times, first at `where`. Thread-safe.
  virtual void count(std::string_view reason, std::string_view where, std::int64_t n = 1) = 0;
};

}  // namespace oncekit
