// The answer store when things go wrong: kills, several processes, full disks, damaged and foreign files, folders that may not be written.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <chrono>
#include <fstream>
#include <map>
#include <random>
#include <thread>

#include "answers_kit.h"

using namespace oncekit;
using namespace oncekit::test;
namespace fs = std::filesystem;

namespace {

bool file_holds(const fs::path& file, std::size_t bytes) {
  std::error_code ignored;
  return fs::exists(file, ignored) && fs::file_size(file, ignored) >= bytes;
}

void wait_for(const fs::path& file, std::size_t bytes = 1) {
  for (int i = 0; i < 3000 && !file_holds(file, bytes); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  REQUIRE(file_holds(file, bytes));
}

// One byte that a write(2) of its own carries: what was noted survives any kill of the writer.
void note(const fs::path& file, char byte) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  [[maybe_unused]] const auto n = ::write(fd, &byte, 1);
  ::close(fd);
}

void flip(const fs::path& file, std::size_t at) {
  std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
  f.seekg(static_cast<std::streamoff>(at));
  const char byte = static_cast<char>(f.get() ^ 0x20);
  f.seekp(static_cast<std::streamoff>(at));
  f.put(byte);
}

std::vector<std::string> lock_files(const fs::path& store) {
  std::vector<std::string> names;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(store.string() + ".owners", code)) names.push_back(entry.path().filename());
  return names;
}

}  // namespace

TEST_CASE("kill -9 at any moment: no answer is lost, what was sent is possibly billed, the rest is free", "[fault]") {
  const TempFolder temp;
  const fs::path file = temp.path / "answers.db", put = temp.path / "put", sent = temp.path / "sent";
  std::mt19937 random(7);
  int begin = 0;
  std::size_t billed = 0;
  for (int round = 0; round < 25; ++round) {
    std::ofstream(put).close();
    std::ofstream(sent).close();
    const pid_t child = in_child([&] {
      AnswerStore store = AnswerStore::open(file);
      // Four claims open at any time, as with requests in flight. A note is written once the call has returned.
      for (int n = begin;; ++n) {
        claim_of(store, n);
        if (n % 4 != 3) {
          store.sending(request_of(n), 0, 0);
          note(sent, 's');
        }
        if (n - begin < 4) continue;
        if ((n - 4) % 4 == 3) store.sending(request_of(n - 4), 0, 0), note(sent, 's');
        store.put(answer_of(n - 4));
        note(put, 'p');
      }
      return 0;
    });
    wait_for(put, 1 + random() % 100);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
    ::kill(child, SIGKILL);
    CHECK(status_of(child) == 128 + SIGKILL);
    const auto answers_put = static_cast<int>(fs::file_size(put));
    AnswerStore store = AnswerStore::open(file);
    INFO("round " << round << ", " << answers_put << " answers");
    CHECK(store.verify() == std::vector<std::string>{});
    int there = 0;
    while (!store.attempts(request_of(begin + there), 0).empty()) ++there;
    CHECK((there == answers_put || there == answers_put + 1));  // committed, and killed before the note
    CHECK(store.totals().answers == begin + there);
    CHECK(store.totals().set_aside == 0);
    // Sent and not answered: all sent, one more than noted when the kill came between; none of the answered.
    const auto now_billed = store.possibly_billed();
    const std::size_t more = now_billed.size() - billed, noted = fs::file_size(sent) - static_cast<std::size_t>(there);
    CHECK(more + 1 >= noted);
    CHECK(more <= noted + 2);
    for (std::size_t i = billed; i < now_billed.size(); ++i) {
      CHECK(now_billed[i].why == "killed");
      CHECK(now_billed[i].price == 0.001);
      CHECK(store.attempts(now_billed[i].request, 0).empty());
    }
    billed = now_billed.size();
    begin += there;
    for (int n = 0; n < 6; ++n) CHECK(claim_of(store, begin + n) == Claim::kTaken);  // nothing is held by the dead
    for (int n = 0; n < 6; ++n) store.release(request_of(begin + n), 0, 0);
    CHECK(lock_files(file).size() == 1);  // ours
  }
}

