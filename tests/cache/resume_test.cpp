// Builds that go on from what an interrupted one left: after an exception, a kill, a stop by the user, a full disk; between processes too.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>

#include "base/files.h"
#include "cache/store.h"
#include "oncekit/error.h"
#include "run/workspace.h"
#include "support/temp_folder.h"

using namespace oncekit;
using oncekit::test::TempFolder;
namespace fs = std::filesystem;

namespace {

constexpr int kSteps = 6;

CacheKey key(std::int64_t n = 1) { return CacheKey("states", 2).add("layers", n); }
fs::path part_of(const fs::path& root, const CacheKey& k) { return root / ("states-" + k.hash() + ".part"); }

// A builder as they should be: what a step makes is on the disk before the progress file says so.
struct Builder {
  fs::path log;                            ///< every step ever done, one letter each
  std::function<void(int)> before_step{};  ///< may throw, sleep, or never return

  void operator()(const fs::path& folder) const {
    const int done = fs::exists(folder / "progress") ? std::stoi(read_file(folder / "progress")) : 0;
    for (int step = done; step < kSteps; ++step) {
      if (before_step) before_step(step);
      write_file(folder / ("layer" + std::to_string(step)), "states of layer " + std::to_string(step));
      write_file(folder / "progress", std::to_string(step + 1));
      const int fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
      const char letter = static_cast<char>('a' + step);
      [[maybe_unused]] const auto n = ::write(fd, &letter, 1);
      ::close(fd);
    }
    fs::remove(folder / "progress");
  }
};

void check_whole(const fs::path& folder) {
  for (int step = 0; step < kSteps; ++step) CHECK(read_file(folder / ("layer" + std::to_string(step))) == "states of layer " + std::to_string(step));
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder)) files += entry.is_regular_file();
  CHECK(files == kSteps + 2);  // key.txt and files.tsv: no leftovers of killed writes
}

void wait_for(const fs::path& file) {
  for (int i = 0; i < 1000 && !fs::exists(file); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  REQUIRE(fs::exists(file));
}

int wait_for(pid_t child) {
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return status;
}

}  // namespace

TEST_CASE("after an exception a resumable build goes on, a fresh one starts anew", "[fault]") {
  for (const CacheBuild mode : {CacheBuild::kResumable, CacheBuild::kFresh}) {
    const TempFolder temp;
    const CacheStore store(temp.path);
    const fs::path log = temp.path / "log";
    for (const int stop : {0, 2, 2, 5}) {  // a stop comes before its step: the second stop at 2 does nothing in a resumable build
      CHECK_THROWS_WITH(store.get(key(), Builder{log, [&](int step) {
        if (step == stop) throw Error(ErrorKind::kRun, "stop at " + std::to_string(step));
      }}, mode), "stop at " + std::to_string(stop));
      CHECK_FALSE(store.has(key()));
      CHECK(fs::exists(part_of(temp.path, key())) == (mode == CacheBuild::kResumable));
    }
    check_whole(store.get(key(), Builder{log}, mode));
    CHECK(read_file(log) == (mode == CacheBuild::kResumable ? "abcdef" : "abababcdeabcdef"));
    CHECK_FALSE(fs::exists(part_of(temp.path, key())));
  }
}

TEST_CASE("after kill -9 a resumable build goes on, and leaves no half-written files", "[fault]") {
  for (int stop = 0; stop < kSteps; ++stop) {
    const TempFolder temp;
    const fs::path log = temp.path / "log", begun = temp.path / "begun";
    const pid_t child = ::fork();
    if (child == 0) {
      CacheStore(temp.path).get(key(), Builder{log, [&](int step) {
        if (step != stop) return;
        std::ofstream(part_of(temp.path, key()) / ("layer" + std::to_string(step) + ".part" + std::to_string(::getpid()))) << "half of it";
        std::ofstream(begun) << "x";
        ::sleep(60);
      }}, CacheBuild::kResumable);
      ::_exit(1);
    }
    wait_for(begun);
    ::kill(child, SIGKILL);
    REQUIRE(WIFSIGNALED(wait_for(child)));
    const CacheStore store(temp.path);
    CHECK_FALSE(store.has(key()));
    check_whole(store.get(key(), Builder{log}, CacheBuild::kResumable));
    CHECK(read_file(log) == "abcdef");
  }
}

TEST_CASE("a kill between the end of a build and its final name costs nothing", "[fault]") {
  const TempFolder temp;
  const CacheStore store(temp.path);
  const fs::path folder = store.get(key(), Builder{temp.path / "log"}, CacheBuild::kResumable);
  fs::rename(folder, part_of(temp.path, key()));
  int found = 0;
  store.get(key(), [&](const fs::path& again) {
    for (int step = 0; step < kSteps; ++step) found += fs::exists(again / ("layer" + std::to_string(step)));
    CHECK_FALSE(fs::exists(again / "files.tsv"));  // of the earlier build
  }, CacheBuild::kResumable);
  CHECK(found == kSteps);
  check_whole(folder);
}

TEST_CASE("after a stop by the user the same command goes on", "[fault]") {
  const TempFolder temp;
  const fs::path log = temp.path / "log";
  WorkspaceOptions options;
  options.cache = temp.path / "cache";
  HostWorkspace workspace(options);
  try {
    workspace.cache(key(), Builder{log, [&](int step) {
      if (step == 3) cancel_requested() = true;  // what the signal handler does
      workspace.check_cancelled();
    }}, CacheBuild::kResumable);
    FAIL("nothing thrown");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kInterrupted);
  }
  cancel_requested() = false;
  CHECK_FALSE(workspace.find_cache(key()));
  const fs::path folder = workspace.cache(key(), Builder{log}, CacheBuild::kResumable);
  check_whole(folder);
  CHECK(read_file(log) == "abcdef");
  CHECK(workspace.find_cache(key()) == folder);
  REQUIRE(workspace.cache_uses().size() == 1);
  CHECK(workspace.cache_uses()[0].built);
}

