// Splits on the toy: whole users, whole times, cold items; the same on any number of threads.
#include <set>

#include "oncekit/tables.h"
#include "support.h"

using namespace oncekit;
using namespace oncekit::test;

namespace {

Corpus toy(const std::string& split, std::int64_t seed = 2023, int threads = 2) {
  static const TempFolder cache;
  return load("mind", {{"toy", true}, {"split", split}, {"seed", seed}}, threads, cache.path);
}

std::set<UserId> users(const Impressions& rows) { return {rows.users.begin(), rows.users.end()}; }

std::size_t total(const Corpus& c) { return c.train.size() + c.dev.size() + c.test.size(); }

template <class T>
bool disjoint(const std::set<T>& a, const std::set<T>& b) {
  return std::none_of(a.begin(), a.end(), [&](const T& x) { return b.count(x) > 0; });
}

}  // namespace

TEST_CASE("split = user: no user in two parts, shares as asked, nothing lost", "[unit]") {
  const Corpus files = toy("files"), corpus = toy("user");
  CHECK(total(corpus) == total(files));
  CHECK(disjoint(users(corpus.train), users(corpus.dev)));
  CHECK(disjoint(users(corpus.train), users(corpus.test)));
  CHECK(disjoint(users(corpus.dev), users(corpus.test)));
  CHECK(static_cast<double>(users(corpus.test).size()) == Approx(0.1 * static_cast<double>(corpus.users.size())).epsilon(0.02));
  CHECK(corpus.train.labelled());
  CHECK(corpus.test.labelled());
  CHECK(corpus.facts.empty());  // best_auc is about the toy's own test set
}

TEST_CASE("split = time: nothing in test is older than anything in train", "[unit]") {
  const Corpus files = toy("files"), corpus = toy("time");
  CHECK(total(corpus) == total(files));
  CHECK(*std::max_element(corpus.train.times.begin(), corpus.train.times.end()) <= *std::min_element(corpus.dev.times.begin(), corpus.dev.times.end()));
  CHECK(*std::max_element(corpus.dev.times.begin(), corpus.dev.times.end()) <= *std::min_element(corpus.test.times.begin(), corpus.test.times.end()));
  CHECK(corpus.test.size() == (total(corpus) + 5) / 10);
}

TEST_CASE("split = cold_item: what test clicks, training has never seen", "[unit]") {
  const Corpus corpus = toy("cold_item");
  std::set<ItemId> seen;
  for (std::size_t i = 0; i < corpus.train.size(); ++i) {
    seen.insert(corpus.train.candidates[i].begin(), corpus.train.candidates[i].end());
    const auto history = corpus.histories[static_cast<std::size_t>(corpus.train.histories[i])];
    seen.insert(history.begin(), history.end());
  }
  REQUIRE(corpus.test.size() > 500);
  for (std::size_t c = 0; c < corpus.test.labels.size(); ++c) {
    if (corpus.test.labels[c]) REQUIRE(seen.count(corpus.test.candidates.values()[c]) == 0);
  }
  CHECK(corpus.train.labelled());
  CHECK(counts(corpus).at("held-out items taken out of training candidates") > 0);
  CHECK(counts(corpus).at("held-out items taken out of training histories") > 0);
}

TEST_CASE("splits depend on the seed and the data, never on threads", "[unit]") {
  for (const char* split : {"user", "cold_item"}) {
    CHECK(dump(toy(split, 2023, 1)) == dump(toy(split, 2023, 3)));
  }
  TempFolder folder;
  const Corpus files = toy("files");
  Corpus a = files, b = files, c = files;
  split_by_user(a, {}, Rng(1));
  split_by_user(b, {}, Rng(1));
  split_by_user(c, {}, Rng(2));
  CHECK(dump(a) == dump(b));
  CHECK(dump(a) != dump(c));
}

TEST_CASE("times: what is read, what is refused, what is written", "[unit]") {
  CHECK(parse_time("11/11/2019 9:05:58 AM") == 1573463158);
  CHECK(parse_time("1/1/1970 12:00:00 AM") == 0);
  CHECK(parse_time("2/29/2020 11:59:59 PM") == 1583020799);
  CHECK(parse_time("2019-11-11 09:05:58") == 1573463158);
  CHECK(parse_time("2019-11-11T09:05:58Z") == 1573463158);
  CHECK(parse_time("2019-11-11") == 1573430400);
  CHECK(parse_time("1573463158") == 1573463158);
  for (const char* bad : {"", " ", "x", "13/1/2019 1:00:00 AM", "2/29/2019 1:00:00 AM", "11/11/2019 0:05:58 AM", "11/11/2019 13:05:58 PM", "11/11/2019 9:05:58",
                          "11/11/2019 9:05:58 am", "-5", "2019-11-11 25:00:00", "2019-11", "1573463158.5", "11/11/2019 9:05:58 AM "}) {
    INFO(bad);
    CHECK_FALSE(parse_time(bad).has_value());
  }
  for (std::int64_t t = 0; t < 4000000000; t += 123456789) CHECK(parse_time(mind_time(t)) == t);
}
