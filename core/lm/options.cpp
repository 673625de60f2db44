// Options that all language model encoders share, and the virtual tables of the interfaces.
#include <algorithm>
#include <set>

#include "oncekit/language_model.h"

namespace oncekit::lm {

ModelConfig::~ModelConfig() = default;
LayerContext::~LayerContext() = default;
Architecture::~Architecture() = default;

Tensor Architecture::finish(LayerContext&, const Tensor& x_ND) const { return x_ND; }

void Options::describe(Fields& f) {
  f.text("weights", weights)
      .doc("the model: a folder (Hugging Face: config.json, weights, tokenizer) or .gguf file, as a path or a name under --models; \"toy\" = a tiny "
           "seeded model made on the spot")
      .demo(std::string("toy"));
  f.text("lead", lead).doc("text before all attributes, e.g. \"news article:\" or \"book:\"").cite("Liu et al. 2024, section 3.2");
  f.list("attributes", attributes).doc("texts of an item, in this order, e.g. title, category");
  f.list("tags", tags).doc("text before each attribute; empty = its name in angle brackets, \"<title>\"").cite("Liu et al. 2024, section 3.2");
  f.list("max_tokens", max_tokens).range(1, 100000).unit("tokens").doc("first tokens kept of each attribute: one number for all, or one an attribute");
  f.integer("layers", layers).range(0, 1000).doc("layers used, from the bottom; 0 = all, with the final norm");
  f.integer("tune_layers", tune_layers).range(0, 1000).doc("top layers that train; those below are frozen and their states cached; 0 = all frozen")
      .cite("Liu et al. 2024, section 3.3");
  f.choice("layer_cut", layer_cut, {"exact", "released"}).doc("released: the states of one layer lower, that layer skipped and no final norm when nothing is tuned, as the released code does")
      .under("released", std::string("released"));
  f.choice("tune", tune, {"lora", "full"}).doc("how the top layers train: adapters beside frozen weights, or the weights themselves");
  f.integer("lora_rank", lora_rank).range(1, 4096).doc("rank of the adapters").cite("Hu et al. 2022; released code: 32");
  f.real("lora_alpha", lora_alpha).range(0, 1e6).doc("adapters are scaled by alpha / rank").cite("released code: 128");
  f.real("lora_dropout", lora_dropout).range(0, 0.99).doc("on the adapters' input").cite("released code: 0.1");
  f.list("lora_targets", lora_targets).doc("linear layers with adapters, by the last part of their name; empty = as PEFT chooses for the family (query and value)");
  f.boolean("recompute", recompute).doc("gradient checkpointing: keep only each tuned layer's input and compute it again in the backward pass");
  f.choice("pooling", pooling, {"attention", "mean", "last"}).doc("how an item's positions become one vector").cite("Liu et al. 2024, section 3.2 (attention)");
  f.integer("attention_width", attention_width).range(0, 65536).doc("hidden width of the additive attention; 0 = [model] width");
  f.choice("compute", compute, {"auto", "f32", "bf16"}).doc("products of frozen layers; auto = the fastest of this CPU (on a GPU bf16), which the run record names");
  f.choice("states", states, {"bf16", "f32"}).doc("type of the states at every layer boundary, on disk and between layers");
  f.boolean("share_prefixes", share_prefixes).doc("causal models: compute the states of a common prefix of several items once");
  f.choice("keep_pooled", keep_pooled, {"none", "all"})
      .doc("all: one pass keeps the mean and last state of every layer, so that a sweep over layers and pooling needs no second one");
}

void Options::validate(Problems& problems) const {
  if (weights.empty()) problems.add("weights is empty: no language model is named", "name a folder under --models, a path, or \"toy\"");
  if (attributes.empty()) problems.add("attributes is empty: nothing to encode", "name at least one, e.g. attributes = [\"title\"]");
  if (max_tokens.size() != 1 && max_tokens.size() != attributes.size())
    problems.add("max_tokens has " + std::to_string(max_tokens.size()) + " numbers for " + std::to_string(attributes.size()) + " attributes",
                 "give one number for all, or one an attribute");
  if (!tags.empty() && tags.size() != attributes.size())
    problems.add("tags has " + std::to_string(tags.size()) + " texts for " + std::to_string(attributes.size()) + " attributes", "give one an attribute, or none");
  if (std::set<std::string>(attributes.begin(), attributes.end()).size() != attributes.size()) problems.add("an attribute is named twice in attributes");
  if (layers > 0 && tune_layers > layers)
    problems.add("tune_layers = " + std::to_string(tune_layers) + " of layers = " + std::to_string(layers), "tune at most the layers that are used");
}

std::vector<std::string> Options::needs() const {
  std::vector<std::string> needs;
  for (const std::string& name : attributes) needs.push_back("item:" + name);
  return needs;
}

}  // namespace oncekit::lm
