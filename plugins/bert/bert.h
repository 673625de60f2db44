// content_encoder/bert: post-norm encoders with learned positions.
#pragma once

#include "oncekit/language_model.h"

namespace oncekit::bert {

struct BertOptions {
  lm::Options model;
  void describe(Fields& f) { model.describe(f); }
  void validate(Problems& problems) const { model.validate(problems); }
};

/// A layer of BERT (Devlin et al. 2019) and RoBERTa (Liu et al. 2019):
///   y = norm(x + W_o attend(q, k, v));  out = norm(y + W_2 gelu(W_1 y))
/// RoBERTa counts positions from its padding id + 1.
class Bert final : public lm::Architecture {
 public:
  explicit Bert(const lm::ModelConfig& config);
  const lm::Shape& shape() const override { return shape_; }
  std::string layer_prefix(std::int64_t layer) const override { return prefix_ + "encoder.layer." + std::to_string(layer) + "."; }
  std::vector<lm::TensorNeed> layer_tensors() const override;
  std::vector<lm::TensorNeed> embedding_tensors() const override;
  std::vector<lm::TensorNeed> final_tensors() const override { return {}; }
  std::vector<std::string> adapter_targets() const override { return {"query", "value"}; }
  at::Tensor embed(const lm::ReadTensor& read, std::span<const std::int32_t> tokens_N, std::span<const std::int32_t> positions_N) const override;
  at::Tensor layer(lm::LayerContext& context, const at::Tensor& x_ND) const override;

 private:
  lm::Shape shape_;
  std::string prefix_, activation_;
  std::int64_t hidden_, types_, first_position_;
  double eps_;
};

class BertEncoder final : public lm::LanguageModelEncoder {
 public:
  using Options = BertOptions;
  BertEncoder(const Options& options, const Dims& dims);
  static std::vector<std::string> needs(const Options& options) { return options.model.needs(); }
};

}  // namespace oncekit::bert
