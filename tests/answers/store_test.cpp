// The answer store as one process sees it: what is put is there, claims, budget, totals, lines of JSON, and what verify() finds.
#include <fstream>
#include <set>
#include <sstream>

#include <nlohmann/json.hpp>

#include "answers/rows.h"
#include "answers_kit.h"
#include "data/utf8.h"

using namespace oncekit;
using namespace oncekit::test;
namespace fs = std::filesystem;
using State = StoredAnswer::State;

namespace {

bool same(const StoredAnswer& a, const StoredAnswer& b) { return answer_json(a) == answer_json(b) && a.raw == b.raw; }

std::vector<StoredAnswer> all_of(const AnswerStore& store, const AnswerFilter& filter = {}) {
  std::vector<StoredAnswer> all;
  store.each(filter, [&](const StoredAnswer& a) { all.push_back(a); });
  return all;
}

// Answers with everything that JSON, SQLite or a terminal might stumble over.
std::vector<StoredAnswer> odd_answers() {
  std::vector<StoredAnswer> all;
  const std::vector<std::string> texts{"", " ", "\n\n", "two\nlines\twith a tab", std::string("a\0zero", 6), "\xff\xfe not UTF-8 \xc3", "\"quotes\" and \\ 'these'",
                                       "日本語, Ünïcödé, \xf0\x9f\x93\x9a", std::string(200000, 'x'), "{\"title\": \"JSON\"}", "'; DROP TABLE answers; --"};
  for (const std::string& text : texts) {
    StoredAnswer a = answer_of(static_cast<int>(all.size()));
    a.raw = text;
    if (is_utf8(text)) a.body = text;  // requests are, always
    all.push_back(a);
  }
  StoredAnswer a = answer_of(100);
  a.state = State::kRejected;
  a.reason = "no title";
  a.parsed.clear();
  a.seen.reset();
  a.cost = 0;
  a.seconds = 0;
  all.push_back(a);
  a = answer_of(101, 1.23457e-7);
  a.seen = std::vector<std::string>{"N1", "N 2", "ü", "\"", ""};
  a.draw = 7;
  a.attempt = 3;
  a.prompt_tokens = INT64_MAX;
  all.push_back(a);
  return all;
}

}  // namespace

TEST_CASE("what is put is there again, to the byte", "[unit]") {
  const TempFolder temp;
  const fs::path file = temp.path / "a folder that is new" / "answers.db";
  const std::vector<StoredAnswer> odd = odd_answers();
  {
    AnswerStore store = AnswerStore::open(file);
    for (const StoredAnswer& a : odd) store.put(a);
  }
  for (const bool read_only : {false, true}) {
    const AnswerStore store = read_only ? AnswerStore::open_read_only(file) : AnswerStore::open(file);
    for (const StoredAnswer& a : odd) {
      const auto found = store.attempts(a.request, a.draw);
      REQUIRE(found.size() == 1);
      CHECK(same(found[0], a));
      CHECK(found[0].seen == a.seen);
    }
    CHECK(all_of(store).size() == odd.size());
    CHECK(store.verify() == std::vector<std::string>{});
  }
}

