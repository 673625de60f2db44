// A language model's forward pass as a straightforward LibTorch program writes it: a padded batch [B, L], at::linear, one operator after another.
// What the benchmarks of cached states and tuned layers compare with.
#pragma once

#include <algorithm>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "lm/config.h"
#include "oncekit/language_model.h"
#include "oncekit/text.h"

namespace oncekit::bench {

/// Weights in one type, all in memory.
class PlainWeights {
 public:
  PlainWeights(const ModelSource& source, at::ScalarType type) : source_(source), type_(type) {}
  at::Tensor get(const std::string& name) {
    at::Tensor& t = tensors_[name];
    if (!t.defined()) t = source_.read(lm::checkpoint_name(source_, name)).to(type_, false, true);
    return t;
  }
  bool has(const std::string& name) const { return source_.contains(lm::checkpoint_name(source_, name)); }

 private:
  const ModelSource& source_;
  at::ScalarType type_;
  std::map<std::string, at::Tensor> tensors_;
};

class PlainContext final : public lm::LayerContext {
 public:
  PlainContext(PlainWeights& weights, std::string prefix, const lm::Shape& shape, const at::Tensor& mask_BL)
      : weights_(weights), prefix_(std::move(prefix)), shape_(shape), mask_BL_(mask_BL) {}

  at::Tensor linear(const std::string& name, const at::Tensor& x) override {
    const std::string bias = prefix_ + name + ".bias";
    return at::linear(x, weights_.get(prefix_ + name + ".weight"), weights_.has(bias) ? weights_.get(bias) : at::Tensor());
  }
  at::Tensor add(const at::Tensor& x, const at::Tensor& y) override { return x + y; }
  at::Tensor rms_norm(const std::string& name, const at::Tensor& x, double eps) override {
    const at::Tensor f = x.to(at::kFloat);
    return weights_.get(prefix_ + name + ".weight") * (f * at::rsqrt(f.pow(2).mean(-1, true) + eps)).to(x.scalar_type());
  }
  at::Tensor layer_norm(const std::string& name, const at::Tensor& x, double eps) override {
    return at::layer_norm(x, {x.size(-1)}, weights_.get(prefix_ + name + ".weight"), weights_.get(prefix_ + name + ".bias"), eps);
  }
  at::Tensor rotate(const at::Tensor& x_NHW) override {
    const std::int64_t L = mask_BL_.size(1), B = mask_BL_.size(0), W = x_NHW.size(2);
    const at::Tensor angles = at::outer(at::arange(L, at::kDouble), at::tensor(shape_.rotary_frequencies, at::kDouble)).repeat({1, 2}).unsqueeze(1);
    const at::Tensor x = x_NHW.view({B, L, -1, W}), half = at::cat({-x.narrow(3, W / 2, W / 2), x.narrow(3, 0, W / 2)}, 3);
    return (x * angles.cos().to(x.scalar_type()) + half * angles.sin().to(x.scalar_type())).view(x_NHW.sizes());
  }
  at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) override { return at::silu(gate) * up; }
  at::Tensor gelu(const at::Tensor& x) override { return at::gelu(x); }
  at::Tensor attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale) override {
    const std::int64_t B = mask_BL_.size(0), L = mask_BL_.size(1), H = q.size(1), W = q.size(2), times = H / k.size(1);
    const auto heads = [&](const at::Tensor& x) { return x.view({B, L, x.size(1), W}).transpose(1, 2); };
    at::Tensor seen = mask_BL_.view({B, 1, 1, L}).expand({B, 1, L, L});
    if (shape_.causal) seen = seen.logical_and(at::ones({L, L}, at::kBool).tril());
    return at::scaled_dot_product_attention(heads(q), heads(k).repeat_interleave(times, 1), heads(v).repeat_interleave(times, 1), seen, 0, false, scale)
        .transpose(1, 2).reshape({B * L, H * W});
  }

 private:
  PlainWeights& weights_;
  std::string prefix_;
  const lm::Shape& shape_;
  at::Tensor mask_BL_;
};

/// States behind `layers` layers of a padded batch, [B * L, D].
inline at::Tensor plain_states(const lm::Architecture& architecture, PlainWeights& weights, const PackedText& items, std::span<const std::int32_t> chosen, std::int64_t layers,
                               at::ScalarType type) {
  std::int64_t L = 1;
  for (const std::int32_t item : chosen) L = std::max<std::int64_t>(L, static_cast<std::int64_t>(items[static_cast<std::size_t>(item)].size()));
  const auto B = static_cast<std::int64_t>(chosen.size());
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(B * L)), positions(tokens.size());
  at::Tensor mask_BL = at::zeros({B, L}, at::kBool);
  for (std::int64_t b = 0; b < B; ++b) {
    const auto own = items[static_cast<std::size_t>(chosen[static_cast<std::size_t>(b)])];
    for (std::int64_t l = 0; l < L; ++l) positions[static_cast<std::size_t>(b * L + l)] = static_cast<std::int32_t>(l);
    std::copy(own.begin(), own.end(), tokens.begin() + b * L);
    mask_BL[b].narrow(0, 0, static_cast<std::int64_t>(own.size())).fill_(true);
  }
  at::Tensor x = architecture.embed([&](const std::string& name) { return weights.get(name); }, tokens, positions).to(type);
  for (std::int64_t l = 0; l < layers; ++l) {
    PlainContext context(weights, architecture.layer_prefix(l), architecture.shape(), mask_BL);
    x = architecture.layer(context, x);
  }
  return x;
}

/// Items by number, in batches of `rows`.
inline std::vector<std::vector<std::int32_t>> in_order(std::size_t items, std::size_t rows) {
  std::vector<std::vector<std::int32_t>> batches;
  for (std::size_t i = 0; i < items; ++i) {
    if (i % rows == 0) batches.emplace_back();
    batches.back().push_back(static_cast<std::int32_t>(i));
  }
  return batches;
}

/// Items by length, batches of at most `budget` padded tokens.
inline std::vector<std::vector<std::int32_t>> by_length(const PackedText& items, std::size_t budget) {
  std::vector<std::int32_t> order(items.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) { return items[static_cast<std::size_t>(a)].size() < items[static_cast<std::size_t>(b)].size(); });
  std::vector<std::vector<std::int32_t>> batches;
  for (const std::int32_t item : order) {
    if (batches.empty() || (batches.back().size() + 1) * items[static_cast<std::size_t>(item)].size() > budget) batches.emplace_back();
    batches.back().push_back(item);
  }
  return batches;
}

}  // namespace oncekit::bench
