// Groups, slices, counts, errors, files, threads.
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "evaluate/prediction.h"
#include "small_corpus.h"

using namespace oncekit;
using namespace oncekit::test;

namespace {

// Items 0 to 3 occur in training (0, 1 in histories, 2, 3 as clicks), 4 only as shown, 5 to 7 never.
Corpus sliced() {
  return corpus_of({"a", "b", "c", "d", "e", "f", "g", "h"}, 4,
                   {{0, {0, 1}, 2, {2, 4}, {1, 0}}, {1, {}, 0, {3, 4}, {1, 0}}},
                   {{0, {0, 1}, 2, {2, 5}, {1, 0}},             // new, seen
                    {1, {3}, 6, {6, 0}, {1, 0}},                // warm, cold
                    {2, {}, 0, {4, 1}, {1, 0}},                 // empty, cold: shown in training is not seen
                    {3, {0}, 5, {2, 6, 1}, {1, 1, 0}},          // new, one of each: neither seen nor cold
                    {0, {0, 1}, 2, {5, 6}, {0, 0}},             // one class
                    {1, {3}, 6, {0, 1}, {1, 1}}});              // one class
}

// Scores that rank each test impression: right, wrong, tied, first clicked above all, then whatever.
const std::vector<float> kScores{2, 1, 1, 2, 3, 3, 9, 0, 5, 1, 1, 7, 8};

EvaluateOptions options_with(std::vector<std::string> metrics, const std::string& group = "dataset") {
  EvaluateOptions options;
  options.metrics = std::move(metrics);
  options.group = group;
  return options;
}

}  // namespace

TEST_CASE("means over groups, groups with one class left out and counted", "[unit][evaluate]") {
  const Corpus corpus = sliced();
  TestWorkspace workspace;
  const EvaluationContext context(corpus, options_with({"auc", "ndcg@1"}), workspace);
  GroupTable table;
  const Metrics m = evaluate(context, corpus.test, kScores, &table);
  CHECK(m.at("groups") == 4);
  CHECK(m.at("groups_skipped") == 2);
  CHECK(m.at("auc") == Approx((1 + 0 + 0.5 + 0.5) / 4));
  REQUIRE(table.size() == 6);
  CHECK(table.ids == std::vector<std::string>{"1", "2", "3", "4", "5", "6"});
  CHECK(table.users[3] == "U3");
  CHECK(table.metrics == std::vector<std::string>{"auc", "ndcg@1"});
  CHECK(table.values[3 * 2 + 1] == 1.0);
  CHECK(std::isnan(table.values[4 * 2]));
  CHECK(std::isnan(table.values[5 * 2 + 1]));
}

TEST_CASE("a prediction file has the rank of each candidate as listed", "[unit][evaluate]") {
  const Corpus corpus = sliced();
  const std::filesystem::path file = std::filesystem::temp_directory_path() / ("oncekit_prediction_" + std::to_string(::getpid()));
  write_prediction(corpus.test, kScores, file);
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  CHECK(text.str() == "1 [1,2]\n2 [2,1]\n3 [1,2]\n4 [1,3,2]\n5 [1,2]\n6 [2,1]\n");  // equal scores: as listed
  std::filesystem::remove(file);
  std::vector<float> broken = kScores;
  broken[3] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH(write_prediction(corpus.test, broken, file), Catch::Contains("impression 2"));
  CHECK_FALSE(std::filesystem::exists(file));
}

TEST_CASE("slices: by clicks before truncation, by whether clicked items occur in training", "[unit][evaluate]") {
  const Corpus corpus = sliced();
  TestWorkspace workspace;
  const EvaluationContext context(corpus, options_with({"auc"}), workspace);
  const Metrics m = evaluate(context, corpus.test, kScores);
  CHECK(m.at("new/groups") == 2);
  CHECK(m.at("new/auc") == Approx(0.75));
  CHECK(m.at("warm/groups") == 1);
  CHECK(m.at("warm/auc") == Approx(0));
  CHECK(m.at("empty/groups") == 1);
  CHECK(m.at("empty/auc") == Approx(0.5));
  CHECK(m.at("seen/groups") == 1);
  CHECK(m.at("seen/auc") == Approx(1));
  CHECK(m.at("cold/groups") == 2);
  CHECK(m.at("cold/auc") == Approx(0.25));
}