TEST_CASE("attempts of a draw come in order, draws are apart, and a second answer to an attempt does not replace the first", "[unit]") {
  const TempFolder temp;
  AnswerStore store = AnswerStore::open(temp.path / "a.db");
  for (const int attempt : {2, 0, 1}) {
    StoredAnswer a = answer_of(1);
    a.attempt = attempt;
    a.state = attempt == 2 ? State::kRepaired : State::kRejected;
    store.put(a);
  }
  StoredAnswer other = answer_of(1);
  other.draw = 1;
  store.put(other);
  const auto attempts = store.attempts(request_of(1), 0);
  REQUIRE(attempts.size() == 3);
  for (int i = 0; i < 3; ++i) CHECK(attempts[static_cast<std::size_t>(i)].attempt == i);
  CHECK(store.attempts(request_of(1), 1).size() == 1);
  CHECK(store.attempts(request_of(2), 0).empty());
  // It was paid for, all the same.
  other.raw = "another answer";
  store.put(other);
  CHECK(store.attempts(request_of(1), 1)[0].raw == answer_of(1).raw);
  REQUIRE(store.possibly_billed().size() == 1);
  CHECK(store.possibly_billed()[0].why == "answered twice");
  CHECK(store.totals().possibly_billed == Approx(other.cost));
  // A giving up is no answer: its place is free, for a later giving up too.
  StoredAnswer gave_up = answer_of(3, 0);
  gave_up.state = State::kGaveUp;
  gave_up.reason = "timed out";
  store.put(gave_up);
  CHECK(claim_of(store, 3) == Claim::kTaken);
  CHECK(store.verify().empty());
  gave_up.reason = "cannot connect";
  ++gave_up.at;
  store.put(gave_up);
  REQUIRE(store.attempts(request_of(3), 0).size() == 1);
  CHECK(store.attempts(request_of(3), 0)[0].reason == "cannot connect");
  answer_through(store, 3);
  CHECK(store.attempts(request_of(3), 0)[0].state == State::kAccepted);
  CHECK(claim_of(store, 3) == Claim::kAnswered);
  CHECK(store.verify().empty());
}

TEST_CASE("a claim: ours, elsewhere, answered, and free again", "[unit]") {
  const TempFolder temp;
  AnswerStore one = AnswerStore::open(temp.path / "a.db");
  AnswerStore two = AnswerStore::open(temp.path / "a.db");  // as another thread or process would
  CHECK(claim_of(one, 1) == Claim::kTaken);
  CHECK(claim_of(one, 1) == Claim::kElsewhere);  // the same question once more, while the first is being asked
  CHECK(claim_of(two, 1) == Claim::kElsewhere);
  CHECK(one.totals().set_aside == Approx(0.001));
  one.release(request_of(1), 0, 0);
  CHECK(two.totals().set_aside == 0);
  CHECK(claim_of(two, 1) == Claim::kTaken);
  one.release(request_of(1), 0, 0);  // not ours: nothing happens
  CHECK(claim_of(one, 1) == Claim::kElsewhere);
  two.sending(request_of(1), 0, 0);
  two.put(answer_of(1));
  CHECK(claim_of(one, 1) == Claim::kAnswered);
  CHECK(claim_of(two, 1) == Claim::kAnswered);
  CHECK(two.totals().set_aside == 0);
  // To say that something leaves which is not claimed is a mistake that would be paid for twice.
  CHECK_THROWS_AS(one.sending(request_of(5), 0, 0), Error);
  CHECK_THROWS_AS(one.possibly_billed(request_of(5), 0, 0, "timed out"), Error);
}

TEST_CASE("a store that is closed frees what it had not sent, and remembers what it had", "[unit]") {
  const TempFolder temp;
  AnswerStore other = AnswerStore::open(temp.path / "a.db");
  {
    AnswerStore store = AnswerStore::open(temp.path / "a.db");
    for (int n = 0; n < 5; ++n) CHECK(claim_of(store, n, 0.25) == Claim::kTaken);
    for (int n = 0; n < 2; ++n) store.sending(request_of(n), 0, 0);
    AnswerStore moved = std::move(store);
    CHECK(claim_of(other, 4) == Claim::kElsewhere);
  }
  CHECK(other.totals().set_aside == 0);
  CHECK(other.totals().possibly_billed == 0.5);
  REQUIRE(other.possibly_billed().size() == 2);
  CHECK(other.possibly_billed()[0].key == "N0");
  CHECK(other.possibly_billed()[0].price == 0.25);
  for (int n = 0; n < 5; ++n) CHECK(claim_of(other, n) == Claim::kTaken);
  CHECK(other.verify().empty());
}

TEST_CASE("a time-out is remembered, and the next try is a new one", "[unit]") {
  const TempFolder temp;
  {
    AnswerStore store = AnswerStore::open(temp.path / "a.db");
    CHECK(claim_of(store, 1, 0.5) == Claim::kTaken);
    for (int round = 0; round < 3; ++round) {
      store.sending(request_of(1), 0, 0);
      store.possibly_billed(request_of(1), 0, 0, "timed out");
    }
    CHECK(store.totals().possibly_billed == 1.5);
    CHECK(store.totals().set_aside == 0);
    store.sending(request_of(1), 0, 0);
    CHECK(store.totals().set_aside == 0.5);
    store.put(answer_of(1));
  }
  const AnswerStore store = AnswerStore::open(temp.path / "a.db");
  CHECK(store.possibly_billed().size() == 3);  // closing does not count the last one again
  for (const PossiblyBilled& b : store.possibly_billed()) CHECK(b.why == "timed out");
}

