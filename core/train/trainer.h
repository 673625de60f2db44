// Training: samples -> batches -> steps, with dev checks, early stopping, and checkpoints that resume to the same bits.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "oncekit/corpus.h"
#include "oncekit/workspace.h"
#include "train/options.h"

namespace oncekit {

class Recommender;  // model/recommender.h: this header stays free of torch, for the run room

/// What training hands back, for results.json and the report.
struct TrainSummary {
  std::int64_t steps = 0, samples = 0;
  double epochs = 0;
  double best_dev = 0;           ///< of `monitor`
  std::int64_t best_step = 0;
  bool stopped_early = false;
  double seconds = 0;            ///< of training steps alone, resumed parts included
  double samples_per_s = 0;
  std::map<std::string, double> stage_s;  ///< "batch", "forward", "backward", "optimizer", "dev", "save"
  bool leaky = false;            ///< negatives came from dev and test too: results go under `leaky/`
  std::int64_t skipped = 0;      ///< clicked candidates without any negative: no samples
  std::vector<std::string> notes;  ///< for run.json, e.g. that a run was resumed on another machine
};

/// Dev metrics, flat names without the split: {"auc": 0.61, ...}. Must not change the model.
using DevCheck = std::function<std::map<std::string, double>(std::int64_t step)>;

/// Optimizer steps of a training that no early stopping ends. samples: of an epoch (Sampler::size()).
std::int64_t most_steps(const TrainOptions& options, std::int64_t samples);

struct TrainSetup {
  TrainOptions options;
  std::uint64_t seed = 0;                ///< run.seed
  std::filesystem::path folder;          ///< checkpoints/, curves.csv and losses.csv go here
  std::string recipe_hash;               ///< a checkpoint of another recipe is refused
  bool resume = false;                   ///< continue from folder/checkpoints/last when it exists
  std::string environment;               ///< CPU, threads, build, as text: another one on resuming is refused …
  bool accept_environment = false;       ///< … unless the user said so
};

/// Leaves the model with the best checkpoint's weights. On cancellation saves checkpoints/last, then throws Error(kInterrupted).
TrainSummary train(Recommender& model, const Corpus& corpus, const TrainSetup& setup, const DevCheck& dev, Workspace& workspace);

}  // namespace oncekit