TEST_CASE("a slice without groups has a count and no mean", "[unit][evaluate]") {
  const Corpus corpus = corpus_of({"a", "b"}, 1, {}, {{0, {0}, 1, {0, 1}, {1, 0}}});
  TestWorkspace workspace;
  const EvaluationContext context(corpus, EvaluateOptions{}, workspace);
  const Metrics m = evaluate(context, corpus.test, std::vector<float>{1, 0});
  CHECK(m.at("warm/groups") == 0);
  CHECK(m.count("warm/auc") == 0);
  CHECK(m.at("auc") == 1);
}

TEST_CASE("groups by user join the user's impressions", "[unit][evaluate]") {
  const Corpus corpus = sliced();
  TestWorkspace workspace;
  for (bool by_dataset : {false, true}) {
    Corpus c = corpus;
    c.group = by_dataset ? "user" : "impression";
    const EvaluationContext context(c, options_with({"auc"}, by_dataset ? "dataset" : "user"), workspace);
    GroupTable table;
    const Metrics m = evaluate(context, c.test, kScores, &table);
    CHECK(table.ids == std::vector<std::string>{"U0", "U1", "U2", "U3"});
    // U0: click 2 against 1, 1, 1. U1: clicks 1, 7, 8 against 2. U2: tie. U3: clicks 9 and 0 against 5.
    CHECK(table.values[0] == Approx(1));
    CHECK(table.values[1] == Approx(2.0 / 3));
    CHECK(m.at("groups") == 4);
    CHECK(m.at("groups_skipped") == 0);
    CHECK(m.at("auc") == Approx((1 + 2.0 / 3 + 0.5 + 0.5) / 4));
  }
}

TEST_CASE("global_auc takes all candidates as one group, in all and in slices", "[unit][evaluate]") {
  const Corpus corpus = sliced();
  TestWorkspace workspace(2);
  const EvaluationContext context(corpus, options_with({"global_auc"}), workspace);
  GroupTable table;
  const Metrics m = evaluate(context, corpus.test, kScores, &table);
  double right = 0, pairs = 0;
  for (std::size_t a = 0; a < kScores.size(); ++a) {
    for (std::size_t b = 0; b < kScores.size(); ++b) {
      if (!corpus.test.labels[a] || corpus.test.labels[b]) continue;
      ++pairs;
      right += kScores[a] > kScores[b] ? 1 : kScores[a] == kScores[b] ? 0.5 : 0;
    }
  }
  CHECK(m.at("global_auc") == Approx(right / pairs));
  CHECK(m.at("empty/global_auc") == Approx(0.5));
  CHECK(table.metrics.empty());
}

TEST_CASE("any number of threads gives the same bits", "[unit][evaluate]") {
  Corpus corpus = corpus_of(std::vector<std::string>(50, "word"), 40, {}, {});
  Rng rng(7);
  std::vector<float> scores;
  for (int i = 0; i < 3000; ++i) {
    Shown row{static_cast<int>(rng.below(40)), {}, static_cast<int>(rng.below(9)), {}, {}};
    for (std::uint64_t h = rng.below(6); h > 0; --h) row.history.push_back(static_cast<ItemId>(rng.below(50)));
    for (std::uint64_t c = 2 + rng.below(40); c > 0; --c) {
      row.items.push_back(static_cast<ItemId>(rng.below(50)));
      row.clicked.push_back(rng.below(5) == 0);
      scores.push_back(static_cast<float>(rng.below(30)) * 0.1f);
    }
    add(corpus, i % 3 ? corpus.test : corpus.train, {row});
    if (i % 3 == 0) scores.resize(scores.size() - row.items.size());
  }
  EvaluateOptions options;
  options.metrics = {"auc", "global_auc", "mrr", "mrr_first", "lrap", "ndcg@5", "hit@3", "recall@7"};
  for (const char* group : {"impression", "user"}) {
    options.group = group;
    TestWorkspace one;
    const EvaluationContext first(corpus, options, one);
    GroupTable wanted_table;
    const Metrics wanted = evaluate(first, corpus.test, scores, &wanted_table);
    for (int threads : {2, 3, 8}) {
      TestWorkspace many(threads);
      const EvaluationContext context(corpus, options, many);
      GroupTable table;
      CHECK(evaluate(context, corpus.test, scores, &table) == wanted);
      CHECK(std::equal(table.values.begin(), table.values.end(), wanted_table.values.begin(), wanted_table.values.end(),
                       [](double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }));
      for (const char* ranker : {"popularity", "item_knn", "tfidf"})
        CHECK(rank_untrained(context, ranker, corpus.test) == rank_untrained(first, ranker, corpus.test));
    }
  }
}