TEST_CASE("another try of a request needs room for its own price", "[unit]") {
  const TempFolder temp;
  {
    AnswerStore store = AnswerStore::open(temp.path / "a.db");
    CHECK(claim_of(store, 1, 0.5, 1.2) == Claim::kTaken);
    store.sending(request_of(1), 0, 0);
    CHECK(store.again(request_of(1), 0, 0, 1.2));  // refused unread, as with a 429: what was set aside still is
    CHECK(store.totals().set_aside == 0.5);
    store.sending(request_of(1), 0, 0);
    store.possibly_billed(request_of(1), 0, 0, "timed out");
    CHECK(store.again(request_of(1), 0, 0, 1.2));  // 0.5 billed, 0.5 set aside
    CHECK(store.totals().set_aside == 0.5);
    store.sending(request_of(1), 0, 0);
    store.possibly_billed(request_of(1), 0, 0, "timed out");
    CHECK_FALSE(store.again(request_of(1), 0, 0, 1.2));
    CHECK(store.totals().set_aside == 0);
    CHECK(store.totals().possibly_billed == 1);
    CHECK(store.again(request_of(1), 0, 0, 0));  // no limit
    CHECK_THROWS_AS(store.again(request_of(5), 0, 0, 0), Error);
  }
  // It waited for its next try: closing, as a kill would, has nothing to add.
  CHECK(AnswerStore::open(temp.path / "a.db").possibly_billed().size() == 2);
}

TEST_CASE("the budget is kept to the last fraction: answers, what is set aside, what was possibly billed", "[unit]") {
  for (const double price : {0.1, 0.01, 1e-3, 7e-7, 1e-9, 0.0123456789}) {
    for (const int n : {1, 3, 10, 33}) {
      const TempFolder temp;
      AnswerStore store = AnswerStore::open(temp.path / "a.db");
      const double budget = price * n;
      int taken = 0;
      for (int i = 0; i < n + 3; ++i) {
        const Claim claim = claim_of(store, i, price, budget);
        if (claim != Claim::kTaken) {
          CHECK((claim == Claim::kNoBudget || claim == Claim::kNoRoomYet));
          continue;
        }
        ++taken;
        store.sending(request_of(i), 0, 0);
        if (i % 3 == 0) store.put(answer_of(i, price));
        else if (i % 3 == 1) store.possibly_billed(request_of(i), 0, 0, "timed out"), store.release(request_of(i), 0, 0);
      }
      INFO("price " << price << ", budget for " << n);
      CHECK(taken == n);
      CHECK(claim_of(store, 99, price, 0) == Claim::kTaken);  // no limit
    }
  }
  // An answer that was cheaper than its price makes room for another.
  const TempFolder temp;
  AnswerStore store = AnswerStore::open(temp.path / "a.db");
  CHECK(claim_of(store, 1, 1, 1) == Claim::kTaken);
  CHECK(claim_of(store, 2, 0.5, 1) == Claim::kNoRoomYet);
  store.put(answer_of(1, 0.5));
  CHECK(claim_of(store, 2, 0.5, 1) == Claim::kTaken);
  CHECK(claim_of(store, 3, 2, 1) == Claim::kNoBudget);
  CHECK(claim_of(store, 4, 0.5, 1) == Claim::kNoRoomYet);
  store.sending(request_of(2), 0, 0);
  store.possibly_billed(request_of(2), 0, 0, "timed out");
  CHECK(claim_of(store, 4, 0.5, 1) == Claim::kNoBudget);  // what may have been billed does not come back
}

