// Ranking metrics of one group, exact under ties: each is the expectation over a random order of tied candidates, so a constant
// scorer gets chance and nothing depends on the order of the input. Formulas: docs/metrics.md. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace oncekit {

struct Metric {
  enum class Kind { kAuc, kGlobalAuc, kMrr, kMrrFirst, kLrap, kNdcg, kHit, kRecall };
  Kind kind = Kind::kAuc;
  std::int64_t k = 0;  ///< the cut of ndcg@k, hit@k, recall@k; 0 for the others
  std::string name;    ///< as in results.json: "auc", "ndcg@5"
  bool grouped() const noexcept { return kind != Kind::kGlobalAuc; }
};

/// "ndcg@5" and so on; nothing when there is no such metric. K is 1 to 1,000,000, without leading zeros.
std::optional<Metric> parse_metric(std::string_view name);

/// The order in which people look for metrics: auc, mrr, lrap, ndcg@5, ndcg@10, ... Takes "auc" and "test/new/auc" alike.
bool metric_before(const std::string& a, const std::string& b);
/// What to write instead of a name that parse_metric() does not know; may be empty.
std::string suggest_metric(const std::string& name);

/// Candidates that share one score and hold at least one clicked one.
struct TieBlock {
  std::int64_t above = 0;      ///< candidates with a higher score
  std::int64_t size = 0;       ///< candidates with this score
  std::int64_t positives = 0;  ///< clicked ones among them, at least 1
};

/// All that metrics need to know of a ranked group. Tied candidates without a click need no block: only their number above counts.
struct Ranking {
  std::int64_t candidates = 0;
  std::int64_t positives = 0;
  std::vector<TieBlock> blocks;  ///< highest score first
  bool one_class() const noexcept { return positives == 0 || positives == candidates; }
};

/// Ranks candidates by score, higher first. Labels: 0 = not clicked, else clicked. n log(distinct clicked scores) steps.
/// REQUIRES: equal lengths, no NaN. Infinite scores are fine.
void rank_candidates(std::span<const float> scores, std::span<const std::uint8_t> labels, Ranking& ranking);

/// The metric of one ranking, in [0, 1]. REQUIRES: !ranking.one_class().
double metric_value(const Metric& metric, const Ranking& ranking);

}  // namespace oncekit
