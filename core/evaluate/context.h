// What an EvaluationContext holds: the training facts behind slices and untrained rankers. Internal to this room.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "evaluate/evaluate.h"
#include "evaluate/metrics.h"

namespace oncekit {

/// Title words as sparse unit vectors; made on first use.
struct TitleVectors;

struct EvaluationContext::State {
  State(const Corpus& corpus, const EvaluateOptions& options, Workspace& workspace);
  ~State();

  const Corpus& corpus;
  Workspace& workspace;
  EvaluateOptions options;
  std::vector<Metric> metrics;  ///< options.metrics, parsed
  bool by_user = false;         ///< groups are users

  /// Per user, the distinct items of its training clicks and of the clicks in its training histories, ascending.
  Ragged<ItemId> user_items;
  /// Per item, how many users have it in user_items: its popularity, and whether it was seen in training.
  std::vector<std::int32_t> item_users;

  const TitleVectors& titles() const;  ///< thread-safe

 private:
  mutable std::once_flag titles_made_;
  mutable std::unique_ptr<TitleVectors> titles_;
};

}  // namespace oncekit
