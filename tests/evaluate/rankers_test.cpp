// Untrained rankers against values worked out by hand.
#include <cmath>

#include <catch2/catch.hpp>

#include "small_corpus.h"

using namespace oncekit;
using namespace oncekit::test;

namespace {

// Training sets: U0 {0, 1, 2}, U1 {0, 1}, U2 {1, 3}; item 4 was shown and never clicked, 5 never seen.
Corpus small() {
  return corpus_of({"red fox", "red dog", "blue fox", "green cat", "red red fox", "zebra"}, 4,
                   {{0, {0, 1}, 2, {2, 4}, {1, 0}}, {0, {0, 1, 2}, 3, {1, 4}, {1, 0}}, {1, {0}, 1, {1, 4}, {1, 0}}, {2, {3}, 1, {1, 2}, {1, 0}}},
                   {{3, {0, 3}, 2, {1, 2, 4, 5, 0}, {1, 0, 0, 0, 0}}, {3, {}, 0, {1, 2}, {1, 0}}, {3, {5}, 1, {1, 5}, {1, 0}}});
}

}  // namespace

TEST_CASE("popularity counts the users who clicked an item in training, each once", "[unit][evaluate]") {
  const Corpus corpus = small();
  TestWorkspace workspace;
  const EvaluationContext context(corpus, EvaluateOptions{}, workspace);
  CHECK(rank_untrained(context, "popularity", corpus.test) == std::vector<float>{3, 1, 0, 0, 2, 3, 1, 3, 0});
}

TEST_CASE("item_knn sums the cosine of co-occurrence over the history", "[unit][evaluate]") {
  const Corpus corpus = small();
  TestWorkspace workspace;
  const EvaluationContext context(corpus, EvaluateOptions{}, workspace);
  const std::vector<float> scores = rank_untrained(context, "item_knn", corpus.test);
  REQUIRE(scores.size() == 9);
  // History {0, 3}: item 1 shares two users with 0 and one with 3.
  CHECK(scores[0] == Approx(2 / std::sqrt(3.0 * 2) + 1 / std::sqrt(3.0 * 1)));
  CHECK(scores[1] == Approx(1 / std::sqrt(1.0 * 2)));
  CHECK(scores[2] == 0);
  CHECK(scores[3] == 0);
  CHECK(scores[4] == Approx(1));  // the clicked item itself
  for (std::size_t i = 5; i < 9; ++i) CHECK(scores[i] == 0);  // no history, or one nobody clicked in training
}

TEST_CASE("tfidf is the cosine of titles to the mean of the history's", "[unit][evaluate]") {
  const Corpus corpus = small();
  TestWorkspace workspace;
  const EvaluationContext context(corpus, EvaluateOptions{}, workspace);
  const std::vector<float> scores = rank_untrained(context, "tfidf", corpus.test);
  // Documents: items 0 to 4. red 3, fox 3, dog 1, blue 1, green 1, cat 1, zebra 0.
  const auto idf = [](double holders) { return std::log(6.0 / (1 + holders)) + 1; };
  const double common = idf(3), rare = idf(1);
  const double red_dog = std::sqrt(common * common + rare * rare);
  // The history "red fox", "green cat": unit vectors with equal parts.
  const double part = 1 / std::sqrt(2.0), length = std::sqrt(4 * part * part);
  CHECK(scores[0] == Approx(common / red_dog * part / length));
  CHECK(scores[1] == Approx(common / red_dog * part / length));
  CHECK(scores[2] == Approx((2 * part + part) / std::sqrt(5.0) / length));
  CHECK(scores[3] == 0);
  CHECK(scores[4] == Approx(2 * part * part / length));
  CHECK(scores[5] == 0);
  CHECK(scores[8] == Approx(1));  // the history's only title
}

TEST_CASE("what augmenters put behind the clicks counts for no ranker", "[unit][evaluate]") {
  const Corpus plain = small(), more = augmented(small());
  TestWorkspace workspace;
  const EvaluationContext of_plain(plain, EvaluateOptions{}, workspace), of_more(more, EvaluateOptions{}, workspace);
  for (const char* ranker : {"popularity", "item_knn", "tfidf"}) {
    CAPTURE(ranker);
    CHECK(rank_untrained(of_more, ranker, more.test) == rank_untrained(of_plain, ranker, plain.test));
  }
}

TEST_CASE("rankers go without titles", "[unit][evaluate]") {
  Corpus corpus = small();
  corpus.items.attributes.clear();
  TestWorkspace workspace;
  const EvaluationContext context(corpus, EvaluateOptions{}, workspace);
  CHECK(rank_untrained(context, "item_knn", corpus.test)[0] == Approx(2 / std::sqrt(3.0 * 2) + 1 / std::sqrt(3.0 * 1)));
  for (float score : rank_untrained(context, "tfidf", corpus.test)) CHECK(score == 0);
  CHECK(workspace.counts["ranker tfidf: the items have no text, all candidates tie"] == 1);
}

TEST_CASE("an unknown ranker names the nearest", "[unit][errors][evaluate]") {
  const Corpus corpus = small();
  TestWorkspace workspace;
  const EvaluationContext context(corpus, EvaluateOptions{}, workspace);
  CHECK_THROWS_WITH(rank_untrained(context, "itemknn", corpus.test),
                    "unknown ranker 'itemknn'; there are popularity, item_knn and tfidf; did you mean 'item_knn'?");
}
