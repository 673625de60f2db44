// The planted toy: the same everywhere, and within the limits that make its numbers mean something (DESIGN 4).
#include <cmath>
#include <set>

#include "evaluate/evaluate.h"
#include "oncekit/toy.h"
#include "support.h"

using namespace oncekit;
using namespace oncekit::test;

namespace {

struct Toy {
  TempFolder cache;
  Corpus corpus;
  HostWorkspace workspace{WorkspaceOptions{}};
  EvaluateOptions options;
  std::unique_ptr<EvaluationContext> context;

  explicit Toy(std::int64_t seed) : corpus(load("mind", {{"toy", true}, {"seed", seed}}, 2, cache.path)) {
    context = std::make_unique<EvaluationContext>(corpus, options, workspace);
  }
  double best() const { return corpus.facts.at("best_auc"); }
  double gain(double auc) const { return (auc - 0.5) / (best() - 0.5); }
  Metrics of(const std::vector<float>& scores) const { return evaluate(*context, corpus.test, scores); }
  Metrics ranker(const std::string& name) const { return of(rank_untrained(*context, name, corpus.test)); }

  // Scores every test candidate by a function of (history, item).
  template <class Score>
  std::vector<float> scores(const Score& score) const {
    std::vector<float> all;
    for (std::size_t i = 0; i < corpus.test.size(); ++i) {
      const auto history = corpus.histories[static_cast<std::size_t>(corpus.test.histories[i])];
      for (const ItemId item : corpus.test.candidates[i]) all.push_back(static_cast<float>(score(history, item)));
    }
    return all;
  }
};

std::vector<std::string> words(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::vector<std::string> list;
  for (std::string word; in >> word;) list.push_back(word);
  return list;
}

// Topic of each item by the public table: of its title words, those of one topic.
std::vector<std::size_t> topics(const Corpus& corpus) {
  const ToyVocabulary vocabulary = toy_vocabulary({});
  std::map<std::string, std::size_t> topic_of;
  for (std::size_t t = 0; t < vocabulary.words.size(); ++t)
    for (const std::string& word : vocabulary.words[t]) topic_of[word] = t;
  std::vector<std::size_t> list;
  for (std::size_t i = 0; i < corpus.items.size(); ++i) {
    for (const std::string& word : words(corpus.items.attribute("title")[i])) {
      if (const auto found = topic_of.find(word); found != topic_of.end()) {
        list.push_back(found->second);
        break;
      }
    }
  }
  return list;
}

}  // namespace

TEST_CASE("the toy stays within its limits, for several seeds", "[unit]") {
  for (const std::int64_t seed : {2023, 1, 77}) {
    INFO("seed " << seed);
    const Toy toy(seed);
    CHECK(toy.best() >= 0.75);
    CHECK(toy.best() <= 0.85);
    CHECK(toy.corpus.facts.at("oracle_auc") == Approx(toy.best()).margin(0.02));
    CHECK(toy.ranker("popularity").at("auc") <= 0.55);
    CHECK(toy.gain(toy.ranker("tfidf").at("auc")) <= 0.4);

    // Plain overlap of words, category overlap.
    const auto share = [&](const char* attribute) {
      std::vector<std::set<std::string>> bags;
      for (std::size_t i = 0; i < toy.corpus.items.size(); ++i) {
        const std::vector<std::string> list = words(toy.corpus.items.attribute(attribute)[i]);
        bags.emplace_back(list.begin(), list.end());
      }
      return toy.scores([&](std::span<const ItemId> history, ItemId item) {
        int n = 0;
        for (const ItemId click : history)
          for (const std::string& word : bags[static_cast<std::size_t>(item)]) n += static_cast<int>(bags[static_cast<std::size_t>(click)].count(word));
        return n;
      });
    };
    CHECK(std::abs(toy.gain(toy.of(share("title")).at("auc"))) <= 0.1);
    const double category = toy.gain(toy.of(share("category")).at("auc"));
    CHECK(category >= -0.05);
    CHECK(category <= 0.2);

    // Ids alone say nothing of items that training has not seen.
    const Metrics knn = toy.ranker("item_knn");
    CHECK(toy.gain(knn.at("cold/auc")) <= 0.2);
    CHECK(knn.at("cold/groups") >= 300);

    // Who knows which words belong together gains nearly all, from histories alone, and on cold items as well.
    const std::vector<std::size_t> topic = topics(toy.corpus);
    REQUIRE(topic.size() == toy.corpus.items.size());
    const auto by_topic = toy.scores([&](std::span<const ItemId> history, ItemId item) {
      return std::min<std::ptrdiff_t>(2, std::count_if(history.begin(), history.end(), [&](ItemId c) { return topic[static_cast<std::size_t>(c)] == topic[static_cast<std::size_t>(item)]; }));
    });
    const Metrics known = toy.of(by_topic);
    CHECK(known.at("auc") == Approx(toy.corpus.facts.at("history_auc")).margin(1e-9));
    CHECK(toy.gain(known.at("auc")) >= 0.9);
    CHECK(toy.gain(known.at("cold/auc")) >= 0.9);
    CHECK(known.at("new/groups") >= 100);
    CHECK(known.at("empty/groups") >= 20);

    // With somebody else's history nothing of it is left.
    std::vector<float> shuffled;
    for (std::size_t i = 0; i < toy.corpus.test.size(); ++i) {
      const auto other = static_cast<std::size_t>(toy.corpus.test.histories[(i + 997) % toy.corpus.test.size()]);
      for (const ItemId item : toy.corpus.test.candidates[i]) {
        const auto history = toy.corpus.histories[other];
        shuffled.push_back(static_cast<float>(std::count_if(history.begin(), history.end(), [&](ItemId c) { return topic[static_cast<std::size_t>(c)] == topic[static_cast<std::size_t>(item)]; })));
      }
    }
    CHECK(std::abs(toy.gain(toy.of(shuffled).at("auc"))) <= 0.1);
  }
}

