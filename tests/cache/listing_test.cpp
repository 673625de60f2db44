// cache ls, verify and clean: what they see, find and remove.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <ctime>
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>

#include "base/files.h"
#include "cache/digest.h"
#include "cache/listing.h"
#include "cache/lock.h"
#include "cache/store.h"
#include "oncekit/error.h"
#include "run/workspace.h"
#include "support/temp_folder.h"

using namespace oncekit;
using oncekit::test::TempFolder;
namespace fs = std::filesystem;
using State = CacheEntry::State;

namespace {

CacheKey key(const std::string& kind, std::int64_t n) {
  return CacheKey(kind, 1).add("model", std::string_view("llama1-7b")).add("layers", n).add("texts", std::string_view("0123456789abcdef-0123")).add("lead", std::string_view(""));
}

fs::path build(const fs::path& root, const std::string& kind, std::int64_t n, std::size_t bytes) {
  return CacheStore(root).get(key(kind, n), [&](const fs::path& folder) {
    write_file(folder / "states", std::string(bytes, 's'));
    fs::create_directory(folder / "layers");
    write_file(folder / "layers" / "0", "layer 0");
    write_file(folder / "empty", "");
  });
}

void leave_part(const fs::path& root, const std::string& kind, std::int64_t n) {
  CHECK_THROWS(CacheStore(root).get(key(kind, n), [](const fs::path& folder) {
    write_file(folder / "half", std::string(100, 'h'));
    throw 7;
  }, CacheBuild::kResumable));
}

CacheEntry only(const fs::path& root) {
  const std::vector<CacheEntry> entries = list_cache(root);
  REQUIRE(entries.size() == 1);
  return entries[0];
}

std::vector<std::string> names(const std::vector<CacheEntry>& entries) {
  std::vector<std::string> all;
  for (const CacheEntry& entry : entries) all.push_back(entry.kind + " " + state_name(entry.state));
  return all;
}

void flip(const fs::path& file, std::streamoff at) {
  const auto time = fs::last_write_time(file);
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(at);
  const char c = static_cast<char>(stream.get());
  stream.seekp(at);
  stream.put(static_cast<char>(c ^ 1));
  stream.close();
  fs::last_write_time(file, time);  // a disk that rots does not move the clock
}

void age(const fs::path& folder, int days) {
  const std::time_t then = std::time(nullptr) - days * 86400;
  const timespec times[2] = {{then, 0}, {then, 0}};
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) REQUIRE(::utimensat(AT_FDCWD, entry.path().c_str(), times, 0) == 0);
  REQUIRE(::utimensat(AT_FDCWD, folder.c_str(), times, 0) == 0);
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("ls tells whole, partial, broken and foreign folders apart", "[unit]") {
  const TempFolder temp;
  CHECK(list_cache(temp.path / "none").empty());
  const fs::path whole = build(temp.path, "states", 24, 1000);
  fs::remove(build(temp.path, "tokens", 1, 10) / "key.txt");
  leave_part(temp.path, "words", 2);
  fs::create_directories(temp.path / ("corpus-" + key("corpus", 1).hash() + ".part"));  // of a fresh build that was killed
  fs::create_directories(temp.path / "my notes");
  write_file(temp.path / "states-0123456789abcdef", "a file");

  const std::vector<CacheEntry> entries = list_cache(temp.path);
  CHECK(names(entries) == Names{"corpus partial", "states whole", "tokens broken", "words partial"});
  CHECK_FALSE(entries[0].resumable);
  CHECK(entries[3].resumable);
  CHECK(entries[1].folder == whole);
  CHECK(entries[1].files == 5);
  CHECK(entries[1].bytes > 1007);
  CHECK(entries[3].bytes > 100);
  CHECK(std::abs(entries[1].built - std::time(nullptr)) < 60);
  CHECK(entries[1].description == "model llama1-7b, layers 24");  // digests say nothing to a reader
  CHECK(entries[3].description == "model llama1-7b, layers 2");
}

TEST_CASE("ls shows when an entry was last asked for, apart from when it was built", "[unit]") {
  const TempFolder temp;
  age(build(temp.path, "states", 1, 10), 40);
  CacheEntry entry = only(temp.path);
  CHECK(std::abs(entry.built - (std::time(nullptr) - 40 * 86400)) < 60);
  CHECK(entry.used == entry.built);
  build(temp.path, "states", 1, 10);  // found
  entry = only(temp.path);
  CHECK(std::abs(entry.built - (std::time(nullptr) - 40 * 86400)) < 60);
  CHECK(std::abs(entry.used - std::time(nullptr)) < 60);
}

TEST_CASE("descriptions stay short and are whole characters", "[unit]") {
  const TempFolder temp;
  std::string text;
  for (int i = 0; i < 100; ++i) text += "é";
  CacheKey long_key("tokens", 1);
  for (const char* name : {"a", "b", "c", "d"}) long_key.add(name, std::string_view(text));
  CacheStore(temp.path).get(long_key, [](const fs::path&) {});
  const std::string description = only(temp.path).description;
  CHECK(description.size() <= 100);
  CHECK_THAT(description, Catch::StartsWith("a éé") && Catch::EndsWith("..."));
  for (std::size_t i = 0; i + 1 < description.size(); ++i)
    if (description[i] == '\xc3') CHECK(description[i + 1] == '\xa9');
}

TEST_CASE("verify finds a flipped byte, a file that is missing, cut short, longer or a folder, and names it", "[fault]") {
  struct Story {
    const char* file;
    std::function<void(const fs::path&)> damage;
    const char* what;
  };
  const std::vector<Story> stories{
      {"states", [](const fs::path& f) { flip(f / "states", 0); }, "has other content: digest "},
      {"states", [](const fs::path& f) { flip(f / "states", 3'000'000); }, "has other content: digest "},
      {"states", [](const fs::path& f) { flip(f / "states", 2'499'999); }, "has other content: digest "},
      {"states", [](const fs::path& f) { fs::remove(f / "states"); }, "is missing"},
      {"states", [](const fs::path& f) { fs::resize_file(f / "states", 3'000'000); }, "has 3000000 bytes, 3000001 are expected"},
      {"states", [](const fs::path& f) { fs::resize_file(f / "states", 0); }, "has 0 bytes"},
      {"empty", [](const fs::path& f) { fs::resize_file(f / "empty", 1); }, "has 1 bytes, 0 are expected"},
      {"layers/0", [](const fs::path& f) { flip(f / "layers" / "0", 6); }, "has other content: digest "},
      {"layers/0", [](const fs::path& f) { fs::remove_all(f / "layers"); }, "is missing"},
      {"empty", [](const fs::path& f) { fs::remove(f / "empty"), fs::create_directory(f / "empty"); }, "is no file any more"},
      {"files.tsv", [](const fs::path& f) { flip(f / "files.tsv", 3); }, "is damaged itself"},
      {"files.tsv", [](const fs::path& f) { fs::resize_file(f / "files.tsv", fs::file_size(f / "files.tsv") - 1); }, "is damaged itself"},
      {"files.tsv", [](const fs::path& f) { fs::resize_file(f / "files.tsv", 0); }, "is damaged itself"},
      {"key.txt", [](const fs::path& f) { flip(f / "key.txt", 3); }, "belongs to another entry"},
      {"key.txt", [](const fs::path& f) { fs::remove(f / "key.txt"); }, "is missing"},
  };
  for (const Story& story : stories) {
    INFO(story.file << " " << story.what);
    const TempFolder temp;
    const fs::path folder = build(temp.path, "states", 1, 3'000'001);
    std::int64_t read = 0;
    const FileCheck good = verify_entry(only(temp.path), [&](std::int64_t bytes) { read += bytes; });
    CHECK(good.listed);
    CHECK(good.faults.empty());
    CHECK(good.files == 3);
    CHECK(good.bytes == 3'000'008);
    CHECK(read == good.bytes);
    story.damage(folder);
    const FileCheck check = verify_entry(only(temp.path));
    REQUIRE(check.faults.size() == 1);
    CHECK(check.faults[0].file == story.file);
    CHECK_THAT(check.faults[0].what, Catch::Contains(story.what));
  }
}

TEST_CASE("every line of files.tsv can be cut off or doubled, and verify sees it", "[fault]") {
  const TempFolder temp;
  const fs::path folder = build(temp.path, "states", 1, 100);
  const std::string list = read_file(folder / "files.tsv");
  for (std::size_t at = 0; at < list.size(); ++at) {
    write_file(folder / "files.tsv", list.substr(0, at));
    CHECK(verify_entry(only(temp.path)).faults.size() == 1);
    std::string other = list;
    other[at] = other[at] == '0' ? '1' : '0';
    write_file(folder / "files.tsv", other);
    CHECK(verify_entry(only(temp.path)).faults.size() == 1);
  }
  write_file(folder / "files.tsv", list + list);
  CHECK(verify_entry(only(temp.path)).faults.size() == 1);
  write_file(folder / "files.tsv", list);
  CHECK(verify_entry(only(temp.path)).faults.empty());
}

TEST_CASE("an entry from before there were file lists is not verifiable, which is no damage; files beside the list are let be", "[unit]") {
  const TempFolder temp;
  const fs::path folder = build(temp.path, "states", 1, 100);
  write_file(folder / "note by a user", "x");
  CHECK(verify_entry(only(temp.path)).faults.empty());
  fs::remove(folder / "files.tsv");
  const FileCheck check = verify_entry(only(temp.path));
  CHECK_FALSE(check.listed);
  CHECK(check.faults.empty());
}

TEST_CASE("verify can be stopped in the middle of a file", "[fault]") {
  const TempFolder temp;
  build(temp.path, "states", 1, 40 << 20);
  CHECK_THROWS_WITH(verify_entry(only(temp.path), [](std::int64_t) { throw Error(ErrorKind::kInterrupted, "stopped by the user"); }), "stopped by the user");
}

TEST_CASE("clean: without a wish what is partial or broken, else what fits all of the wish", "[unit]") {
  const TempFolder temp;
  age(build(temp.path, "states", 1, 10), 40);
  build(temp.path, "states", 2, 10);
  age(build(temp.path, "tokens", 1, 10), 10);
  fs::remove(build(temp.path, "words", 1, 10) / "key.txt");
  leave_part(temp.path, "tokens", 2);
  const std::vector<CacheEntry> entries = list_cache(temp.path);
  const std::int64_t now = std::time(nullptr);
  const auto chosen = [&](const CleanWish& wish) {
    std::vector<std::string> sorted = names(to_clean(entries, wish, now));
    std::sort(sorted.begin(), sorted.end());
    return sorted;
  };
  CHECK(chosen({}) == Names{"tokens partial", "words broken"});
  CHECK(chosen({false, 30.0, ""}) == Names{"states whole"});
  CHECK(chosen({false, 5.0, ""}) == Names{"states whole", "tokens whole"});
  CHECK(chosen({false, 5.0, "tokens"}) == Names{"tokens whole"});
  CHECK(chosen({false, std::nullopt, "tokens"}) == Names{"tokens partial", "tokens whole"});
  CHECK(chosen({false, std::nullopt, "token"}).empty());
  CHECK(chosen({true, std::nullopt, ""}).size() == 5);
}

TEST_CASE("entries are named by their name, its beginning or their kind; a wrong name gets the nearest", "[unit]") {
  const TempFolder temp;
  const std::string one = build(temp.path, "states", 1, 10).filename().string();
  build(temp.path, "states", 2, 10);
  build(temp.path, "toy", 1, 10);
  const std::vector<CacheEntry> entries = list_cache(temp.path);
  CHECK(named_entries(entries, {}).size() == 3);
  CHECK(named_entries(entries, {"states"}).size() == 2);
  CHECK(named_entries(entries, {"states", one, "toy"}).size() == 3);
  CHECK(named_entries(entries, {one.substr(0, 12)}).size() == 1);
  CHECK(named_entries(entries, {(temp.path / one).string() + "/"}).size() == 1);
  for (const char* wrong : {"stats", "sta", "states-", "nothing", ""})
    try {
      named_entries(entries, {wrong});
      FAIL("nothing thrown for '" << wrong << "'");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kUsage);
    }
  CHECK_THROWS_WITH(named_entries(entries, {"stats"}), Catch::Contains("did you mean 'states'"));
}

