// content_encoder of every language model: weights and tokens, cached states, tuned layers, fusion.
#include <algorithm>
#include <cstring>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/nn/modules/linear.h>

#include "base/files.h"
#include "base/human.h"
#include "lm/adapter.h"
#include "lm/config.h"
#include "lm/layer.h"
#include "lm/states.h"
#include "lm/tokens.h"
#include "lm/toy_model.h"
#include "oncekit/error.h"
#include "oncekit/item_text.h"
#include "oncekit/log.h"
#include "oncekit/nn.h"
#include "weights/mapping.h"

namespace oncekit::lm {
namespace fs = std::filesystem;
namespace {

constexpr int kStatesVersion = 3;  ///< of the code between a model's files and its cached states

/// U items: their nodes, renumbered, and what is cached of them.
struct Batch final : ItemBatch {
  TokenTree tree;
  std::vector<char> states;             ///< [N, D] in the states' type; with pooled states [U, D] float32
  std::vector<std::int64_t> lasts_U;    ///< last node of each item, -1 without tokens
};

const char* type_name(at::ScalarType type) { return type == at::kFloat ? "f32" : "bf16"; }

/// What shows of a family's code without running it: a hash of its tensors' names and shapes, its heads and rotary positions.
std::string outline(const Architecture& architecture) {
  const Shape& shape = architecture.shape();
  std::string text = fmt::format("{} {} {} {} {} {:.17g} {:.17g}", shape.width, shape.vocabulary, shape.heads, shape.kv_heads, shape.head_width, shape.rotary_scale,
                                 fmt::join(shape.rotary_frequencies, " "));
  const auto add = [&](const std::vector<TensorNeed>& needs) {
    for (const TensorNeed& need : needs) text += fmt::format("\n{} [{}]", need.name, fmt::join(need.shape, ", "));
    text += "\n";
  };
  add(architecture.embedding_tensors());
  text += architecture.layer_prefix(0);
  add(architecture.layer_tensors());
  add(architecture.final_tensors());
  return digest(text);
}

/// A large file is read once for its digest, which takes minutes: it shows, and can be stopped.
std::string weights_digest(const ModelSource& source, Workspace& workspace) {
  std::unique_ptr<Progress> progress;
  return source.digest([&](std::int64_t bytes) {
    workspace.check_cancelled();
    if (!progress) progress = workspace.progress("weights", 0, "MiB");
    progress->advance(bytes >> 20);
  });
}

}  // namespace

struct LanguageModelEncoder::State {
  Options options;
  std::int64_t width;
  Family family;
  MakeArchitecture make;
  ToyModel toy;

  std::unique_ptr<ModelSource> source;
  std::string weights;  ///< the source's digest
  std::unique_ptr<Architecture> architecture;
  at::Device device = at::kCPU;
  std::int64_t used = 0, tuned = 0, cut = 0;  ///< layers used; the top ones that train; layers whose states are cached
  bool final_norm = false;         ///< the last layer is among those used
  Forest forest;
  at::ScalarType type = at::kBFloat16;
  std::optional<StatesJob> job;           ///< what the cached states are made by
  std::shared_ptr<const Mapping> states;  ///< [nodes, D], or [items, D] float32 when `pooled`
  bool pooled = false;
  std::vector<std::unique_ptr<FrozenStep>> resident;  ///< all frozen layers, once encode_new() has asked for them
  std::int64_t memory_budget = 0;
  std::map<std::string, std::string> frozen, facts;
  Tuning tuning;

  std::vector<std::shared_ptr<TunedLayer>> layers;
  std::shared_ptr<FinalNorm> norm;
  torch::nn::Linear projection{nullptr};
  std::shared_ptr<nn::AdditiveAttention> attention;

  std::int64_t model_width() const { return architecture->shape().width; }

  void open(const Items& items, Workspace& workspace);
  void choose_layers();
  void read_tokens(const Items& items, Workspace& workspace);
  void build_cache(Workspace& workspace);
  CacheKey key(const std::string& kind, const StatesJob& job) const;

