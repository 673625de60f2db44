// The leak guard: who may use which answer.
#include <algorithm>

#include <catch2/catch.hpp>

#include "augment/guard.h"

using namespace oncekit;

namespace {

// Items i0 ... i9; users a, b, c. Histories as given, each impression of its own user.
struct World {
  Corpus corpus;
  World() {
    corpus.name = "world";
    for (int i = 0; i < 10; ++i) corpus.items.ids.push_back("i" + std::to_string(i));
    corpus.items.listed = 10;
    for (const char* user : {"a", "b", "c"}) corpus.users.ids.push_back(user);
  }
  std::int32_t history(std::vector<ItemId> clicks) {
    corpus.histories.push_back(clicks);
    corpus.clicks_before.push_back(static_cast<std::int32_t>(clicks.size()));
    return static_cast<std::int32_t>(corpus.histories.size()) - 1;
  }
  void show(Impressions& part, UserId user, std::int32_t history, std::vector<ItemId> shown, std::size_t clicked = 0) {
    part.ids.push_back(std::to_string(part.size()));
    part.users.push_back(user);
    part.histories.push_back(history);
    part.times.push_back(-1);
    part.candidates.push_back(shown);
    for (std::size_t c = 0; c < shown.size(); ++c) part.labels.push_back(c == clicked);
  }
};

Parsed answer(const std::string& text) {
  Parsed parsed;
  parsed.accepted = true;
  parsed.fields["topic"] = {text};
  return parsed;
}

std::string first(std::span<const Parsed> answers) { return answers.empty() ? "" : answers[0].fields.at("topic").at(0); }

}  // namespace

TEST_CASE("each user gets histories of his own, each history its user", "[unit][augment]") {
  World w;
  const std::int32_t shared = w.history({1, 2}), unused = w.history({3}), longer = w.history({1, 2, 3});
  (void)unused;
  w.show(w.corpus.train, 0, shared, {4, 5});
  w.show(w.corpus.train, 1, shared, {4, 5});
  w.show(w.corpus.train, 0, shared, {6, 5});
  w.show(w.corpus.test, 0, longer, {7, 5});
  own_histories(w.corpus);
  REQUIRE(w.corpus.histories.size() == 3);
  CHECK(w.corpus.history_users == std::vector<UserId>{0, 1, 0});
  CHECK(w.corpus.train.histories == std::vector<std::int32_t>{0, 1, 0});
  CHECK(w.corpus.test.histories == std::vector<std::int32_t>{2});
  CHECK(w.corpus.clicks_before == std::vector<std::int32_t>{2, 2, 3});
  const auto before = w.corpus.train.histories;
  own_histories(w.corpus);  // a second augmenter
  CHECK(w.corpus.train.histories == before);
}

TEST_CASE("an answer reaches a history only when that holds all that the prompt showed", "[unit][augment]") {
  World w;
  const std::int32_t early = w.history({1, 2}), late = w.history({1, 2, 3}), other = w.history({8});
  w.show(w.corpus.train, 0, early, {3, 5});
  w.show(w.corpus.test, 0, late, {4, 5});
  w.show(w.corpus.test, 1, other, {4, 5});
  own_histories(w.corpus);
  const auto given = [&](bool allow, std::vector<std::pair<Seen, std::string>> answers) {
    GuardedAnswers guarded(w.corpus, allow);
    for (auto& [seen, text] : answers) guarded.add_user(0, seen, answer(text));
    guarded.seal();
    return std::vector<std::string>{first(guarded.about_history(0)), first(guarded.about_history(1)), first(guarded.about_history(2))};
  };
  using Texts = std::vector<std::string>;
  CHECK(given(false, {{Seen({1, 2}), "early"}}) == Texts{"early", "early", ""});
  CHECK(given(false, {{Seen({2, 3, 1}), "late"}}) == Texts{"", "late", ""});
  CHECK(given(false, {{Seen({1, 2}), "early"}, {Seen({1, 2, 3}), "late"}}) == Texts{"early", "late", ""});  // the one that saw most
  CHECK(given(false, {{Seen({1, 2, 3, 4}), "all"}}) == Texts{"", "", ""});
  CHECK(given(false, {{std::nullopt, "unknown"}}) == Texts{"", "", ""});
  CHECK(given(true, {{Seen({1, 2, 3, 4}), "all"}}) == Texts{"all", "all", ""});
  CHECK(given(true, {{std::nullopt, "unknown"}}) == Texts{"unknown", "unknown", ""});
}

