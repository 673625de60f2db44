// Language models as content encoders. Tier 1 of the SDK. A family of models is an Architecture of some 150 lines; the core reads weights and
// tokenizers, streams frozen layers into the state cache, packs tokens, shares prefixes, tunes the top layers and pools.
//
// Shapes: N nodes (computed tokens: without padding, and with a prefix that several items share held once), D model width, H heads,
// G key-value heads, W head width, I and O inputs and outputs of a linear layer, U items of a batch.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "oncekit/model.h"
#include "oncekit/options.h"

namespace oncekit::lm {

/// A model's config.json (of a GGUF file: the same keys, made from its metadata) and the names of its tensors.
class ModelConfig {
 public:
  virtual ~ModelConfig();
  /// Keys of nested tables are joined by dots: "rope_scaling.factor". Throw Error(kData) naming key and file when there is no such key
  /// and no default, or when its value is of another kind, or a whole number beyond 31 bits. null counts as absent.
  virtual std::int64_t integer(const std::string& key, std::optional<std::int64_t> otherwise = {}) const = 0;
  virtual double real(const std::string& key, std::optional<double> otherwise = {}) const = 0;
  virtual bool boolean(const std::string& key, std::optional<bool> otherwise = {}) const = 0;
  virtual std::string text(const std::string& key, std::optional<std::string> otherwise = {}) const = 0;
  virtual bool has(const std::string& key) const = 0;
  virtual bool has_tensor(const std::string& name) const = 0;
  virtual std::string where() const = 0;  ///< the file, for messages
};

struct Shape {
  std::int64_t layers = 0, width = 0, vocabulary = 0;
  std::int64_t heads = 0, kv_heads = 0, head_width = 0;
  std::int64_t positions = 0;                ///< longest sequence the model was made for
  bool causal = true;                        ///< a token looks at those before it, or at all
  std::vector<double> rotary_frequencies;    ///< W/2 angles a position; empty = no rotary positions
  double rotary_scale = 1;                   ///< factor on cosine and sine (YaRN's attention factor)
};

struct TensorNeed {
  std::string name;                 ///< as in the checkpoint
  std::vector<std::int64_t> shape;
};

/// What a layer computes with: its weights and the tokens of one batch. Names are relative to the layer: "self_attn.q_proj". Frozen layers
/// run on packed weights without gradients, tuned ones with them and with adapters; a layer's code is the same.
class LayerContext {
 public:
  virtual ~LayerContext();
  /// W x + b: weight NAME.weight [O, I] and, where the checkpoint has it, NAME.bias [O].
  virtual Tensor linear(const std::string& name, const Tensor& x_NI) = 0;
  /// x + y, float32: a residual. The same as x + y, in one pass over memory.
  virtual Tensor add(const Tensor& x_ND, const Tensor& y_ND) = 0;
  /// x / sqrt(mean(x^2) + eps) * NAME.weight over the last dimension (Zhang and Sennrich 2019). For linear layers alone: it may come rounded as their
  /// products round their input.
  virtual Tensor rms_norm(const std::string& name, const Tensor& x, double eps) = 0;
  /// Layer normalisation with NAME.weight and NAME.bias (Ba et al. 2016).
  virtual Tensor layer_norm(const std::string& name, const Tensor& x_ND, double eps) = 0;
  /// Rotary positions with Shape::rotary_frequencies; feature f is paired with f + W/2, as Hugging Face orders them.
  virtual Tensor rotate(const Tensor& x_NHW) = 0;
  /// silu(gate) * up.
  virtual Tensor swiglu(const Tensor& gate, const Tensor& up) = 0;
  /// x (1 + erf(x / sqrt 2)) / 2. Take it before at::gelu, which keeps megabytes for every number of rows it meets.
  virtual Tensor gelu(const Tensor& x) = 0;
  /// Scaled dot-product attention inside each item, causal or not as Shape says. -> [N, H * W].
  virtual Tensor attend(const Tensor& q_NHW, const Tensor& k_NGW, const Tensor& v_NGW, double scale) = 0;
};

/// Reads a whole tensor of the checkpoint, e.g. an embedding table; a view, not to be written to.
using ReadTensor = std::function<Tensor(const std::string& name)>;

/// A family of models. Immutable once made; all methods may be called from any thread.
class Architecture {
 public:
  virtual ~Architecture();
  virtual const Shape& shape() const = 0;
  virtual std::string layer_prefix(std::int64_t layer) const = 0;  ///< "model.layers.3."
  /// All tensors of a layer, names relative to it. Two dimensions: a linear layer's weight; one: a bias or a norm.
  virtual std::vector<TensorNeed> layer_tensors() const = 0;
  /// What embed() and finish() read, names as in the checkpoint.
  virtual std::vector<TensorNeed> embedding_tensors() const = 0;
  virtual std::vector<TensorNeed> final_tensors() const = 0;
  /// Where LoRA goes unless a recipe says otherwise: names of linear layers, e.g. "q_proj", as PEFT matches them (last part of the name).
  virtual std::vector<std::string> adapter_targets() const = 0;
  /// Input of layer 0. -> [N, D], float32.
  virtual Tensor embed(const ReadTensor& read, std::span<const std::int32_t> tokens_N, std::span<const std::int32_t> positions_N) const = 0;
  /// One layer. x_ND is float32, so is the result.
  virtual Tensor layer(LayerContext& context, const Tensor& x_ND) const = 0;
  /// What follows the last layer; the context then holds the final tensors, whose names are whole. Default: nothing.
  virtual Tensor finish(LayerContext& context, const Tensor& x_ND) const;
};

/// A family as the keys of cached states name it.
struct Family {
  std::string name;          ///< of its component, e.g. "llama"
  /// Raise it whenever the family's code computes something else from the same files, or makes another toy model: states that an older
  /// version left are then built anew. A tensor's name or shape and the rotary frequencies are in the keys by themselves.
  std::int64_t version = 1;
};

/// A tiny model of a family, for --demo and tests: its config, and the kind of tokenizer that belongs to it.
struct ToyModel {
  std::string config;     ///< config.json
  std::string tokenizer;  ///< "sentencepiece" or "wordpiece"
};

/// Options of every language model encoder; call describe() and validate() from the encoder's own.
struct Options {
  std::string weights;
  std::string lead;
  std::vector<std::string> attributes{"title"};
  std::vector<std::string> tags;
  std::vector<std::int64_t> max_tokens{30};
  std::int64_t layers = 0;
  std::int64_t tune_layers = 0;
  std::string layer_cut = "exact";
  std::string tune = "lora";
  std::int64_t lora_rank = 32;
  double lora_alpha = 128, lora_dropout = 0.1;
  std::vector<std::string> lora_targets;
  bool recompute = false;
  std::string pooling = "attention";
  std::int64_t attention_width = 0;
  std::string compute = "auto", states = "bf16";
  bool share_prefixes = true;
  std::string keep_pooled = "none";

