// The cache: an entry is whole or absent, whatever happens to its builder.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include <catch2/catch.hpp>

#include "base/files.h"
#include "cache/digest.h"
#include "cache/store.h"
#include "oncekit/error.h"
#include "support/temp_folder.h"

using namespace oncekit;
using oncekit::test::TempFolder;
namespace fs = std::filesystem;

namespace {

CacheKey key(std::int64_t n = 1) { return CacheKey("things", 3).add("n", n); }

int entries(const fs::path& root) {
  int n = 0;
  for (const auto& entry : fs::directory_iterator(root)) n += entry.is_directory() && entry.path().filename() != "locks";
  return n;
}

void wait_for(const fs::path& file) {
  for (int i = 0; i < 1000 && !fs::exists(file); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  REQUIRE(fs::exists(file));
}

}  // namespace

TEST_CASE("keys are text, one entry a line, and tell everything apart", "[unit]") {
  CacheKey k("states", 2);
  k.add("layer", std::int64_t{3}).add("rate", 0.1).add("text", "two\nlines");
  CHECK(k.text() == "kind = states\nversion = 2\nlayer = 3\nrate = 0.10000000000000001\ntext = two\\nlines\n");
  CHECK(k.hash().size() == 16);
  CHECK(CacheKey("a", 1).add("x", "1\ny = 2").hash() != CacheKey("a", 1).add("x", "1").add("y", "2").hash());
  CHECK(CacheKey("a", 1).add("x", "\\n").hash() != CacheKey("a", 1).add("x", "\n").hash());
  CHECK(CacheKey("a", 1).hash() != CacheKey("a", 2).hash());
}

TEST_CASE("an entry is built once, with its key beside it", "[unit]") {
  const TempFolder temp;
  const CacheStore store(temp.path / "cache");
  int built = 0;
  const auto build = [&](const fs::path& folder) {
    ++built;
    write_file(folder / "value", "42");
  };
  CHECK_FALSE(store.has(key()));
  const fs::path folder = store.get(key(), build);
  CHECK(store.get(key(), build) == folder);
  CHECK(built == 1);
  CHECK(store.has(key()));
  CHECK(read_file(folder / "value") == "42");
  CHECK(read_file(folder / "key.txt") == key().text());
  CHECK(folder.filename() == "things-" + key().hash());
  store.get(key(2), build);
  CHECK(built == 2);
  // An entry whose key is not the one asked for is built anew.
  write_file(folder / "key.txt", "something else\n");
  store.get(key(), build);
  CHECK(built == 3);
}

TEST_CASE("a build that throws leaves nothing, and its error comes through", "[fault]") {
  const TempFolder temp;
  const CacheStore store(temp.path);
  CHECK_THROWS_WITH(store.get(key(), [](const fs::path& folder) {
    write_file(folder / "half", "...");
    throw Error(ErrorKind::kData, "the file is damaged");
  }), "the file is damaged");
  CHECK(entries(temp.path) == 0);
  CHECK_THROWS_AS(store.get(key(), [](const fs::path&) { throw 7; }), int);
  CHECK(entries(temp.path) == 0);
  int built = 0;
  store.get(key(), [&](const fs::path&) { ++built; });
  CHECK(built == 1);
}

TEST_CASE("kill -9 in a build: no entry, the leftover is gone with the next build", "[fault]") {
  const TempFolder temp;
  for (int round = 0; round < 5; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      CacheStore(temp.path).get(key(round), [&](const fs::path& folder) {
        std::ofstream(folder / "half") << "half of it";
        std::ofstream(temp.path / ("begun" + std::to_string(round))) << "x";
        ::sleep(60);
      });
      ::_exit(1);
    }
    wait_for(temp.path / ("begun" + std::to_string(round)));
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    const CacheStore store(temp.path);
    CHECK_FALSE(store.has(key(round)));
    CHECK_FALSE(fs::exists(temp.path / ("things-" + key(round).hash())));
    CHECK(fs::exists(temp.path / ("things-" + key(round).hash() + ".part")));
    const fs::path folder = store.get(key(round), [](const fs::path& f) {
      CHECK(fs::is_empty(f));
      write_file(f / "whole", "all of it");
    });
    CHECK_FALSE(fs::exists(folder / "half"));
    CHECK(fs::exists(folder / "whole"));
    CHECK_FALSE(fs::exists(temp.path / ("things-" + key(round).hash() + ".part")));
  }
}