TEST_CASE("what was withheld and which clicks had been shown are counted by split", "[unit][augment]") {
  World w;
  const std::int32_t early = w.history({1, 2}), late = w.history({1, 2, 3});
  w.show(w.corpus.train, 0, early, {3, 5});
  w.show(w.corpus.dev, 0, late, {4, 5});
  w.show(w.corpus.test, 0, late, {6, 5});
  w.show(w.corpus.test, 1, late, {4, 5});
  own_histories(w.corpus);
  for (const bool allow : {false, true}) {
    INFO("allowed: " << allow);
    GuardedAnswers guarded(w.corpus, allow);
    guarded.add_user(0, Seen({1, 2, 3, 4}), answer("all"));
    guarded.seal();
    CHECK(guarded.figures().histories == 2);
    CHECK(guarded.figures().withheld == 2);
    CHECK(guarded.figures().given == (allow ? 2 : 0));
    CHECK(guarded.figures().unknown == 0);
    const auto train = guarded.leaks(w.corpus.train), dev = guarded.leaks(w.corpus.dev), test = guarded.leaks(w.corpus.test);
    CHECK(train.seen_positive == 1);  // item 3
    CHECK(dev.seen_positive == 1);    // item 4
    CHECK(test.seen_positive == 0);   // item 6 was not shown; user 1 has no answer
    CHECK(test.with_answer == 1);
    CHECK(dev.used == (allow ? 1 : 0));
    CHECK(train.used == (allow ? 1 : 0));
  }
}

TEST_CASE("draws of one prompt stay together and in order; a click that repeats makes another prompt", "[unit][augment]") {
  World w;
  const std::int32_t once = w.history({1, 2}), twice = w.history({1, 2, 1});
  w.show(w.corpus.train, 0, once, {3, 5});
  w.show(w.corpus.train, 0, twice, {3, 5});
  own_histories(w.corpus);
  GuardedAnswers guarded(w.corpus, false);
  for (const char* text : {"first", "second"}) guarded.add_user(0, Seen({1, 2}), answer(text));
  for (const char* text : {"third", "fourth"}) guarded.add_user(0, Seen({1, 2, 1}), answer(text));
  guarded.seal();
  for (const std::int32_t row : {0, 1}) {
    REQUIRE(guarded.about_history(row).size() == 2);
    CHECK(first(guarded.about_history(row)) == "first");
    CHECK(guarded.about_history(row)[1].fields.at("topic").at(0) == "second");
  }
  CHECK(guarded.about_item(3).empty());
  guarded.add_item(3, answer("item"));
  CHECK(first(guarded.about_item(3)) == "item");
}

TEST_CASE("the negative control hands every answer to another history", "[unit][augment]") {
  World w;
  for (int u = 0; u < 3; ++u) w.show(w.corpus.train, u, w.history({static_cast<ItemId>(u)}), {5, 6});
  own_histories(w.corpus);
  std::vector<std::string> straight, shuffled;
  for (const bool shuffle : {false, true}) {
    GuardedAnswers guarded(w.corpus, false, shuffle ? std::optional<Rng>(Rng(3)) : std::nullopt);
    for (const int u : {0, 2}) guarded.add_user(u, Seen(std::vector<ItemId>{u}), answer(std::to_string(u)));
    guarded.seal();
    for (const std::int32_t row : {0, 1, 2}) (shuffle ? shuffled : straight).push_back(first(guarded.about_history(row)));
  }
  CHECK(straight == std::vector<std::string>{"0", "", "2"});
  CHECK(shuffled[1].empty());  // nobody said anything of this user
  std::sort(shuffled.begin(), shuffled.end());
  CHECK(shuffled == std::vector<std::string>{"", "0", "2"});
}
