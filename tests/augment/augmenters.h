// What tests of augmenters share: making one, a small corpus with odd items and histories, answers as a test wants them.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "oncekit/augmenter.h"
#include "oncekit/toy.h"
#include "plugin/host.h"

namespace oncekit::test {

using Options = std::map<std::string, OptionValue>;
using Found = std::map<std::string, std::vector<std::string>>;

inline PluginHost& host() {
  static PluginHost host({});
  return host;
}

inline std::unique_ptr<Augmenter> make(const std::string& name, const Options& given = {}) {
  const ComponentSpec& spec = host().find("augmenter", name);
  const auto options = spec.options();
  Fields fields;
  options->describe(fields);
  for (const auto& [option, value] : given) {
    REQUIRE(fields.find(option) != nullptr);
    fields.find(option)->assign(value);
  }
  return spec.make_augmenter(*options);
}

inline std::vector<Prompt> asked(const Augmenter& augmenter, const Corpus& corpus) {
  std::vector<Prompt> prompts;
  augmenter.prompts(corpus, [&](Prompt&& prompt) { prompts.push_back(std::move(prompt)); });
  return prompts;
}

inline std::vector<ItemId> row(const Ragged<ItemId>& lists, std::size_t i) { return {lists[i].begin(), lists[i].end()}; }

inline std::vector<std::string> words(const ListAttribute& attribute, std::size_t row) {
  std::vector<std::string> out;
  for (const std::int32_t value : attribute.values[row]) out.emplace_back(attribute.vocabulary[static_cast<std::size_t>(value)]);
  return out;
}

// Answers as a test wants them.
class Given final : public Answers {
 public:
  std::span<const Parsed> about_item(ItemId item) const override { return of(items, item); }
  std::span<const Parsed> about_history(std::int32_t history) const override { return of(histories, history); }
  std::map<ItemId, std::vector<Parsed>> items;
  std::map<std::int32_t, std::vector<Parsed>> histories;

 private:
  template <class Key>
  static std::span<const Parsed> of(const std::map<Key, std::vector<Parsed>>& all, Key key) {
    const auto found = all.find(key);
    return found == all.end() ? std::span<const Parsed>() : std::span<const Parsed>(found->second);
  }
};

inline Parsed parsed(Found fields) {
  Parsed made;
  made.accepted = true;
  made.fields = std::move(fields);
  return made;
}

// Six items and a generated one; user A with histories [0], [0 1], [0 1 2 3 4 5], B with [], [3], [2(empty title)], C with [1].
inline Corpus small() {
  Corpus corpus;
  corpus.name = "small";
  struct Item { const char *title, *abstract, *category; };
  for (const Item& item : {Item{"Storm hits coast", "A storm.", "weather"}, Item{"Cup final tonight", "A cup.", "sports"}, Item{"", "No title.", "news"}, Item{"Storm hits coast", "A storm.", "weather"},
                           Item{"Cup final lost", "", "sports"}, Item{"A quiet\nday", "Nothing.", ""}, Item{"Made up", "By a model.", "news"}}) {
    corpus.items.ids.push_back("N" + std::to_string(corpus.items.size()));
    corpus.items.attributes["title"].push_back(item.title);
    corpus.items.attributes["abstract"].push_back(item.abstract);
    corpus.items.attributes["category"].push_back(item.category);
    corpus.items.attributes["author"].push_back("somebody");
  }
  corpus.items.listed = 6;
  for (const char* user : {"A", "B", "C"}) corpus.users.ids.push_back(user);
  const auto add = [&](UserId user, std::vector<ItemId> clicks) {
    corpus.histories.push_back(clicks);
    corpus.history_users.push_back(user);
    corpus.clicks_before.push_back(static_cast<std::int32_t>(clicks.size()));
  };
  add(0, {0});
  add(0, {0, 1});
  add(0, {0, 1, 2, 3, 4, 5});
  add(1, {});
  add(1, {3});
  add(1, {2});
  add(2, {1});
  for (std::int32_t history = 0; history < 7; ++history) {
    Impressions& part = history < 4 ? corpus.train : corpus.test;
    part.ids.push_back(std::to_string(history));
    part.users.push_back(corpus.history_users[static_cast<std::size_t>(history)]);
    part.histories.push_back(history);
    part.times.push_back(-1);
    part.candidates.push_back(std::vector<ItemId>{0, history < 4 ? 4 : 5});
    part.labels.insert(part.labels.end(), {1, 0});
  }
  return corpus;
}

inline Corpus toy_corpus(const ToyWorld& world) {
  Corpus corpus;
  corpus.name = "toy";
  corpus.items = world.items;
  corpus.users.ids = world.user_ids;
  std::set<std::pair<UserId, std::vector<ItemId>>> known;
  for (const ToyWorld::Row& sample : world.test) {
    if (!known.insert({sample.user, sample.history}).second) continue;
    corpus.histories.push_back(sample.history);
    corpus.history_users.push_back(sample.user);
    corpus.clicks_before.push_back(static_cast<std::int32_t>(sample.history.size()));
  }
  return corpus;
}

struct AnswerRow {
  const char* answer;
  Found fields;         ///< empty: rejected
  bool repaired;
  const char* reason = "";
};

inline void check_answers(const Augmenter& augmenter, const Prompt& prompt, const std::vector<AnswerRow>& rows) {
  for (const AnswerRow& expected : rows) {
    CAPTURE(expected.answer);
    const Parsed got = augmenter.parse(prompt, expected.answer);
    CHECK(got.accepted == !expected.fields.empty());
    CHECK(got.reject_reason == expected.reason);
    if (!got.accepted) continue;
    CHECK(got.fields == expected.fields);
    CHECK(got.repaired == expected.repaired);
  }
}

}  // namespace oncekit::test
