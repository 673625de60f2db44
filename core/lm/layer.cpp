#include "lm/layer.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/tensor.h>

namespace oncekit::lm {

TokenBatch::TokenBatch(const TokenTree& nodes, const Shape& shape, const at::Device& device) : tree(&nodes), causal(shape.causal) {
  if (shape.rotary_frequencies.empty()) return;
  // Angles in double: far positions times high frequencies lose digits in float32.
  const Tensor positions = at::from_blob(const_cast<std::int32_t*>(nodes.positions_N.data()), {nodes.nodes()}, at::kInt).to(at::kDouble);
  const Tensor angles = at::outer(positions, at::tensor(shape.rotary_frequencies, at::kDouble));
  cos_NW2 = (angles.cos() * shape.rotary_scale).to(at::kFloat).to(device);
  sin_NW2 = (angles.sin() * shape.rotary_scale).to(at::kFloat).to(device);
}

FrozenLayer::FrozenLayer(const ModelSource& source, std::string prefix, Compute compute, at::Device device)
    : source_(source), prefix_(std::move(prefix)), compute_(compute), device_(device) {}

FrozenLayer::~FrozenLayer() = default;

const FrozenLinear& FrozenLayer::linear(const std::string& name) {
  const auto found = linears_.find(name);
  if (found != linears_.end()) return found->second;
  const std::string bias = prefix_ + name + ".bias";
  return linears_.emplace(name, FrozenLinear(source_.read(prefix_ + name + ".weight").to(device_), source_.contains(bias) ? source_.read(bias).to(device_) : Tensor(),
                                             compute_)).first->second;
}

const Tensor& FrozenLayer::vector(const std::string& name) {
  const auto found = vectors_.find(name);
  if (found != vectors_.end()) return found->second;
  return vectors_.emplace(name, source_.read(checkpoint_name(source_, prefix_ + name)).to(device_, at::kFloat, false, true)).first->second;
}

BatchContext::~BatchContext() = default;

Tensor BatchContext::rms_norm(const std::string& name, const Tensor& x, double eps) { return lm::rms_norm(x, vector(name + ".weight"), eps); }

Tensor BatchContext::layer_norm(const std::string& name, const Tensor& x_ND, double eps) {
  return at::layer_norm(x_ND, {x_ND.size(-1)}, vector(name + ".weight"), vector(name + ".bias"), eps);
}

Tensor BatchContext::rotate(const Tensor& x_NHW) { return lm::rotate(x_NHW, batch_.cos_NW2, batch_.sin_NW2); }
Tensor BatchContext::swiglu(const Tensor& gate, const Tensor& up) { return lm::swiglu(gate, up); }
Tensor BatchContext::gelu(const Tensor& x) { return lm::gelu(x); }

Tensor BatchContext::attend(const Tensor& q_NHW, const Tensor& k_NGW, const Tensor& v_NGW, double scale) {
  return lm::attend(q_NHW, k_NGW, v_NGW, *batch_.tree, batch_.causal, scale).flatten(1);
}

Tensor FrozenContext::linear(const std::string& name, const Tensor& x_NI) {
  const FrozenLinear& product = layer_.linear(name);
  if (layer_.compute() == Compute::kFloat32) return product.forward(x_NI);
  if (!input_.is_same(x_NI)) {
    input_ = x_NI;
    rounded_ = x_NI.to(at::kBFloat16);
  }
  return product.forward(rounded_);
}

}  // namespace oncekit::lm
