// Metrics of one group: against scikit-learn and MIND's formulas, and against the average over all orders of tied candidates.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <numeric>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "evaluate/metrics.h"

using namespace oncekit;

namespace {

const std::vector<std::string> kAll{"auc", "mrr", "mrr_first", "lrap", "ndcg@1", "ndcg@3", "ndcg@10", "hit@1", "hit@2", "hit@4", "recall@1", "recall@3", "recall@9"};

double metric(const std::string& name, const std::vector<float>& scores, const std::vector<std::uint8_t>& labels) {
  Ranking ranking;
  rank_candidates(scores, labels, ranking);
  return metric_value(*parse_metric(name), ranking);
}

// The textbook value for labels in rank order, no ties.
double plain(const Metric& m, const std::vector<int>& ranked) {
  const double n = static_cast<double>(ranked.size());
  const double positives = std::accumulate(ranked.begin(), ranked.end(), 0.0);
  double right = 0, found = 0, reciprocal = 0, first = 0, precision = 0, gain = 0, ideal = 0, top = 0;
  for (std::size_t i = 0; i < ranked.size(); ++i) {
    const double rank = static_cast<double>(i) + 1;
    const bool inside = static_cast<std::int64_t>(i) < m.k;
    if (inside && rank <= positives) ideal += 1 / std::log2(rank + 1);
    if (!ranked[i]) {
      right += found;
      continue;
    }
    found += 1;
    reciprocal += 1 / rank;
    if (first == 0) first = 1 / rank;
    precision += found / rank;
    if (inside) {
      gain += 1 / std::log2(rank + 1);
      top += 1;
    }
  }
  switch (m.kind) {
    case Metric::Kind::kAuc:
    case Metric::Kind::kGlobalAuc: return right / (positives * (n - positives));
    case Metric::Kind::kMrr: return reciprocal / positives;
    case Metric::Kind::kMrrFirst: return first;
    case Metric::Kind::kLrap: return precision / positives;
    case Metric::Kind::kNdcg: return gain / ideal;
    case Metric::Kind::kHit: return top > 0 ? 1 : 0;
    case Metric::Kind::kRecall: return top / positives;
  }
  return -1;
}

std::map<std::string, double> brute_force(const std::vector<float>& scores, const std::vector<std::uint8_t>& labels) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::map<std::string, double> sums;
  double orders = 0;
  do {  // each permutation breaks the ties in its own way
    std::vector<std::size_t> ranked = order;
    std::stable_sort(ranked.begin(), ranked.end(), [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
    std::vector<int> clicked;
    for (std::size_t i : ranked) clicked.push_back(labels[i]);
    for (const std::string& name : kAll) sums[name] += plain(*parse_metric(name), clicked);
    ++orders;
  } while (std::next_permutation(order.begin(), order.end()));
  for (auto& [name, sum] : sums) sum /= orders;
  return sums;
}

}  // namespace

TEST_CASE("metrics equal scikit-learn's and MIND's formulas to 1e-9", "[parity][evaluate]") {
  std::ifstream in(ONCEKIT_TREE "/tests/evaluate/data/metrics.json");
  const auto groups = nlohmann::json::parse(in);
  std::size_t compared = 0;
  for (const auto& group : groups) {
    const auto scores = group["scores"].get<std::vector<float>>();
    const auto labels = group["labels"].get<std::vector<std::uint8_t>>();
    for (const auto& [name, expected] : group["expected"].items()) {
      INFO(name << " of " << scores.size() << " candidates, tied " << group["tied"]);
      CHECK(std::abs(metric(name, scores, labels) - expected.get<double>()) < 1e-9);
      ++compared;
    }
  }
  CHECK(compared > 500);
}

TEST_CASE("under ties every metric is the average over all orders of the tied candidates", "[unit][evaluate]") {
  // All score patterns of three levels and all labellings, up to five candidates; six candidates in a sample.
  for (std::size_t n = 2; n <= 6; ++n) {
    const auto patterns = static_cast<std::size_t>(std::pow(3, n));
    const std::size_t step = n == 6 ? 41 : n == 5 ? 3 : 1;
    for (std::size_t pattern = 0; pattern < patterns; pattern += step) {
      std::vector<float> scores(n);
      for (std::size_t i = 0, rest = pattern; i < n; ++i, rest /= 3) scores[i] = static_cast<float>(rest % 3) - 1.0f;
      for (std::size_t bits = 1; bits + 1 < (std::size_t{1} << n); bits += n == 6 ? 5 : 1) {
        std::vector<std::uint8_t> labels(n);
        for (std::size_t i = 0; i < n; ++i) labels[i] = (bits >> i) & 1;
        const auto expected = brute_force(scores, labels);
        bool same = true;
        std::string which;
        for (const std::string& name : kAll) {
          const double got = metric(name, scores, labels);
          if (std::abs(got - expected.at(name)) > 1e-12) {
            same = false;
            which = name + " is " + std::to_string(got) + ", expected " + std::to_string(expected.at(name));
          }
        }
        if (!same) {
          INFO(n << " candidates, pattern " << pattern << ", labels " << bits << ": " << which);
          REQUIRE(same);
        }
      }
    }
  }
}

TEST_CASE("a constant scorer gets chance, wherever the clicked candidates stand", "[unit][evaluate]") {
  for (std::size_t n : {2u, 5u, 37u, 283u}) {
    for (std::size_t clicked : {std::size_t{1}, n / 2, n - 1}) {
      const std::vector<float> scores(n, 0.25f);
      std::vector<std::uint8_t> first(n, 0);
      std::fill_n(first.begin(), clicked, std::uint8_t{1});
      std::vector<std::uint8_t> last(first.rbegin(), first.rend());
      for (const std::string& name : kAll) {
        INFO(name << ", " << clicked << " of " << n);
        CHECK(metric(name, scores, first) == metric(name, scores, last));
      }
      CHECK(metric("auc", scores, first) == 0.5);
      CHECK(metric("recall@1", scores, first) == Approx(1.0 / static_cast<double>(n)).margin(1e-12));
      CHECK(metric("hit@1", scores, first) == Approx(static_cast<double>(clicked) / static_cast<double>(n)).margin(1e-12));
    }
  }
}

TEST_CASE("perfect and worst rankings", "[unit][evaluate]") {
  for (std::size_t n : {2u, 11u, 200u, 300u}) {
    std::vector<float> scores(n);
    std::iota(scores.rbegin(), scores.rend(), 0.0f);
    for (std::size_t clicked = 1; clicked < n; clicked += 1 + n / 7) {
      std::vector<std::uint8_t> top(n, 0);
      std::fill_n(top.begin(), clicked, std::uint8_t{1});
      for (const char* name : {"auc", "mrr_first", "lrap", "ndcg@1", "ndcg@5", "ndcg@250", "hit@1", "recall@300"}) {
        INFO(name << ", " << clicked << " of " << n);
        CHECK(metric(name, scores, top) == Approx(1.0).margin(1e-12));
      }
      const std::vector<std::uint8_t> bottom(top.rbegin(), top.rend());
      CHECK(metric("auc", scores, bottom) == 0.0);
      CHECK(metric("ndcg@1", scores, bottom) == 0.0);
    }
  }
}

TEST_CASE("three meanings of MRR under their own names", "[unit][evaluate]") {
  const std::vector<float> scores{4, 3, 2, 1};
  const std::vector<std::uint8_t> labels{0, 1, 0, 1};
  CHECK(metric("mrr", scores, labels) == Approx(0.375));
  CHECK(metric("mrr_first", scores, labels) == Approx(0.5));
  CHECK(metric("lrap", scores, labels) == Approx(0.5));
}

TEST_CASE("infinite scores and signed zeros rank like any other", "[unit][evaluate]") {
  const float inf = std::numeric_limits<float>::infinity();
  CHECK(metric("auc", {inf, 0, -inf}, {1, 0, 0}) == 1.0);
  CHECK(metric("auc", {-inf, 0, inf}, {1, 0, 0}) == 0.0);
  CHECK(metric("auc", {inf, inf}, {1, 0}) == 0.5);
  CHECK(metric("auc", {0.0f, -0.0f}, {1, 0}) == 0.5);
}

TEST_CASE("metric names", "[unit][evaluate]") {
  for (const char* name : {"auc", "global_auc", "mrr", "mrr_first", "lrap", "ndcg@1", "ndcg@5", "hit@10", "recall@20", "recall@1000000"}) {
    INFO(name);
    REQUIRE(parse_metric(name));
    CHECK(parse_metric(name)->name == name);
  }
  for (const char* name : {"", "AUC", "ndcg", "ndcg@", "ndcg@0", "ndcg@-1", "ndcg@05", "ndcg@5 ", "ndcg@1000001", "ndcg@99999999999999999999", "auc@5", "gauc"}) {
    INFO(name);
    CHECK_FALSE(parse_metric(name));
  }
  CHECK(suggest_metric("ndgc@5") == "did you mean 'ndcg@K'?");
  CHECK(suggest_metric("gauc").find("'auc'") == 0);
}
