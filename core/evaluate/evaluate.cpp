#include "evaluate/evaluate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "evaluate/context.h"
#include "oncekit/error.h"

namespace oncekit {
namespace {

using State = EvaluationContext::State;
constexpr std::int64_t kGrain = 256;  // groups a chunk
constexpr std::int64_t kBlockScores = 1 << 25;  // of the whole catalogue, held at once
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

void require_labels(const Impressions& impressions) {
  if (impressions.labelled()) return;
  throw Error(ErrorKind::kData, "these impressions have no clicks, so nothing can be measured on them",
              "an unlabelled test set gives a prediction file; take metrics from the dev split");
}

// Impressions of each group; groups in the order in which they first appear.
struct Groups {
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> rows;
  std::size_t size() const { return offsets.size() - 1; }
  std::span<const std::int32_t> operator[](std::size_t g) const {
    return std::span<const std::int32_t>(rows).subspan(static_cast<std::size_t>(offsets[g]), static_cast<std::size_t>(offsets[g + 1] - offsets[g]));
  }
};

Groups group_rows(const Impressions& impressions, bool by_user, std::size_t users) {
  const std::size_t n = impressions.size();
  Groups groups;
  groups.rows.resize(n);
  if (!by_user) {
    std::iota(groups.rows.begin(), groups.rows.end(), 0);
    groups.offsets.resize(n + 1);
    std::iota(groups.offsets.begin(), groups.offsets.end(), 0);
    return groups;
  }
  std::vector<std::int32_t> group_of(users, -1);
  std::vector<std::int64_t> sizes;
  for (UserId user : impressions.users) {
    std::int32_t& group = group_of[static_cast<std::size_t>(user)];
    if (group < 0) {
      group = static_cast<std::int32_t>(sizes.size());
      sizes.push_back(0);
    }
    ++sizes[static_cast<std::size_t>(group)];
  }
  groups.offsets.resize(sizes.size() + 1);
  std::partial_sum(sizes.begin(), sizes.end(), groups.offsets.begin() + 1);
  std::vector<std::int64_t> next(groups.offsets.begin(), groups.offsets.end() - 1);
  for (std::size_t i = 0; i < n; ++i) {
    const std::int32_t group = group_of[static_cast<std::size_t>(impressions.users[i])];
    groups.rows[static_cast<std::size_t>(next[static_cast<std::size_t>(group)]++)] = static_cast<std::int32_t>(i);
  }
  return groups;
}

// Whether a group belongs to a slice. Its history is that of its first impression.
bool in_slice(const State& state, const Impressions& impressions, std::span<const std::int32_t> rows, const std::string& slice) {
  if (slice == "seen" || slice == "cold") {
    const bool wanted = slice == "seen";
    bool clicked = false;
    for (std::int32_t row : rows) {
      const auto i = static_cast<std::size_t>(row);
      const auto items = impressions.candidates[i];
      const std::size_t at = impressions.candidates.offsets()[i];
      for (std::size_t c = 0; c < items.size(); ++c) {
        if (!impressions.labels[at + c]) continue;
        clicked = true;
        if ((state.item_users[static_cast<std::size_t>(items[c])] > 0) != wanted) return false;
      }
    }
    return clicked;
  }
  const std::int32_t clicks = state.corpus.clicks_before[static_cast<std::size_t>(impressions.histories[static_cast<std::size_t>(rows.front())])];
  if (slice == "new") return clicks >= 1 && clicks <= 5;
  if (slice == "warm") return clicks > 5;
  return clicks == 0;  // "empty"
}

// Per-group values, slices and names; the values are filled by the caller's ranking.
struct Tally {
  Groups groups;
  std::vector<Metric> columns;           // grouped metrics
  std::vector<double> values;            // [groups x columns]
  std::vector<std::uint8_t> in_slice;    // [groups x slices]
};

Tally make_tally(const State& state, const Impressions& impressions, bool by_user) {
  Tally t;
  t.groups = group_rows(impressions, by_user, state.corpus.users.size());
  for (const Metric& metric : state.metrics)
    if (metric.grouped()) t.columns.push_back(metric);
  t.values.assign(t.groups.size() * t.columns.size(), kNone);
  t.in_slice.assign(t.groups.size() * state.options.slices.size(), 0);
  return t;
}

void fill_slices(const State& state, const Impressions& impressions, Tally& t, std::size_t g) {
  const std::vector<std::string>& slices = state.options.slices;
  for (std::size_t s = 0; s < slices.size(); ++s) t.in_slice[g * slices.size() + s] = in_slice(state, impressions, t.groups[g], slices[s]);
}

// Means over the groups with both classes, in all and by slice, summed in group order.
Metrics means(const State& state, const Tally& t, const std::vector<std::uint8_t>& skipped) {
  const std::vector<std::string>& slices = state.options.slices;
  Metrics result;
  for (std::size_t s = 0; s <= slices.size(); ++s) {  // the last round is all
    const bool all = s == slices.size();
    const std::string prefix = all ? "" : slices[s] + "/";
    std::vector<double> sums(t.columns.size(), 0.0);
    std::int64_t counted = 0, left_out = 0;
    for (std::size_t g = 0; g < t.groups.size(); ++g) {
      if (!all && !t.in_slice[g * slices.size() + s]) continue;
      if (skipped[g]) {
        ++left_out;
        continue;
      }
      ++counted;
      for (std::size_t m = 0; m < t.columns.size(); ++m) sums[m] += t.values[g * t.columns.size() + m];
    }
    result[prefix + "groups"] = static_cast<double>(counted);
    if (all) result["groups_skipped"] = static_cast<double>(left_out);
    if (counted == 0) continue;
    for (std::size_t m = 0; m < t.columns.size(); ++m) result[prefix + t.columns[m].name] = sums[m] / static_cast<double>(counted);
  }
  return result;
}

void add_global_auc(const State& state, const Impressions& impressions, std::span<const float> scores, const Tally& t, Metrics& result) {
  const auto metric = std::find_if(state.metrics.begin(), state.metrics.end(), [](const Metric& m) { return !m.grouped(); });
  if (metric == state.metrics.end()) return;
  const std::vector<std::string>& slices = state.options.slices;
  std::vector<double> found(slices.size() + 1, kNone);
  state.workspace.parallel_for(static_cast<std::int64_t>(found.size()), 1, [&](std::int64_t begin, std::int64_t end) {
    for (auto s = static_cast<std::size_t>(begin); s < static_cast<std::size_t>(end); ++s) {
      Ranking ranking;
      if (s == slices.size()) {
        rank_candidates(scores, impressions.labels, ranking);
      } else {
        std::vector<float> part;
        std::vector<std::uint8_t> labels;
        for (std::size_t g = 0; g < t.groups.size(); ++g) {
          if (!t.in_slice[g * slices.size() + s]) continue;
          for (std::int32_t row : t.groups[g]) {
            const auto i = static_cast<std::size_t>(row);
            for (std::size_t c = impressions.candidates.offsets()[i]; c < impressions.candidates.offsets()[i + 1]; ++c) {
              part.push_back(scores[c]);
              labels.push_back(impressions.labels[c]);
            }
          }
        }
        rank_candidates(part, labels, ranking);
      }
      if (!ranking.one_class()) found[s] = metric_value(*metric, ranking);
    }
  });
  for (std::size_t s = 0; s < found.size(); ++s)
    if (!std::isnan(found[s])) result[(s == slices.size() ? "" : slices[s] + "/") + metric->name] = found[s];
}

void fill_table(const State& state, const Impressions& impressions, bool by_user, Tally&& t, GroupTable& table) {
  table = {};
  for (std::size_t g = 0; g < t.groups.size(); ++g) {
    const auto row = static_cast<std::size_t>(t.groups[g].front());
    table.users.emplace_back(state.corpus.users.ids[static_cast<std::size_t>(impressions.users[row])]);
    table.ids.push_back(by_user ? table.users.back() : std::string(impressions.ids[row]));
  }
  for (const Metric& metric : t.columns) table.metrics.push_back(metric.name);
  table.slices = state.options.slices;
  table.values = std::move(t.values);
  table.in_slice = std::move(t.in_slice);
}

}  // namespace

void check_score(float score, const Impressions& impressions, std::size_t row) {
  if (!std::isnan(score)) return;
  throw Error(ErrorKind::kRun, fmt::format("the score of a candidate of impression {} is not a number", impressions.ids[row]),
              "training has diverged or an encoder divides by zero: try a smaller [train] lr, or [train] clip = 1");
}

Metrics evaluate(const EvaluationContext& context, const Impressions& impressions, std::span<const float> scores, GroupTable* groups) {
  const State& state = context.state();
  require_labels(impressions);
  if (scores.size() != impressions.candidates.values().size()) {
    throw Error(ErrorKind::kRun, fmt::format("{} scores for {} candidates", scores.size(), impressions.candidates.values().size()),
                "the interaction must give one score for each candidate");
  }
  Tally t = make_tally(state, impressions, state.by_user);
  std::vector<std::uint8_t> skipped(t.groups.size(), 0);
  const auto offsets = impressions.candidates.offsets();
  state.workspace.parallel_for(static_cast<std::int64_t>(t.groups.size()), kGrain, [&](std::int64_t begin, std::int64_t end) {
    state.workspace.check_cancelled();
    Ranking ranking;
    std::vector<float> joined_scores;
    std::vector<std::uint8_t> joined_labels;
    for (auto g = static_cast<std::size_t>(begin); g < static_cast<std::size_t>(end); ++g) {
      const auto rows = t.groups[g];
      joined_scores.clear();
      joined_labels.clear();
      for (std::int32_t row : rows) {
        const auto i = static_cast<std::size_t>(row);
        for (std::size_t c = offsets[i]; c < offsets[i + 1]; ++c) {
          check_score(scores[c], impressions, i);
          joined_scores.push_back(scores[c]);
          joined_labels.push_back(impressions.labels[c]);
        }
      }
      rank_candidates(joined_scores, joined_labels, ranking);
      fill_slices(state, impressions, t, g);
      skipped[g] = ranking.one_class();
      if (skipped[g]) continue;
      for (std::size_t m = 0; m < t.columns.size(); ++m) t.values[g * t.columns.size() + m] = metric_value(t.columns[m], ranking);
    }
  });
  Metrics result = means(state, t, skipped);
  add_global_auc(state, impressions, scores, t, result);
  if (groups) fill_table(state, impressions, state.by_user, std::move(t), *groups);
  return result;
}

Metrics evaluate_catalogue(const EvaluationContext& context, const Impressions& impressions, std::int64_t block,
                           const CatalogueScores& score, GroupTable* groups) {
  const State& state = context.state();
  require_labels(impressions);
  const std::size_t listed = state.corpus.items.listed;
  Tally t = make_tally(state, impressions, false);
  std::vector<std::uint8_t> skipped(t.groups.size(), 0);
  const auto n = static_cast<std::int64_t>(impressions.size());
  std::vector<float> scores;
  for (std::int64_t from = 0; from < n; from += block) {
    state.workspace.check_cancelled();
    const std::int64_t to = std::min(n, from + block);
    scores.assign(static_cast<std::size_t>(to - from) * listed, kNone);
    score(from, to, scores);
    state.workspace.parallel_for(to - from, 16, [&](std::int64_t begin, std::int64_t end) {
      Ranking ranking;
      std::vector<std::uint8_t> role(listed);  // 0 a candidate, 1 clicked, 2 left out
      std::vector<float> kept_scores;
      std::vector<std::uint8_t> kept_labels;
      for (std::int64_t r = begin; r < end; ++r) {
        const auto i = static_cast<std::size_t>(from + r);
        const std::span<const float> row = std::span<const float>(scores).subspan(static_cast<std::size_t>(r) * listed, listed);
        std::fill(role.begin(), role.end(), std::uint8_t{0});
        for (ItemId item : state.corpus.clicks(impressions.histories[i]))
          if (static_cast<std::size_t>(item) < listed) role[static_cast<std::size_t>(item)] = 2;
        const auto candidates = impressions.candidates[i];
        for (std::size_t c = 0; c < candidates.size(); ++c)
          if (impressions.labels[impressions.candidates.offsets()[i] + c]) role[static_cast<std::size_t>(candidates[c])] = 1;
        kept_scores.clear();
        kept_labels.clear();
        for (std::size_t item = 0; item < listed; ++item) {
          if (role[item] == 2) continue;
          check_score(row[item], impressions, i);
          kept_scores.push_back(row[item]);
          kept_labels.push_back(role[item]);
        }
        rank_candidates(kept_scores, kept_labels, ranking);
        fill_slices(state, impressions, t, i);
        skipped[i] = ranking.one_class();
        if (skipped[i]) continue;
        for (std::size_t m = 0; m < t.columns.size(); ++m) t.values[i * t.columns.size() + m] = metric_value(t.columns[m], ranking);
      }
    });
  }
  Metrics result = means(state, t, skipped);
  if (groups) fill_table(state, impressions, false, std::move(t), *groups);
  return result;
}

Metrics evaluate_catalogue(const EvaluationContext& context, const Impressions& impressions, const ListScorer& score, GroupTable* groups) {
  const auto listed = static_cast<std::int64_t>(context.state().corpus.items.listed);
  std::vector<ItemId> catalogue(static_cast<std::size_t>(listed));
  std::iota(catalogue.begin(), catalogue.end(), 0);
  const std::int64_t block = std::max<std::int64_t>(1, kBlockScores / std::max<std::int64_t>(1, listed));
  return evaluate_catalogue(context, impressions, block, [&](std::int64_t begin, std::int64_t end, std::span<float> scores) {
    Impressions part;
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      part.ids.push_back(impressions.ids[i]);
      part.users.push_back(impressions.users[i]);
      part.histories.push_back(impressions.histories[i]);
      part.times.push_back(impressions.times[i]);
      part.candidates.push_back(catalogue);
    }
    const std::vector<float> all = score(part);
    std::copy(all.begin(), all.end(), scores.begin());
  }, groups);
}

}  // namespace oncekit
