// Controls of the augmenters: the same change without a language model.
#include "augment/augment.h"
#include "augment/augmenters.h"
#include "evaluate/evaluate.h"
#include "oncekit/test_kit.h"
#include "run/workspace.h"
#include "support/temp_folder.h"

using namespace oncekit;
using namespace oncekit::test;

namespace {

// The small corpus after these augmenters, as a run has it.
Corpus run(const std::vector<std::string>& names, HostWorkspace& workspace) {
  const TempFolder folder;
  AugmentSetup setup;
  setup.store = folder.path / "answers.db";
  std::vector<std::unique_ptr<OptionSet>> options;
  for (const std::string& name : names) {
    const ComponentSpec& spec = host().find("augmenter", name);
    options.push_back(spec.options());
    setup.steps.push_back({name, &spec, options.back().get()});
  }
  return augment(small(), setup, workspace).corpus;
}

}  // namespace

TEST_CASE("controls change the corpus as their augmenters do, and ask nothing", "[unit]") {
  const Given none;
  for (const char* name : {"longer_title", "tfidf_profile", "nearest_items", "last_item"}) {
    CHECK(asked(*make(name), small()).empty());
    CHECK_FALSE(make(name)->parse(Prompt{}, "anything").accepted);
    CHECK(test_kit::corpus_problems(make(name)->apply(small(), none)).empty());
  }
  const Corpus longer = make("longer_title", {{"longest", std::int64_t{4}}})->apply(small(), none);
  CHECK(longer.items.attribute("title")[0] == "Storm hits coast. A");
  CHECK(longer.items.attribute("title")[2] == "No title.");
  CHECK(longer.items.attribute("title")[4] == "Cup final lost");
  CHECK(longer.items.attribute("title")[6] == "Made up");

  const Corpus last = make("last_item")->apply(small(), none);
  CHECK(row(last.histories, 1) == std::vector<ItemId>{0, 1, 1, 1});
  CHECK(row(last.histories, 2) == row(small().histories, 2));
  CHECK(row(last.histories, 3).empty());
  CHECK(last.clicks_before == small().clicks_before);

  // Of training are 0 to 5 (shown or clicked); 5 shares no word with anything.
  const Corpus nearest = make("nearest_items")->apply(small(), none);
  CHECK(row(nearest.histories, 0) == std::vector<ItemId>{0, 3});
  CHECK(row(nearest.histories, 4) == std::vector<ItemId>{3, 0});
  CHECK(row(nearest.histories, 6) == std::vector<ItemId>{1, 4});
  CHECK(row(nearest.histories, 5) == std::vector<ItemId>{2});
  CHECK(nearest.items.size() == 7);

  const Corpus profile = make("tfidf_profile", {{"min_count", std::int64_t{1}}, {"most", std::int64_t{3}}})->apply(small(), none);
  const ListAttribute& topic = profile.profiles.at("topic");
  CHECK(words(topic, 0).size() == 3);
  CHECK(words(topic, 0)[0] == "category: weather");
  CHECK(words(topic, 1)[0] == "category: sports");  // as often; clicked last
  CHECK(words(topic, 3).empty());
  CHECK(words(topic, 5) == std::vector<std::string>{"category: news"});
}

TEST_CASE("what controls append is read by models, and counted as a click by nobody", "[unit]") {
  HostWorkspace workspace{WorkspaceOptions{}};
  EvaluateOptions options;
  options.candidates = "all";
  const Corpus plain = small();
  const EvaluationContext of_plain(plain, options, workspace);
  for (const std::vector<std::string>& names : {std::vector<std::string>{"nearest_items"}, {"last_item"}, {"nearest_items", "last_item"}}) {
    CAPTURE(names);
    const Corpus out = run(names, workspace);
    CHECK(test_kit::corpus_problems(out).empty());
    CHECK(out.histories.values().size() > plain.histories.values().size());
    for (std::int32_t history = 0; history < 7; ++history) {
      const auto clicks = out.clicks(history);
      CHECK(std::vector<ItemId>(clicks.begin(), clicks.end()) == row(plain.histories, static_cast<std::size_t>(history)));
    }
    const EvaluationContext of_out(out, options, workspace);
    for (const char* ranker : {"popularity", "item_knn", "tfidf"}) {
      CAPTURE(ranker);
      CHECK(rank_untrained(of_out, ranker, out.test) == rank_untrained(of_plain, ranker, plain.test));
      const auto catalogue = [&](const EvaluationContext& context, const Corpus& corpus) {
        return evaluate_catalogue(context, corpus.test, [&](const Impressions& shown) { return rank_untrained(context, ranker, shown); });
      };
      CHECK(catalogue(of_out, out) == catalogue(of_plain, plain));
    }
  }
}

TEST_CASE("nearest items come from training alone", "[unit]") {
  Corpus corpus = small();
  // Item 4 is now known to test alone, and would be the nearest to the history [1].
  corpus.train = {};
  for (const ItemId other : {0, 3, 5}) {
    corpus.train.ids.push_back(std::to_string(other));
    corpus.train.users.push_back(2);
    corpus.train.histories.push_back(6);
    corpus.train.times.push_back(-1);
    corpus.train.candidates.push_back(std::vector<ItemId>{other});
    corpus.train.labels.push_back(1);
  }
  const Corpus out = make("nearest_items")->apply(std::move(corpus), Given());
  for (std::size_t i = 0; i < out.histories.size(); ++i) {
    const auto before = row(small().histories, i), after = row(out.histories, i);
    for (std::size_t c = before.size(); c < after.size(); ++c) CHECK(after[c] != 4);
  }
}
