// Training samples: which there are, where their negatives come from, and that draws depend on nothing but their key.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "oncekit/error.h"
#include "train/sampler.h"
#include "train/tiny.h"

using namespace oncekit;

namespace {

struct Drawn {
  std::vector<ItemId> items;
  std::vector<float> labels;
};

Drawn draw(const Sampler& sampler, std::int64_t epoch, std::int32_t sample) {
  Drawn d;
  d.items.resize(static_cast<std::size_t>(sampler.candidates()));
  d.labels.resize(d.items.size());
  sampler.draw(epoch, sample, d.items, d.labels);
  return d;
}

/// Two users. U0: rows [0+ 1 2], [3+ 1 4 4]; U1: row [5+]. In dev U0 was shown [6 7+]; in test [8 9+].
Corpus hand_made(const std::string& group) {
  Corpus c;
  for (int i = 0; i < 10; ++i) c.items.ids.push_back("N" + std::to_string(i));
  c.items.listed = 10;
  c.group = group;
  c.users.ids.push_back("U0");
  c.users.ids.push_back("U1");
  c.histories.push_back(std::vector<ItemId>{1});
  c.clicks_before = {1};
  const auto add = [](Impressions& split, UserId user, std::vector<ItemId> items, std::vector<std::uint8_t> labels) {
    split.ids.push_back(std::to_string(split.size()));
    split.users.push_back(user);
    split.histories.push_back(0);
    split.times.push_back(-1);
    split.candidates.push_back(items);
    split.labels.insert(split.labels.end(), labels.begin(), labels.end());
  };
  add(c.train, 0, {0, 1, 2}, {1, 0, 0});
  add(c.train, 0, {3, 1, 4, 4}, {1, 0, 0, 0});
  add(c.train, 1, {5}, {1});
  add(c.dev, 0, {6, 7}, {0, 1});
  add(c.test, 0, {8, 9}, {0, 1});
  return c;
}

/// Every item that is ever drawn as a negative of a sample.
std::set<ItemId> ever_drawn(const Sampler& sampler, std::int32_t sample) {
  std::set<ItemId> seen;
  for (std::int64_t epoch = 0; epoch < 200; ++epoch) {
    const Drawn d = draw(sampler, epoch, sample);
    seen.insert(d.items.begin() + 1, d.items.end());
  }
  return seen;
}

}  // namespace

TEST_CASE("each pool gives exactly its items, short pools are masked", "[unit]") {
  const Corpus c = hand_made("user");
  TrainOptions o;
  o.negatives = 3;
  struct Case {
    const char* pool;
    std::int64_t size;  // samples: a click without any negative is none
    std::set<ItemId> first, second;
  };
  for (const Case& expected : {Case{"impression", 2, {-1, 1, 2}, {1, 4}}, Case{"user", 2, {1, 2, 4}, {1, 2, 4}},
                               Case{"user_first", 2, {-1, 1, 2}, {-1, 1, 2}}, Case{"user_released", 2, {1, 2, 4, 6, 8}, {1, 2, 4, 6, 8}}}) {
    CAPTURE(expected.pool);
    o.negative_pool = expected.pool;
    o.allow_leak = true;
    const Sampler sampler(c, o, 3);
    REQUIRE(sampler.size() == expected.size);
    REQUIRE(sampler.skipped() == 1);
    REQUIRE(sampler.candidates() == 4);
    CHECK(ever_drawn(sampler, 0) == expected.first);
    CHECK(ever_drawn(sampler, 1) == expected.second);
    CHECK(draw(sampler, 0, 0).items[0] == 0);
    CHECK(draw(sampler, 0, 1).items[0] == 3);
    CHECK(draw(sampler, 0, 1).labels == std::vector<float>{1, 0, 0, 0});
  }
}

TEST_CASE("negative_items = clicked leaves out what nobody clicked in training", "[unit]") {
  Corpus c = hand_made("impression");
  // A third row of U0: item 3 was clicked elsewhere, items 1 and 2 never.
  c.train.ids.push_back("3");
  c.train.users.push_back(0);
  c.train.histories.push_back(0);
  c.train.times.push_back(-1);
  c.train.candidates.push_back(std::vector<ItemId>{0, 3, 2, 1});
  for (std::uint8_t label : {1, 0, 0, 0}) c.train.labels.push_back(label);
  for (const char* pool : {"impression", "user"}) {
    TrainOptions options;
    options.negative_pool = pool;
    const Sampler all(c, options, 3);
    CHECK(ever_drawn(all, static_cast<std::int32_t>(all.size() - 1)).count(2) == 1);
    options.negative_items = "clicked";
    const Sampler some(c, options, 3);
    CAPTURE(pool);
    for (std::int32_t sample = 0; sample < static_cast<std::int32_t>(some.size()); ++sample)
      for (ItemId item : ever_drawn(some, sample)) CHECK((item == -1 || item == 0 || item == 3 || item == 5));
    CHECK(ever_drawn(some, static_cast<std::int32_t>(some.size() - 1)).count(3) == 1);
  }
}

