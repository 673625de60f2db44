#include "llama.h"

#include <cmath>

#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>

#include "oncekit/error.h"
#include "rotary.h"

namespace oncekit::llama {
namespace {

constexpr std::int64_t kVersion = 1;  // raise it when what is computed here changes (oncekit/language_model.h)
constexpr std::int64_t kWidestHead = 1 << 16;

constexpr const char* kToy = R"({"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
  "intermediate_size": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 2048, "hidden_act": "silu"})";

}  // namespace

void LlamaOptions::describe(Fields& f) {
  model.describe(f);
  f.choice("attention", attention, {"causal", "bidirectional"}).doc("a token sees those before it, as the model was trained, or all of its item");
}

Llama::Llama(const lm::ModelConfig& config, bool causal) {
  const std::string family = config.text("model_type", "llama");
  if (family != "llama" && family != "mistral" && family != "qwen2" && family != "qwen3")
    throw Error(ErrorKind::kData, "is a model of type '" + family + "'; content_encoder/llama reads llama, mistral, qwen2 and qwen3",
                family == "bert" || family == "roberta" ? "set content_encoder.use = \"bert\"" : "choose a model of these families", config.where());
  const std::string activation = config.text("hidden_act", "silu");
  if (activation != "silu")
    throw Error(ErrorKind::kData, "has hidden_act = '" + activation + "', expected silu", "choose a model of these families", config.where());
  shape_.layers = config.integer("num_hidden_layers");
  shape_.width = config.integer("hidden_size");
  shape_.vocabulary = config.integer("vocab_size");
  shape_.heads = config.integer("num_attention_heads");
  shape_.kv_heads = config.integer("num_key_value_heads", shape_.heads);
  shape_.head_width = config.integer("head_dim", shape_.heads > 0 ? shape_.width / shape_.heads : 0);
  shape_.positions = config.integer("max_position_embeddings", 2048);
  if (config.boolean("use_sliding_window", true)) shape_.positions = std::min(shape_.positions, config.integer("sliding_window", shape_.positions));
  shape_.causal = causal;
  if (shape_.layers < 1 || shape_.heads < 1 || shape_.kv_heads < 1 || shape_.heads % shape_.kv_heads != 0 || shape_.head_width < 2 ||
      shape_.head_width % 2 != 0 || shape_.head_width > kWidestHead)
    throw Error(ErrorKind::kData, "has impossible sizes of layers and heads", "take the model's original config", config.where());
  const Rotary turn = rotary(config, shape_.head_width);
  shape_.rotary_frequencies = turn.frequencies;
  shape_.rotary_scale = turn.scale;
  hidden_ = config.integer("intermediate_size");
  eps_ = config.real("rms_norm_eps", 1e-6);
  prefix_ = config.has_tensor("model.embed_tokens.weight") ? "model." : "";
  const std::string first = layer_prefix(0);
  query_bias_ = config.has_tensor(first + "self_attn.q_proj.bias");
  output_bias_ = config.has_tensor(first + "self_attn.o_proj.bias");
  mlp_bias_ = config.has_tensor(first + "mlp.gate_proj.bias");
  head_norms_ = config.has_tensor(first + "self_attn.q_norm.weight");
}

std::vector<lm::TensorNeed> Llama::layer_tensors() const {
  const std::int64_t d = shape_.width, q = shape_.heads * shape_.head_width, kv = shape_.kv_heads * shape_.head_width;
  std::vector<lm::TensorNeed> needs{{"input_layernorm.weight", {d}}, {"post_attention_layernorm.weight", {d}}};
  const auto linear = [&](const std::string& name, std::int64_t out, std::int64_t in, bool bias) {
    needs.push_back({name + ".weight", {out, in}});
    if (bias) needs.push_back({name + ".bias", {out}});
  };
  linear("self_attn.q_proj", q, d, query_bias_);
  linear("self_attn.k_proj", kv, d, query_bias_);
  linear("self_attn.v_proj", kv, d, query_bias_);
  linear("self_attn.o_proj", d, q, output_bias_);
  linear("mlp.gate_proj", hidden_, d, mlp_bias_);
  linear("mlp.up_proj", hidden_, d, mlp_bias_);
  linear("mlp.down_proj", d, hidden_, mlp_bias_);
  if (head_norms_) needs.insert(needs.end(), {{"self_attn.q_norm.weight", {shape_.head_width}}, {"self_attn.k_norm.weight", {shape_.head_width}}});
  return needs;
}

at::Tensor Llama::embed(const lm::ReadTensor& read, std::span<const std::int32_t> tokens_N, std::span<const std::int32_t>) const {
  const at::Tensor ids = at::from_blob(const_cast<std::int32_t*>(tokens_N.data()), {static_cast<std::int64_t>(tokens_N.size())}, at::kInt);
  return at::index_select(read(prefix_ + "embed_tokens.weight"), 0, ids).to(at::kFloat);
}

at::Tensor Llama::layer(lm::LayerContext& context, const at::Tensor& x_ND) const {
  const auto heads = [&](const char* name, std::int64_t count, const at::Tensor& h) {
    return context.linear(name, h).view({-1, count, shape_.head_width});
  };
  const at::Tensor h = context.rms_norm("input_layernorm", x_ND, eps_);
  at::Tensor q = heads("self_attn.q_proj", shape_.heads, h), k = heads("self_attn.k_proj", shape_.kv_heads, h);
  if (head_norms_) {
    q = context.rms_norm("self_attn.q_norm", q, eps_);
    k = context.rms_norm("self_attn.k_norm", k, eps_);
  }
  const at::Tensor seen = context.attend(context.rotate(q), context.rotate(k), heads("self_attn.v_proj", shape_.kv_heads, h),
                                         1 / std::sqrt(static_cast<double>(shape_.head_width)));
  const at::Tensor y = context.add(x_ND, context.linear("self_attn.o_proj", seen));
  const at::Tensor r = context.rms_norm("post_attention_layernorm", y, eps_);
  return context.add(y, context.linear("mlp.down_proj", context.swiglu(context.linear("mlp.gate_proj", r), context.linear("mlp.up_proj", r))));
}

LlamaEncoder::LlamaEncoder(const Options& options, const Dims& dims)
    : lm::LanguageModelEncoder(options.model, dims, {"llama", kVersion},
                               [causal = options.attention == "causal"](const lm::ModelConfig& config) { return std::make_unique<Llama>(config, causal); },
                               {kToy, "sentencepiece"}) {}

}  // namespace oncekit::llama
