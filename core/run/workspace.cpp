#include "run/workspace.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <fstream>
#include <thread>

#include "base/files.h"
#include "base/human.h"
#include "cache/lock.h"
#include "cache/store.h"
#include "oncekit/error.h"
#include "oncekit/log.h"
#include "run/environment.h"
#include "run/progress.h"

namespace oncekit {
namespace fs = std::filesystem;

namespace {

// A place as the user named it, whole, but from ~ inside the home folder: what a message says goes into records, which name no user.
std::string shown(const fs::path& path) {
  const std::string brief = display_path(path);
  return path.is_absolute() && brief.starts_with("~") ? brief : path.string();
}

}  // namespace

std::atomic<bool>& cancel_requested() {
  static std::atomic<bool> flag{false};
  return flag;
}

HostWorkspace::HostWorkspace(WorkspaceOptions options) : options_(std::move(options)) {
  if (options_.threads < 1) options_.threads = 1;
  if (options_.memory_budget <= 0) {
    options_.memory_budget = available_memory() / 4 * 3;
    if (data_limit() > 0) options_.memory_budget = std::min(options_.memory_budget, data_limit() / 4 * 3);
  }
}

HostWorkspace::~HostWorkspace() = default;

std::string estimate_text(const BuildEstimate& e) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  if (e.result > 0) add(human_bytes(static_cast<double>(e.result)) + " that stay");
  if (e.disk > 0) add(human_bytes(static_cast<double>(e.disk)) + " of disk on the way");
  if (e.memory > 0) add("about " + human_bytes(static_cast<double>(e.memory)) + " of memory");
  if (e.seconds > 0) add(e.seconds < 1 ? "less than a second" : "about " + human_seconds(e.seconds));
  return text;
}

void HostWorkspace::announce(const BuildEstimate& e) const {
  log::info(e.what + "; " + estimate_text(e));
  if (e.memory > options_.memory_budget)
    log::warn("this needs about " + human_bytes(static_cast<double>(e.memory)) + ", more than the memory budget of " + human_bytes(static_cast<double>(options_.memory_budget)));
}

fs::path HostWorkspace::cache(const CacheKey& key, const std::function<void(const fs::path&)>& build, CacheBuild mode, const std::function<BuildEstimate()>& estimate) {
  const CacheStore store(options_.cache);
  if (!options_.build) {
    if (const auto folder = find_cache(key)) return *folder;
    if (!missing_) missing_ = MissingCache{key, estimate ? std::optional(estimate()) : std::nullopt};
    throw Error(ErrorKind::kRun, "the " + key.kind() + " that this needs are not in the cache, and a plan builds nothing", "", "cache/" + key.kind());
  }
  const auto start = std::chrono::steady_clock::now();
  CacheUse use;
  const auto build_here = [&](const fs::path& folder) {
    use.built = true;
    if (estimate) announce(estimate());
    build(folder);
  };
  do {
    use.folder = store.get(key, build_here, mode, [this] { check_cancelled(); });
  } while (!hold(use.folder, key));
  use.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  note_use(use);
  return use.folder;
}

std::optional<fs::path> HostWorkspace::find_cache(const CacheKey& key) const {
  const std::optional<fs::path> folder = CacheStore(options_.cache).find(key);
  if (!folder || !hold(*folder, key)) return std::nullopt;
  note_use({*folder, false, 0});
  return folder;
}