TEST_CASE("what is being built or used is not cleaned, by whatever process", "[fault]") {
  const TempFolder temp;
  const CacheStore store(temp.path);
  const fs::path begun = temp.path / "begun";
  const pid_t child = ::fork();
  if (child == 0) {
    WorkspaceOptions options;
    options.cache = temp.path;
    HostWorkspace workspace(options);
    workspace.cache(key("states", 1), [](const fs::path& folder) { write_file(folder / "s", "1"); });
    workspace.cache(key("states", 2), [&](const fs::path&) {
      std::ofstream(begun) << "x";
      ::sleep(60);
    });
    ::_exit(1);
  }
  for (int i = 0; i < 1000 && !fs::exists(begun); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  REQUIRE(fs::exists(begun));
  std::vector<CacheEntry> entries = list_cache(temp.path);
  REQUIRE(entries.size() == 2);
  CHECK(to_clean(entries, {true, std::nullopt, ""}, std::time(nullptr)).empty());
  int used = 0, building = 0;
  for (const CacheEntry& entry : entries) {
    used += entry.in_use;
    building += entry.state == State::kBuilding;
    CHECK_FALSE(remove_entry(temp.path, entry));  // even when the list is old
    CHECK(fs::exists(entry.folder));
  }
  CHECK(used == 1);
  CHECK(building == 1);
  ::kill(child, SIGKILL);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  entries = list_cache(temp.path);
  for (const CacheEntry& entry : to_clean(entries, {true, std::nullopt, ""}, std::time(nullptr))) CHECK(remove_entry(temp.path, entry));
  CHECK(list_cache(temp.path).empty());
}

TEST_CASE("two workspaces may use one entry, and it can be cleaned when both are gone", "[unit]") {
  const TempFolder temp;
  WorkspaceOptions options;
  options.cache = temp.path;
  int built = 0;
  const auto fill = [&](const fs::path&) { ++built; };
  auto first = std::make_unique<HostWorkspace>(options), second = std::make_unique<HostWorkspace>(options);
  CHECK_FALSE(first->find_cache(key("states", 1)));
  first->cache(key("states", 1), fill);
  CHECK(second->find_cache(key("states", 1)));
  second->cache(key("states", 1), fill);
  CHECK(built == 1);
  CHECK(first->cache_uses()[0].built);
  CHECK_FALSE(second->cache_uses()[0].built);
  first.reset();
  CHECK_FALSE(remove_entry(temp.path, only(temp.path)));
  second.reset();
  CHECK(remove_entry(temp.path, only(temp.path)));
  HostWorkspace third(options);
  CHECK_FALSE(third.find_cache(key("states", 1)));
}

TEST_CASE("an entry is held although others look at it all the time; one that is being removed is not waited for", "[fault]") {
  const TempFolder temp;
  const fs::path folder = build(temp.path, "states", 1, 10);
  const fs::path file = temp.path / "locks" / (folder.filename().string() + ".use");
  WorkspaceOptions options;
  options.cache = temp.path;
  for (int round = 0; round < 50; ++round) {
    std::atomic<bool> done{false};
    std::thread looks([&] {
      while (!done) FileLock::held(file, FileLock::Mode::kExclusive);
    });
    HostWorkspace workspace(options);
    const bool found = workspace.find_cache(key("states", 1)).has_value();
    done = true;
    looks.join();
    CHECK(found);
    CHECK(FileLock::held(file, FileLock::Mode::kExclusive));
    CHECK_FALSE(FileLock::held(file, FileLock::Mode::kShared));
  }
  CHECK_FALSE(FileLock::held(file, FileLock::Mode::kExclusive));

  // As remove_entry() does it: the lock, then the key, then the files, which may take long.
  const auto removal = FileLock::attempt(file, FileLock::Mode::kExclusive);
  REQUIRE(removal);
  std::thread removes([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    fs::remove(folder / "key.txt");
  });
  HostWorkspace workspace(options);
  CHECK_FALSE(workspace.find_cache(key("states", 1)));
  removes.join();
}

TEST_CASE("a copied cache has no locks, and gets them; one that cannot be written works without", "[fault]") {
  const TempFolder temp;
  const fs::path folder = build(temp.path, "states", 1, 10);
  fs::remove_all(temp.path / "locks");
  WorkspaceOptions options;
  options.cache = temp.path;
  const auto read_only = static_cast<fs::perms>(0555);
  for (const fs::path& path : {temp.path, folder}) fs::permissions(path, read_only);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && ::seteuid(65534) != 0) ::_exit(2);  // no permission stops root
    HostWorkspace workspace(options);
    ::_exit(workspace.find_cache(key("states", 1)) == folder ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == 0);
  CHECK_FALSE(fs::exists(temp.path / "locks"));
  for (const fs::path& path : {temp.path, folder}) fs::permissions(path, fs::perms::owner_all);
  HostWorkspace workspace(options);
  CHECK(workspace.find_cache(key("states", 1)) == folder);
  CHECK_FALSE(remove_entry(temp.path, only(temp.path)));
}