  /// Fills the batch's tree and last nodes; -> its nodes' rows in the cached states.
  std::vector<std::int64_t> place(std::span<const ItemId> ids_U, Batch& batch) const;
  Tensor run_frozen(const TokenTree& tree);
  /// Tuned layers and fusion. x: the cut's states of a batch's nodes, [N, D], or with `means` its items' pooled ones, [U, D].
  Tensor fuse(const Batch& batch, Tensor x, bool means);
};

// ---- preparation ---------------------------------------------------------------------------------------------------------

void LanguageModelEncoder::State::open(const Items& items, Workspace& workspace) {
  fs::path path;
  if (options.weights == "toy") {
    CacheKey key("toy-model", kStatesVersion);
    key.add("family", family.name).add("family version", family.version).add("config", toy.config).add("tokenizer", toy.tokenizer);
    std::string texts = options.lead;
    for (std::size_t a = 0; a < options.attributes.size(); ++a)
      texts.append("\n").append(options.tags.empty() ? options.attributes[a] : options.tags[a]).append("\n").append(items.attribute(options.attributes[a]).bytes());
    key.add("texts", digest(texts));
    path = workspace.cache(key, [&](const fs::path& folder) { write_toy_model(folder, toy, make, options, items); });
  } else {
    path = workspace.model(options.weights);
  }
  source = open_model(path);
  architecture = make(*model_config(*source));
  check_tensors(*source, *architecture);
  weights = weights_digest(*source, workspace);
  device = at::Device(workspace.device());
  type = options.states == "f32" ? at::kFloat : at::kBFloat16;
}

void LanguageModelEncoder::State::choose_layers() {
  const std::int64_t all = architecture->shape().layers;
  const bool toy_weights = options.weights == "toy";  // a recipe's figures are made for a larger model
  const auto fit = [&](std::int64_t asked, const char* name) {
    if (asked <= all) return asked;
    if (toy_weights) return all;
    throw Error(ErrorKind::kUsage, fmt::format("{} = {}, but the model has {} layers", name, asked, all), "see config.json of " + display_path(source->path()),
                std::string("content_encoder.") + name);
  };
  used = options.layers == 0 ? all : fit(options.layers, "layers");
  tuned = std::min(fit(options.tune_layers, "tune_layers"), used);
  cut = used - tuned;
  final_norm = used == all;
  if (options.layer_cut == "released") {
    cut = std::max<std::int64_t>(0, cut - 1);
    if (tuned == 0) final_norm = false;
  }
  tuning = {options.tune == "full", options.lora_rank, options.lora_alpha, options.lora_dropout,
            options.lora_targets.empty() ? architecture->adapter_targets() : options.lora_targets, options.recompute};
}

void LanguageModelEncoder::State::read_tokens(const Items& items, Workspace& workspace) {
  const auto tokenizer = model_tokenizer(*source);
  const Shape& shape = architecture->shape();
  if (tokenizer->vocabulary_size() > shape.vocabulary)
    throw Error(ErrorKind::kData, fmt::format("the tokenizer has {} tokens, the model's embeddings {} rows", tokenizer->vocabulary_size(), shape.vocabulary),
                "tokenizer and weights must come from the same model", display_path(source->path()));
  const PackedText tokens = item_tokens(options, items, *tokenizer, workspace);
  // Folders add tokens that their embeddings lack, such as LLaMA 2's <pad>: no harm until a text holds one.
  if (tokenizer->size() > shape.vocabulary) {
    const auto beyond = std::find_if(tokens.ids.begin(), tokens.ids.end(), [&](std::int32_t id) { return id >= shape.vocabulary; });
    if (beyond != tokens.ids.end())
      throw Error(ErrorKind::kData, fmt::format("a text holds the added token '{}' (id {}), and the model's embeddings have {} rows", tokenizer->token(*beyond), *beyond, shape.vocabulary),
                  "take it out of the texts, or out of the model's added_tokens.json or tokenizer_config.json", display_path(source->path()));
  }
  std::size_t longest = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    longest = std::max(longest, tokens[i].size());
    if (tokens[i].empty()) workspace.count("items without a token: their vector is zero", items.ids[i]);
  }
  if (shape.positions > 0 && static_cast<std::int64_t>(longest) > shape.positions)
    throw Error(ErrorKind::kUsage, fmt::format("an item has {} tokens, the model was made for {} at most", longest, shape.positions), "lower max_tokens",
                "content_encoder.max_tokens");
  const auto digest_of = [](const auto& v) { return digest(std::string_view(reinterpret_cast<const char*>(v.data()), v.size() * sizeof(v[0]))); };
  facts["tokens digest"] = digest_of(tokens.ids) + "-" + digest_of(tokens.offsets);
  facts["tokenizer"] = tokenizer->kind() + " " + tokenizer->digest();
  forest = make_forest(tokens, options.share_prefixes && shape.causal, nodes_a_tree(shape));
}