bool HostWorkspace::hold(const fs::path& folder, const CacheKey& key) const {
  const std::lock_guard guard(mutex_);
  const CacheStore store(options_.cache);
  const fs::path file = options_.cache / "locks" / (folder.filename().string() + ".use");
  // Another has the lock while it looks who uses the entry, for a moment, or while it removes it: then the key goes first.
  for (int why = 0; !held_.count(folder) && store.has(key);) {
    if (auto lock = FileLock::attempt(file, FileLock::Mode::kShared, &why)) {
      held_.emplace(folder, std::make_unique<FileLock>(std::move(*lock)));
      break;
    }
    if (why == ENOENT) {  // a copied cache may have no locks
      std::error_code code;
      fs::create_directories(file.parent_path(), code);
      why = code ? code.value() : EWOULDBLOCK;
    }
    if (why == EACCES || why == EPERM || why == EROFS) break;  // a cache that cannot be written is cleaned by nobody
    if (why != EWOULDBLOCK && why != EINTR)
      throw Error(ErrorKind::kRun, std::string("cannot lock a cache entry: ") + std::strerror(why), "name another folder with --cache DIR", display_path(file));
    check_cancelled();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return store.has(key);
}

void HostWorkspace::note_use(const CacheUse& use) const {
  const std::lock_guard guard(mutex_);
  const auto same = std::find_if(uses_.begin(), uses_.end(), [&](const CacheUse& u) { return u.folder == use.folder; });
  if (same == uses_.end()) uses_.push_back(use);
  else if (use.built) *same = use;
}

std::vector<CacheUse> HostWorkspace::cache_uses() const {
  const std::lock_guard guard(mutex_);
  return uses_;
}

fs::path HostWorkspace::model(std::string_view name) const {
  const fs::path models = options_.models.empty() ? fs::path("models") : options_.models;
  const std::string hint = "put a Hugging Face folder there (config.json, weights, tokenizer) or a .gguf file, or name another place with --models DIR or "
                           "ONCEKIT_MODELS; --demo runs without weights";
  if (name.empty()) throw Error(ErrorKind::kData, "no language model is named", "name one under " + shown(models) + ", or a path; --demo runs without weights");
  const fs::path given(name);
  std::error_code ignored;
  for (const fs::path& place : {given, models / given, models / (std::string(name) + ".gguf")})
    if (fs::exists(place, ignored)) return place;
  std::string message = "there is no language model '" + std::string(name) + "': ";
  if (given.is_absolute()) throw Error(ErrorKind::kData, message + "nothing has this path", hint);
  message += "neither " + shown(given) + " nor " + shown(models / given) + " (or " + (given.filename().string() + ".gguf") + " beside it) exists";
  std::vector<std::string> others;
  for (const auto& entry : fs::directory_iterator(models, ignored)) {
    const std::string other = entry.path().filename().string();
    others.push_back(other);
    if (entry.path().extension() == ".gguf") others.push_back(entry.path().stem().string());
  }
  const std::string near = nearest_name(std::string(name), others);
  throw Error(ErrorKind::kData, message, near.empty() ? hint : "did you mean '" + near + "'? Else " + hint);
}

void HostWorkspace::parallel_for(std::int64_t n, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& body) {
  if (n <= 0) return;
  grain = std::max<std::int64_t>(1, grain);
  const std::int64_t chunks = (n + grain - 1) / grain;
  const auto workers = static_cast<int>(std::min<std::int64_t>(options_.threads, chunks));
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(chunks));
  std::atomic<std::int64_t> next{0};
  const auto work = [&] {
    for (std::int64_t chunk; (chunk = next++) < chunks;) {
      try {
        body(chunk * grain, std::min(n, (chunk + 1) * grain));
      } catch (...) {
        errors[static_cast<std::size_t>(chunk)] = std::current_exception();
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < workers; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
}

std::unique_ptr<Progress> HostWorkspace::progress(std::string_view stage, std::int64_t total, std::string_view unit, std::int64_t done) {
  return make_progress(stage, total, unit, done, options_.show);
}

void HostWorkspace::check_cancelled() const {
  if (cancel_requested()) throw Error(ErrorKind::kInterrupted, "stopped by the user");
}

std::int64_t HostWorkspace::memory_budget() const { return options_.memory_budget; }

void HostWorkspace::count(std::string_view reason, std::string_view where, std::int64_t n) {
  if (n < 1) return;
  std::lock_guard lock(mutex_);
  const auto at = std::lower_bound(counts_.begin(), counts_.end(), reason, [](const Count& c, std::string_view r) { return c.reason < r; });
  if (at != counts_.end() && at->reason == reason) {
    at->count += n;
    return;
  }
  counts_.insert(at, Count{std::string(reason), n, std::string(where)});
}

std::vector<Count> HostWorkspace::counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace oncekit