TEST_CASE("kill -9 while the file is made: the next one finds a store, or makes it", "[fault]") {
  std::mt19937 random(11);
  for (int round = 0; round < 40; ++round) {
    const TempFolder temp;
    const fs::path file = temp.path / "answers.db";
    const pid_t child = in_child([&] {
      AnswerStore store = AnswerStore::open(file);
      for (int n = 0;; ++n) claim_of(store, n);
      return 0;
    });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20000));
    ::kill(child, SIGKILL);
    status_of(child);
    AnswerStore store = AnswerStore::open(file);
    answer_through(store, 1);
    CHECK(store.totals().answers == 1);
    CHECK(store.totals().set_aside == 0);
    CHECK(store.verify() == std::vector<std::string>{});
  }
}

TEST_CASE("several processes make the same file: each finds a store, never a stranger's file", "[fault]") {
  for (int round = 0; round < 150; ++round) {
    const TempFolder temp;
    const fs::path file = temp.path / "answers.db";
    std::vector<pid_t> children;
    for (int worker = 0; worker < 4; ++worker)
      children.push_back(in_child([&, worker] {
        std::this_thread::sleep_for(std::chrono::microseconds(300 * worker * (round % 12)));
        AnswerStore store = AnswerStore::open(file);
        return claim_of(store, worker) == Claim::kTaken ? 0 : 2;
      }));
    for (const pid_t child : children) CHECK(status_of(child) == 0);
  }
}

