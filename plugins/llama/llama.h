// content_encoder/llama: pre-norm decoders with rotary positions and gated feed-forward layers.
#pragma once

#include "oncekit/language_model.h"

namespace oncekit::llama {

struct LlamaOptions {
  lm::Options model;
  std::string attention = "causal";
  void describe(Fields& f);
  void validate(Problems& problems) const { model.validate(problems); }
};

/// A layer of LLaMA (Touvron et al. 2023), Mistral, Qwen 2 (biases on q, k, v) and Qwen 3 (norms on q and k):
///   h = rms(x);  q, k, v = heads of W h (+ b), rotated;  y = x + W_o attend(q, k, v);  out = y + W_d (silu(W_g r) * W_u r), r = rms(y)
/// What a checkpoint has beyond LLaMA (biases, head norms) is seen from its tensors.
class Llama final : public lm::Architecture {
 public:
  Llama(const lm::ModelConfig& config, bool causal);
  const lm::Shape& shape() const override { return shape_; }
  std::string layer_prefix(std::int64_t layer) const override { return prefix_ + "layers." + std::to_string(layer) + "."; }
  std::vector<lm::TensorNeed> layer_tensors() const override;
  std::vector<lm::TensorNeed> embedding_tensors() const override { return {{prefix_ + "embed_tokens.weight", {shape_.vocabulary, shape_.width}}}; }
  std::vector<lm::TensorNeed> final_tensors() const override { return {{prefix_ + "norm.weight", {shape_.width}}}; }
  std::vector<std::string> adapter_targets() const override { return {"q_proj", "v_proj"}; }
  at::Tensor embed(const lm::ReadTensor& read, std::span<const std::int32_t> tokens_N, std::span<const std::int32_t> positions_N) const override;
  at::Tensor layer(lm::LayerContext& context, const at::Tensor& x_ND) const override;
  at::Tensor finish(lm::LayerContext& context, const at::Tensor& x_ND) const override { return context.rms_norm(prefix_ + "norm", x_ND, eps_); }

 private:
  lm::Shape shape_;
  std::string prefix_;
  std::int64_t hidden_;
  double eps_;
  bool query_bias_, output_bias_, mlp_bias_, head_norms_;
};

class LlamaEncoder final : public lm::LanguageModelEncoder {
 public:
  using Options = LlamaOptions;
  LlamaEncoder(const Options& options, const Dims& dims);
  static std::vector<std::string> needs(const Options& options) { return options.model.needs(); }
};

}  // namespace oncekit::llama