  void describe(Fields& f);
  void validate(Problems& problems) const;
  std::vector<std::string> needs() const;  ///< {"item:title", ...}
};

/// Natural concat -> frozen layers (cached) -> tuned layers -> fusion (Liu et al. 2024, sections 3.2 and 3.3):
///   tokens: lead, then for each attribute its tag and its text, each tokenised alone, no special tokens
///   h = layers above the cut of the cached states; final norm where the last layer is among those used
///   z = W h + b at every position;  item = additive attention over z, or its mean, or its last position
class LanguageModelEncoder : public ContentEncoder {
 public:
  using MakeArchitecture = std::function<std::unique_ptr<Architecture>(const ModelConfig&)>;
  LanguageModelEncoder(Options options, const Dims& dims, Family family, MakeArchitecture make, ToyModel toy);
  ~LanguageModelEncoder() override;

  std::int64_t width() const override;
  /// Throws Error(kData) when weights or tokenizer are missing or damaged, Error(kUsage) when options do not fit the model.
  void prepare(const Items& items, Workspace& workspace) override;
  std::unique_ptr<ItemBatch> gather(std::span<const ItemId> ids_U) const override;
  Tensor encode(const ItemBatch& batch) override;
  /// Runs all layers, which stay in memory from the first call on. Throws Error(kRun) when they exceed the memory budget.
  Tensor encode_new(ItemId id) override;
  std::vector<ParamGroup> groups() override;
  std::map<std::string, std::string> frozen() const override;
  std::map<std::string, std::string> facts() const override;
  void save_for_others(const std::filesystem::path& folder) const override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace oncekit::lm