TEST_CASE("no shown item shares a topic word with the history", "[unit]") {
  const ToyWorld world = make_toy({}, Rng(5));
  const ToyVocabulary vocabulary = toy_vocabulary({});
  const std::set<std::string> fillers(vocabulary.fillers.begin(), vocabulary.fillers.end());
  const StringColumn& title = world.items.attributes.at("title");
  for (const ToyWorld::Row& row : world.test) {
    std::set<std::string> known;
    for (const ItemId click : row.history)
      for (const std::string& word : words(title[static_cast<std::size_t>(click)])) known.insert(word);
    for (const ItemId item : row.shown)
      for (const std::string& word : words(title[static_cast<std::size_t>(item)])) REQUIRE((fillers.count(word) > 0 || known.count(word) == 0));
    CHECK(std::count(row.clicked.begin(), row.clicked.end(), 1) == 1);
    CHECK(std::set<ItemId>(row.shown.begin(), row.shown.end()).size() == row.shown.size());
  }
}

TEST_CASE("the toy is a function of its seed; its vocabulary is not", "[unit]") {
  const ToyWorld a = make_toy({}, Rng(5)), b = make_toy({}, Rng(5)), c = make_toy({}, Rng(6));
  CHECK(a.items.ids.bytes() == b.items.ids.bytes());
  CHECK(a.items.attributes.at("title").bytes() == b.items.attributes.at("title").bytes());
  CHECK(a.items.attributes.at("title").bytes() != c.items.attributes.at("title").bytes());
  CHECK(a.facts == b.facts);
  CHECK(a.test[7].shown == b.test[7].shown);
  CHECK(toy_vocabulary({}).words == toy_vocabulary({}).words);
  std::set<std::string> all;
  std::size_t n = 0;
  for (const auto& topic : toy_vocabulary({}).words) {
    all.insert(topic.begin(), topic.end());
    n += topic.size();
  }
  CHECK(all.size() == n);
}

TEST_CASE("worlds of any size can be made; too small ones are refused", "[unit]") {
  for (const std::int64_t topics : {2, 5, 14}) {
    for (const double cold : {0.0, 0.5, 0.9}) {
      ToyOptions o;
      o.topics = topics;
      o.words = 8;
      o.cold_items = cold;
      o.items = static_cast<std::int64_t>(60.0 / (1 - cold)) * topics;
      o.users = 30;
      o.train = 100;
      o.dev = o.test = 40;
      const ToyWorld world = make_toy(o, Rng(3));
      CHECK(world.train.size() == 100);
      CHECK(world.facts.at("best_auc") >= 0.5);  // with so few words a long history leaves nothing of its topics to show
      o.words = 24;
      CHECK(make_toy(o, Rng(3)).facts.at("best_auc") > 0.6);
    }
  }
  ToyOptions none;
  none.items = 10;
  CHECK_THROWS_AS(make_toy(none, Rng(1)), Error);
}