TEST_CASE("threads with a store each share claims and budget as processes do", "[unit]") {
  const TempFolder temp;
  constexpr int kThreads = 4, kRequests = 100;
  std::vector<std::thread> threads;
  std::array<int, kThreads> taken{};
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      AnswerStore store = AnswerStore::open(temp.path / "answers.db");
      for (int n = 0; n < kRequests; ++n) {
        if (claim_of(store, n, 0.01, 0.5) != Claim::kTaken) continue;
        ++taken[static_cast<std::size_t>(t)];
        store.sending(request_of(n), 0, 0);
        store.put(answer_of(n, 0.01));
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(taken[0] + taken[1] + taken[2] + taken[3] == 50);
  const AnswerStore store = AnswerStore::open(temp.path / "answers.db");
  CHECK(store.totals().cost == 0.5);
  CHECK(store.possibly_billed().empty());
  CHECK(store.verify().empty());
}

TEST_CASE("a claim of a process that was killed is free for one that lives on, without opening anew", "[fault]") {
  const TempFolder temp;
  const fs::path file = temp.path / "answers.db";
  AnswerStore store = AnswerStore::open(file);
  const pid_t child = in_child([&] {
    AnswerStore mine = AnswerStore::open(file);
    claim_of(mine, 1, 0.5);
    claim_of(mine, 2, 0.25);
    mine.sending(request_of(1), 0, 0);
    note(temp.path / "ready", 'r');
    ::sleep(60);
    return 0;
  });
  wait_for(temp.path / "ready");
  CHECK(claim_of(store, 1) == Claim::kElsewhere);
  CHECK(claim_of(store, 3, 0.5, 1) == Claim::kNoRoomYet);
  ::kill(child, SIGKILL);
  status_of(child);
  // The budget has room again for what had not been sent.
  CHECK(claim_of(store, 3, 0.5, 1) == Claim::kTaken);
  CHECK(store.totals().possibly_billed == 0.5);
  CHECK(claim_of(store, 1) == Claim::kTaken);
  CHECK(claim_of(store, 2) == Claim::kTaken);
  CHECK(store.verify().empty());
}

TEST_CASE("two processes on one store and one budget: no attempt twice, and never above the budget", "[fault]") {
  constexpr int kRequests = 400;
  constexpr double kPrice = 0.01, kBudget = 2.5;
  for (int round = 0; round < 3; ++round) {
    const TempFolder temp;
    const fs::path file = temp.path / "answers.db", start = temp.path / "start";
    std::vector<pid_t> children;
    for (int worker = 0; worker < 3; ++worker)
      children.push_back(in_child([&] {
        while (!fs::exists(start)) std::this_thread::sleep_for(std::chrono::microseconds(200));
        AnswerStore store = AnswerStore::open(file);  // all make the file at once
        std::mt19937 random(static_cast<unsigned>(round * 10 + worker));
        for (int n = 0; n < kRequests; ++n) {
          const Claim claim = claim_of(store, n, kPrice, kBudget);
          const StoreTotals t = store.totals();
          if (t.cost + t.set_aside + t.possibly_billed > kBudget + 1e-9) return 2;
          if (claim != Claim::kTaken) continue;
          store.sending(request_of(n), 0, 0);
          const auto what = random() % 4;
          if (what == 0) {
            store.release(request_of(n), 0, 0);
          } else if (what == 1) {
            store.possibly_billed(request_of(n), 0, 0, "timed out");
            store.release(request_of(n), 0, 0);
          } else {
            StoredAnswer a = answer_of(n, kPrice / 2);
            a.raw = std::to_string(worker);
            store.put(a);
            note(temp.path / ("put" + std::to_string(worker)), 'p');
          }
        }
        return 0;
      }));
    note(start, 's');
    for (const pid_t child : children) CHECK(status_of(child) == 0);
    const AnswerStore store = AnswerStore::open(file);
    CHECK(store.verify() == std::vector<std::string>{});
    std::int64_t puts = 0;
    for (int worker = 0; worker < 3; ++worker)
      if (const fs::path noted = temp.path / ("put" + std::to_string(worker)); fs::exists(noted)) puts += static_cast<std::int64_t>(fs::file_size(noted));
    const StoreTotals t = store.totals();
    CHECK(t.answers == puts);  // each put was the first of its attempt
    for (const PossiblyBilled& b : store.possibly_billed()) CHECK(b.why == "timed out");
    CHECK(t.cost + t.possibly_billed <= kBudget + 1e-9);
    CHECK(t.cost + t.possibly_billed > kBudget / 2);
  }
}

TEST_CASE("a full disk is one clear error; with room again the store goes on where it was", "[fault]") {
  const TempFolder temp;
  const fs::path file = temp.path / "answers.db", text = temp.path / "error";
  { AnswerStore::open(file); }
  const pid_t child = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    AnswerStore store = AnswerStore::open(file);
    const struct rlimit tight {400 << 10, RLIM_INFINITY}, wide {RLIM_INFINITY, RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &tight);
    int n = 0;
    std::string message;
    for (; n < 5000 && message.empty(); ++n) {
      try {
        claim_of(store, n);
        store.sending(request_of(n), 0, 0);
        store.put(answer_of(n));
      } catch (const Error& e) {
        if (e.kind() != ErrorKind::kRun) return 3;
        message = e.what();
      }
    }
    ::setrlimit(RLIMIT_FSIZE, &wide);
    if (message.empty() || !store.verify().empty()) return 4;
    std::ofstream(text) << message;
    const auto there = store.totals().answers;
    for (int more = 0; more < 50; ++more, ++n) {
      claim_of(store, n);
      store.sending(request_of(n), 0, 0);
      store.put(answer_of(n));
    }
    return store.totals().answers == there + 50 && there >= 5 && store.verify().empty() ? 0 : 5;
  });
  CHECK(status_of(child) == 0);
  const std::string message = read_file(text);
  CHECK_THAT(message, Catch::Contains("answers.db: the answer store cannot grow") && Catch::Contains("what was stored before is safe"));
  CHECK(message.find('\n') == std::string::npos);
  CHECK(AnswerStore::open(file).verify().empty());
  // No room from the start.
  const pid_t second = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit none {1024, RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &none);
    try {
      AnswerStore::open(temp.path / "another.db");
    } catch (const Error& e) {
      return e.kind() == ErrorKind::kRun && std::string(e.what()).find('\n') == std::string::npos ? 0 : 2;
    }
    return 3;
  });
  CHECK(status_of(second) == 0);
}