TEST_CASE("the released pool leaks on user-grouped data only, and is refused there unless allowed", "[unit][errors]") {
  TrainOptions o;
  o.negative_pool = "user_released";
  const Corpus books = hand_made("user"), news = hand_made("impression");
  CHECK(pool_leaks(o, books));
  CHECK_FALSE(pool_leaks(o, news));
  CHECK_NOTHROW(Sampler(news, o, 1));
  try {
    Sampler refused(books, o, 1);
    FAIL("a leaking pool was accepted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUsage);
    CHECK_THAT(error.what(), Catch::Contains("dev and test") && Catch::Contains("allow_leak = true") && Catch::Contains("leaky/"));
  }
  o.allow_leak = true;
  CHECK_NOTHROW(Sampler(books, o, 1));
}

TEST_CASE("random fill never gives the clicked item and leaves no slot masked", "[unit]") {
  const Corpus c = hand_made("impression");
  TrainOptions o;
  o.negatives = 6;
  o.short_pool = "random";
  const Sampler sampler(c, o, 3);
  REQUIRE(sampler.size() == 3);  // the click without a pool is a sample too
  for (std::int32_t sample = 0; sample < 3; ++sample) {
    std::set<ItemId> seen = ever_drawn(sampler, sample);
    CHECK(seen.size() == 9);  // all but the clicked one
    CHECK_FALSE(seen.contains(draw(sampler, 0, sample).items[0]));
    CHECK_FALSE(seen.contains(-1));
  }
}

TEST_CASE("random fill keeps to the items that may be negatives", "[unit]") {
  const Corpus c = hand_made("impression");
  TrainOptions o;
  o.negatives = 6;
  o.short_pool = "random";
  o.negative_items = "clicked";
  std::set<ItemId> clicked;
  for (std::size_t p = 0; p < c.train.labels.size(); ++p)
    if (c.train.labels[p]) clicked.insert(c.train.candidates.values()[p]);
  const Sampler sampler(c, o, 3);
  REQUIRE(clicked.size() > 1);
  for (std::int32_t sample = 0; sample < 3; ++sample)
    for (const ItemId item : ever_drawn(sampler, sample)) CHECK(clicked.contains(item));
}

TEST_CASE("draws are functions of seed, epoch and sample alone, without replacement", "[unit]") {
  tiny::World world;
  world.shown = 40;
  const Corpus c = tiny::corpus(world);
  for (std::int64_t k : {1, 4, 39, 64, 100}) {
    TrainOptions o;
    o.negatives = k;
    const Sampler a(c, o, 7), b(c, o, 7), other_seed(c, o, 8);
    int changed_epoch = 0, changed_seed = 0;
    for (std::int32_t s = static_cast<std::int32_t>(a.size()) - 1; s >= 0; s -= 5) {  // another order of asking
      const Drawn first = draw(b, 2, s);
      (void)draw(a, 9, 0);
      CHECK(draw(a, 2, s).items == first.items);
      changed_epoch += draw(a, 3, s).items != first.items;
      changed_seed += draw(other_seed, 2, s).items != first.items;
      CHECK(std::count_if(first.items.begin(), first.items.end(), [](ItemId i) { return i >= 0; }) == 1 + std::min<std::int64_t>(k, 39));
    }
    CHECK(changed_epoch > 20);
    CHECK(changed_seed > 20);
  }
  // Long pools take another way through the code: their places must be distinct as well, and even.
  TrainOptions o;
  o.negatives = 4;
  o.negative_pool = "user";
  tiny::World wide;
  wide.items = 400;
  wide.train_rows = 4;
  wide.shown = 50;
  const Corpus big = tiny::corpus(wide);
  const Sampler sampler(big, o, 1);
  std::map<ItemId, int> times;
  for (std::int64_t epoch = 0; epoch < 4000; ++epoch) {
    for (ItemId item : draw(sampler, epoch, 0).items) ++times[item];
  }
  times.erase(draw(sampler, 0, 0).items[0]);
  // Pool: 4 x 49 places; an item stands n times in it and is drawn 4000 * 4 * n / 196 = 81.6 n times, give or take 9 n.
  const double expected = 4000 * 4 / 196.0;
  for (const auto& [item, n] : times) {
    const double share = n / expected;
    CHECK(std::abs(share - std::round(share)) < 0.5);
    CHECK(share > 0.5);
  }
}

TEST_CASE("an epoch's order is a permutation of its own", "[unit]") {
  const Corpus c = tiny::corpus();
  const Sampler sampler(c, TrainOptions{}, 7);
  std::set<std::vector<std::int32_t>> orders;
  for (std::int64_t epoch = 0; epoch < 5; ++epoch) {
    auto order = sampler.order(epoch);
    CHECK(order == sampler.order(epoch));
    orders.insert(order);
    std::sort(order.begin(), order.end());
    for (std::size_t i = 0; i < order.size(); ++i) CHECK(order[i] == static_cast<std::int32_t>(i));
  }
  CHECK(orders.size() == 5);
}

TEST_CASE("bce: every shown candidate is a sample with its label", "[unit]") {
  const Corpus c = hand_made("impression");
  TrainOptions o;
  o.loss = "bce";
  const Sampler sampler(c, o, 1);
  REQUIRE(sampler.size() == 8);
  REQUIRE(sampler.candidates() == 1);
  for (std::int32_t s = 0; s < 8; ++s) {
    CHECK(draw(sampler, 0, s).items[0] == c.train.candidates.values()[static_cast<std::size_t>(s)]);
    CHECK(draw(sampler, 0, s).labels[0] == static_cast<float>(c.train.labels[static_cast<std::size_t>(s)]));
  }
}

TEST_CASE("permuted labels keep the number of clicks of an impression and forget which", "[unit]") {
  const Corpus c = tiny::corpus();
  TrainOptions o;
  o.permute_labels = true;
  const Sampler sampler(c, o, 1);
  CHECK(sampler.size() == static_cast<std::int64_t>(c.train.size()));  // one click each
  int on_topic = 0;
  for (std::int32_t s = 0; s < sampler.size(); ++s) on_topic += draw(sampler, 0, s).items[0] % 4 == sampler.user(s) % 4;
  CHECK(on_topic > 10);  // one in five by chance: 24 of 120
  CHECK(on_topic < 40);
}

TEST_CASE("data that nothing can be learned from is refused in words", "[unit][errors]") {
  Corpus none;
  none.name = "books";
  CHECK_THROWS_WITH(Sampler(none, TrainOptions{}, 1), Catch::Contains("no training impressions"));
  Corpus unlabelled = hand_made("user");
  unlabelled.train.labels.clear();
  CHECK_THROWS_WITH(Sampler(unlabelled, TrainOptions{}, 1), Catch::Contains("no labels"));
  Corpus unclicked = hand_made("user");
  std::fill(unclicked.train.labels.begin(), unclicked.train.labels.end(), std::uint8_t{0});
  CHECK_THROWS_WITH(Sampler(unclicked, TrainOptions{}, 1), Catch::Contains("no candidate was clicked"));
  Corpus all = hand_made("user");
  std::fill(all.train.labels.begin(), all.train.labels.end(), std::uint8_t{1});
  CHECK_THROWS_WITH(Sampler(all, TrainOptions{}, 1), Catch::Contains("short_pool"));
}

TEST_CASE("options that contradict each other are named", "[unit][errors]") {
  const auto complaint = [](auto&& change) {
    TrainOptions o;
    change(o);
    Problems problems;
    o.validate(problems);
    return problems.empty() ? std::string() : std::string(problems.items()[0].what());
  };
  CHECK(complaint([](TrainOptions&) {}).empty());
  CHECK(complaint([](TrainOptions& o) { o.monitor = "new/ndcg@5"; }).empty());
  CHECK_THAT(complaint([](TrainOptions& o) { o.monitor = "ndgc@5"; }), Catch::Contains("did you mean 'ndcg@5'"));
  for (const char* bad : {"loss", "ndcg@", "ndcg@0", "ndcg@x", "auc@5", "old/auc", "/auc", ""}) {
    CAPTURE(bad);
    CHECK_THAT(complaint([&](TrainOptions& o) { o.monitor = bad; }), Catch::Contains("monitor"));
  }
  CHECK_THAT(complaint([](TrainOptions& o) { o.epochs = 0; }), Catch::Contains("train = false"));
  CHECK_THAT(complaint([](TrainOptions& o) { o.schedule_epochs = 1; }), Catch::Contains("schedule_epochs"));
}