TEST_CASE("a removal that fails halfway leaves nothing that is taken for an entry", "[fault]") {
  const TempFolder temp;
  const fs::path folder = build(temp.path, "states", 1, 10);
  for (const fs::path& path : {temp.path, folder, temp.path / "locks"}) fs::permissions(path, fs::perms::all);
  for (const fs::directory_entry& lock : fs::directory_iterator(temp.path / "locks")) fs::permissions(lock.path(), fs::perms::all);
  fs::permissions(folder / "layers", fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_read | fs::perms::others_exec);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && ::seteuid(65534) != 0) ::_exit(2);  // no permission stops root
    std::string said = "nothing";
    try {
      remove_entry(temp.path, only(temp.path));
    } catch (const Error& e) {
      said = e.what();
    }
    std::ofstream(temp.path / "said") << said;
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WEXITSTATUS(status) == 0);
  CHECK_THAT(read_file(temp.path / "said"), Catch::Contains("cannot be removed"));
  CHECK(fs::exists(folder / "layers" / "0"));
  CHECK_FALSE(CacheStore(temp.path).has(key("states", 1)));
  CHECK(names(list_cache(temp.path)) == Names{"states broken"});
  fs::permissions(folder / "layers", fs::perms::owner_all);
  CHECK(remove_entry(temp.path, only(temp.path)));
}