TEST_CASE("totals count every state, and filters choose", "[unit]") {
  const TempFolder temp;
  AnswerStore store = AnswerStore::open(temp.path / "a.db");
  CHECK(store.totals().answers == 0);
  CHECK(store.totals().cost == 0);
  for (int n = 0; n < 50; ++n) {
    StoredAnswer a = answer_of(n, 0.01);
    a.state = static_cast<State>(n % 5);
    a.task = n < 20 ? "gpt_summarizer" : "gpt_profiler";
    a.model = n < 30 ? "a" : "b";
    a.source = n < 40 ? "endpoint" : "import: some.log";
    store.put(a);
  }
  const StoreTotals t = store.totals();
  CHECK(t.answers == 50);
  for (const std::int64_t n : {t.accepted, t.repaired, t.rejected, t.refused, t.gave_up}) CHECK(n == 10);
  CHECK(t.imported == 10);
  CHECK(t.prompt_tokens == 50 * 100 + 49 * 50 / 2);
  CHECK(t.completion_tokens == 1000);
  CHECK(t.cost == 0.5);  // exact, whatever the order
  AnswerFilter filter;
  const auto count = [&] { return all_of(store, filter).size(); };
  CHECK(count() == 50);
  filter.task = "gpt_profiler";
  CHECK(count() == 30);
  filter.model = "b";
  CHECK(count() == 20);
  filter.source = "endpoint";
  CHECK(count() == 10);
  filter.state = "gave_up";
  CHECK(count() == 2);
  filter.limit = 1;
  CHECK(count() == 1);
  filter = {};
  filter.key = "N7";
  CHECK(count() == 1);
  filter.key = "N700";
  CHECK(count() == 0);
  filter = {};
  filter.state = "acepted";
  const Error error = error_of([&] { count(); });
  CHECK(error.kind() == ErrorKind::kUsage);
  CHECK(error.hint() == "did you mean 'accepted'?");
  CHECK(store.imported("gpt_profiler", "N41").size() == 1);
  CHECK(store.imported("gpt_summarizer", "N41").empty());
  CHECK(store.imported("gpt_profiler", "N31").empty());
}

TEST_CASE("lines of JSON carry a store into another, and nothing twice", "[unit]") {
  const TempFolder temp;
  const fs::path lines = temp.path / "answers.jsonl", again = temp.path / "again.jsonl";
  const std::vector<StoredAnswer> odd = odd_answers();
  AnswerStore one = AnswerStore::open(temp.path / "one.db");
  for (const StoredAnswer& a : odd) one.put(a);
  one.export_lines(lines);
  AnswerStore two = AnswerStore::open(temp.path / "two.db");
  two.put(odd[3]);
  CHECK(two.import_lines(lines) == static_cast<std::int64_t>(odd.size()) - 1);
  CHECK(two.import_lines(lines) == 0);
  CHECK(two.verify().empty());
  CHECK(two.totals().cost == one.totals().cost);
  for (const StoredAnswer& a : odd) CHECK(same(two.attempts(a.request, a.draw).at(0), a));
  two.export_lines(again);
  CHECK(read_file(lines) == read_file(again));
  CHECK_FALSE(fs::exists(lines.string() + ".part" + std::to_string(::getpid())));
  // Every line is JSON in UTF-8 that a program in Python reads.
  std::istringstream in(read_file(lines));
  std::string line;
  std::size_t count = 0, base64 = 0;
  for (; std::getline(in, line); ++count) {
    const auto json = nlohmann::ordered_json::parse(line);
    CHECK(json.begin().key() == "request");
    CHECK(json["parsed"].is_object() == !json["parsed"].is_string());
    base64 += json.contains("raw_base64");
  }
  CHECK(count == odd.size());
  CHECK(base64 == 1);
}

