// Controls of the augmenters: the same change without a language model.
#include "augment/augmenters.h"
#include "oncekit/test_kit.h"

using namespace oncekit;
using namespace oncekit::test;

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
