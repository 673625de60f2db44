#include "lm/layer.h"

#include <algorithm>

#include <ATen/ops/arange.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/tensor.h>

namespace oncekit::lm {

TokenBatch::TokenBatch(const TokenTree& nodes, const Shape& shape, const at::Device& device, std::int64_t rows) : tree(&nodes), causal(shape.causal) {
  if (shape.rotary_frequencies.empty()) return;
  std::vector<std::int32_t> positions_N(nodes.positions_N);
  positions_N.resize(static_cast<std::size_t>(rows));
  const std::int32_t end = positions_N.empty() ? 0 : *std::max_element(positions_N.begin(), positions_N.end()) + 1;
  // Angles in double, since far positions times high frequencies lose digits in float32; once a position, not once a node.
  const Tensor angles = at::outer(at::arange(end, at::kDouble), at::tensor(shape.rotary_frequencies, at::kDouble));
  const Tensor index = at::from_blob(positions_N.data(), {rows}, at::kInt);
  cos_NW2 = (angles.cos() * shape.rotary_scale).to(at::kFloat).index_select(0, index).to(device);
  sin_NW2 = (angles.sin() * shape.rotary_scale).to(at::kFloat).index_select(0, index).to(device);
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

Tensor BatchContext::add(const Tensor& x_ND, const Tensor& y_ND) { return lm::add(x_ND, y_ND); }

Tensor BatchContext::rms_norm(const std::string& name, const Tensor& x, double eps) { return lm::rms_norm(x, vector(name + ".weight"), eps); }

Tensor BatchContext::layer_norm(const std::string& name, const Tensor& x_ND, double eps) {
  return lm::layer_norm(x_ND, vector(name + ".weight"), vector(name + ".bias"), eps);
}

Tensor BatchContext::rotate(const Tensor& x_NHW) { return lm::rotate(x_NHW, batch_.cos_NW2, batch_.sin_NW2); }
Tensor BatchContext::swiglu(const Tensor& gate, const Tensor& up) { return lm::swiglu(gate, up); }
Tensor BatchContext::gelu(const Tensor& x) { return lm::gelu(x); }

Tensor BatchContext::attend(const Tensor& q_NHW, const Tensor& k_NGW, const Tensor& v_NGW, double scale) {
  return lm::attend(q_NHW, k_NGW, v_NGW, *batch_.tree, batch_.causal, scale).flatten(1);
}

Tensor FrozenContext::linear(const std::string& name, const Tensor& x_NI) {
  const FrozenLinear& product = layer_.linear(name);
  if (!rounds()) return product.forward(x_NI);
  if (!input_.is_same(x_NI)) {
    input_ = x_NI;
    rounded_ = x_NI.to(at::kBFloat16);
  }
  return product.forward(rounded_);
}

// What only products read is made in their type at once; what residuals read too is made twice in one pass.
Tensor FrozenContext::rms_norm(const std::string& name, const Tensor& x, double eps) { return lm::rms_norm(x, vector(name + ".weight"), eps, rounds()); }

Tensor FrozenContext::layer_norm(const std::string& name, const Tensor& x_ND, double eps) {
  if (!rounds()) return BatchContext::layer_norm(name, x_ND, eps);
  input_ = lm::layer_norm(x_ND, vector(name + ".weight"), vector(name + ".bias"), eps, &rounded_);
  return input_;
}

}  // namespace oncekit::lm
