// Asking, keeping, asking again: a small augmenter against the mock server over real HTTP.
#include "augment/repeater.h"
#include "base/files.h"
#include "data/digest.h"

using namespace oncekit;
using namespace oncekit::test;

namespace {

// Puts an item before the clicks, which no augmenter may do.
class Prepender final : public Augmenter {
 public:
  void prompts(const Corpus&, const Sink&) const override {}
  Parsed parse(const Prompt&, std::string_view) const override { return {}; }
  Corpus apply(Corpus&& corpus, const Answers&) const override {
    Ragged<ItemId> histories;
    for (std::size_t row = 0; row < corpus.histories.size(); ++row) {
      std::vector<ItemId> items{kItems - 1};
      items.insert(items.end(), corpus.histories[row].begin(), corpus.histories[row].end());
      histories.push_back(items);
    }
    corpus.histories = std::move(histories);
    return std::move(corpus);
  }
};

// An answer out of a log, whose prompt nobody has kept.
void put_import(const World& w, const std::string& key) {
  StoredAnswer answer;
  answer.request = digest128(key);
  answer.task = "repeat";
  answer.key = key;
  answer.model = "old";
  answer.raw = "title: of " + key;
  answer.source = "import: log";
  w.store().put(answer);
}

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
  w.setup.endpoint.model = "mock-2";  // another model, other questions
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
    CHECK(augment_text(out.figures, w.setup).find("40 of mock at 127.0.0.1") != std::string::npos);
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

TEST_CASE("an augmenter that changes clicks is stopped", "[unit][augment][errors]") {
  World w;
  w.spec.make_augmenter = [](const OptionSet&) -> std::unique_ptr<Augmenter> { return std::make_unique<Prepender>(); };
  try {
    w.run();
    FAIL("no error");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kPlugin);
    CHECK(e.where() == "augmenter/repeater");
    CHECK(e.message() == "apply() changed what users clicked");
  }
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
  for (int u = 0; u < 4; ++u) put_import(w, "u" + std::to_string(u));
  const auto values = [](const Augmented& out) { return out.corpus.profiles.at("said").values.values().size(); };
  CHECK_THROWS_WITH(w.run(), Catch::Contains("0 of 4 answers are there (0.0%)") && Catch::Contains("for 4 more there are imported answers, which the leak guard withholds") &&
                                 Catch::Contains("answers.imports_saw"));
  w.setup.answers.min_coverage = 0;
  const Augmented unknown = w.run();
  CHECK(unknown.figures[0].covered == 0);
  CHECK(unknown.figures[0].imported == 0);
  CHECK(unknown.figures[0].imports_withheld == 4);
  CHECK(unknown.figures[0].guard.withheld == 4);
  CHECK(unknown.figures[0].guard.unknown == 4);
  CHECK(values(unknown) == 0);
  CHECK_FALSE(unknown.leaky());
  w.setup.answers.imports_saw = "history";
  w.setup.answers.min_coverage = 1;
  const Augmented history = w.run();
  CHECK(history.figures[0].imported == 4);
  CHECK(history.figures[0].imports_withheld == 0);
  CHECK(history.figures[0].guard.withheld == 0);
  CHECK(values(history) == 4);
  CHECK(history.figures[0].leaks.at("test").seen_positive == 0);
  w.setup.answers.imports_saw = "everything";
  w.setup.answers.min_coverage = 0;
  const Augmented everything = w.run();
  CHECK(everything.figures[0].coverage() == 0);
  CHECK(everything.figures[0].guard.withheld == 4);
  CHECK(everything.figures[0].leaks.at("test").seen_positive == 4);
  CHECK(everything.figures[0].leaks.at("test").used == 0);
  CHECK(values(everything) == 0);
  w.setup.answers.allow_leak = true;
  w.setup.answers.min_coverage = 1;
  const Augmented leaky = w.run();
  CHECK(leaky.leaky());
  CHECK(leaky.figures[0].leaks.at("test").used == 4);
  CHECK(values(leaky) == 4);
}

TEST_CASE("what the leak guard withholds of imported answers is asked", "[unit][augment]") {
  World w;
  w.options.value.about_users = true;
  for (int u = 0; u < 2; ++u) put_import(w, "u" + std::to_string(u));
  MockServer server({.answers = "echo"});
  w.setup.answers.min_coverage = 1;
  w.setup.answers.imports_saw = "history";
  CHECK(w.run(server).figures[0].imported == 2);
  CHECK(server.requests() == 2);
  w.setup.answers.imports_saw = "unknown";
  const Augmented out = w.run(server);
  CHECK(server.requests() == 4);
  CHECK(out.figures[0].imported == 0);
  CHECK(out.figures[0].imports_withheld == 2);
  CHECK(out.figures[0].covered == 4);
  CHECK(out.figures[0].guard.given == 4);
  CHECK(out.figures[0].guard.withheld == 0);
}