TEST_CASE("on a full disk a resumable build keeps what it has, and says so", "[fault]") {
  const TempFolder temp;
  const CacheStore store(temp.path);
  const fs::path log = temp.path / "log";
  CHECK_THROWS_WITH(store.get(key(), Builder{log, [](int step) {
    if (step == 4) throw std::system_error(std::make_error_code(std::errc::no_space_on_device));
  }}, CacheBuild::kResumable), Catch::Contains("the disk is full") && Catch::Contains("goes on from what was built"));
  check_whole(store.get(key(), Builder{log}, CacheBuild::kResumable));
  CHECK(read_file(log) == "abcdef");

  // A limit on file sizes fails the write itself, where a full disk would.
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    std::string said = "nothing";
    try {
      CacheStore(temp.path).get(key(2), Builder{temp.path / "log2", [](int step) {
        const rlimit limit{step < 3 ? RLIM_INFINITY : 4, RLIM_INFINITY};
        ::setrlimit(RLIMIT_FSIZE, &limit);
      }}, CacheBuild::kResumable);
    } catch (const Error& e) {
      said = e.what();
    }
    const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &none);
    std::ofstream(temp.path / "said") << said;
    ::_exit(0);
  }
  wait_for(child);
  CHECK_THAT(read_file(temp.path / "said"), Catch::Contains("File too large") && Catch::Contains("make room"));
  check_whole(store.get(key(2), Builder{temp.path / "log2"}, CacheBuild::kResumable));
  CHECK(read_file(temp.path / "log2") == "abcdef");
}

TEST_CASE("what another key, an older version or a fresh build left is not gone on from", "[fault]") {
  for (const std::string& left : {std::string("kind = states\nversion = 1\nlayers = 1\n"), std::string("")}) {
    const TempFolder temp;
    const CacheStore store(temp.path);
    fs::create_directories(part_of(temp.path, key()));
    write_file(part_of(temp.path, key()) / "progress", "5");
    if (!left.empty()) write_file(part_of(temp.path, key()) / "key.txt", left);
    check_whole(store.get(key(), Builder{temp.path / "log"}, CacheBuild::kResumable));
    CHECK(read_file(temp.path / "log") == "abcdef");
  }
  // And the other way round: a fresh build finds nothing.
  const TempFolder temp;
  const CacheStore store(temp.path);
  CHECK_THROWS(store.get(key(), Builder{temp.path / "log", [](int step) {
    if (step == 3) throw 7;
  }}, CacheBuild::kResumable));
  store.get(key(), [](const fs::path& folder) { CHECK(fs::is_empty(folder)); });
}

TEST_CASE("several processes, killed one after the other, build an entry once", "[fault]") {
  const TempFolder temp;
  const fs::path log = temp.path / "log";
  const auto start = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      int good = 0;
      try {
        const fs::path folder = CacheStore(temp.path).get(key(), Builder{log, [&](int step) {
          std::ofstream(temp.path / ("at" + std::to_string(step))) << ::getpid();
          std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }}, CacheBuild::kResumable);
        good = read_file(folder / "layer5") == "states of layer 5";
      } catch (...) {
      }
      ::_exit(good ? 0 : 1);
    }
    return child;
  };
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) children.push_back(start());
  for (const int step : {1, 3}) {
    wait_for(temp.path / ("at" + std::to_string(step)));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // its number is written
    const pid_t builder = std::stoi(read_file(temp.path / ("at" + std::to_string(step))));
    ::kill(builder, SIGKILL);
    CHECK(WIFSIGNALED(wait_for(builder)));
    children.erase(std::find(children.begin(), children.end(), builder));
  }
  for (const pid_t child : children) CHECK(WEXITSTATUS(wait_for(child)) == 0);
  // A step that was killed at its start is begun again; none is done twice.
  CHECK(read_file(log) == "abcdef");
  check_whole(*CacheStore(temp.path).find(key()));
}

TEST_CASE("a language model is found as a path or under --models, else one paragraph says where it was looked for", "[unit][errors]") {
  const TempFolder temp;
  WorkspaceOptions options;
  options.models = temp.path / "models";
  const HostWorkspace workspace(options);
  fs::create_directories(temp.path / "models" / "llama1-7b");
  write_file(temp.path / "models" / "smol.gguf", "x");
  CHECK(workspace.model("llama1-7b") == temp.path / "models" / "llama1-7b");
  CHECK(workspace.model("smol.gguf") == temp.path / "models" / "smol.gguf");
  CHECK(workspace.model("smol") == temp.path / "models" / "smol.gguf");
  CHECK(workspace.model((temp.path / "models" / "llama1-7b").string()) == temp.path / "models" / "llama1-7b");
  for (const auto& [name, expected] : std::vector<std::pair<std::string, std::string>>{
           {"llama1-70b", "did you mean 'llama1-7b'"}, {"bert", "models/bert"}, {(temp.path / "none").string(), "nothing has this path"}, {"", "no language model is named"}}) {
    try {
      (void)workspace.model(name);
      FAIL("nothing thrown for '" + name + "'");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kData);
      CHECK_THAT(e.what(), Catch::Contains(expected) && Catch::Contains("--demo"));
      CHECK(std::string(e.what()).find('\n') == std::string::npos);
      if (!name.empty()) CHECK_THAT(e.what(), Catch::Contains("config.json, weights, tokenizer") && Catch::Contains(".gguf") && Catch::Contains("ONCEKIT_MODELS"));
    }
  }
}
