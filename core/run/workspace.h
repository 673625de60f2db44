// The host's Workspace: cache folder, threads, progress, cancellation, seed.
#pragma once

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "oncekit/corpus.h"
#include "oncekit/workspace.h"

namespace oncekit {

struct WorkspaceOptions {
  std::filesystem::path cache = "cache";
  std::filesystem::path models = "models";         ///< where language models lie
  int threads = 1;
  std::uint64_t seed = 2023;
  std::string device = "cpu";
  std::int64_t memory_budget = 0;                  ///< bytes; 0 = three quarters of what is available
  bool build = true;                               ///< false: cache() only finds; what it lacks is in missing()
  enum class Show { kNothing, kLines, kBar } show = Show::kNothing;  ///< progress on stderr
};

class FileLock;

/// One cache entry that this process asked for.
struct CacheUse {
  std::filesystem::path folder;
  bool built = false;   ///< by this process; else it was there, or another process built it
  double seconds = 0;   ///< building, or waiting for it
};

/// What a plan would have to build.
struct MissingCache {
  CacheKey key;
  std::optional<BuildEstimate> estimate;
};

class HostWorkspace final : public Workspace {
 public:
  explicit HostWorkspace(WorkspaceOptions options);
  ~HostWorkspace() override;

  std::filesystem::path cache(const CacheKey& key, const std::function<void(const std::filesystem::path&)>& build,
                              CacheBuild mode = CacheBuild::kFresh, const std::function<BuildEstimate()>& estimate = {}) override;
  std::optional<std::filesystem::path> find_cache(const CacheKey& key) const override;
  std::filesystem::path model(std::string_view name) const override;
  void parallel_for(std::int64_t n, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& body) override;
  std::unique_ptr<Progress> progress(std::string_view stage, std::int64_t total, std::string_view unit, std::int64_t done = 0) override;
  void check_cancelled() const override;
  std::int64_t memory_budget() const override;
  std::string device() const override { return options_.device; }
  Rng rng(std::string_view name) const override { return Rng(options_.seed).at(name); }
  void count(std::string_view reason, std::string_view where, std::int64_t n = 1) override;

  /// What was counted, sorted by reason.
  std::vector<Count> counts() const;
  /// The cache entries asked for so far, in that order. Each is kept from `oncekit cache clean` while this object lives.
  std::vector<CacheUse> cache_uses() const;
  /// With options.build false: what cache() was asked for first and did not find. The Error it throws then says little more.
  const std::optional<MissingCache>& missing() const noexcept { return missing_; }
  const WorkspaceOptions& options() const noexcept { return options_; }

 private:
  WorkspaceOptions options_;
  void announce(const BuildEstimate& estimate) const;
  // Keeps the entry from being cleaned. False when it went away before that.
  bool hold(const std::filesystem::path& folder, const CacheKey& key) const;
  void note_use(const CacheUse& use) const;

  mutable std::mutex mutex_;
  std::vector<Count> counts_;
  mutable std::vector<CacheUse> uses_;
  std::optional<MissingCache> missing_;
  mutable std::map<std::filesystem::path, std::unique_ptr<FileLock>> held_;
};

/// "137 MiB that stay, 274 MiB of disk on the way, about 25 MiB of memory and 5.2 s": what is known of it.
std::string estimate_text(const BuildEstimate& estimate);

/// Set by SIGINT and SIGTERM handlers; read by check_cancelled(). A second signal ends the process at once.
std::atomic<bool>& cancel_requested();

}  // namespace oncekit
