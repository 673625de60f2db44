// A recipe brought to life: its dataset loaded, its model built, its splits evaluated. Shared by `run`, `eval` and the data commands.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "augment/augment.h"
#include "evaluate/evaluate.h"
#include "model/build.h"
#include "oncekit/corpus.h"
#include "oncekit/dataset.h"
#include "recipe/recipe.h"
#include "run/options.h"
#include "run/workspace.h"
#include "score/latency.h"
#include "train/options.h"

namespace oncekit {

class Recommender;

/// What a recipe's dataset gives, without loading it.
Description describe_data(const Recipe& recipe);

/// Do the parts of a recipe fit, and its tables each other? Throws Error(kUsage) with all that does not. With a catalog, hints also name components
/// that the recipe does not use.
void check_fit(const Recipe& recipe, const Description& data, Catalog* catalog = nullptr);

class Session {
 public:
  /// The workspace's seed and memory budget are taken from the recipe's [run].
  Session(Recipe recipe, WorkspaceOptions workspace);
  ~Session();

  const Recipe& recipe() const { return recipe_; }
  const RecipeOptions& recipe_options() const { return recipe_.table<RecipeOptions>("recipe"); }
  const RunOptions& run_options() const { return recipe_.table<RunOptions>("run"); }
  const TrainOptions& train_options() const { return recipe_.table<TrainOptions>("train"); }
  const EvaluateOptions& evaluate_options() const { return recipe_.table<EvaluateOptions>("evaluate"); }
  HostWorkspace& workspace() { return workspace_; }

  /// What the dataset gives, without loading it; checks what the components need against it. Throws Error(kUsage or kData).
  const Description& description();
  void load_data();
  /// Asks for what the answer store lacks, and enriches the corpus; nothing without augmenters. REQUIRES: load_data()
  void augment_data();
  void build_model();  ///< REQUIRES: load_data()

  const Corpus& corpus() const { return corpus_; }
  /// What the augmenters asked and got. After augment_data().
  const std::vector<AugmentFigures>& augmented() const { return augmented_; }
  /// How augment_data() does it; `oncekit augment` changes dry_run and limit.
  AugmentSetup augment_setup() const;
  void augment_data(const AugmentSetup& setup);
  Recommender& model() { return *model_; }
  const ModelSize& size() const { return size_; }
  /// Figures of the corpus for results.json, e.g. {"items": 65238, "best_auc": 0.79}.
  std::map<std::string, double> facts() const;
  /// True when training draws negatives from dev and test, or augmenters' answers had seen what is to be predicted and were let through:
  /// every result then carries the prefix leaky/.
  bool leaky() const;

  /// Whether a split has impressions, and clicks to measure them by.
  bool has_labels(const std::string& split) const;
  /// split: "train", "dev" or "test". Throws Error(kUsage) when it has no impressions or no labels.
  Metrics evaluate_split(const std::string& split, GroupTable* groups);
  /// The candidates' ranks in a file, one line an impression (evaluate/prediction.h): what a leaderboard takes for a split without labels.
  void write_prediction(const std::string& split, const std::filesystem::path& file);
  Metrics evaluate_ranker(const std::string& ranker, const std::string& split);
  /// Of single calls, for users of a split. REQUIRES: build_model()
  std::vector<Latency> latency(const std::string& split);
  /// Of the evaluations so far; 0 before the first.
  double impressions_per_s() const { return seconds_ > 0 ? impressions_ / seconds_ : 0; }

 private:
  const Impressions& split(const std::string& name) const;     ///< throws Error(kUsage) for another name
  const Impressions& labelled(const std::string& name) const;  ///< ... or without labels
  std::vector<float> scores(const Impressions& impressions);
  EvaluationContext& context();
  /// Ranks the listed candidates, or the whole catalogue, as the recipe says.
  Metrics measure(const Impressions& impressions, const ListScorer& score, GroupTable* groups);

  Recipe recipe_;
  HostWorkspace workspace_;
  std::unique_ptr<Dataset> dataset_;
  std::optional<Description> description_;
  Corpus corpus_;
  std::vector<AugmentFigures> augmented_;
  std::shared_ptr<Recommender> model_;
  ModelSize size_;
  std::unique_ptr<EvaluationContext> context_;
  double impressions_ = 0, seconds_ = 0;
};

}  // namespace oncekit
