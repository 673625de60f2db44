#include "evaluate/metrics.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>

#include "oncekit/error.h"

namespace oncekit {
namespace {

constexpr std::int64_t kLargestCut = 1'000'000;

// 1 / log2(rank + 1), rank from 1.
double discount(std::int64_t rank) {
  static const auto table = [] {
    std::array<double, 129> values{};
    for (std::size_t r = 1; r < values.size(); ++r) values[r] = 1.0 / std::log2(static_cast<double>(r) + 1.0);
    return values;
  }();
  return rank < static_cast<std::int64_t>(table.size()) ? table[static_cast<std::size_t>(rank)]
                                                        : 1.0 / std::log2(static_cast<double>(rank) + 1.0);
}

double ratio(std::int64_t a, std::int64_t b) { return static_cast<double>(a) / static_cast<double>(b); }

// The share of (clicked, not clicked) pairs in the right order; a tied pair counts one half.
double auc(const Ranking& r) {
  std::int64_t twice_wrong = 0, positives_above = 0;
  for (const TieBlock& b : r.blocks) {
    twice_wrong += b.positives * (2 * (b.above - positives_above) + (b.size - b.positives));
    positives_above += b.positives;
  }
  return 1.0 - ratio(twice_wrong, 2 * r.positives * (r.candidates - r.positives));
}

// Each place of a block holds a clicked candidate with probability positives / size.
double mrr(const Ranking& r) {
  double sum = 0;
  for (const TieBlock& b : r.blocks) {
    double places = 0;
    for (std::int64_t j = 1; j <= b.size; ++j) places += 1.0 / static_cast<double>(b.above + j);
    sum += b.positives == b.size ? places : ratio(b.positives, b.size) * places;
  }
  return sum / static_cast<double>(r.positives);
}

// Only the first block counts. P(first clicked at place j of m, p clicked) = C(m-j, p-1) / C(m, p), by recurrence over j.
double mrr_first(const Ranking& r) {
  const TieBlock& b = r.blocks.front();
  double chance = ratio(b.positives, b.size), sum = 0;
  for (std::int64_t j = 1; j <= b.size - b.positives + 1; ++j) {
    sum += chance / static_cast<double>(b.above + j);
    if (j < b.size) chance *= ratio(b.size - j - b.positives + 1, b.size - j);
  }
  return sum;
}

// Precision at the place of each clicked candidate. Given a clicked one at place j of its block, (j-1)(p-1)/(m-1) of the
// places before it in the block are clicked on average.
double lrap(const Ranking& r) {
  double sum = 0;
  std::int64_t positives_above = 0;
  for (const TieBlock& b : r.blocks) {
    const double here = ratio(b.positives, b.size);
    const double share = b.size > 1 ? ratio(b.positives - 1, b.size - 1) : 0.0;
    double places = 0;
    for (std::int64_t j = 1; j <= b.size; ++j) {
      places += (static_cast<double>(positives_above + 1) + static_cast<double>(j - 1) * share) / static_cast<double>(b.above + j);
    }
    sum += here * places;
    positives_above += b.positives;
  }
  return sum / static_cast<double>(r.positives);
}

double ndcg(const Ranking& r, std::int64_t k) {
  double gain = 0, ideal = 0;
  for (const TieBlock& b : r.blocks) {
    double places = 0;
    for (std::int64_t rank = b.above + 1; rank <= std::min(k, b.above + b.size); ++rank) places += discount(rank);
    gain += b.positives == b.size ? places : ratio(b.positives, b.size) * places;
    if (b.above + b.size >= k) break;
  }
  for (std::int64_t rank = 1; rank <= std::min(k, r.positives); ++rank) ideal += discount(rank);
  return std::min(1.0, gain / ideal);
}

// Only the first block that holds a clicked one matters: 1 - P(none of its places within the cut is clicked).
double hit(const Ranking& r, std::int64_t k) {
  const TieBlock& b = r.blocks.front();
  const std::int64_t places = k - b.above;
  if (places <= 0) return 0;
  if (places >= b.size - b.positives + 1) return 1;
  double none = 1;
  for (std::int64_t i = 0; i < places; ++i) none *= ratio(b.size - b.positives - i, b.size - i);
  return 1 - none;
}

double recall(const Ranking& r, std::int64_t k) {
  double found = 0;
  for (const TieBlock& b : r.blocks) {
    const std::int64_t places = std::clamp<std::int64_t>(k - b.above, 0, b.size);
    found += places == b.size ? static_cast<double>(b.positives) : ratio(b.positives * places, b.size);
  }
  return found / static_cast<double>(r.positives);
}

}  // namespace

std::optional<Metric> parse_metric(std::string_view name) {
  Metric metric;
  metric.name = name;
  using Kind = Metric::Kind;
  const std::size_t at = name.find('@');
  if (at == std::string_view::npos) {
    if (name == "auc") metric.kind = Kind::kAuc;
    else if (name == "global_auc") metric.kind = Kind::kGlobalAuc;
    else if (name == "mrr") metric.kind = Kind::kMrr;
    else if (name == "mrr_first") metric.kind = Kind::kMrrFirst;
    else if (name == "lrap") metric.kind = Kind::kLrap;
    else return std::nullopt;
    return metric;
  }
  const std::string_view head = name.substr(0, at), cut = name.substr(at + 1);
  if (head == "ndcg") metric.kind = Kind::kNdcg;
  else if (head == "hit") metric.kind = Kind::kHit;
  else if (head == "recall") metric.kind = Kind::kRecall;
  else return std::nullopt;
  const auto [end, problem] = std::from_chars(cut.data(), cut.data() + cut.size(), metric.k);
  if (problem != std::errc{} || end != cut.data() + cut.size() || cut.front() == '0') return std::nullopt;
  if (metric.k < 1 || metric.k > kLargestCut) return std::nullopt;
  return metric;
}

std::string suggest_metric(const std::string& name) {
  if (name == "gauc") return "'auc' (the mean over groups) is what others call gauc; 'global_auc' takes all candidates as one group";
  if (name == "map" || name == "ap") return "'lrap' is mean average precision within a group";
  if (name == "mrr0") return "'mrr_first' takes the first clicked candidate alone";
  const std::string base = name.substr(0, name.find('@'));
  if (base == "ndcg" || base == "hit" || base == "recall") return "write '" + base + "@K' with K from 1 to 1000000, e.g. '" + base + "@5'";
  std::string near = nearest_name(base, {"auc", "global_auc", "mrr", "mrr_first", "lrap", "ndcg", "hit", "recall"});
  if (near == "ndcg" || near == "hit" || near == "recall") near += "@K";
  return near.empty() ? "" : "did you mean '" + near + "'?";
}

void rank_candidates(std::span<const float> scores, std::span<const std::uint8_t> labels, Ranking& ranking) {
  // Scores of clicked candidates, highest first, each once: between two of them it does not matter who stands where.
  std::vector<float> marks;
  ranking.candidates = static_cast<std::int64_t>(scores.size());
  ranking.positives = 0;
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (labels[i]) marks.push_back(scores[i]);
  ranking.positives = static_cast<std::int64_t>(marks.size());
  std::sort(marks.begin(), marks.end(), std::greater<>());
  marks.erase(std::unique(marks.begin(), marks.end()), marks.end());

  ranking.blocks.assign(marks.size(), {});
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const float score = scores[i];
    const auto mark = std::lower_bound(marks.begin(), marks.end(), score, std::greater<>());
    if (mark == marks.end()) continue;
    TieBlock& block = ranking.blocks[static_cast<std::size_t>(mark - marks.begin())];
    if (*mark == score) {
      ++block.size;
      block.positives += labels[i] != 0;
    } else {
      ++block.above;  // so far: only those between this mark and the one before
    }
  }
  std::int64_t above = 0;
  for (TieBlock& block : ranking.blocks) {
    block.above += above;
    above = block.above + block.size;
  }
}