TEST_CASE("a score that is not a number names the first such impression", "[unit][errors][evaluate]") {
  const Corpus corpus = sliced();
  for (int threads : {1, 4}) {
    TestWorkspace workspace(threads);
    const EvaluationContext context(corpus, EvaluateOptions{}, workspace);
    std::vector<float> scores = kScores;
    scores[5] = scores[9] = std::numeric_limits<float>::quiet_NaN();
    try {
      evaluate(context, corpus.test, scores);
      FAIL("no error");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kRun);
      CHECK(e.message() == "the score of a candidate of impression 3 is not a number");
    }
  }
}

TEST_CASE("impressions without labels, and a wrong number of scores", "[unit][errors][evaluate]") {
  Corpus corpus = sliced();
  TestWorkspace workspace;
  const EvaluationContext context(corpus, EvaluateOptions{}, workspace);
  try {
    evaluate(context, corpus.test, std::vector<float>(3));
    FAIL("no error");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kRun);
    CHECK(e.message() == "3 scores for 13 candidates");
  }
  corpus.test.labels.clear();
  try {
    evaluate(context, corpus.test, kScores);
    FAIL("no error");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kData);
  }
}

TEST_CASE("ranking the catalogue: all listed items but the history", "[unit][evaluate]") {
  Corpus corpus = corpus_of({"a", "b", "c", "d", "e"}, 2, {},
                            {{0, {0, 4}, 2, {1, 2}, {1, 0}},     // left to rank: 1, 2, 3
                             {1, {1}, 1, {1, 3}, {1, 0}},        // a click on an item of the history stays
                             {1, {}, 0, {1, 3}, {0, 0}}});       // no click
  corpus.items.listed = 4;  // item 4 was generated
  TestWorkspace workspace(2);
  EvaluateOptions options = options_with({"auc", "recall@1", "ndcg@2"});
  options.candidates = "all";
  const EvaluationContext context(corpus, options, workspace);
  for (std::int64_t block : {1, 2, 100}) {
    GroupTable table;
    const Metrics m = evaluate_catalogue(context, corpus.test, block, [](std::int64_t begin, std::int64_t end, std::span<float> scores) {
      const float rows[3][4] = {{9, 2, 3, 1}, {4, 3, 2, 1}, {0, 0, 0, 0}};
      for (std::int64_t i = begin; i < end; ++i) std::copy_n(rows[i], 4, scores.begin() + (i - begin) * 4);
    }, &table);
    CHECK(m.at("groups") == 2);
    CHECK(m.at("groups_skipped") == 1);
    CHECK(table.values[0] == Approx(0.5));          // 1 is below 2, above 3
    CHECK(table.values[3] == Approx(2.0 / 3));      // 1 is below 0
    CHECK(m.at("recall@1") == 0);
    CHECK(m.at("ndcg@2") == Approx(1 / std::log2(3.0)));
  }
  CHECK_THROWS_AS(evaluate_catalogue(context, corpus.test, 1, [](std::int64_t, std::int64_t, std::span<float>) {}), Error);
}

TEST_CASE("a scorer of listed candidates ranks the catalogue too", "[unit][evaluate]") {
  Corpus corpus = sliced();
  TestWorkspace workspace(2);
  EvaluateOptions options = options_with({"auc", "recall@2", "mrr"});
  options.candidates = "all";
  const EvaluationContext context(corpus, options, workspace);
  GroupTable table;
  const Metrics m = evaluate_catalogue(context, corpus.test, [&](const Impressions& shown) {
    CHECK(shown.candidates.length(0) == corpus.items.listed);
    return rank_untrained(context, "popularity", shown);
  }, &table);
  CHECK(m.at("groups") == 5);  // the impression without a click is left out; one where all shown were clicked is not
  CHECK(m.at("groups_skipped") == 1);
  // Users by item: 0 1 2 3 are had by one each, 4 to 7 by none. First impression: 2 was clicked, 0 and 1 are history.
  CHECK(table.values[0] == Approx((4 + 0.5) / 5));
  // Second: 6, history 3: above it 0 1 2, level with 4 5 7.
  CHECK(table.values[3] == Approx((3 * 0.5) / 6));
  CHECK_FALSE(std::isnan(m.at("recall@2")));
}