TEST_CASE("a flipped byte anywhere is found, or stands where nothing is stored", "[fault]") {
  const TempFolder temp;
  const fs::path whole = temp.path / "whole.db", file = temp.path / "flipped.db", lines = temp.path / "whole.jsonl", now = temp.path / "now.jsonl";
  {
    AnswerStore store = AnswerStore::open(whole);
    for (int n = 0; n < 40; ++n) answer_through(store, n);
    store.export_lines(lines);
  }
  const std::string bytes = read_file(whole), exported = read_file(lines);
  // In every text that was put: the raw answers, the prompts, the ids.
  std::size_t inside = 0;
  for (const std::string text : {"The story of number 7\"", "[newtitle] The story of number 23", "[title] number 31", "gpt-3.5-turbo"}) {
    const std::size_t at = bytes.find(text);
    REQUIRE(at != std::string::npos);
    fs::copy_file(whole, file, fs::copy_options::overwrite_existing);
    flip(file, at + 2);
    const auto found = AnswerStore::open_read_only(file).verify();
    INFO(text);
    CHECK_FALSE(found.empty());
    ++inside;
  }
  CHECK(inside == 4);
  // Anywhere at all: an error, a finding, or all answers as they were.
  std::mt19937 random(3);
  int found_flips = 0;
  for (int round = 0; round < 300; ++round) {
    const std::size_t at = random() % bytes.size();
    fs::copy_file(whole, file, fs::copy_options::overwrite_existing);
    flip(file, at);
    INFO("byte " << at);
    try {
      const AnswerStore store = AnswerStore::open_read_only(file);
      if (!store.verify().empty()) {
        ++found_flips;
        continue;
      }
      store.export_lines(now);
      CHECK(read_file(now) == exported);
    } catch (const Error& e) {
      CHECK((e.kind() == ErrorKind::kData || e.kind() == ErrorKind::kRun));
      CHECK(std::string(e.what()).find('\n') == std::string::npos);
      ++found_flips;
    }
  }
  CHECK(found_flips > 100);
}

TEST_CASE("files that are no store, damaged, newer, or out of reach: one paragraph each, and the file stays as it was", "[errors]") {
  const TempFolder temp;
  const auto refused = [&](const fs::path& file, ErrorKind kind, const std::string& expected) {
    const std::string before = fs::is_regular_file(file) ? read_file(file) : "";
    for (const bool read_only : {false, true}) {
      const Error error = error_of([&] { read_only ? AnswerStore::open_read_only(file) : AnswerStore::open(file); });
      INFO(error.what());
      CHECK(error.kind() == kind);
      CHECK_THAT(error.message(), Catch::Contains(expected));
      CHECK_FALSE(error.hint().empty());
      CHECK(error.where().find(file.filename().string()) != std::string::npos);
      CHECK(std::string(error.what()).find('\n') == std::string::npos);
      if (fs::is_regular_file(file)) CHECK(read_file(file) == before);
    }
  };
  write_file(temp.path / "text.db", std::string(5000, 'x'));
  refused(temp.path / "text.db", ErrorKind::kData, "is not an answer store");
  write_file(temp.path / "short.db", "hello");
  refused(temp.path / "short.db", ErrorKind::kData, "is not an answer store");
  meddle(temp.path / "foreign.db", "CREATE TABLE t(x); INSERT INTO t VALUES(1)");
  refused(temp.path / "foreign.db", ErrorKind::kData, "of some other program");
  meddle(temp.path / "named.db", "PRAGMA application_id = 77; PRAGMA user_version = 1");
  refused(temp.path / "named.db", ErrorKind::kData, "of some other program");
  { AnswerStore::open(temp.path / "newer.db"); }
  meddle(temp.path / "newer.db", "PRAGMA journal_mode = DELETE; PRAGMA user_version = 2");
  refused(temp.path / "newer.db", ErrorKind::kData, "of format 2");
  { AnswerStore::open(temp.path / "half.db"); }
  meddle(temp.path / "half.db", "PRAGMA journal_mode = DELETE; DROP TABLE claims");
  refused(temp.path / "half.db", ErrorKind::kData, "tables are missing");
  {
    AnswerStore store = AnswerStore::open(temp.path / "cut.db");
    for (int n = 0; n < 100; ++n) answer_through(store, n);
  }
  meddle(temp.path / "cut.db", "PRAGMA journal_mode = DELETE");
  fs::resize_file(temp.path / "cut.db", fs::file_size(temp.path / "cut.db") / 2);
  refused(temp.path / "cut.db", ErrorKind::kData, "the answer store is damaged");
  fs::create_directory(temp.path / "folder.db");
  refused(temp.path / "folder.db", ErrorKind::kRun, "this is a folder");
  // An empty file is a new store; none at all is an error only when nothing may be written.
  std::ofstream(temp.path / "empty.db").close();
  CHECK(error_of([&] { AnswerStore::open_read_only(temp.path / "empty.db"); }).kind() == ErrorKind::kData);
  CHECK(AnswerStore::open(temp.path / "empty.db").totals().answers == 0);
  const Error none = error_of([&] { AnswerStore::open_read_only(temp.path / "none.db"); });
  CHECK(none.kind() == ErrorKind::kData);
  CHECK_THAT(none.hint(), Catch::Contains("--store"));
  CHECK_FALSE(fs::exists(temp.path / "none.db"));
  const Error below = error_of([&] { AnswerStore::open(temp.path / "text.db" / "below" / "a.db"); });
  CHECK(below.kind() == ErrorKind::kRun);
}

