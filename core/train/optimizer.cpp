#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>

#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include "oncekit/error.h"

namespace oncekit {

double schedule_factor(const TrainOptions& options, std::int64_t step, double decay_steps) {
  const auto at = static_cast<double>(step);
  if (at < options.warmup) return std::min(1.0, (at + 1) / options.warmup);
  if (options.schedule == "constant") return 1;
  return std::clamp((decay_steps - at) / std::max(1.0, decay_steps - options.warmup), 0.0, 1.0);
}

Optimizer::Optimizer(const torch::nn::Module& model, std::vector<ParamGroup> groups, const TrainOptions& options) : options_(options) {
  std::unordered_map<const void*, std::size_t> group_of;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    group_names_.push_back(groups[g].name);
    for (const Tensor& parameter : groups[g].parameters) {
      if (!group_of.emplace(parameter.unsafeGetTensorImpl(), g).second) {
        throw Error(ErrorKind::kPlugin, fmt::format("a parameter of shape [{}] stands twice in the model's parameter groups", fmt::join(parameter.sizes(), ", ")),
                    "a component's groups() must name each parameter once");
      }
    }
  }
  for (const auto& named : model.named_parameters()) {
    const Tensor& parameter = named.value();
    if (!parameter.requires_grad()) continue;
    const auto found = group_of.find(parameter.unsafeGetTensorImpl());
    if (found == group_of.end()) {
      throw Error(ErrorKind::kPlugin, "trainable parameter '" + named.key() + "' is in no parameter group",
                  "the component's groups() must name it, or it must not require gradients");
    }
    slots_.push_back({named.key(), parameter, at::zeros_like(parameter), at::zeros_like(parameter),
                      at::zeros({}, parameter.options().dtype(at::kFloat).requires_grad(false)), found->second});
  }
}

void Optimizer::zero_grad() {
  // Undefined gradients, not zeros: the first backward then hands its tensor over instead of adding to one.
  for (Slot& slot : slots_) slot.parameter.mutable_grad() = Tensor();
}

double Optimizer::clip(double max_norm) {
  const c10::AutoGradMode no_gradients(false);
  double square = 0;
  for (const Slot& slot : slots_) {
    if (!slot.parameter.grad().defined()) continue;
    const double norm = at::linalg_vector_norm(slot.parameter.grad(), 2).item<double>();
    square += norm * norm;
  }
  const double norm = std::sqrt(square);
  if (norm > max_norm) {
    for (const Slot& slot : slots_) {
      if (slot.parameter.grad().defined()) slot.parameter.mutable_grad().mul_(max_norm / norm);
    }
  }
  return norm;
}

void Optimizer::step(double factor) {
  const c10::AutoGradMode no_gradients(false);
  struct Lists {
    std::vector<Tensor> parameters, grads, exp_avgs, exp_avg_sqs, steps;
  };
  // The kernel wants one device and type a call.
  std::map<std::tuple<std::size_t, int, int>, Lists> calls;
  for (Slot& slot : slots_) {
    const Tensor& grad = slot.parameter.grad();
    if (!grad.defined()) continue;
    slot.step.add_(1);
    Lists& lists = calls[{slot.group, static_cast<int>(slot.parameter.scalar_type()), slot.parameter.device().index()}];
    lists.parameters.push_back(slot.parameter);
    lists.grads.push_back(grad.is_contiguous() || grad.strides() == slot.parameter.strides() ? grad : grad.contiguous());
    lists.exp_avgs.push_back(slot.exp_avg);
    lists.exp_avg_sqs.push_back(slot.exp_avg_sq);
    lists.steps.push_back(slot.step);
  }
  const auto kernel = [&](auto&& f, Lists& l, double lr) {
    f(l.parameters, l.grads, l.exp_avgs, l.exp_avg_sqs, at::TensorList{}, l.steps, lr, 0.9, 0.999, options_.weight_decay, 1e-8, false, false);
  };
  for (auto& [key, lists] : calls) {
    const double lr = factor * (group_names_[std::get<0>(key)] == "lm" ? options_.lm_lr : options_.lr);
    if (options_.optimizer == "adamw") {
      kernel([](auto&&... a) { at::_fused_adamw_(a...); }, lists, lr);
    } else {
      kernel([](auto&&... a) { at::_fused_adam_(a...); }, lists, lr);
    }
  }
}

std::vector<std::pair<std::string, Tensor>> Optimizer::state() const {
  std::vector<std::pair<std::string, Tensor>> state;
  for (const Slot& slot : slots_) {
    state.emplace_back("exp_avg." + slot.name, slot.exp_avg);
    state.emplace_back("exp_avg_sq." + slot.name, slot.exp_avg_sq);
    state.emplace_back("step." + slot.name, slot.step);
  }
  return state;
}

void Optimizer::load(const std::vector<std::pair<std::string, Tensor>>& state, const std::string& where) {
  std::map<std::string, Tensor> by_name(state.begin(), state.end());
  for (auto& [name, target] : this->state()) {
    const auto found = by_name.find(name);
    if (found == by_name.end() || found->second.sizes() != target.sizes() || found->second.scalar_type() != target.scalar_type()) {
      throw Error(ErrorKind::kData, "optimizer tensor '" + name + "' is missing or of another shape or type than this model's",
                  "the checkpoint belongs to another model: start a new run", where);
    }
    target.copy_(found->second);
  }
}

}  // namespace oncekit