CacheKey LanguageModelEncoder::State::key(const std::string& kind, const StatesJob& job) const {
  CacheKey key(kind, kStatesVersion);
  key.add("model", source->path().filename().string()).add("weights", weights);
  key.add("lead", options.lead).add("attributes", fmt::format("{}", fmt::join(options.attributes, " ")));
  key.add("tokens", facts.at("tokens digest")).add("layers", job.layers).add("final norm", std::int64_t{job.finish});
  key.add("causal", std::int64_t{architecture->shape().causal}).add("shared prefixes", std::int64_t{options.share_prefixes && architecture->shape().causal});
  key.add("nodes a tree", nodes_a_tree(architecture->shape()));
  key.add("kernel", kernel_name(job.compute, device)).add("states", type_name(job.states)).add("device", device.is_cpu() ? "cpu" : "cuda");
  key.add("family", family.name).add("family version", family.version).add("architecture", outline(*architecture));
  return key;
}

void LanguageModelEncoder::State::build_cache(Workspace& workspace) {
  const Compute compute = options.compute == "auto" ? fastest_compute(device) : options.compute == "bf16" ? Compute::kBfloat16 : Compute::kFloat32;
  this->job.emplace(StatesJob{*source, *architecture, forest, cut, final_norm && cut == used, compute, type, workspace.device()});
  const StatesJob& job = *this->job;
  memory_budget = workspace.memory_budget();
  const bool keep_all = options.keep_pooled == "all";
  pooled = keep_all && cut == used && options.pooling != "attention";
  // Mean states serve every layer of the model; the pass that makes them goes through all of it.
  StatesJob whole = job;
  whole.layers = architecture->shape().layers;
  whole.finish = true;
  const auto estimate = [&](const StatesJob& what, bool means) {
    const StatesCost cost = states_cost(what, means);
    const std::int64_t width = model_width();
    double seconds = 0;  // of a GPU not known
    if (device.is_cpu()) seconds = cost.flop / (gemm_peak(what.compute, nodes_a_tree(architecture->shape()), width, 4 * width, 0.2) * 0.75e9);
    const auto items = static_cast<std::int64_t>(forest.tree_of_item.size());
    return BuildEstimate{fmt::format("states of {} items: {} tokens, {} to compute, {} layers ({})", human_count(items), human_count(forest.tokens),
                                     human_count(forest.nodes()), what.layers, kernel_name(what.compute, device)),
                         seconds, cost.memory, cost.disk, cost.result};
  };
  fs::path entry;
  if (keep_all) {
    entry = workspace.cache(key("pooled", whole), [&](const fs::path& folder) {
      build_states(whole, folder, folder, workspace);
      fs::remove(folder / "states.bin");
    }, CacheBuild::kResumable, [&] { return estimate(whole, true); });
  }
  if (pooled) {
    states = Mapping::open(entry / fmt::format("{}.{:04d}.bin", options.pooling, cut));
  } else {
    entry = workspace.cache(key("states", job), [&](const fs::path& folder) {
      build_states(job, folder, {}, workspace);
    }, CacheBuild::kResumable, [&] { return estimate(job, false); });
    states = Mapping::open(entry / "states.bin");
  }
  const std::size_t expected = pooled ? forest.tree_of_item.size() * static_cast<std::size_t>(model_width()) * sizeof(float)
                                      : static_cast<std::size_t>(forest.nodes() * model_width()) * c10::elementSize(type);
  if (states->size() != expected)
    throw Error(ErrorKind::kData, fmt::format("the cached states have {} bytes, expected {}", states->size(), expected),
                "remove the entry (`oncekit cache verify`, `oncekit cache clean`) and run again", display_path(entry));
  frozen["weights"] = weights;
  frozen["states"] = entry.filename().string();
  facts["states"] = entry.filename().string();
  facts["kernel"] = kernel_name(job.compute, device);
  facts["weights"] = options.weights;
}

LanguageModelEncoder::LanguageModelEncoder(Options options, const Dims& dims, Family family, MakeArchitecture make, ToyModel toy)
    : state_(std::make_unique<State>()) {
  state_->options = std::move(options);
  state_->width = dims.width;
  state_->family = std::move(family);
  state_->make = std::move(make);
  state_->toy = std::move(toy);
}

LanguageModelEncoder::~LanguageModelEncoder() = default;

std::int64_t LanguageModelEncoder::width() const { return state_->width; }

