// Layers that train: adapters or full weights, and gradient checkpointing.
#include <algorithm>
#include <cmath>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/empty.h>
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

class TunedContext final : public BatchContext {
 public:
  TunedContext(TunedLayer& layer, const TokenBatch& batch) : BatchContext(batch), layer_(layer) {}
  Tensor linear(const std::string& name, const Tensor& x_NI) override { return layer_.linear(name, x_NI); }

 protected:
  Tensor vector(const std::string& name) override { return layer_.vector(name); }

 private:
  TunedLayer& layer_;
};

// The final norm has vectors only.
class NormContext final : public BatchContext {
 public:
  NormContext(const FinalNorm& norm, const TokenBatch& batch) : BatchContext(batch), norm_(norm) {}
  Tensor linear(const std::string& name, const Tensor&) override {
    throw Error(ErrorKind::kPlugin, "finish() asks for the linear layer '" + name + "'", "after the last layer there are norms only");
  }

 protected:
  Tensor vector(const std::string& name) override { return norm_.vector(name); }

 private:
  const FinalNorm& norm_;
};

/// Where the random numbers of a layer come from: this device's generator, and the host's, which draws the seeds of kernels of our own.
class Draws {
 public:
  explicit Draws(const at::Device& device) {
    keep(at::kCPU);
    if (!device.is_cpu()) keep(device);
  }
  /// Draws go on as they did when this was made.
  void restore() {
    for (auto& [generator, state] : kept_) generator.set_state(state);
  }

 private:
  void keep(const at::Device& device) {
    const at::Generator generator = at::globalContext().defaultGenerator(device);
    kept_.emplace_back(generator, generator.get_state());
  }
  std::vector<std::pair<at::Generator, Tensor>> kept_;
};

/// What the backward pass needs to run a layer again.
struct Again final : torch::CustomClassHolder {
  Again(std::function<Tensor(const Tensor&)> layer, const at::Device& device) : run(std::move(layer)), draws(device) {}
  std::function<Tensor(const Tensor&)> run;
  Draws draws;  ///< before the first run, so that dropout draws the same masks
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
    const c10::AutoGradMode with_gradients(true);
    const Tensor x = context->get_saved_variables()[0].detach().requires_grad_(true);
    Draws now(x.device());
    again->draws.restore();
    const Tensor y = again->run(x);
    now.restore();
    torch::autograd::backward({y}, {gradients[0]});
    return {x.grad(), Tensor()};
  }
};

std::string flat(std::string name) {
  std::replace(name.begin(), name.end(), '.', '_');  // a parameter's name may hold no dots
  return name;
}

std::string without_ending(const std::string& name) { return name.substr(0, name.rfind('.')); }  ///< ".weight", ".bias"
std::string last_part(const std::string& name) { return name.substr(name.rfind('.') + 1); }

Tensor owned(const Tensor& stored, const at::Device& device) { return stored.to(device, at::kFloat, /*non_blocking=*/false, /*copy=*/true); }

}  // namespace

TunedLayer::TunedLayer(const ModelSource& source, const Architecture& architecture, std::int64_t layer, const Tuning& tuning, at::Device device)
    : torch::nn::Module("TunedLayer"), architecture_(architecture), index_(layer), tuning_(tuning) {
  const std::string prefix = architecture.layer_prefix(layer);
  const auto read = [&](const std::string& name) { return source.read(checkpoint_name(source, prefix + name)); };
  const auto kept = [&](const std::string& name, const Tensor& stored) {
    const Tensor value = owned(stored, device);
    return tuning.full ? register_parameter(flat(name), value) : value;
  };
  std::vector<std::string> names;  // of linear layers
  for (const TensorNeed& need : architecture.layer_tensors())
    if (need.shape.size() == 2) names.push_back(without_ending(need.name));
  for (const TensorNeed& need : architecture.layer_tensors()) {
    const std::string name = without_ending(need.name);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      vectors_[need.name] = kept(need.name, read(need.name));
    } else if (need.shape.size() == 2) {
      const Tensor weight = read(need.name), bias = source.contains(prefix + name + ".bias") ? read(name + ".bias") : Tensor();
      if (tuning.full) {
        weights_[name] = {kept(need.name, weight), bias.defined() ? kept(name + ".bias", bias) : Tensor()};
      } else {
        frozen_.emplace(name, FrozenLinear(weight.to(device), bias.defined() ? owned(bias, device) : Tensor(), Compute::kFloat32, /*backward=*/true));
      }
    }
  }
  if (tuning.full) return;
  for (const std::string& target : tuning.targets) {
    bool found = false;
    for (const TensorNeed& need : architecture.layer_tensors()) {
      const std::string name = without_ending(need.name);
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
  // The tree must live until the backward pass: it is copied.
  auto tree = std::make_shared<TokenTree>(*batch.tree);
  TokenBatch own = batch;
  own.tree = tree.get();
  auto again = c10::make_intrusive<Again>([this, tree, own](const Tensor& x) { return run(x, own); }, x_ND.device());
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

Tensor FinalNorm::forward(const Tensor& x_ND, const TokenBatch& batch) {
  NormContext context(*this, batch);
  return architecture_.finish(context, x_ND);
}

}  // namespace oncekit::lm
