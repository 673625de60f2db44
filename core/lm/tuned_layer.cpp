// Layers that train: adapters or full weights, and gradient checkpointing.
#include <algorithm>
#include <cmath>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include "lm/layer.h"
#include "oncekit/error.h"
#include "oncekit/nn.h"

namespace oncekit::lm {
namespace {

class TunedContext final : public LayerContext {
 public:
  TunedContext(TunedLayer& layer, const TokenBatch& batch) : layer_(layer), batch_(batch) {}
  Tensor linear(const std::string& name, const Tensor& x_NI) override { return layer_.linear(name, x_NI); }
  Tensor rms_norm(const std::string& name, const Tensor& x, double eps) override { return lm::rms_norm(x, layer_.vector(name + ".weight"), eps); }
  Tensor layer_norm(const std::string& name, const Tensor& x_ND, double eps) override {
    return at::layer_norm(x_ND, {x_ND.size(-1)}, layer_.vector(name + ".weight"), layer_.vector(name + ".bias"), eps);
  }
  Tensor rotate(const Tensor& x_NHW) override { return lm::rotate(x_NHW, batch_.cos_NW2, batch_.sin_NW2); }
  Tensor swiglu(const Tensor& gate, const Tensor& up) override { return lm::swiglu(gate, up); }
  Tensor attend(const Tensor& q_NHW, const Tensor& k_NGW, const Tensor& v_NGW, double scale) override {
    return lm::attend(q_NHW, k_NGW, v_NGW, *batch_.tree, batch_.causal, scale).flatten(1);
  }

 private:
  TunedLayer& layer_;
  const TokenBatch& batch_;
};

// The final norm has vectors only.
class NormContext final : public LayerContext {
 public:
  explicit NormContext(const FinalNorm& norm) : norm_(norm) {}
  Tensor linear(const std::string& name, const Tensor&) override {
    throw Error(ErrorKind::kPlugin, "finish() asks for the linear layer '" + name + "'", "after the last layer there are norms only");
  }
  Tensor rms_norm(const std::string& name, const Tensor& x, double eps) override { return lm::rms_norm(x, norm_.vector(name + ".weight"), eps); }
  Tensor layer_norm(const std::string& name, const Tensor& x_ND, double eps) override {
    return at::layer_norm(x_ND, {x_ND.size(-1)}, norm_.vector(name + ".weight"), norm_.vector(name + ".bias"), eps);
  }
  Tensor rotate(const Tensor&) override { return linear("rotate", {}); }
  Tensor swiglu(const Tensor& gate, const Tensor& up) override { return lm::swiglu(gate, up); }
  Tensor attend(const Tensor&, const Tensor&, const Tensor&, double) override { return linear("attend", {}); }

 private:
  const FinalNorm& norm_;
};

/// What the backward pass needs to run a layer again.
struct Again final : torch::CustomClassHolder {
  std::function<Tensor(const Tensor&)> run;
  Tensor generator;  ///< state before the first run, so that dropout draws the same masks
};

/// Keeps a layer's input instead of all that it computed (Chen et al. 2016). Parameters get their gradients from the second run.
class Recompute : public torch::autograd::Function<Recompute> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const c10::intrusive_ptr<Again>& again) {
    context->save_for_backward({x});
    context->saved_data["again"] = c10::IValue::make_capsule(again);
    const c10::AutoGradMode no_gradients(false);
    return again->run(x);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context, torch::autograd::variable_list gradients) {
    const auto again = c10::static_intrusive_pointer_cast<Again>(context->saved_data["again"].toCapsule());
    at::Generator generator = at::globalContext().defaultGenerator(at::kCPU);
    const Tensor now = generator.get_state();
    generator.set_state(again->generator);
    const c10::AutoGradMode with_gradients(true);
    const Tensor x = context->get_saved_variables()[0].detach().requires_grad_(true);
    const Tensor y = again->run(x);
    generator.set_state(now);
    torch::autograd::backward({y}, {gradients[0]});
    return {x.grad(), Tensor()};
  }
};

std::string flat(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');  // a parameter's name may hold no dots
  return name;
}

std::string last_part(const std::string& name) { return name.substr(name.rfind('.') + 1); }

Tensor owned(const Tensor& stored, const at::Device& device) { return stored.to(device, at::kFloat, /*non_blocking=*/false, /*copy=*/true); }

}  // namespace