void LanguageModelEncoder::prepare(const Items& items, Workspace& workspace) {
  State& s = *state_;
  s.open(items, workspace);
  s.choose_layers();
  s.read_tokens(items, workspace);
  s.build_cache(workspace);

  const std::int64_t first = s.used - s.tuned;
  std::int64_t adapted = 0;
  for (std::int64_t layer = first; layer < s.used; ++layer) {
    s.layers.push_back(register_module("layer_" + std::to_string(layer), std::make_shared<TunedLayer>(*s.source, *s.architecture, layer, s.tuning, s.device)));
    for (const Tensor& p : s.layers.back()->parameters()) adapted += p.numel();
  }
  if (!s.layers.empty() && s.final_norm)
    s.norm = register_module("final_norm", std::make_shared<FinalNorm>(*s.source, *s.architecture, s.tuning.full, s.device));
  s.projection = register_module("projection", torch::nn::Linear(s.model_width(), s.width));
  if (s.options.pooling == "attention")
    s.attention = register_module("attention", std::make_shared<nn::AdditiveAttention>(s.width, s.options.attention_width > 0 ? s.options.attention_width : s.width));
  if (!s.layers.empty())
    log::info(fmt::format("tuned: layers {} to {} of {}, {}: {} trainable parameters", first + 1, s.used, s.architecture->shape().layers,
                          s.tuning.full ? "all weights" : fmt::format("LoRA rank {} on {}", s.tuning.rank, fmt::join(s.tuning.targets, ", ")), adapted));
}

// ---- batches -------------------------------------------------------------------------------------------------------------

std::vector<std::int64_t> LanguageModelEncoder::State::place(std::span<const ItemId> ids_U, Batch& batch) const {
  TokenTree& tree = batch.tree;
  DistinctTokens nodes(static_cast<std::size_t>(forest.nodes()));
  for (const ItemId id : ids_U) {
    const std::int64_t base = forest.base(id);
    const TokenTree& stored = forest.trees[static_cast<std::size_t>(forest.tree_of_item[static_cast<std::size_t>(id)])];
    std::int64_t own = 0, place = 0;
    for (const std::int64_t node : forest.path(id)) {
      const std::int64_t row = nodes.row(static_cast<std::int32_t>(base + node));
      // Ancestors of a known node are known: an item's new nodes are the tail of its path.
      if (row == tree.nodes()) {
        tree.tokens_N.push_back(stored.tokens_N[static_cast<std::size_t>(node)]);
        tree.positions_N.push_back(stored.positions_N[static_cast<std::size_t>(node)]);
      } else {
        own = place + 1;
      }
      tree.path_P.push_back(row);
      ++place;
    }
    tree.first_own_S.push_back(own);
    tree.offsets_S1.push_back(static_cast<std::int64_t>(tree.path_P.size()));
    batch.lasts_U.push_back(place > 0 ? tree.path_P.back() : -1);
  }
  return nodes.ids();
}

std::unique_ptr<ItemBatch> LanguageModelEncoder::gather(std::span<const ItemId> ids_U) const {
  const State& s = *state_;
  auto batch = std::make_unique<Batch>();
  batch->ids_U.assign(ids_U.begin(), ids_U.end());
  const auto width = static_cast<std::size_t>(s.model_width());
  if (s.pooled) {
    const std::size_t row = width * sizeof(float);
    batch->states.resize(ids_U.size() * row);
    for (std::size_t i = 0; i < ids_U.size(); ++i) {
      std::memcpy(batch->states.data() + i * row, s.states->data() + static_cast<std::size_t>(ids_U[i]) * row, row);
      batch->lasts_U.push_back(s.forest.path(ids_U[i]).empty() ? -1 : 0);
    }
    return batch;
  }
  const std::vector<std::int64_t> nodes = s.place(ids_U, *batch);
  const std::size_t row = width * c10::elementSize(s.type);
  batch->states.resize(nodes.size() * row);
  for (std::size_t n = 0; n < nodes.size(); ++n)
    std::memcpy(batch->states.data() + n * row, s.states->data() + static_cast<std::size_t>(nodes[n]) * row, row);
  return batch;
}