TEST_CASE("what augmenters put behind the clicks changes no slice and no catalogue", "[unit][evaluate]") {
  const Corpus plain = sliced(), more = augmented(sliced());
  TestWorkspace workspace;
  const EvaluateOptions options = options_with({"auc", "recall@2"});
  const EvaluationContext of_plain(plain, options, workspace), of_more(more, options, workspace);
  GroupTable plain_table, more_table;
  CHECK(evaluate(of_more, more.test, kScores, &more_table) == evaluate(of_plain, plain.test, kScores, &plain_table));
  CHECK(more_table.in_slice == plain_table.in_slice);
  const auto catalogue = [](const EvaluationContext& context, const Corpus& corpus) {
    return evaluate_catalogue(context, corpus.test, [&](const Impressions& shown) { return rank_untrained(context, "item_knn", shown); });
  };
  const Metrics wanted = catalogue(of_plain, plain);
  CHECK(wanted.at("groups") == 5);
  CHECK(catalogue(of_more, more) == wanted);
}

TEST_CASE("per_group.csv", "[unit][evaluate]") {
  GroupTable table;
  table.ids = {"1", "a,\"b\""};
  table.users = {"U1", "U2"};
  table.metrics = {"auc"};
  table.values = {0.1, std::numeric_limits<double>::quiet_NaN()};
  table.slices = {"new", "cold"};
  table.in_slice = {1, 0, 0, 1};
  const auto file = std::filesystem::temp_directory_path() / ("oncekit_groups_" + std::to_string(reinterpret_cast<std::uintptr_t>(&table)) + ".csv");
  write_groups(table, file);
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  CHECK(text.str() == "group,user,auc,new,cold\n1,U1,0.1,1,0\n\"a,\"\"b\"\"\",U2,,0,1\n");
  const GroupTable again = read_groups(file);
  std::filesystem::remove(file);
  CHECK(again.ids == table.ids);
  CHECK(again.users == table.users);
  CHECK(again.metrics == table.metrics);
  CHECK(again.slices == table.slices);
  CHECK(again.in_slice == table.in_slice);
  CHECK(again.values[0] == 0.1);
  CHECK(std::isnan(again.values[1]));
}

TEST_CASE("per_group.csv reads back to the same bits; damage is said with its line", "[unit][errors][evaluate]") {
  const auto file = std::filesystem::temp_directory_path() / ("oncekit_groups_back_" + std::to_string(::getpid()) + ".csv");
  GroupTable table;
  table.metrics = {"auc", "ndcg@5"};
  for (int g = 0; g < 500; ++g) {
    table.ids.push_back("line\n\"" + std::to_string(g));
    table.users.push_back("");
    for (int m = 0; m < 2; ++m) table.values.push_back(std::sin(g * 2 + m) / 3);
  }
  write_groups(table, file);
  const GroupTable again = read_groups(file);
  CHECK(again.ids == table.ids);
  CHECK(again.values == table.values);
  const std::vector<std::pair<std::string, std::string>> damaged{
      {"", ":1: the first line of per_group.csv must begin with 'group,user'"},
      {"id,user,auc\n", ":1: the first line of per_group.csv must begin with 'group,user'"},
      {"group,user,auc,new,mrr\n", ":1: column 'mrr' stands behind the slices"},
      {"group,user,auc,new\n1,a,0.5,1\n2,b,0.5\n", ":3: 3 columns where the first line has 4"},
      {"group,user,auc,new\n1,a,0.5x,1\n", ":2: '0.5x' is no number"},
      {"group,user,auc,new\n\"1\n\",a,0.5,1\n2,a,0.5,yes\n", ":4: 'yes' is neither 0 nor 1"}};
  for (const auto& [content, message] : damaged) {
    std::ofstream(file) << content;
    CHECK_THROWS_WITH(read_groups(file), file.string() + message + "; restore the file from a copy, or run the recipe again");
  }
  std::filesystem::remove(file);
  CHECK_THROWS_WITH(read_groups(file), Catch::Contains("there is no per_group.csv; it needs [evaluate] per_group = true"));
}

TEST_CASE("[evaluate] is checked as a whole", "[unit][errors][evaluate]") {
  EvaluateOptions options;
  options.metrics = {"auc", "ndgc@5", "auc"};
  options.slices = {"new", "new"};
  Problems problems;
  options.validate(problems);
  REQUIRE(problems.size() == 3);
  CHECK(std::string(problems.items()[0].what()) == "[evaluate] metrics: unknown metric 'ndgc@5'; did you mean 'ndcg@K'?");
  CHECK(std::string(problems.items()[1].what()) == "[evaluate] metrics: 'auc' stands twice");
  CHECK(std::string(problems.items()[2].what()) == "[evaluate] slices: 'new' stands twice");
  EvaluateOptions empty;
  empty.metrics.clear();
  Problems none;
  empty.validate(none);
  CHECK(none.size() == 1);
  Problems fine;
  EvaluateOptions{}.validate(fine);
  CHECK(fine.empty());
}