TEST_CASE("an import of lines takes the place of a giving up", "[unit]") {
  const TempFolder temp;
  const fs::path lines = temp.path / "answers.jsonl", empty = temp.path / "gave_up.jsonl";
  AnswerStore one = AnswerStore::open(temp.path / "one.db"), two = AnswerStore::open(temp.path / "two.db");
  one.put(answer_of(1));
  one.export_lines(lines);
  StoredAnswer gave_up = answer_of(1, 0);
  gave_up.state = State::kGaveUp;
  two.put(gave_up);
  two.export_lines(empty);
  CHECK(two.import_lines(empty) == 0);
  CHECK(two.import_lines(lines) == 1);
  CHECK(same(two.attempts(request_of(1), 0).at(0), answer_of(1)));
  CHECK(two.import_lines(empty) == 0);
  CHECK(two.import_lines(lines) == 0);
  CHECK(two.totals().answers == 1);
  CHECK(two.verify().empty());
}

TEST_CASE("an import of lines is all or nothing, and says what is wrong", "[errors]") {
  const TempFolder temp;
  AnswerStore store = AnswerStore::open(temp.path / "a.db");
  store.put(answer_of(1));
  const fs::path lines = temp.path / "answers.jsonl";
  store.export_lines(lines);
  const std::string good = read_file(lines);
  AnswerStore other = AnswerStore::open(temp.path / "b.db");
  const auto json = nlohmann::ordered_json::parse(good);
  std::vector<std::pair<std::string, std::string>> bad{{"nonsense", "not JSON"}, {"[1]", "not a JSON object"}, {good.substr(0, 40), "not JSON"}};
  for (const auto& [key, value] : json.items()) {
    auto without = json, wrong = json;
    without.erase(key);
    wrong[key] = key == "seen" || key == "parsed" || key == "usage_reported" ? nlohmann::ordered_json(7) : nlohmann::ordered_json::array();
    bad.emplace_back(without.dump(), "no key '" + key + "'");
    bad.emplace_back(wrong.dump(), "'" + key + "' should be");
  }
  for (const char* key : {"draw", "attempt", "prompt_tokens", "cost", "at"}) {
    auto wrong = json;
    wrong[key] = -1;
    bad.emplace_back(wrong.dump(), std::string("'") + key + "' should be");
  }
  auto wrong = json;
  wrong["state"] = "perfect";
  bad.emplace_back(wrong.dump(), "not 'perfect'");
  wrong = json;
  wrong["raw_base64"] = "????";
  bad.emplace_back(wrong.dump(), "'raw_base64' should be base64");
  for (const auto& [line, expected] : bad) {
    write_file(lines, good + line + "\n");
    const Error error = error_of([&] { other.import_lines(lines); });
    INFO(line << "\n" << error.what());
    CHECK(error.kind() == ErrorKind::kData);
    CHECK(std::string(error.what()).find(expected) != std::string::npos);
    CHECK(std::string(error.what()).find("answers.jsonl:2") != std::string::npos);
    CHECK(other.totals().answers == 0);
  }
  // A long file with one bad line at its end.
  std::string many;
  for (int n = 0; n < 1200; ++n) {
    auto line = json;
    line["request"] = request_of(n);
    many += line.dump() + "\n";
  }
  write_file(lines, many + "nonsense\n");
  CHECK(error_of([&] { other.import_lines(lines); }).kind() == ErrorKind::kData);
  CHECK(other.totals().answers == 0);
  write_file(lines, many);
  CHECK(AnswerStore::open(temp.path / "c.db").import_lines(lines) == 1200);
  write_file(lines, "\n" + good + "\r\n\n");
  CHECK(other.import_lines(lines) == 1);
  CHECK(error_of([&] { other.import_lines(temp.path / "none"); }).kind() == ErrorKind::kData);
  CHECK(error_of([&] { other.import_lines(temp.path); }).kind() == ErrorKind::kData);
  CHECK(error_of([&] { other.export_lines(temp.path / "no folder" / "f"); }).kind() == ErrorKind::kRun);
}

