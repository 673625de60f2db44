#include "bert.h"

#include <cmath>

#include <ATen/ops/from_blob.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/relu.h>

#include "oncekit/error.h"

namespace oncekit::bert {
namespace {

constexpr std::int64_t kVersion = 1;  // raise it when what is computed here changes (oncekit/language_model.h)

constexpr const char* kToy = R"({"model_type": "bert", "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 128,
  "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "type_vocab_size": 2, "hidden_act": "gelu"})";

}  // namespace

Bert::Bert(const lm::ModelConfig& config) {
  const std::string family = config.text("model_type", "bert");
  const bool roberta = family == "roberta";
  if (family != "bert" && !roberta) {
    std::string hint = "choose a model of these families";
    if (family == "llama" || family == "mistral" || family.starts_with("qwen")) hint = "set content_encoder.use = \"llama\"";
    if (family.starts_with("xlm-roberta")) hint = "tokenizers of multilingual models (Unigram) are not read: choose an English model, e.g. BAAI/bge-base-en-v1.5";
    throw Error(ErrorKind::kData, "is a model of type '" + family + "'; content_encoder/bert reads bert and roberta", hint, config.where());
  }
  if (config.text("position_embedding_type", "absolute") != "absolute")
    throw Error(ErrorKind::kData, "has relative positions (position_embedding_type)", "choose a model with absolute positions", config.where());
  activation_ = config.text("hidden_act", "gelu");
  if (activation_ != "gelu" && activation_ != "relu" && activation_ != "gelu_new" && activation_ != "gelu_pytorch_tanh")
    throw Error(ErrorKind::kData, "has hidden_act = '" + activation_ + "', expected gelu, gelu_new or relu", "choose another model", config.where());
  shape_.layers = config.integer("num_hidden_layers");
  shape_.width = config.integer("hidden_size");
  shape_.vocabulary = config.integer("vocab_size");
  shape_.heads = shape_.kv_heads = config.integer("num_attention_heads");
  if (shape_.layers < 1 || shape_.heads < 1 || shape_.width % shape_.heads != 0)
    throw Error(ErrorKind::kData, "has impossible sizes of layers and heads", "take the model's original config", config.where());
  shape_.head_width = shape_.width / shape_.heads;
  first_position_ = roberta ? config.integer("pad_token_id", 1) + 1 : 0;
  shape_.positions = config.integer("max_position_embeddings", 512) - first_position_;
  shape_.causal = false;
  if (first_position_ < 0 || shape_.positions < 1)
    throw Error(ErrorKind::kData, "has impossible positions (pad_token_id, max_position_embeddings)", "take the model's original config", config.where());
  hidden_ = config.integer("intermediate_size");
  types_ = config.integer("type_vocab_size", roberta ? 1 : 2);
  eps_ = config.real("layer_norm_eps", 1e-12);
  for (const char* prefix : {"bert.", "roberta."})
    if (config.has_tensor(std::string(prefix) + "embeddings.word_embeddings.weight")) prefix_ = prefix;
}

std::vector<lm::TensorNeed> Bert::embedding_tensors() const {
  const std::string e = prefix_ + "embeddings.";
  return {{e + "word_embeddings.weight", {shape_.vocabulary, shape_.width}}, {e + "position_embeddings.weight", {shape_.positions + first_position_, shape_.width}},
          {e + "token_type_embeddings.weight", {types_, shape_.width}}, {e + "LayerNorm.weight", {shape_.width}}, {e + "LayerNorm.bias", {shape_.width}}};
}

std::vector<lm::TensorNeed> Bert::layer_tensors() const {
  const std::int64_t d = shape_.width;
  std::vector<lm::TensorNeed> needs;
  const auto linear = [&](const std::string& name, std::int64_t out, std::int64_t in) {
    needs.push_back({name + ".weight", {out, in}});
    needs.push_back({name + ".bias", {out}});
  };
  for (const char* name : {"query", "key", "value"}) linear(std::string("attention.self.") + name, d, d);
  linear("attention.output.dense", d, d);
  linear("intermediate.dense", hidden_, d);
  linear("output.dense", d, hidden_);
  for (const char* name : {"attention.output.LayerNorm", "output.LayerNorm"})
    needs.insert(needs.end(), {{std::string(name) + ".weight", {d}}, {std::string(name) + ".bias", {d}}});
  return needs;
}

at::Tensor Bert::embed(const lm::ReadTensor& read, std::span<const std::int32_t> tokens_N, std::span<const std::int32_t> positions_N) const {
  const std::string e = prefix_ + "embeddings.";
  const auto rows = [&](const char* table, std::span<const std::int32_t> ids) {
    const at::Tensor index = at::from_blob(const_cast<std::int32_t*>(ids.data()), {static_cast<std::int64_t>(ids.size())}, at::kInt);
    return at::index_select(read(e + table + ".weight"), 0, index).to(at::kFloat);
  };
  std::vector<std::int32_t> positions(positions_N.begin(), positions_N.end());
  for (std::int32_t& position : positions) position += static_cast<std::int32_t>(first_position_);
  const at::Tensor x = rows("word_embeddings", tokens_N) + rows("position_embeddings", positions) + read(e + "token_type_embeddings.weight")[0].to(at::kFloat);
  return at::layer_norm(x, {shape_.width}, read(e + "LayerNorm.weight").to(at::kFloat), read(e + "LayerNorm.bias").to(at::kFloat), eps_);
}

at::Tensor Bert::layer(lm::LayerContext& context, const at::Tensor& x_ND) const {
  const auto heads = [&](const char* name) { return context.linear(name, x_ND).view({-1, shape_.heads, shape_.head_width}); };
  const at::Tensor seen = context.attend(heads("attention.self.query"), heads("attention.self.key"), heads("attention.self.value"),
                                         1 / std::sqrt(static_cast<double>(shape_.head_width)));
  const at::Tensor y = context.layer_norm("attention.output.LayerNorm", context.add(x_ND, context.linear("attention.output.dense", seen)), eps_);
  const at::Tensor wide = context.linear("intermediate.dense", y);
  const at::Tensor active = activation_ == "relu" ? at::relu(wide) : activation_ == "gelu" ? context.gelu(wide) : at::gelu(wide, "tanh");
  return context.layer_norm("output.LayerNorm", context.add(y, context.linear("output.dense", active)), eps_);
}

BertEncoder::BertEncoder(const Options& options, const Dims& dims)
    : lm::LanguageModelEncoder(options.model, dims, {"bert", kVersion}, [](const lm::ModelConfig& config) { return std::make_unique<Bert>(config); },
                               {kToy, "wordpiece"}) {}

}  // namespace oncekit::bert