TEST_CASE("many processes and threads at once build an entry once", "[fault]") {
  const TempFolder temp;
  std::vector<pid_t> children;
  const auto build = [&](const fs::path& folder) {
    const int log = ::open((temp.path / "builds").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    [[maybe_unused]] const auto n = ::write(log, "b", 1);
    ::close(log);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    write_file(folder / "value", "42");
  };
  for (int i = 0; i < 4; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      int good = 0;
      try {
        good = read_file(CacheStore(temp.path).get(key(), build) / "value") == "42";
      } catch (...) {
      }
      ::_exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  std::vector<std::thread> threads;
  std::atomic<int> waited{0}, good{0};
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] { good += read_file(CacheStore(temp.path).get(key(), build, CacheBuild::kFresh, [&] { ++waited; }) / "value") == "42"; });
  for (std::thread& thread : threads) thread.join();
  for (const pid_t child : children) {
    int status = 1;
    ::waitpid(child, &status, 0);
    CHECK(WEXITSTATUS(status) == 0);
  }
  CHECK(good == 3);
  CHECK(read_file(temp.path / "builds") == "b");
  CHECK(waited > 0);
}

TEST_CASE("whoever waits can be told to stop", "[fault]") {
  const TempFolder temp;
  const CacheStore store(temp.path);
  std::atomic<bool> begun{false}, done{false};
  std::thread builder([&] {
    store.get(key(), [&](const fs::path&) {
      begun = true;
      while (!done) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    });
  });
  while (!begun) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK_THROWS_WITH(store.get(key(), [](const fs::path&) {}, CacheBuild::kFresh, [] { throw Error(ErrorKind::kInterrupted, "stopped by the user"); }), "stopped by the user");
  done = true;
  builder.join();
  CHECK(store.has(key()));
}

TEST_CASE("a full disk is one clear error and leaves nothing", "[fault]") {
  const TempFolder temp;
  // A limit on file sizes fails writes in the same place as a full disk does (EFBIG in the place of ENOSPC).
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1 << 16, 1 << 16};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    std::string said;
    try {
      CacheStore(temp.path).get(key(), [](const fs::path& folder) { write_file(folder / "large", std::string(1 << 20, 'x')); });
    } catch (const Error& e) {
      said = e.what();
      if (e.kind() != ErrorKind::kRun) said = "wrong kind";
    }
    std::ofstream(temp.path / "said") << said;
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK_THAT(read_file(temp.path / "said"), Catch::Contains("File too large") && Catch::Contains("make room"));
  CHECK(entries(temp.path) == 0);

  // A stream that throws says the same through the store.
  CHECK_THROWS_WITH(CacheStore(temp.path).get(key(), [](const fs::path&) {
    throw std::system_error(std::make_error_code(std::errc::no_space_on_device));
  }), Catch::Contains("the disk is full") && Catch::Contains("--cache DIR"));
  CHECK(entries(temp.path) == 0);
}

TEST_CASE("a cache folder that cannot be made is one clear error", "[fault]") {
  const TempFolder temp;
  write_file(temp.path / "file", "x");
  CHECK_THROWS_WITH(CacheStore(temp.path / "file" / "cache").get(key(), [](const fs::path&) {}), Catch::Contains("cannot make the cache folder"));
}

TEST_CASE("digests follow the content, and are remembered by path, size and time", "[unit]") {
  const TempFolder temp;
  const fs::path file = temp.path / "weights";
  write_file(file, "abc");
  const std::string first = file_digest(file);
  CHECK(first == digest("abc"));
  write_file(file, "abd");  // at once, the same size: the clock may not tell
  CHECK(file_digest(file) == digest("abd"));
  CHECK_THROWS_AS(file_digest(temp.path / "none"), Error);
  CHECK_THROWS_AS(file_digest(temp.path), Error);

  // An old file is remembered in the store's folder, in one line.
  const CacheStore store(temp.path / "cache");
  fs::create_directories(store.root());
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(1));
  CHECK(file_digest(file) == digest("abd"));
  CHECK_THAT(read_file(store.root() / "digests.tsv"), Catch::StartsWith(digest("abd") + "\t3 "));
  std::string large(3 << 20, 'y');
  write_file(file, large);
  CHECK(file_digest(file) == digest(large));
  CHECK(CacheKey("a", 1).add_file("weights", file).text() == "kind = a\nversion = 1\nweights = file " + digest(large) + "\n");
}

TEST_CASE("reading a large file for its digest is told of and can be stopped; what is remembered is not read", "[fault]") {
  const TempFolder temp;
  const fs::path file = temp.path / "weights";
  write_file(file, std::string(40 << 20, 'w'));
  fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(1));
  std::int64_t read = 0;
  CHECK_THROWS_WITH(file_digest(file, [&](std::int64_t bytes) {
    read += bytes;
    throw Error(ErrorKind::kInterrupted, "stopped by the user");
  }), "stopped by the user");
  CHECK(read < 40 << 20);
  read = 0;
  const auto count = [&](std::int64_t bytes) { read += bytes; };
  const std::string first = file_digest(file, count);
  CHECK(read == 40 << 20);
  CHECK(file_digest(file, count) == first);
  CHECK(read == 40 << 20);
}
