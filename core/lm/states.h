// The frozen layers of a model over all items, one layer in memory at a time, and the files that their states become.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "text/token_tree.h"
#include "lm/layer.h"
#include "oncekit/language_model.h"
#include "weights/model_source.h"

namespace oncekit::lm {

/// What to compute. Everything in it must outlive the build.
struct StatesJob {
  const ModelSource& source;
  const Architecture& architecture;
  const Forest& forest;
  std::int64_t layers = 0;                    ///< layers [0, layers) are run; 0 = embeddings alone
  bool finish = false;                        ///< the final norm follows
  Compute compute = Compute::kFloat32;
  at::ScalarType states = at::kBFloat16;      ///< type of the states at every layer boundary
  std::string device = "cpu";
};

/// What it takes, before it begins.
struct StatesCost {
  double flop = 0;                 ///< of linear layers and attention
  std::int64_t disk = 0;           ///< bytes at its peak: two boundaries, and with `pooled` what stays
  std::int64_t result = 0;         ///< bytes that stay
  std::int64_t memory = 0;         ///< bytes: one layer's weights as read and packed or the embeddings as read, and one batch's values
};
/// pooled: of a build whose means and last states stay, and whose states do not.
StatesCost states_cost(const StatesJob& job, bool pooled = false);
/// Of one layer's products: a token costs twice as many operations.
double linear_weights(const Architecture& architecture);

/// One step through the frozen layers: step 0 makes boundary 0 from the embeddings, step l runs layer l - 1; step job.layers ends with the final
/// norm where job.finish is set. Weights are read when first used and kept while it lives. The job must outlive it. One thread at a time.
class FrozenStep {
 public:
  FrozenStep(const StatesJob& job, std::int64_t step);
  /// Memory for a boundary of one tree, [full_rows(nodes), D] in job.states: zeros behind the tree's nodes.
  static Tensor rows_for(const StatesJob& job, std::int64_t nodes);
  /// below: rows_for() with the boundary below in it; step 0 takes none. -> [nodes, D] in job.states, on the host.
  Tensor run(const TokenTree& tree, const Tensor& below);

 private:
  const StatesJob& job_;
  std::int64_t step_;
  at::Device device_;
  FrozenLayer layer_, outer_;             ///< outer: the final norm, never rounded, since its result is stored
  std::map<std::string, Tensor> tables_;  ///< embeddings; read once: a quantised table is computed as a whole
};

/// Builds into `folder`: states.bin [nodes, D], row-major, in the states' type, and about.json (figures of the build). Keeps its progress
/// there too: called again on a folder that a killed or interrupted build left, it goes on and ends with the same bytes. At most one layer, or
/// ten minutes, are lost. Where about.json is, written last, it does nothing: states.bin may be gone by then. With `pooled` set also writes there, for each boundary l in [0, layers], mean.L.bin and last.L.bin:
/// float32 [items, D], mean and last of each item's states. Throws Error(kRun) when the disk is full, Error(kInterrupted).
void build_states(const StatesJob& job, const std::filesystem::path& folder, const std::filesystem::path& pooled, Workspace& workspace);

/// Of a batch's trees, in nodes: a function of the model's width alone.
std::int64_t nodes_a_tree(const Shape& shape);

/// For tests: called after each tree, at each point where progress is kept and behind each of the last steps, with a name for it.
std::function<void(const std::string&)>& states_fault_hook();

}  // namespace oncekit::lm