TEST_CASE("a folder or file that may not be written: an error for writers, no matter for readers", "[fault]") {
  const TempFolder temp;
  fs::permissions(temp.path, fs::perms::all);
  const fs::path folder = temp.path / "closed", file = folder / "answers.db", locked = temp.path / "locked.db";
  fs::create_directory(folder);
  for (const fs::path& f : {file, locked}) {
    AnswerStore store = AnswerStore::open(f);
    for (int n = 0; n < 10; ++n) answer_through(store, n);
  }
  ::chmod(file.c_str(), 0444);
  ::chmod(locked.c_str(), 0444);
  ::chmod(folder.c_str(), 0555);
  const pid_t child = in_child([&] {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return 9;  // root may write everywhere
    for (const fs::path& f : {file, locked, folder / "new.db"}) {
      try {
        AnswerStore::open(f);
        return 2;
      } catch (const Error& e) {
        if (e.kind() != ErrorKind::kRun || e.message().find("cannot be written") == std::string::npos) return 3;
      }
    }
    return AnswerStore::open_read_only(file).totals().answers == 10 && AnswerStore::open_read_only(file).verify().empty() ? 0 : 4;
  });
  const int status = status_of(child);
  ::chmod(folder.c_str(), 0755);
  if (status == 9) WARN("cannot become another user here: not tested");
  else CHECK(status == 0);
}

TEST_CASE("an export that fails leaves the old file, and nothing beside it", "[fault]") {
  const TempFolder temp;
  AnswerStore store = AnswerStore::open(temp.path / "a.db");
  for (int n = 0; n < 200; ++n) store.put(answer_of(n));
  const fs::path file = temp.path / "answers.jsonl";
  write_file(file, "the old one\n");
  const pid_t child = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const AnswerStore mine = AnswerStore::open_read_only(temp.path / "a.db");
    const struct rlimit tight {20 << 10, RLIM_INFINITY};
    ::setrlimit(RLIMIT_FSIZE, &tight);
    try {
      mine.export_lines(file);
    } catch (const Error& e) {
      return e.kind() == ErrorKind::kRun ? 0 : 2;
    }
    return 3;
  });
  CHECK(status_of(child) == 0);
  CHECK(read_file(file) == "the old one\n");
  for (const auto& entry : fs::directory_iterator(temp.path)) CHECK(entry.path().string().find(".part") == std::string::npos);
  store.export_lines(file);
  CHECK(fs::file_size(file) > 20000);
}
