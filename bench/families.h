// The families' own classes, for benchmarks and tests below the encoder, and a model of any size with random weights in memory.
#pragma once

#include <map>
#include <memory>
#include <string>

#include <ATen/ATen.h>

#include "bert/bert.h"
#include "llama/llama.h"
#include "lm/config.h"

namespace oncekit::bench {

inline std::unique_ptr<lm::Architecture> family_of(const ModelSource& source, bool causal = true) {
  const auto config = lm::model_config(source);
  const std::string family = config->text("model_type");
  if (family == "bert" || family == "roberta") return std::make_unique<bert::Bert>(*config);
  return std::make_unique<llama::Llama>(*config, causal);
}

/// bfloat16 weights made when asked for, and kept.
class RandomSource final : public ModelSource {
 public:
  explicit RandomSource(nlohmann::json config) : config_(std::move(config)) { architecture_ = family_of(*this); }
  const lm::Architecture& architecture() const { return *architecture_; }
  const std::filesystem::path& path() const override { return path_; }
  const nlohmann::json& config() const override { return config_; }
  const nlohmann::json& metadata() const override { return nothing_; }
  std::vector<std::string> names() const override { return {}; }
  bool contains(const std::string& name) const override { return architecture_ && !shape_of(name).empty(); }
  Info info(const std::string& name) const override { return {at::kBFloat16, shape_of(name)}; }
  at::Tensor read(const std::string& name) const override {
    at::Tensor& t = tensors_[name];
    if (!t.defined()) t = (at::randn(shape_of(name)) * 0.02).to(at::kBFloat16);
    return t;
  }
  std::string digest(const ReadProgress&) const override { return "random"; }

 private:
  std::vector<std::int64_t> shape_of(const std::string& name) const {
    for (const auto& need : architecture_->embedding_tensors())
      if (need.name == name) return need.shape;
    for (const auto& need : architecture_->final_tensors())
      if (need.name == name) return need.shape;
    for (std::int64_t l = 0; l < architecture_->shape().layers; ++l)
      for (const auto& need : architecture_->layer_tensors())
        if (architecture_->layer_prefix(l) + need.name == name) return need.shape;
    return {};
  }
  std::filesystem::path path_ = "random";
  nlohmann::json config_, nothing_;
  std::unique_ptr<lm::Architecture> architecture_;
  mutable std::map<std::string, at::Tensor> tensors_;
};

inline nlohmann::json llama_config(std::int64_t width, std::int64_t hidden, std::int64_t heads, std::int64_t kv_heads, std::int64_t layers) {
  return {{"model_type", "llama"}, {"hidden_size", width}, {"intermediate_size", hidden}, {"num_attention_heads", heads}, {"num_key_value_heads", kv_heads},
          {"num_hidden_layers", layers}, {"vocab_size", 1000}, {"rms_norm_eps", 1e-5}, {"max_position_embeddings", 2048}};
}

}  // namespace oncekit::bench