Tensor LanguageModelEncoder::encode(const ItemBatch& items) {
  State& s = *state_;
  const auto& batch = static_cast<const Batch&>(items);
  const at::Device where = s.projection->weight.device();
  const at::ScalarType type = s.pooled ? at::kFloat : s.type;
  const std::int64_t rows = s.pooled ? static_cast<std::int64_t>(batch.ids_U.size()) : batch.tree.nodes();
  // A copy: autograd keeps its input until the backward pass, and the batch may be gone by then.
  const Tensor stored = at::from_blob(const_cast<char*>(batch.states.data()), {rows, s.model_width()}, type);
  return s.fuse(batch, where.is_cpu() ? stored.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true) : stored.to(where).to(at::kFloat), s.pooled);
}

Tensor LanguageModelEncoder::encode_new(ItemId id) {
  State& s = *state_;
  Batch batch;
  batch.ids_U = {id};
  s.place(batch.ids_U, batch);
  return s.fuse(batch, s.run_frozen(batch.tree).to(s.projection->weight.device()).to(at::kFloat), false);
}

Tensor LanguageModelEncoder::State::run_frozen(const TokenTree& tree) {
  if (tree.nodes() == 0) return at::zeros({0, model_width()});
  if (resident.empty()) {
    double bytes = linear_weights(*architecture) * static_cast<double>(cut) * (job->compute == Compute::kFloat32 ? 4 : 2);
    for (const TensorNeed& need : architecture->embedding_tensors()) {
      double values = 4;
      for (const std::int64_t n : need.shape) values *= static_cast<double>(n);
      bytes += values;
    }
    if (bytes > static_cast<double>(memory_budget))
      throw Error(ErrorKind::kRun, fmt::format("the frozen layers take {:.1f} GiB in memory when all are kept there, and the budget is {:.1f} GiB", bytes / (1 << 30),
                                               static_cast<double>(memory_budget) / (1 << 30)), "raise run.memory_gib on a machine that has it", "content_encoder/" + options.weights);
    for (std::int64_t step = 0; step <= cut; ++step) resident.push_back(std::make_unique<FrozenStep>(*job, step));
  }
  Tensor x;
  for (const auto& step : resident) {
    const Tensor below = FrozenStep::rows_for(*job, tree.nodes());
    if (x.defined()) below.narrow(0, 0, tree.nodes()).copy_(x);
    x = step->run(tree, below);
  }
  return x;
}

Tensor LanguageModelEncoder::State::fuse(const Batch& batch, Tensor x, bool means) {
  const auto U = static_cast<std::int64_t>(batch.ids_U.size());
  const std::int64_t rows = x.size(0);
  if (!layers.empty() && rows > 0) {
    const TokenBatch tokens(batch.tree, architecture->shape(), x.device());
    for (const auto& layer : layers) x = layer->forward(x, tokens);
    if (norm) x = norm->forward(x, tokens);
  }
  const Tensor z = projection->forward(x);
  const nn::Sequences sequences{batch.tree.path_P, batch.tree.offsets_S1};
  if (attention) return attention->forward(z, sequences);
  if (!means && options.pooling == "mean") return nn::mean(z, sequences);
  // One row an item; a row of zeros for items without tokens.
  std::vector<std::int64_t> picked(batch.lasts_U);
  bool empty = false;
  for (std::int64_t i = 0; i < U; ++i) {
    auto& at = picked[static_cast<std::size_t>(i)];
    if (at < 0) empty = true, at = rows;
    else if (means) at = i;
  }
  if (means && !empty) return z;
  return nn::gather(empty ? at::cat({z, at::zeros({1, width}, z.options())}, 0) : z, picked);
}

// ---- what the core asks --------------------------------------------------------------------------------------------------

std::vector<ParamGroup> LanguageModelEncoder::groups() {
  ParamGroup model{"lm", {}}, rest{"rest", {}};
  const auto add = [](ParamGroup& group, const torch::nn::Module& module) {
    for (const Tensor& p : module.parameters())
      if (p.requires_grad()) group.parameters.push_back(p);
  };
  for (const auto& layer : state_->layers) add(model, *layer);
  if (state_->norm) add(model, *state_->norm);
  if (state_->projection) add(rest, *state_->projection);
  if (state_->attention) add(rest, *state_->attention);
  return {model, rest};
}

std::map<std::string, std::string> LanguageModelEncoder::frozen() const { return state_->frozen; }
std::map<std::string, std::string> LanguageModelEncoder::facts() const { return state_->facts; }

void LanguageModelEncoder::save_for_others(const fs::path& folder) const {
  if (state_->layers.empty() || state_->tuning.full) return;
  save_adapter(folder, state_->layers, *state_->architecture, state_->tuning, state_->options.weights);
}

}  // namespace oncekit::lm
