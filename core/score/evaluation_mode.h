// Evaluation mode for a while: no dropout, no gradients; back to what every part was in afterwards.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include <c10/core/GradMode.h>
#include <torch/nn/module.h>

namespace oncekit {

class EvaluationMode {
 public:
  explicit EvaluationMode(torch::nn::Module& module) : module_(module), was_training_(module.is_training()) {
    for (const auto& part : module.modules(/*include_self=*/false)) parts_.emplace_back(part, part->is_training());
    module.eval();
  }
  ~EvaluationMode() {
    module_.train(was_training_);
    for (const auto& [part, was_training] : parts_) part->train(was_training);  // parents come before their children
  }
  EvaluationMode(const EvaluationMode&) = delete;

 private:
  torch::nn::Module& module_;
  bool was_training_;
  std::vector<std::pair<std::shared_ptr<torch::nn::Module>, bool>> parts_;
  c10::AutoGradMode no_gradients_{false};
};

}  // namespace oncekit
