// Adam and AdamW over parameter groups with a learning rate each, on LibTorch's fused kernel.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "oncekit/model.h"
#include "train/options.h"

namespace oncekit {

/// The learning rate's factor at a step counted from 0: linear warm-up over `warmup` steps, (step + 1) / warmup, then constant, or
/// linear decay that reaches 0 at `decay_steps`.
double schedule_factor(const TrainOptions& options, std::int64_t step, double decay_steps);

/// beta 0.9 and 0.999, epsilon 1e-8 (Kingma and Ba 2015); AdamW after Loshchilov and Hutter 2019. Parameters without a gradient
/// in a step keep value and state.
class Optimizer {
 public:
  /// Learning rates: group "lm" gets lm_lr, any other lr. Throws Error(kPlugin) when a trainable parameter of `model` is in no
  /// group or in two.
  Optimizer(const torch::nn::Module& model, std::vector<ParamGroup> groups, const TrainOptions& options);

  void zero_grad();
  /// Scales all gradients so that their joint Euclidean norm is at most max_norm; returns the norm before.
  double clip(double max_norm);
  /// One step at learning rates times `factor`.
  void step(double factor);

  /// "exp_avg.NAME", "exp_avg_sq.NAME", "step.NAME" for each parameter NAME of the model, in the model's order.
  std::vector<std::pair<std::string, Tensor>> state() const;
  /// Copies a state in. Throws Error(kData) naming the tensor that is missing or of another shape.
  void load(const std::vector<std::pair<std::string, Tensor>>& state, const std::string& where);

 private:
  struct Slot {
    std::string name;
    Tensor parameter, exp_avg, exp_avg_sq, step;
    std::size_t group;
  };
  TrainOptions options_;
  std::vector<std::string> group_names_;
  std::vector<Slot> slots_;
};

}  // namespace oncekit