TEST_CASE("verify finds what was changed behind the store's back", "[unit]") {
  const std::vector<std::pair<const char*, const char*>> changes{
      {"UPDATE answers SET raw = raw || ' ' WHERE key = 'N3'", "key 'N3'"},
      {"UPDATE answers SET raw = replace(raw, 'story', 'Story') WHERE key = 'N4'", "is not what was stored"},
      {"UPDATE answers SET body = '' WHERE key = 'N5'", "is not what was stored"},
      {"UPDATE answers SET seen = '[\"N1\"]' WHERE key = 'N5'", "is not what was stored"},
      {"UPDATE answers SET seen = NULL WHERE key = 'N5'", "is not what was stored"},
      {"UPDATE answers SET seen = 'N1' WHERE key = 'N5'", "cannot be read"},
      {"UPDATE answers SET state = 'good' WHERE key = 'N5'", "is none"},
      {"UPDATE answers SET state = 'rejected' WHERE key = 'N5'", "is not what was stored"},
      {"UPDATE answers SET at = at + 1 WHERE key = 'N5'", "is not what was stored"},
      {"UPDATE answers SET picodollars = 0 WHERE key = 'N5'", "the ledger says"},
      {"UPDATE ledger SET spent = spent + 1", "the ledger says"},
      {"UPDATE ledger SET billed = 5", "the ledger says"},
      {"DELETE FROM ledger", "the ledger of costs"},
      {"UPDATE possibly_billed SET why = 'hm'", "possibly billed request"},
      {"DROP TRIGGER answer_removed; DELETE FROM answers WHERE key = 'N5'", "the ledger says"},
      {"INSERT INTO claims VALUES('r', 0, 0, 't', 'k', 0, 0, '1-2', 1, 0)", "1 requests of a process that is gone (1-2), 1 of them sent"}};
  for (const auto& [sql, expected] : changes) {
    const TempFolder temp;
    const fs::path file = temp.path / "a.db";
    {
      AnswerStore store = AnswerStore::open(file);
      for (int n = 0; n < 10; ++n) answer_through(store, n);
      CHECK(claim_of(store, 50) == Claim::kTaken);
      store.sending(request_of(50), 0, 0);
      store.possibly_billed(request_of(50), 0, 0, "timed out");
      store.release(request_of(50), 0, 0);
      CHECK(store.verify().empty());
    }
    meddle(file, sql);
    const auto found = AnswerStore::open_read_only(file).verify();
    INFO(sql);
    REQUIRE_FALSE(found.empty());
    std::string all;
    for (const std::string& text : found) all += text + "\n";
    CHECK_THAT(all, Catch::Contains(expected));
  }
  // What no writer of ours would put.
  const TempFolder temp;
  AnswerStore store = AnswerStore::open(temp.path / "a.db");
  const auto expect = [&](StoredAnswer a, const char* expected) {
    store.put(a);
    const auto found = store.verify();
    REQUIRE_FALSE(found.empty());
    CHECK_THAT(found.back(), Catch::Contains(expected));
  };
  StoredAnswer a = answer_of(1);
  a.request = "r1";
  expect(a, "no hash of 32 hex digits");
  a = answer_of(2);
  a.source = "somewhere";
  expect(a, "its source is neither");
  a = answer_of(3);
  a.parsed = "title";
  expect(a, "no JSON object");
  a = answer_of(4);
  a.completion_tokens = -1;
  expect(a, "tokens are negative");
  a = answer_of(5);
  a.key.clear();
  expect(a, "no task or no key");
}

TEST_CASE("twenty thousand answers, many claimed at once", "[slow]") {
  const TempFolder temp;
  const fs::path file = temp.path / "a.db";
  constexpr int kAnswers = 20000, kOpen = 64;
  {
    AnswerStore store = AnswerStore::open(file);
    for (int n = 0; n < kAnswers; ++n) {
      REQUIRE(claim_of(store, n, 0.001, 1000) == Claim::kTaken);
      store.sending(request_of(n), 0, 0);
      if (n >= kOpen) store.put(answer_of(n - kOpen));
    }
    for (int n = kAnswers - kOpen; n < kAnswers; ++n) store.put(answer_of(n));
    CHECK(fs::file_size(file.string() + "-wal") < (64u << 20));
  }
  {
    const AnswerStore store = AnswerStore::open_read_only(file);
    CHECK(store.totals().answers == kAnswers);
    CHECK(store.totals().cost == 20);
    CHECK(store.possibly_billed().empty());
    CHECK(store.verify().empty());
  }
  for (const char* beside : {"-wal", "-shm"}) CHECK_FALSE(fs::exists(file.string() + beside));  // reading leaves nothing behind
}
