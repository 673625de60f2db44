// A run's folder: runs/<time>_<recipe>_s<seed>_<hash4>/ and the small records in it. Format: docs/formats.md.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace oncekit {

/// results.json: flat, in the order it is to be read.
using ResultList = std::vector<std::pair<std::string, double>>;

/// One figure of it, under its name or as "leaky/NAME".
std::optional<double> result(const ResultList& results, const std::string& name);

/// An open run folder, locked against a second process for as long as the object lives.
class RunFolder {
 public:
  /// Makes a fresh folder under `out`. Throws Error(kRun) when it cannot.
  static RunFolder create(const std::filesystem::path& out, const std::string& recipe_name, std::int64_t seed, const std::string& recipe_hash);
  /// Opens one to continue it. Throws Error(kUsage) when it is no run folder, Error(kRun) when another process is running it.
  static RunFolder open(const std::filesystem::path& folder);
  RunFolder(RunFolder&& other) noexcept;
  RunFolder& operator=(RunFolder&&) = delete;
  ~RunFolder();

  const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path file(const std::string& name) const { return path_ / name; }
  /// status.json: state "running", "done", "failed" or "interrupted"; the stage; a message when failed.
  void status(const std::string& state, const std::string& stage, const std::string& message = {}) const;
  void results(const ResultList& results) const;

 private:
  explicit RunFolder(std::filesystem::path path);
  std::filesystem::path path_;
  int lock_ = -1;
};

/// What can be read of a run without opening it. state "killed": it says running, but nobody is; "damaged": its files cannot be read, as the message says.
struct RunRecord {
  std::filesystem::path folder;
  std::string name, state, stage, message, title, recipe, hash, started;
  std::int64_t seed = 0;
  bool demo = false;
  ResultList results;  ///< empty until done
};

/// Throws Error(kData) when a file of it is damaged.
RunRecord read_run(const std::filesystem::path& folder);
/// All runs under `out`, oldest first, damaged ones too; folders that are no runs are skipped.
std::vector<RunRecord> list_runs(const std::filesystem::path& out);
/// A run by folder, by name under `out`, by the end of its name, or "last". Throws Error(kUsage).
std::filesystem::path find_run(const std::filesystem::path& out, const std::string& name);
/// results.json of a folder, in file order. Throws Error(kData) when damaged.
ResultList read_results(const std::filesystem::path& file);

/// "2026-11-23T22:15:30Z".
std::string utc_now();

}  // namespace oncekit
