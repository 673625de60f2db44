// The two ways a layer runs: frozen, on packed weights without gradients; tuned, with gradients and adapters.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <torch/nn/module.h>

#include "lm/config.h"
#include "kernels/kernels.h"
#include "text/token_tree.h"
#include "oncekit/language_model.h"

namespace oncekit::lm {

/// The tokens of a batch as layers see them, on one device. `tree` must outlive it. Layers may run on more rows than the tree has nodes; those are
/// nobody's, and count for no other.
struct TokenBatch {
  const TokenTree* tree = nullptr;
  bool causal = true;
  Tensor cos_NW2, sin_NW2;  ///< undefined without rotary positions

  TokenBatch() = default;
  TokenBatch(const TokenTree& tree, const Shape& shape, const at::Device& device, std::int64_t rows);
  TokenBatch(const TokenTree& tree, const Shape& shape, const at::Device& device) : TokenBatch(tree, shape, device, tree.nodes()) {}
};

/// The weights of one layer (or, with an empty prefix, of the final norm), read when first used. One thread at a time.
class FrozenLayer {
 public:
  FrozenLayer(const ModelSource& source, std::string prefix, Compute compute, at::Device device);
  ~FrozenLayer();

  const FrozenLinear& linear(const std::string& name);
  const Tensor& vector(const std::string& name);  ///< a norm's weight or bias, float32

  Compute compute() const noexcept { return compute_; }

 private:
  const ModelSource& source_;
  std::string prefix_;
  Compute compute_;
  at::Device device_;
  std::map<std::string, FrozenLinear> linears_;
  std::map<std::string, Tensor> vectors_;
};

/// What all layers compute alike; where weights come from is left open.
class BatchContext : public LayerContext {
 public:
  explicit BatchContext(const TokenBatch& batch) : batch_(batch) {}
  ~BatchContext() override;
  Tensor add(const Tensor& x_ND, const Tensor& y_ND) override;
  Tensor rms_norm(const std::string& name, const Tensor& x, double eps) override;
  Tensor layer_norm(const std::string& name, const Tensor& x_ND, double eps) override;
  Tensor rotate(const Tensor& x_NHW) override;
  Tensor swiglu(const Tensor& gate, const Tensor& up) override;
  Tensor gelu(const Tensor& x) override;
  Tensor attend(const Tensor& q_NHW, const Tensor& k_NGW, const Tensor& v_NGW, double scale) override;

 protected:
  virtual Tensor vector(const std::string& name) = 0;  ///< a norm's weight or bias, float32

 private:
  const TokenBatch& batch_;
};

/// Runs an architecture's layer on frozen weights.
class FrozenContext final : public BatchContext {
 public:
  FrozenContext(FrozenLayer& layer, const TokenBatch& batch) : BatchContext(batch), layer_(layer) {}
  Tensor linear(const std::string& name, const Tensor& x_NI) override;
  Tensor rms_norm(const std::string& name, const Tensor& x, double eps) override;
  Tensor layer_norm(const std::string& name, const Tensor& x_ND, double eps) override;

 protected:
  Tensor vector(const std::string& name) override { return layer_.vector(name); }

 private:
  bool rounds() const { return layer_.compute() != Compute::kFloat32; }

  FrozenLayer& layer_;
  Tensor input_, rounded_;  ///< of the last product: several in a row have the same input, which is rounded once
};

/// How top layers train.
struct Tuning {
  bool full = false;               ///< all of the layer's weights; else adapters alone
  std::int64_t rank = 32;
  double alpha = 128, dropout = 0.1;
  std::vector<std::string> targets;  ///< last parts of names
  bool recompute = false;
};

/// One tuned layer. Float32. With adapters the base weights are packed and no parameters: neither trained nor saved.
class TunedLayer : public torch::nn::Module {
 public:
  /// Throws Error(kUsage) when a target names no linear layer.
  TunedLayer(const ModelSource& source, const Architecture& architecture, std::int64_t layer, const Tuning& tuning, at::Device device);
  ~TunedLayer() override;

  Tensor forward(const Tensor& x_ND, const TokenBatch& batch);

  /// W x + b + alpha / rank * B (A dropout(x)) (Hu et al. 2022, section 4.1).
  Tensor linear(const std::string& name, const Tensor& x_NI);
  Tensor vector(const std::string& name) const;

  struct Adapter {
    std::string name;       ///< of the linear layer, relative to the layer
    Tensor a_RI, b_OR;
  };
  const std::vector<Adapter>& adapters() const noexcept { return adapters_; }
  std::int64_t index() const noexcept { return index_; }

 private:
  Tensor run(const Tensor& x_ND, const TokenBatch& batch);

  const Architecture& architecture_;
  std::int64_t index_;
  Tuning tuning_;
  std::map<std::string, FrozenLinear> frozen_;
  std::map<std::string, std::pair<Tensor, Tensor>> weights_;  ///< trained weight and bias of linear layers
  std::map<std::string, Tensor> vectors_;
  std::vector<Adapter> adapters_;
};

/// The final norm above tuned layers: trained with full tuning, frozen with adapters.
class FinalNorm : public torch::nn::Module {
 public:
  FinalNorm(const ModelSource& source, const Architecture& architecture, bool trained, at::Device device);
  ~FinalNorm() override;
  Tensor forward(const Tensor& x_ND, const TokenBatch& batch);
  Tensor vector(const std::string& name) const;

 private:
  const Architecture& architecture_;
  std::map<std::string, Tensor> vectors_;
};

}  // namespace oncekit::lm
