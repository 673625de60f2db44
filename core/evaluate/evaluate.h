// Scores and labels -> metrics, for each group, each slice and in all. Knows no models: scores come as numbers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "evaluate/options.h"
#include "oncekit/corpus.h"
#include "oncekit/workspace.h"

namespace oncekit {

/// Flat: {"auc": .., "ndcg@5": .., "new/auc": .., "groups": .., "groups_skipped": .., "new/groups": ..}. Without the split's name.
using Metrics = std::map<std::string, double>;

/// Metrics of one group (an impression or a user) and the slices it belongs to.
struct GroupTable {
  std::vector<std::string> ids;                  ///< impression or user id, in the order of the data
  std::vector<std::string> users;                ///< user id of each group
  std::vector<std::string> metrics;              ///< column names
  std::vector<double> values;                    ///< [groups x metrics], row-major; NaN where the group has one class
  std::vector<std::string> slices;               ///< column names
  std::vector<std::uint8_t> in_slice;            ///< [groups x slices]
  std::size_t size() const noexcept { return ids.size(); }
};

/// Which training facts the slices and rankers need; made once a corpus. Keeps references to the corpus and the workspace.
/// One thread uses it at a time; the work inside runs on the workspace's threads.
class EvaluationContext {
 public:
  EvaluationContext(const Corpus& corpus, const EvaluateOptions& options, Workspace& workspace);
  ~EvaluationContext();
  struct State;
  const State& state() const { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

/// Throws Error(kRun) that names the impression in this row when a score of its candidates is NaN.
void check_score(float score, const Impressions& impressions, std::size_t row);

/// scores: one number a listed candidate, parallel to impressions.candidates.values(). Deterministic on any number of threads.
/// Throws Error(kRun) when a score is NaN, naming the impression.
Metrics evaluate(const EvaluationContext& context, const Impressions& impressions, std::span<const float> scores,
                 GroupTable* groups = nullptr);

/// Fills scores[(impression - begin) * items.listed + item] for the impressions [begin, end) of a split.
using CatalogueScores = std::function<void(std::int64_t begin, std::int64_t end, std::span<float> scores)>;

/// `candidates = "all"`: each impression on its own ranks the whole catalogue (rows [0, items.listed)) but the items of its
/// history, and its clicked candidates are the positives. `score` is called for `block` impressions at a time, in order.
Metrics evaluate_catalogue(const EvaluationContext& context, const Impressions& impressions, std::int64_t block,
                           const CatalogueScores& score, GroupTable* groups = nullptr);

/// The same from whatever scores listed candidates: it is asked about blocks of impressions whose lists are the whole catalogue.
using ListScorer = std::function<std::vector<float>(const Impressions& impressions)>;
Metrics evaluate_catalogue(const EvaluationContext& context, const Impressions& impressions, const ListScorer& score, GroupTable* groups = nullptr);

/// Scores of an untrained ranker ("popularity", "item_knn", "tfidf") for the listed candidates; fitted on training data only.
std::vector<float> rank_untrained(const EvaluationContext& context, const std::string& ranker, const Impressions& impressions);

/// per_group.csv: id, user, metrics, slices.
void write_groups(const GroupTable& groups, const std::filesystem::path& file);
/// The same back, to the same bits. Throws Error(kData) with file and line when it is absent or damaged.
GroupTable read_groups(const std::filesystem::path& file);

}  // namespace oncekit