TEST_CASE("an import stands in for the prompts whose own history holds what it saw", "[unit][augment]") {
  World w;
  w.options.value.about_users = true;
  w.setup.answers.imports = "only";
  w.setup.answers.imports_saw = "history";
  w.setup.answers.min_coverage = 0;
  for (int u = 0; u < 4; ++u) {
    put_import(w, "u" + std::to_string(u));
    w.corpus.histories.push_back(std::vector<ItemId>{static_cast<ItemId>(u), static_cast<ItemId>(u + 1), static_cast<ItemId>(u + 2)});
    w.corpus.clicks_before.push_back(3);
  }
  Impressions& later = w.corpus.test;
  for (std::int32_t& history : later.histories) history += 4;
  const AugmentFigures growing = w.run().figures[0];  // the first history is the shorter one: all hold it
  CHECK(growing.wanted == 8);
  CHECK(growing.imported == 8);
  CHECK(growing.guard.given == 8);
  std::swap(w.corpus.train.histories, later.histories);
  const AugmentFigures shrinking = w.run().figures[0];
  CHECK(shrinking.imported == 4);
  CHECK(shrinking.imports_withheld == 4);
  CHECK(shrinking.guard.given == 4);
}

TEST_CASE("imported answers about items need no guard", "[unit][augment]") {
  World w;
  put_import(w, "i0");
  MockServer server({.answers = "echo"});
  const AugmentFigures figures = w.run(server).figures[0];
  CHECK(figures.imported == 1);
  CHECK(figures.imports_withheld == 0);
  CHECK(figures.covered == kItems);
  CHECK(server.requests() == kItems - 1);
}

TEST_CASE("whoever asks nothing does not write to the store", "[unit][augment]") {
  World w;
  MockServer server({.answers = "echo"});
  w.setup.endpoint.url = server.url();
  w.setup.answers.min_coverage = 0;
  const auto look = [&](bool dry_run, bool ask, const std::string& imports) {
    w.setup.dry_run = dry_run;
    w.setup.answers.ask = ask;
    w.setup.answers.imports = imports;
    return w.run().figures[0].covered;
  };
  for (const auto& [dry_run, ask, imports] : std::vector<std::tuple<bool, bool, std::string>>{{true, true, "use"}, {false, false, "use"}, {false, true, "only"}}) {
    INFO(dry_run << ask << imports);
    std::filesystem::remove(w.setup.store);
    CHECK(look(dry_run, ask, imports) == 0);
    CHECK_FALSE(std::filesystem::exists(w.setup.store));
    CHECK(look(false, true, "use") == kItems);
    const auto before = std::filesystem::file_time_type::clock::now() - std::chrono::hours(1);
    std::filesystem::last_write_time(w.setup.store, before);
    const auto written = std::filesystem::last_write_time(w.setup.store);
    CHECK(look(dry_run, ask, imports) == (imports == "only" ? 0 : kItems));
    CHECK(std::filesystem::last_write_time(w.setup.store) == written);
  }
}

TEST_CASE("the mock answers in no other model's name", "[unit][augment][errors]") {
  const auto refused = [](World& w) {
    try {
      w.run();
      FAIL("accepted");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kUsage);
      CHECK_THAT(e.message(), Catch::Contains("'gpt-3.5-turbo'") && Catch::Contains("oncekit's mock"));
      CHECK_THAT(e.hint(), Catch::Contains("endpoint.model = \"mock\""));
    }
  };
  World w;
  w.setup.endpoint.model = "gpt-3.5-turbo";
  SECTION("the bundled one") {
    w.setup.endpoint.url = "mock";
    refused(w);
    CHECK_FALSE(std::filesystem::exists(w.setup.store));
    w.setup.dry_run = true;
    refused(w);
    w.setup.dry_run = false;
    w.setup.answers.ask = false;
    w.setup.answers.min_coverage = 0;
    CHECK(w.run().figures[0].covered == 0);  // nobody is asked
    w.setup.answers.ask = true;
    w.setup.endpoint.model = "mock";
    CHECK(w.run().figures[0].covered == kItems);
  }
  SECTION("one that is served") {
    MockServer server({.answers = "echo"});
    w.setup.endpoint.url = server.url();
    refused(w);
    const AnswerStore store = w.store();
    CHECK(store.totals().answers == 0);
    CHECK(store.totals().set_aside == 0);
    CHECK(store.possibly_billed().empty());
  }
}

TEST_CASE("what an augmenter will ask behind one that lacks answers is not known: all counts as missing", "[unit][augment]") {
  World w;
  MockServer server({.answers = "echo"});
  w.run(server);
  TypedOptions<Repeater::Options> two;
  two.value.draws = 2;  // the second draws are missing
  w.setup.steps.insert(w.setup.steps.begin(), {"first", &w.spec, &two});
  w.setup.dry_run = true;
  const Augmented out = w.run();
  CHECK(out.figures[0].missing == kItems);
  CHECK_FALSE(out.figures[0].provisional);
  CHECK(out.figures[1].missing == kItems);
  CHECK(out.figures[1].provisional);
  CHECK(out.figures[1].cost == Approx(out.figures[0].cost));
  const std::string text = augment_text(out.figures, w.setup);
  CHECK_THAT(text, Catch::Contains("USD for a first attempt at each") && Catch::Contains("with all 3 attempts") && Catch::Contains("about 40 of mock") &&
                       Catch::Contains("with them these questions will be others"));
  w.setup.answers.ask = false;  // then nothing is to come
  CHECK(w.run().figures[1].missing == 0);
  w.setup.answers.ask = true;
  w.setup.dry_run = false;
  w.run();
  w.setup.dry_run = true;
  CHECK_FALSE(w.run().figures[1].provisional);
  CHECK(server.requests() == 2 * kItems);
}
