// Asking, keeping, asking again: a small augmenter against the mock server over real HTTP.
#include <catch2/catch.hpp>

#include "answers/store.h"
#include "augment/augment.h"
#include "mock_llm/server.h"
#include "oncekit/augmenter.h"
#include "oncekit/error.h"
#include "oncekit/prompt.h"
#include "run/workspace.h"
#include "support/temp_folder.h"

using namespace oncekit;

namespace {

constexpr int kItems = 40;

// Asks to repeat each title; accepts an answer that holds it.
class Repeater final : public Augmenter {
 public:
  struct Options {
    std::int64_t draws = 1;
    bool about_users = false, picky = false;  // picky: rejects every answer
    void describe(Fields& f) {
      f.integer("draws", draws);
      f.boolean("about_users", about_users);
      f.boolean("picky", picky);
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

Corpus small_corpus() {
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
  test::TempFolder folder;
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
    setup.endpoint.key.clear();
    setup.endpoint.first_wait_s = 0.01;
    setup.endpoint.timeout_s = 1;
    setup.mock_answers = "echo";
  }
  Augmented run() {
    WorkspaceOptions options_of_workspace;
    options_of_workspace.cache = folder.path / "cache";
    HostWorkspace workspace(options_of_workspace);
    return augment(small_corpus(), setup, workspace);
  }
  Augmented run(const MockServer& server) {
    setup.endpoint.url = server.url();
    return run();
  }
};

}  // namespace

TEST_CASE("what reached the store is never asked again", "[unit][augment]") {
  World w;
  w.options.value.draws = 2;
  MockServer server({.answers = "echo"});
  const Augmented first = w.run(server);
  REQUIRE(first.figures.size() == 1);
  CHECK(first.figures[0].prompts == kItems);
  CHECK(first.figures[0].wanted == 2 * kItems);
  CHECK(first.figures[0].missing == 2 * kItems);
  CHECK(first.figures[0].covered == 2 * kItems);
  CHECK(server.requests() == 2 * kItems);
  CHECK(first.corpus.items.attribute("repeated")[3] == "title: story 3;title: story 3;");
  const Augmented again = w.run(server);
  CHECK(server.requests() == 2 * kItems);
  CHECK(again.figures[0].missing == 0);
  CHECK(again.figures[0].covered == 2 * kItems);
  CHECK(corpus_digest(again.corpus) == corpus_digest(first.corpus));
  w.setup.endpoint.model = "another";  // another model, other questions
  w.run(server);
  CHECK(server.requests() == 4 * kItems);
  AnswerStore store = AnswerStore::open(w.setup.store);
  CHECK(store.verify().empty());
  CHECK(store.totals().answers == 4 * kItems);
  CHECK(store.possibly_billed().empty());
}

TEST_CASE("faults of server and model change nothing in the corpus", "[unit][augment][fault]") {
  World clean, faulty;
  MockServer good({.answers = "echo"}), bad({.faults = 0.4, .seed = 5, .answers = "echo"});
  faulty.setup.answers.attempts = 8;
  const Augmented a = clean.run(good), b = faulty.run(bad);
  CHECK(b.figures[0].covered == kItems);
  CHECK(b.figures[0].retried + static_cast<std::int64_t>(b.figures[0].rejects.size()) > 0);
  CHECK(corpus_digest(a.corpus) == corpus_digest(b.corpus));
  AnswerStore store = AnswerStore::open(faulty.setup.store);
  CHECK(store.verify().empty());
}

TEST_CASE("rejects are asked again a bounded number of times; then coverage decides", "[unit][augment]") {
  World w;
  w.options.value.picky = true;
  w.setup.answers.attempts = 2;
  MockServer server({.answers = "echo"});
  CHECK_THROWS_WITH(w.run(server), Catch::Contains("0 of 40 answers") && Catch::Contains("80 x no title") && Catch::Contains("min_coverage"));
  CHECK(server.requests() == 2 * kItems);
  w.setup.answers.min_coverage = 0;
  const Augmented out = w.run(server);
  CHECK(server.requests() == 2 * kItems);  // all attempts were used up
  CHECK(out.figures[0].rejects.at("no title") == 2 * kItems);
  CHECK(out.figures[0].examples.at("no title").size() == 3);
  w.options.value.picky = false;  // answers are read anew: what a better parser accepts needs no question
  CHECK(w.run(server).figures[0].covered == kItems);
  CHECK(server.requests() == 2 * kItems);
}

TEST_CASE("a budget is kept, and what was bought with it stays", "[unit][augment]") {
  World w;
  MockServer server({.answers = "echo"});
  w.setup.endpoint.input_price = 0;
  w.setup.endpoint.output_price = 1000;      // a request may cost 0.032 USD, and costs less
  w.setup.endpoint.budget = 0.1;
  CHECK_THROWS_WITH(w.run(server), Catch::Contains("budget of 0.10 USD is spent"));
  {
    AnswerStore store = AnswerStore::open(w.setup.store);
    CHECK(store.totals().cost <= 0.1);
    CHECK(store.totals().answers >= 3);
    CHECK(store.totals().set_aside == 0);
  }
  const std::int64_t asked = server.requests();
  w.setup.endpoint.budget = 10;
  CHECK(w.run(server).figures[0].covered == kItems);
  CHECK(server.requests() == kItems);
  CHECK(asked < kItems);
}

TEST_CASE("nothing is asked without leave", "[unit][augment]") {
  World w;
  MockServer server({.answers = "echo"});
  w.setup.endpoint.url = server.url();
  SECTION("a dry run") {
    w.setup.dry_run = true;
    const Augmented out = w.run();
    CHECK(out.figures[0].missing == kItems);
    CHECK(out.figures[0].completion_tokens == 32 * kItems);
    CHECK(out.figures[0].cost > 0);
    CHECK(augment_text(out.figures, w.setup).find("40 of gpt-3.5-turbo at 127.0.0.1") != std::string::npos);
  }
  SECTION("ask = false") {
    w.setup.answers.ask = false;
    CHECK_THROWS_WITH(w.run(), Catch::Contains("0 of 40"));
  }
  SECTION("a host outside this machine, and no budget") {
    w.setup.endpoint.url = "https://llm.invalid/v1";
    CHECK_THROWS_WITH(w.run(), Catch::Contains("llm.invalid") && Catch::Contains("sets no budget"));
  }
  SECTION("a host whose name only begins like this machine's") {
    w.setup.endpoint.url = "https://127.llm.invalid/v1";
    CHECK_THROWS_WITH(w.run(), Catch::Contains("127.llm.invalid") && Catch::Contains("sets no budget"));
  }
  CHECK(server.requests() == 0);
}

TEST_CASE("a limit asks for so many, and the next run goes on from there", "[unit][augment]") {
  World w;
  MockServer server({.answers = "echo"});
  w.setup.limit = 7;
  CHECK(w.run(server).figures[0].covered == 7);
  CHECK(server.requests() == 7);
  w.setup.limit = 0;
  CHECK(w.run(server).figures[0].covered == kItems);
  CHECK(server.requests() == kItems);
}

TEST_CASE("a server that refuses the key ends the run with one paragraph", "[unit][augment]") {
  World w;
  MockServer server({.key = "right"});
  CHECK_THROWS_WITH(w.run(server), Catch::Contains("[augmenter.repeat]") && Catch::Contains("answers no request"));
  AnswerStore store = AnswerStore::open(w.setup.store);
  CHECK(store.totals().answers == 0);
  CHECK(store.totals().set_aside == 0);
}

TEST_CASE("imported answers are used as far as what they saw is known", "[unit][augment]") {
  World w;
  w.options.value.about_users = true;
  w.setup.answers.imports = "only";
  {
    AnswerStore store = AnswerStore::open(w.setup.store);
    for (int u = 0; u < 4; ++u) {
      StoredAnswer answer;
      answer.request = std::string(31, '0') + std::to_string(u);
      answer.task = "repeat";
      answer.key = "u" + std::to_string(u);
      answer.model = "old";
      answer.raw = "title: of user " + std::to_string(u);
      answer.source = "import: log";
      store.put(answer);
    }
  }
  const auto values = [](const Augmented& out) { return out.corpus.profiles.at("said").values.values().size(); };
  const Augmented unknown = w.run();
  CHECK(unknown.figures[0].imported == 4);
  CHECK(unknown.figures[0].guard.withheld == 4);
  CHECK(unknown.figures[0].guard.unknown == 4);
  CHECK(values(unknown) == 0);
  CHECK_FALSE(unknown.leaky());
  w.setup.answers.imports_saw = "history";
  const Augmented history = w.run();
  CHECK(history.figures[0].guard.withheld == 0);
  CHECK(values(history) == 4);
  CHECK(history.figures[0].leaks.at("test").seen_positive == 0);
  w.setup.answers.imports_saw = "everything";
  const Augmented everything = w.run();
  CHECK(everything.figures[0].guard.withheld == 4);
  CHECK(everything.figures[0].leaks.at("test").seen_positive == 4);
  CHECK(everything.figures[0].leaks.at("test").used == 0);
  CHECK(values(everything) == 0);
  w.setup.answers.allow_leak = true;
  const Augmented leaky = w.run();
  CHECK(leaky.leaky());
  CHECK(leaky.figures[0].leaks.at("test").used == 4);
  CHECK(values(leaky) == 4);
}