double metric_value(const Metric& metric, const Ranking& ranking) {
  switch (metric.kind) {
    case Metric::Kind::kAuc:
    case Metric::Kind::kGlobalAuc: return auc(ranking);
    case Metric::Kind::kMrr: return mrr(ranking);
    case Metric::Kind::kMrrFirst: return mrr_first(ranking);
    case Metric::Kind::kLrap: return lrap(ranking);
    case Metric::Kind::kNdcg: return ndcg(ranking, metric.k);
    case Metric::Kind::kHit: return hit(ranking, metric.k);
    case Metric::Kind::kRecall: return recall(ranking, metric.k);
  }
  return 0;
}

namespace {

std::pair<std::ptrdiff_t, long> metric_rank(const std::string& name) {
  static const std::vector<std::string> order{"auc", "global_auc", "mrr", "mrr_first", "lrap", "ndcg", "hit", "recall"};
  const std::string metric = name.substr(name.rfind('/') + 1);
  const std::size_t at = metric.find('@');
  return {std::find(order.begin(), order.end(), metric.substr(0, at)) - order.begin(), at == std::string::npos ? 0 : std::strtol(metric.c_str() + at + 1, nullptr, 10)};
}

}  // namespace

bool metric_before(const std::string& a, const std::string& b) { return metric_rank(a) < metric_rank(b); }

}  // namespace oncekit
