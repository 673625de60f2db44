// A small augmenter that asks a language model to repeat titles, a corpus for it, and a run of both.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "answers/store.h"
#include "augment/augment.h"
#include "mock_llm/server.h"
#include "oncekit/augmenter.h"
#include "oncekit/error.h"
#include "oncekit/prompt.h"
#include "run/workspace.h"
#include "support/temp_folder.h"

namespace oncekit::test {

inline constexpr int kItems = 40;

// Asks to repeat each title; accepts an answer that holds it.
class Repeater final : public Augmenter {
 public:
  struct Options {
    std::int64_t draws = 1;
    bool about_users = false, picky = false, broken = false;  // picky: rejects every answer; broken: cannot read any
    void describe(Fields& f) {
      f.integer("draws", draws);
      f.boolean("about_users", about_users);
      f.boolean("picky", picky);
      f.boolean("broken", broken);
    }
  };
  explicit Repeater(const Options& options) : options_(options) {}

  void prompts(const Corpus& corpus, const Sink& sink) const override {
    const StringColumn& titles = corpus.items.attribute("title");
    const auto send = [&](std::string_view key, std::string text, std::vector<ItemId> seen) {
      Prompt prompt;
      prompt.key = key;
      prompt.system = "Repeat the title.";
      prompt.user = std::move(text);
      prompt.draws = static_cast<int>(options_.draws);
      prompt.max_tokens = 32;
      prompt.seen = std::move(seen);
      sink(std::move(prompt));
    };
    if (!options_.about_users) {
      for (std::size_t i = 0; i < corpus.items.listed; ++i) send(corpus.items.ids[i], "title: " + std::string(titles[i]), {});
      return;
    }
    for (std::size_t row = 0; row < corpus.histories.size(); ++row) {
      std::string text = "title:";
      for (const ItemId item : corpus.histories[row]) text += " " + std::string(titles[static_cast<std::size_t>(item)]);
      const auto clicks = corpus.histories[row];
      send(corpus.users.ids[static_cast<std::size_t>(corpus.history_users[row])], text, {clicks.begin(), clicks.end()});
    }
  }
  Parsed parse(const Prompt&, std::string_view answer) const override {
    if (options_.broken) throw std::runtime_error("cannot read");
    Parsed parsed;
    const Unwrapped text = unwrap(answer);
    parsed.accepted = text.text.starts_with("title:") && !options_.picky;
    parsed.repaired = parsed.accepted && text.repaired;
    if (parsed.accepted) parsed.fields["title"] = {text.text};
    else parsed.reject_reason = "no title";
    return parsed;
  }
  Corpus apply(Corpus&& corpus, const Answers& answers) const override {
    StringColumn column;
    for (std::size_t i = 0; i < corpus.items.size(); ++i) {
      std::string all;
      for (const Parsed& parsed : answers.about_item(static_cast<ItemId>(i))) all += parsed.fields.at("title")[0] + ";";
      column.push_back(all);
    }
    corpus.items.attributes["repeated"] = std::move(column);
    ListAttribute profile;
    for (std::size_t row = 0; row < corpus.histories.size(); ++row) {
      std::vector<std::int32_t> values;
      for (const Parsed& parsed : answers.about_history(static_cast<std::int32_t>(row))) {
        values.push_back(static_cast<std::int32_t>(profile.vocabulary.size()));
        profile.vocabulary.push_back(parsed.fields.at("title")[0]);
      }
      profile.values.push_back(values);
    }
    corpus.profiles["said"] = std::move(profile);
    return std::move(corpus);
  }

 private:
  Options options_;
};

// 40 items; 4 users with two clicks each, and an impression of each in train and in test.
inline Corpus small_corpus() {
  Corpus corpus;
  corpus.name = "small";
  for (int i = 0; i < kItems; ++i) {
    corpus.items.ids.push_back("i" + std::to_string(i));
    corpus.items.attributes["title"].push_back("story " + std::to_string(i));
  }
  corpus.items.listed = kItems;
  for (int u = 0; u < 4; ++u) {
    corpus.users.ids.push_back("u" + std::to_string(u));
    corpus.histories.push_back(std::vector<ItemId>{static_cast<ItemId>(u), static_cast<ItemId>(u + 1)});
    corpus.clicks_before.push_back(2);
    for (Impressions* part : {&corpus.train, &corpus.test}) {
      part->ids.push_back(std::to_string(u));
      part->users.push_back(u);
      part->histories.push_back(u);
      part->times.push_back(-1);
      part->candidates.push_back(std::vector<ItemId>{static_cast<ItemId>(20 + u), 30});
      part->labels.insert(part->labels.end(), {1, 0});
    }
  }
  return corpus;
}

struct World {
  TempFolder folder;
  Corpus corpus = small_corpus();
  TypedOptions<Repeater::Options> options;
  ComponentSpec spec;
  AugmentSetup setup;

  World() {
    spec.kind = "augmenter";
    spec.name = spec.plugin = "repeater";
    spec.make_augmenter = [](const OptionSet& o) -> std::unique_ptr<Augmenter> {
      return std::make_unique<Repeater>(static_cast<const TypedOptions<Repeater::Options>&>(o).value);
    };
    setup.steps.push_back({"repeat", &spec, &options});
    setup.store = folder.path / "answers.db";
    setup.endpoint.model = "mock";
    setup.endpoint.key.clear();
    setup.endpoint.first_wait_s = 0.01;
    setup.endpoint.timeout_s = 1;
    setup.mock_answers = "echo";
  }
  Augmented run() {
    WorkspaceOptions options_of_workspace;
    options_of_workspace.cache = folder.path / "cache";
    HostWorkspace workspace(options_of_workspace);
    return augment(Corpus(corpus), setup, workspace);
  }
  template <class Server>
  Augmented run(const Server& server) {
    setup.endpoint.url = server.url();
    return run();
  }
  AnswerStore store() const { return AnswerStore::open(setup.store); }
};

}  // namespace oncekit::test
