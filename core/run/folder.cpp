#include "run/folder.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <unistd.h>

#include "base/files.h"
#include "oncekit/error.h"

namespace oncekit {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
namespace {

std::string time_text(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[40];
  std::strftime(text, sizeof text, format, &utc);
  return text;
}

// True when some process holds the folder's lock.
bool locked(const fs::path& folder) {
  const int fd = ::open((folder / "lock").c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return false;
  const bool held = ::flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(fd);
  return held;
}

std::string text_of(const Json& json, const char* key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_string() ? at->get<std::string>() : std::string();
}

Json parse(const fs::path& file) {
  try {
    return Json::parse(read_file(file));
  } catch (const nlohmann::json::exception& e) {
    throw Error(ErrorKind::kData, std::string("damaged JSON: ") + e.what(), "delete the file, or restore it from a copy", file.string());
  }
}

}  // namespace

std::string utc_now() { return time_text("%Y-%m-%dT%H:%M:%SZ"); }

RunFolder::RunFolder(fs::path path) : path_(std::move(path)) {
  lock_ = ::open((path_ / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0)
    throw Error(ErrorKind::kRun, std::string("the run folder cannot be written: ") + std::strerror(errno), "check space and permissions", path_.string());
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_);
    throw Error(ErrorKind::kRun, "another process is working on this run", "wait for it, or stop it first", path_.string());
  }
}

RunFolder::RunFolder(RunFolder&& other) noexcept : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

RunFolder::~RunFolder() {
  if (lock_ >= 0) ::close(lock_);
}

RunFolder RunFolder::create(const fs::path& out, const std::string& recipe_name, std::int64_t seed, const std::string& recipe_hash) {
  const std::string base = fmt::format("{}_{}_s{}_{}", time_text("%Y%m%d-%H%M%S"), recipe_name, seed, recipe_hash.substr(0, 4));
  std::error_code code;
  fs::create_directories(out, code);
  for (int attempt = 1; attempt < 1000 && !code; ++attempt) {
    const fs::path path = out / (attempt == 1 ? base : base + "-" + std::to_string(attempt));
    if (fs::create_directory(path, code)) return RunFolder(path);
  }
  throw Error(ErrorKind::kRun, "a run folder cannot be made: " + code.message(), "check space and permissions, or name another folder with --out", out.string());
}

RunFolder RunFolder::open(const fs::path& folder) {
  if (!fs::exists(folder / "recipe.resolved.toml"))
    throw Error(ErrorKind::kUsage, "this is no run folder: it holds no recipe.resolved.toml", "see `oncekit runs ls`", folder.string());
  return RunFolder(folder);
}

void RunFolder::status(const std::string& state, const std::string& stage, const std::string& message) const {
  Json json{{"state", state}, {"stage", stage}, {"updated", utc_now()}};
  if (!message.empty()) json["message"] = message;
  write_file(file("status.json"), json.dump(2) + "\n");
}

void RunFolder::results(const ResultList& results) const {
  Json json = Json::object();
  for (const auto& [name, value] : results) json[name] = std::isfinite(value) ? Json(value) : Json(nullptr);
  write_file(file("results.json"), json.dump(2) + "\n");
}

std::optional<double> result(const ResultList& results, const std::string& name) {
  for (const auto& [key, value] : results)
    if (key == name || key == "leaky/" + name) return value;
  return std::nullopt;
}

ResultList read_results(const fs::path& file) {
  ResultList results;
  const Json json = parse(file);  // lives as long as the loop
  for (const auto& [name, value] : json.items()) results.emplace_back(name, value.is_number() ? value.get<double>() : std::nan(""));
  return results;
}

RunRecord read_run(const fs::path& folder) {
  RunRecord run;
  run.folder = folder;
  run.name = folder.filename().string();
  if (fs::exists(folder / "status.json")) {
    const Json status = parse(folder / "status.json");
    run.state = text_of(status, "state");
    run.stage = text_of(status, "stage");
    run.message = text_of(status, "message");
  }
  if (run.state == "running" && !locked(folder)) run.state = "killed";
  if (fs::exists(folder / "run.json")) {
    const Json json = parse(folder / "run.json");
    run.title = text_of(json, "title");
    run.recipe = text_of(json, "recipe");
    run.hash = text_of(json, "recipe_hash");
    run.started = text_of(json, "started");
    run.seed = json.value("seed", std::int64_t{0});
    run.demo = json.value("demo", false);
  }
  if (fs::exists(folder / "results.json")) run.results = read_results(folder / "results.json");
  return run;
}

std::vector<RunRecord> list_runs(const fs::path& out) {
  std::vector<RunRecord> runs;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(out, code)) {
    if (!entry.is_directory() || !fs::exists(entry.path() / "recipe.resolved.toml")) continue;
    try {
      runs.push_back(read_run(entry.path()));
    } catch (const std::exception& e) {  // ours, or of JSON that holds something else
      RunRecord& damaged = runs.emplace_back();
      damaged.folder = entry.path();
      damaged.name = entry.path().filename().string();
      damaged.state = "damaged";
      damaged.message = e.what();
    }
  }
  std::sort(runs.begin(), runs.end(), [](const RunRecord& a, const RunRecord& b) { return a.name < b.name; });
  return runs;
}

fs::path find_run(const fs::path& out, const std::string& name) {
  if (fs::exists(fs::path(name) / "recipe.resolved.toml")) return name;
  if (fs::exists(out / name / "recipe.resolved.toml")) return out / name;
  std::vector<std::string> names;
  for (const RunRecord& run : list_runs(out)) names.push_back(run.name);
  if (name == "last" && !names.empty()) return out / names.back();
  std::vector<std::string> fitting;
  for (const std::string& candidate : names)
    if (candidate.find(name) != std::string::npos) fitting.push_back(candidate);
  if (fitting.size() == 1) return out / fitting[0];
  const std::string near = nearest_name(name, names);
  throw Error(ErrorKind::kUsage,
              fitting.empty() ? "no run is called '" + name + "' under " + out.string() : "'" + name + "' fits " + std::to_string(fitting.size()) + " runs under " + out.string(),
              near.empty() ? "`oncekit runs ls` lists them; `last` is the newest" : "did you mean '" + near + "'? `oncekit runs ls` lists them");
}

}  // namespace oncekit
