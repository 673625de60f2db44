// Checkpoints: written whole or not at all, checked when read. Format: docs/formats.md, "Checkpoints".
//
//   checkpoints/step-00000120/   model.safetensors optimizer.safetensors state.json vocabulary.<name>.txt
//   checkpoints/last, best       symbolic links to such folders, swapped by rename(2): a kill leaves the old one or the new one
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <string_view>

namespace oncekit {

class Recommender;  // model/recommender.h
class Optimizer;    // train/optimizer.h

/// How far training is: all of it but tensors.
struct TrainState {
  std::int64_t step = 0;                 ///< optimizer steps taken; epoch and place in it follow from it
  std::int64_t checked_step = -1;        ///< of the last dev check
  double best = -std::numeric_limits<double>::infinity();
  std::int64_t best_step = -1;
  std::int64_t checks_without_gain = 0;
  double loss_sum = 0;                   ///< since the last row of curves.csv
  std::int64_t loss_steps = 0;
  std::int64_t samples = 0;
  double seconds = 0;
  std::map<std::string, double> stage_s;
  std::int64_t curves_bytes = 0, losses_bytes = 0;  ///< lengths of curves.csv and losses.csv at this step
  std::string recipe_hash, environment;
  std::uint64_t seed = 0;
};

/// The checkpoints of one run. One process at a time.
class CheckpointFolder {
 public:
  /// folder: the run's checkpoints/. Made when absent; what a kill left half done is removed.
  explicit CheckpointFolder(std::filesystem::path folder);

  bool has(const std::string& name) const;  ///< "last" or "best"
  std::filesystem::path path(const std::string& name) const { return folder_ / name; }

  /// Saves and makes it `last`, and `best` too when `is_best`. Throws Error(kRun) when the disk refuses or a weight is not finite;
  /// earlier checkpoints then stand as before.
  void save(Recommender& model, const Optimizer& optimizer, const TrainState& state, bool is_best);
  /// Reads `last`, all of it checked. Throws Error(kData) naming the damaged file, or what differs.
  TrainState load_last(Recommender& model, Optimizer& optimizer);
  /// Removes everything in it.
  void clear();

 private:
  void point(const std::string& name, const std::string& target);
  void remove_unreferenced();
  std::filesystem::path folder_;
};

/// Loads weights and buffers into a prepared model. `checkpoint` is a folder with model.safetensors (e.g. RUN/checkpoints/best).
/// Throws Error(kData) when something is damaged, or when shapes, vocabularies or frozen parts differ from the model's: the
/// message names what.
void load_checkpoint(Recommender& model, const std::filesystem::path& checkpoint);

/// State of a checkpoint without its tensors. Throws Error(kData) when damaged.
TrainState read_train_state(const std::filesystem::path& checkpoint);

/// For tests only: called with the name of each point of save() where a kill is to be survived.
std::function<void(std::string_view)>& checkpoint_fault_hook();

}  // namespace oncekit
