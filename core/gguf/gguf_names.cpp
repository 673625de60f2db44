#include "gguf/gguf_names.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "oncekit/error.h"
#include "weights/tensor_file.h"

namespace oncekit {
namespace {

using nlohmann::json;
using Names = std::vector<std::pair<std::string_view, std::string_view>>;

// Without ".weight" and ".bias"; those of a layer without "blk.N." and the layer's prefix.
const Names kDecoder = {{"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};
const Names kDecoderLayer = {{"attn_norm", "input_layernorm"},    {"ffn_norm", "post_attention_layernorm"},
                             {"attn_q", "self_attn.q_proj"},      {"attn_k", "self_attn.k_proj"},
                             {"attn_v", "self_attn.v_proj"},      {"attn_output", "self_attn.o_proj"},
                             {"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"},
                             {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
                             {"ffn_down", "mlp.down_proj"}};
const Names kBert = {{"token_embd", "embeddings.word_embeddings"},
                     {"token_types", "embeddings.token_type_embeddings"},
                     {"position_embd", "embeddings.position_embeddings"},
                     {"token_embd_norm", "embeddings.LayerNorm"}};
const Names kBertLayer = {{"attn_q", "attention.self.query"},
                          {"attn_k", "attention.self.key"},
                          {"attn_v", "attention.self.value"},
                          {"attn_output", "attention.output.dense"},
                          {"attn_output_norm", "attention.output.LayerNorm"},
                          {"ffn_up", "intermediate.dense"},
                          {"ffn_down", "output.dense"},
                          {"layer_output_norm", "output.LayerNorm"}};

std::string_view find(const Names& names, std::string_view name) {
  for (const auto& [from, to] : names)
    if (from == name) return to;
  return {};
}

/// Looks things up in the metadata, with messages for what is not there.
class Keys {
 public:
  Keys(const GgufFile& file, std::string architecture) : file_(file), architecture_(std::move(architecture)) {}

  [[noreturn]] void fail(const std::string& message, const std::string& hint) const {
    throw Error(ErrorKind::kData, message, hint, file_.mapping->path().string());
  }
  const json* find(const std::string& key) const {
    const auto found = file_.metadata.find(key);
    return found == file_.metadata.end() ? nullptr : &*found;
  }
  /// Of the architecture: "block_count" is "llama.block_count".
  std::optional<std::int64_t> count(const std::string& key) const {
    const json* value = find(architecture_ + "." + key);
    if (value == nullptr) return {};
    if (!value->is_number_integer() || value->get<std::int64_t>() < 0 || value->get<std::int64_t>() > INT32_MAX) {
      fail("has key '" + architecture_ + "." + key + "' that is " + shown(*value) + ", expected a whole number", kConvert);
    }
    return value->get<std::int64_t>();
  }
  std::int64_t needed(const std::string& key) const {
    const auto value = count(key);
    if (!value || *value == 0) fail("has no key '" + architecture_ + "." + key + "'", kConvert);
    return *value;
  }
  std::optional<double> real(const std::string& key) const {
    const json* value = find(architecture_ + "." + key);
    if (value == nullptr) return {};
    if (!value->is_number() || !std::isfinite(value->get<double>()))
      fail("has key '" + architecture_ + "." + key + "' that is no number", kConvert);
    return value->get<double>();
  }
  std::string text(const std::string& key) const {
    const json* value = find(key);
    if (value == nullptr) return {};
    if (!value->is_string()) fail("has key '" + key + "' that is no text", kConvert);
    return value->get<std::string>();
  }
  const GgufTensor* tensor(const std::string& name) const {
    const auto found =
        std::find_if(file_.tensors.begin(), file_.tensors.end(), [&](const GgufTensor& t) { return t.name == name; });
    return found == file_.tensors.end() ? nullptr : &*found;
  }
  /// Rows of a table [rows, hidden].
  std::int64_t rows(const std::string& name, std::int64_t hidden) const {
    const GgufTensor* found = tensor(name);
    if (found == nullptr) fail("has no tensor '" + name + "'", kConvert);
    if (found->shape.size() != 2 || found->shape[1] != hidden || found->shape[0] < 1) {
      fail(fmt::format("has tensor '{}' of shape [{}], expected [rows, {}] (byte offset {})", name,
                       fmt::join(found->shape, ", "), hidden, found->offset),
           kConvert);
    }
    return found->shape[0];
  }
  const std::string& architecture() const { return architecture_; }
  const GgufFile& file() const { return file_; }

  static constexpr const char* kConvert = "convert the model again with llama.cpp's convert_hf_to_gguf.py";

 private:
  static std::string shown(const json& value) {
    return quoted_name(value.dump(-1, ' ', false, json::error_handler_t::replace));
  }
  const GgufFile& file_;
  std::string architecture_;
};

// LLaMA 3's slowed rotary frequencies are stored as divisors of each of them; config.json has the rule they follow from. All
// published models have low and high factors 1 and 4 and an original context of 8192 (transformers, modeling_rope_utils.py,
// "llama3").
json llama3_rope_scaling(const Keys& keys, const GgufTensor& factors, double theta, std::int64_t head_dim) {
  const std::int64_t half = head_dim / 2;
  const bool fits = factors.type->type == at::kFloat && factors.type->dequantise == nullptr &&
                    factors.shape == std::vector<std::int64_t>{half};
  std::vector<float> values(static_cast<std::size_t>(fits ? half : 0));
  if (fits) std::copy_n(keys.file().mapping->data() + factors.offset, factors.bytes, reinterpret_cast<char*>(values.data()));
  const double factor = values.empty() ? 0 : values.back();
  constexpr double kContext = 8192, kLow = 1, kHigh = 4;
  bool same = factor >= 1;
  for (std::int64_t i = 0; i < half && same; ++i) {
    const double length = 2 * M_PI * std::pow(theta, 2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    double expected = 1;
    if (length > kContext / kLow)
      expected = factor;
    else if (length > kContext / kHigh) {
      const double smooth = (kContext / length - kLow) / (kHigh - kLow);
      expected = 1 / ((1 - smooth) / factor + smooth);
    }
    same = std::abs(values[static_cast<std::size_t>(i)] - expected) < 1e-3 * expected;
  }
  if (!same) {
    keys.fail(fmt::format("has rotary factors (tensor '{}', byte offset {}) that do not follow LLaMA 3's rule", factors.name,
                          factors.offset),
              "use the model's Hugging Face folder instead");
  }
  return {{"rope_type", "llama3"},
          {"factor", factor},
          {"low_freq_factor", kLow},
          {"high_freq_factor", kHigh},
          {"original_max_position_embeddings", 8192}};
}

json rope_scaling(const Keys& keys, double theta, std::int64_t head_dim) {
  if (const GgufTensor* factors = keys.tensor("rope_freqs.weight")) return llama3_rope_scaling(keys, *factors, theta, head_dim);
  const std::string type = keys.text(keys.architecture() + ".rope.scaling.type");
  if (type.empty() || type == "none") return nullptr;
  json scaling = {{"rope_type", type}};
  if (const auto factor = keys.real("rope.scaling.factor")) scaling["factor"] = *factor;
  if (const auto context = keys.count("rope.scaling.original_context_length"))
    scaling["original_max_position_embeddings"] = *context;
  return scaling;
}

json decoder_config(const Keys& keys) {
  const std::int64_t hidden = keys.needed("embedding_length"), heads = keys.needed("attention.head_count");
  const std::int64_t kv_heads = keys.count("attention.head_count_kv").value_or(heads);
  if (keys.count("expert_count").value_or(0) > 0)
    keys.fail("is a mixture of experts, which is not read", "choose a dense model");
  const std::int64_t head_dim = keys.count("attention.key_length").value_or(hidden / heads);
  if (head_dim < 2 || head_dim % 2 != 0 || kv_heads < 1 || heads % kv_heads != 0 ||
      keys.count("attention.value_length").value_or(head_dim) != head_dim) {
    keys.fail(fmt::format("has impossible heads: {} of width {} on a model of width {}, {} for keys and values", heads,
                          head_dim, hidden, kv_heads),
              Keys::kConvert);
  }
  const std::int64_t rotary = keys.count("rope.dimension_count").value_or(head_dim);
  if (rotary != head_dim) {
    keys.fail(
        fmt::format("has heads of width {} of which {} are rotary; read are models with all of them rotary", head_dim, rotary),
        "choose another model");
  }
  const double theta = keys.real("rope.freq_base").value_or(10000.0);
  const auto eps = keys.real("attention.layer_norm_rms_epsilon");
  if (!eps) keys.fail("has no key '" + keys.architecture() + ".attention.layer_norm_rms_epsilon'", Keys::kConvert);
  return {{"architectures",
           {keys.architecture() == "llama"   ? "LlamaForCausalLM"
            : keys.architecture() == "qwen2" ? "Qwen2ForCausalLM"
                                             : "Qwen3ForCausalLM"}},
          {"hidden_act", "silu"},
          {"hidden_size", hidden},
          {"num_attention_heads", heads},
          {"num_key_value_heads", kv_heads},
          {"head_dim", head_dim},
          {"intermediate_size", keys.needed("feed_forward_length")},
          {"max_position_embeddings", keys.needed("context_length")},
          {"rms_norm_eps", *eps},
          {"rope_theta", theta},
          {"rope_scaling", rope_scaling(keys, theta, head_dim)},
          {"vocab_size", keys.rows("token_embd.weight", hidden)},
          {"tie_word_embeddings", keys.tensor("output.weight") == nullptr},
          {"attention_bias", keys.tensor("blk.0.attn_q.bias") != nullptr},
          {"mlp_bias", keys.tensor("blk.0.ffn_up.bias") != nullptr}};
}

json bert_config(const Keys& keys) {
  const std::int64_t hidden = keys.needed("embedding_length");
  const auto eps = keys.real("attention.layer_norm_epsilon");
  if (!eps) keys.fail("has no key 'bert.attention.layer_norm_epsilon'", Keys::kConvert);
  return {{"architectures", {"BertModel"}},
          {"hidden_act", "gelu"},
          {"hidden_size", hidden},
          {"num_attention_heads", keys.needed("attention.head_count")},
          {"intermediate_size", keys.needed("feed_forward_length")},
          {"layer_norm_eps", *eps},
          {"max_position_embeddings", keys.rows("position_embd.weight", hidden)},
          {"position_embedding_type", "absolute"},
          {"type_vocab_size", keys.rows("token_types.weight", hidden)},
          {"vocab_size", keys.rows("token_embd.weight", hidden)}};
}

}  // namespace

std::string hugging_face_name(const std::string& architecture, const std::string& name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string::npos) return {};
  std::string_view stem = std::string_view(name).substr(0, dot);
  const std::string_view suffix = std::string_view(name).substr(dot);
  if (suffix != ".weight" && suffix != ".bias") return {};
  const bool bert = architecture == "bert";
  std::string prefix;
  std::string_view piece;
  if (stem.starts_with("blk.")) {
    stem.remove_prefix(4);
    const std::size_t end = stem.find('.');
    if (end == 0 || end > 6 || stem.find_first_not_of("0123456789") != end) return {};
    prefix = (bert ? "encoder.layer." : "model.layers.") + std::string(stem.substr(0, end + 1));
    piece = find(bert ? kBertLayer : kDecoderLayer, stem.substr(end + 1));
  } else {
    piece = find(bert ? kBert : kDecoder, stem);
  }
  return piece.empty() ? std::string() : prefix + std::string(piece) + std::string(suffix);
}

json hugging_face_config(const GgufFile& file) {
  std::string architecture = Keys(file, "").text("general.architecture");
  const Keys keys(file, architecture);
  if (architecture.empty()) keys.fail("has no key 'general.architecture'", Keys::kConvert);
  if (architecture != "llama" && architecture != "qwen2" && architecture != "qwen3" && architecture != "bert") {
    keys.fail("is a model of architecture " + quoted_name(architecture) +
                  "; read from GGUF are llama (also Mistral), qwen2, qwen3 and bert",
              "use the model's Hugging Face folder, or choose another model");
  }
  if (const json* split = keys.find("split.count"); split != nullptr && *split != 1 && *split != 0) {
    keys.fail("is one part of a model in several files", "put them together: llama-gguf-split --merge FIRST.gguf WHOLE.gguf");
  }
  json config = architecture == "bert" ? bert_config(keys) : decoder_config(keys);
  config["model_type"] = architecture;
  config["num_hidden_layers"] = keys.needed("block_count");
  const auto token = [&](const char* key, const char* name) {
    if (const json* id = keys.find(key); id != nullptr && id->is_number_integer()) config[name] = *id;
  };
  token("tokenizer.ggml.bos_token_id", "bos_token_id");
  token("tokenizer.ggml.eos_token_id", "eos_token_id");
  token("tokenizer.ggml.padding_token_id", "pad_token_id");
  return config;
}

std::int64_t interleaved_heads(const json& config, const std::string& name) {
  if (config.at("model_type") != "llama") return 0;
  if (name.find(".self_attn.q_proj.") != std::string::npos) return config.at("num_attention_heads").get<std::int64_t>();
  if (name.find(".self_attn.k_proj.") != std::string::npos) return config.at("num_key_value_heads").get<std::int64_t>();
  return 0;
}

}  // namespace oncekit