TunedLayer::TunedLayer(const ModelSource& source, const Architecture& architecture, std::int64_t layer, const Tuning& tuning, at::Device device)
    : torch::nn::Module("TunedLayer"), architecture_(architecture), index_(layer), tuning_(tuning) {
  const std::string prefix = architecture.layer_prefix(layer);
  std::vector<std::string> names;
  for (const TensorNeed& need : architecture.layer_tensors()) {
    const Tensor stored = source.read(checkpoint_name(source, prefix + need.name));
    if (need.shape.size() == 1 && !need.name.ends_with(".bias")) {
      vectors_[need.name] = tuning.full ? register_parameter(flat(need.name), owned(stored, device)) : owned(stored, device);
    } else if (need.shape.size() == 2) {
      const std::string name = need.name.substr(0, need.name.size() - std::string(".weight").size());
      names.push_back(name);
      const std::string bias_name = prefix + name + ".bias";
      const Tensor bias = source.contains(bias_name) ? owned(source.read(bias_name), device) : Tensor();
      if (tuning.full) {
        auto& [weight, own_bias] = weights_[name];
        weight = register_parameter(flat(name) + "_weight", owned(stored, device));
        if (bias.defined()) own_bias = register_parameter(flat(name) + "_bias", bias);
      } else {
        frozen_.emplace(name, FrozenLinear(stored.to(device), bias, Compute::kFloat32, /*backward=*/true));
      }
    }
  }
  // Biases of norms: those that belong to no linear layer.
  for (const TensorNeed& need : architecture.layer_tensors()) {
    if (need.shape.size() != 1 || !need.name.ends_with(".bias")) continue;
    if (std::find(names.begin(), names.end(), need.name.substr(0, need.name.size() - 5)) != names.end()) continue;
    const Tensor value = owned(source.read(checkpoint_name(source, prefix + need.name)), device);
    vectors_[need.name] = tuning.full ? register_parameter(flat(need.name), value) : value;
  }
  if (tuning.full) return;
  for (const std::string& target : tuning.targets) {
    bool found = false;
    for (const TensorNeed& need : architecture.layer_tensors()) {
      const std::string name = need.name.substr(0, need.name.rfind('.'));
      if (need.shape.size() != 2 || last_part(name) != target) continue;
      found = true;
      // PEFT's initialisation: A as a linear layer's weight, B zero, so that training begins at the model as it is.
      const double bound = 1 / std::sqrt(static_cast<double>(need.shape[1]));
      const Tensor a = at::empty({tuning.rank, need.shape[1]}, at::kFloat).uniform_(-bound, bound).to(device);
      const Tensor b = at::zeros({need.shape[0], tuning.rank}, at::TensorOptions().dtype(at::kFloat).device(device));
      adapters_.push_back({name, register_parameter(flat(name) + "_lora_A", a), register_parameter(flat(name) + "_lora_B", b)});
    }
    if (!found) {
      std::vector<std::string> known;
      for (const std::string& name : names) known.push_back(last_part(name));
      const std::string near = nearest_name(target, known);
      throw Error(ErrorKind::kUsage, "lora_targets names '" + target + "', which is no linear layer of this model",
                  near.empty() ? fmt::format("there are {}", fmt::join(known, ", ")) : "did you mean '" + near + "'?", "content_encoder.lora_targets");
    }
  }
}

TunedLayer::~TunedLayer() = default;

Tensor TunedLayer::vector(const std::string& name) const { return vectors_.at(name); }

Tensor TunedLayer::linear(const std::string& name, const Tensor& x_NI) {
  if (tuning_.full) {
    const auto& [weight, bias] = weights_.at(name);
    return at::linear(x_NI, weight, bias);
  }
  Tensor y = frozen_.at(name).forward(x_NI);
  for (const Adapter& adapter : adapters_) {
    if (adapter.name != name) continue;
    const Tensor x = nn::dropout(x_NI, tuning_.dropout, is_training());
    y = y + at::linear(at::linear(x, adapter.a_RI), adapter.b_OR * (tuning_.alpha / static_cast<double>(tuning_.rank)));
  }
  return y;
}

Tensor TunedLayer::run(const Tensor& x_ND, const TokenBatch& batch) {
  TunedContext context(*this, batch);
  return architecture_.layer(context, x_ND);
}

Tensor TunedLayer::forward(const Tensor& x_ND, const TokenBatch& batch) {
  if (!tuning_.recompute || !c10::GradMode::is_enabled()) return run(x_ND, batch);
  auto again = c10::make_intrusive<Again>();
  // The tree must live until the backward pass: it is copied.
  auto tree = std::make_shared<TokenTree>(*batch.tree);
  TokenBatch own = batch;
  own.tree = tree.get();
  again->run = [this, tree, own](const Tensor& x) { return run(x, own); };
  again->generator = at::globalContext().defaultGenerator(at::kCPU).get_state();
  // Parameters are no inputs of the function, so its input must ask for gradients even where nothing below it trains.
  const Tensor x = x_ND.requires_grad() ? x_ND : x_ND.detach().requires_grad_(true);
  return Recompute::apply(x, again);
}

FinalNorm::FinalNorm(const ModelSource& source, const Architecture& architecture, bool trained, at::Device device)
    : torch::nn::Module("FinalNorm"), architecture_(architecture) {
  for (const TensorNeed& need : architecture.final_tensors()) {
    const Tensor value = owned(source.read(checkpoint_name(source, need.name)), device);
    vectors_[need.name] = trained ? register_parameter(flat(need.name), value) : value;
  }
}

FinalNorm::~FinalNorm() = default;

Tensor FinalNorm::vector(const std::string& name) const { return vectors_.at(name); }

Tensor FinalNorm::forward(const Tensor& x_ND, const TokenBatch&) {
  NormContext context(*this);
  return architecture_.finish(context, x_ND);
}

}  // namespace oncekit::lm
