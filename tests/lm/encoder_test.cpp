// The encoder as a whole, on toy models: one result however it is computed; builds that are stopped; errors a user can cause.
#include <chrono>
#include <cstdint>

#include <catch2/catch.hpp>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/equal.h>
#include <c10/core/GradMode.h>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "oncekit/error.h"
#include "support.h"

using namespace oncekit;
using at::Tensor;
namespace fs = std::filesystem;

namespace {

Items some_items() {
  Items items;
  const char* kinds[] = {"news", "sports", "travel"};
  for (int i = 0; i < 40; ++i) {
    items.ids.push_back("N" + std::to_string(i));
    items.attributes["title"].push_back(std::string("the quiet ") + (i % 2 ? "harbour " : "mountain ") + std::to_string(i * 37 % 11) + (i % 3 ? " lights" : ""));
    items.attributes["category"].push_back(kinds[i % 3]);
  }
  items.listed = 40;
  return items;
}

std::vector<ItemId> all_ids() {
  std::vector<ItemId> ids(40);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<ItemId>(i);
  return ids;
}

lm::Options toy_options() {
  lm::Options options;
  options.weights = "toy";
  options.lead = "news article:";
  options.attributes = {"title", "category"};
  options.compute = "f32";
  options.states = "f32";
  return options;
}

/// The vectors of all items, with the same fusion weights for every encoder.
Tensor vectors(lm::LanguageModelEncoder& encoder, HostWorkspace& workspace) {
  const Items items = some_items();
  encoder.prepare(items, workspace);
  encoder.eval();
  const c10::AutoGradMode no_gradients(false);
  at::manual_seed(11);
  for (auto& p : encoder.named_parameters())
    if (p.key().starts_with("projection") || p.key().starts_with("attention")) p.value().normal_(0, 0.3);
  const auto batch = encoder.gather(all_ids());
  return encoder.encode(*batch).clone();
}

Tensor llama_vectors(const lm::Options& options, HostWorkspace& workspace, const std::string& attention = "causal") {
  llama::LlamaOptions all{options, attention};
  llama::LlamaEncoder encoder(all, Dims{16, 16});
  return vectors(encoder, workspace);
}

/// A stored model whose config is changed.
std::unique_ptr<ModelSource> changed_model(const test::Scratch& scratch, const std::string& name, const std::string& key, const nlohmann::json& value) {
  const fs::path from = fs::path(ONCEKIT_TREE) / "tests/lm/fixtures" / name, folder = scratch.fresh(name);
  fs::copy(from / "model.safetensors", folder);
  auto config = nlohmann::json::parse(read_file(from / "config.json"));
  config[key] = value;
  write_file(folder / "config.json", config.dump());
  return open_model(folder);
}

/// A config with another rotary base: what a change of plugins/llama/rotary.cpp would do.
class Turned final : public lm::ModelConfig {
 public:
  explicit Turned(const lm::ModelConfig& config) : config_(config) {}
  std::int64_t integer(const std::string& key, std::optional<std::int64_t> otherwise) const override { return config_.integer(key, otherwise); }
  double real(const std::string& key, std::optional<double> otherwise) const override { return key == "rope_theta" ? 500 : config_.real(key, otherwise); }
  bool boolean(const std::string& key, std::optional<bool> otherwise) const override { return config_.boolean(key, otherwise); }
  std::string text(const std::string& key, std::optional<std::string> otherwise) const override { return config_.text(key, otherwise); }
  bool has(const std::string& key) const override { return config_.has(key); }
  bool has_tensor(const std::string& name) const override { return config_.has_tensor(name); }
  std::string where() const override { return config_.where(); }

 private:
  const lm::ModelConfig& config_;
};

}  // namespace

TEST_CASE("wherever the model is cut, items have the same vectors", "[unit][lm]") {
  const test::Scratch scratch;
  auto workspace = test::workspace_in(scratch.path);
  for (const char* pooling : {"attention", "mean", "last"}) {
    lm::Options options = toy_options();
    options.pooling = pooling;
    const Tensor expected = llama_vectors(options, workspace);
    CHECK(expected.sizes() == at::IntArrayRef({40, 16}));
    for (const char* tune : {"lora", "full"}) {
      for (const std::int64_t tuned : {1, 3, 4}) {
        INFO(pooling << " " << tune << " " << tuned);
        lm::Options cut = options;
        cut.tune = tune;
        cut.tune_layers = tuned;
        CHECK(test::relative_rms(llama_vectors(cut, workspace), expected) < 1e-5);
        cut.recompute = true;
        CHECK(test::relative_rms(llama_vectors(cut, workspace), expected) < 1e-5);
      }
    }
    lm::Options apart = options;
    apart.share_prefixes = false;
    CHECK(test::relative_rms(llama_vectors(apart, workspace), expected) < 1e-5);
    if (std::string(pooling) != "attention") {
      lm::Options kept = options;
      kept.keep_pooled = "all";
      CHECK(test::relative_rms(llama_vectors(kept, workspace), expected) < 1e-5);
      kept.layers = 2;
      lm::Options lower = options;
      lower.layers = 2;
      CHECK(test::relative_rms(llama_vectors(kept, workspace), llama_vectors(lower, workspace)) < 1e-5);
    }
  }
}

TEST_CASE("an item as if it were new has the vector that the cache gives it", "[unit][lm]") {
  const test::Scratch scratch;
  auto workspace = test::workspace_in(scratch.path);
  Items items = some_items();
  items.ids.push_back("empty");
  for (auto& [name, column] : items.attributes) column.push_back("");
  const auto check = [&](const lm::Options& options) {
    llama::LlamaOptions all{options, "causal"};
    llama::LlamaEncoder encoder(all, Dims{16, 16});
    encoder.prepare(items, workspace);
    encoder.eval();
    const c10::AutoGradMode no_gradients(false);
    for (ItemId id = 0; id < static_cast<ItemId>(items.size()); ++id) {
      const Tensor cached = encoder.encode(*encoder.gather({&id, 1})), fresh = encoder.encode_new(id);
      CHECK(fresh.sizes() == at::IntArrayRef({1, 16}));
      CHECK((at::equal(fresh, cached) || test::relative_rms(fresh, cached) < 1e-5));  // both zero without tokens
    }
  };
  for (const char* pooling : {"attention", "mean", "last"}) {
    for (const char* lead : {"news article:", ""}) {
      INFO(pooling << " '" << lead << "'");
      lm::Options options = toy_options();
      options.lead = lead;
      if (options.lead.empty()) options.tags = {"", ""};  // the item without texts is then one without tokens
      options.pooling = pooling;
      check(options);
      options.tune_layers = 2;
      check(options);
      options.tune_layers = 0;
      options.layers = 2;
      options.keep_pooled = std::string(pooling) == "attention" ? "none" : "all";
      check(options);
    }
  }
}

TEST_CASE("an item as if it were new: more layers than the memory budget holds are refused", "[unit][lm][errors]") {
  const test::Scratch scratch;
  auto workspace = test::workspace_in(scratch.path);
  WorkspaceOptions small = workspace.options();
  small.memory_budget = 4096;
  HostWorkspace tight(small);
  llama::LlamaOptions all{toy_options(), "causal"};
  llama::LlamaEncoder encoder(all, Dims{16, 16});
  encoder.prepare(some_items(), tight);
  CHECK_THROWS_WITH(encoder.encode_new(0), Catch::Contains("frozen layers take") && Catch::Contains("run.memory_gib"));
}

TEST_CASE("what must change an item's vector does", "[unit][lm]") {
  const test::Scratch scratch;
  auto workspace = test::workspace_in(scratch.path);
  const Tensor expected = llama_vectors(toy_options(), workspace);
  const auto differs = [&](const char* what, const std::function<void(lm::Options&)>& change) {
    INFO(what);
    lm::Options options = toy_options();
    change(options);
    CHECK(test::relative_rms(llama_vectors(options, workspace), expected) > 1e-3);
  };
  differs("layers", [](auto& o) { o.layers = 2; });
  differs("released cut", [](auto& o) { o.layer_cut = "released"; });
  differs("released cut with tuning", [](auto& o) { o.layer_cut = "released", o.tune_layers = 1; });
  differs("tags", [](auto& o) { o.tags = {"a", "b"}; });
  differs("max_tokens", [](auto& o) { o.max_tokens = {2}; });
  differs("order", [](auto& o) { o.attributes = {"category", "title"}; });
  differs("pooling", [](auto& o) { o.pooling = "mean"; });
  CHECK(test::relative_rms(llama_vectors(toy_options(), workspace, "bidirectional"), expected) > 1e-3);
  lm::Options half = toy_options();
  half.states = "bf16";
  const double rounded = test::relative_rms(llama_vectors(half, workspace), expected);
  CHECK(rounded > 1e-5);
  CHECK(rounded < 3e-2);
}

TEST_CASE("batches of any size and order give the same vectors", "[unit][lm]") {
  const test::Scratch scratch;
  auto workspace = test::workspace_in(scratch.path);
  for (const std::int64_t tuned : {0, 2}) {
    lm::Options options = toy_options();
    options.tune_layers = tuned;
    llama::LlamaEncoder encoder({options, "causal"}, Dims{16, 16});
    const Tensor expected = vectors(encoder, workspace);
    const c10::AutoGradMode no_gradients(false);
    const std::vector<ItemId> ids{39, 3, 17, 4, 2};
    const auto batch = encoder.gather(ids);
    const Tensor some = encoder.encode(*batch);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      CHECK(test::relative_rms(some[static_cast<std::int64_t>(i)], expected[ids[i]]) < 1e-5);
      const auto one = encoder.gather(std::vector<ItemId>{ids[i]});
      CHECK(test::relative_rms(encoder.encode(*one)[0], expected[ids[i]]) < 1e-5);
    }
    const auto none = encoder.gather(std::vector<ItemId>{});
    CHECK(encoder.encode(*none).sizes() == at::IntArrayRef({0, 16}));
  }
}

TEST_CASE("a build of states that is stopped anywhere goes on to the same bytes", "[fault][lm]") {
  const test::Scratch scratch;
  auto workspace = test::workspace_in(scratch.path);
  const test::Stored stored("llama3");
  const lm::Forest forest = lm::make_forest(stored.tokens, true, 8);
  REQUIRE(forest.trees.size() >= 3);
  const lm::StatesJob job{*stored.source, *stored.architecture, forest, 3, true, lm::Compute::kFloat32, at::kBFloat16, "cpu"};
  const auto folder = scratch.fresh("whole"), means = scratch.fresh("whole-means");
  lm::build_states(job, folder, means, workspace);
  const auto same = [](const fs::path& a, const fs::path& b) { return read_file(a) == read_file(b); };

  int points = 0;
  lm::states_fault_hook() = [&](const std::string&) { ++points; };
  lm::build_states(job, scratch.fresh("count"), {}, workspace);
  lm::states_fault_hook() = nullptr;
  REQUIRE(points > 12);
  for (int stop = 1; stop <= points; ++stop) {
    INFO("stopped at point " << stop << " of " << points);
    const auto part = scratch.fresh("part"), part_means = scratch.fresh("part-means");
    // What a kill leaves on the disk: nothing is done on the way out. (tests/run/states_kill.sh sends real ones.)
    struct Killed {};
    int at = 0;
    lm::states_fault_hook() = [&](const std::string&) {
      if (++at == stop) throw Killed();
    };
    CHECK_THROWS_AS(lm::build_states(job, part, part_means, workspace), Killed);
    lm::states_fault_hook() = nullptr;
    lm::build_states(job, part, part_means, workspace);
    CHECK(same(folder / "states.bin", part / "states.bin"));
    for (int l = 0; l <= 3; ++l) CHECK(same(means / ("mean.000" + std::to_string(l) + ".bin"), part_means / ("mean.000" + std::to_string(l) + ".bin")));
    std::vector<std::string> left;
    for (const auto& entry : fs::directory_iterator(part)) left.push_back(entry.path().filename());
    std::sort(left.begin(), left.end());
    CHECK(left == std::vector<std::string>{"about.json", "states.bin"});
  }
}

TEST_CASE("states of another family, of another version of it or of other rotary frequencies are not taken", "[unit][lm]") {
  const test::Scratch scratch;
  auto workspace = test::workspace_in(scratch.path);
  const lm::ToyModel toy{R"({"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48})", "sentencepiece"};
  const auto states_of = [&](const lm::Family& family, bool turned = false) {
    lm::LanguageModelEncoder encoder(toy_options(), Dims{16, 16}, family, [turned](const lm::ModelConfig& config) -> std::unique_ptr<lm::Architecture> {
      if (turned) return std::make_unique<llama::Llama>(Turned(config), true);
      return std::make_unique<llama::Llama>(config, true);
    }, toy);
    encoder.prepare(some_items(), workspace);
    return encoder.facts().at("states");
  };
  const std::string first = states_of({"mine", 1});
  CHECK(states_of({"mine", 1}) == first);
  CHECK(states_of({"mine", 2}) != first);
  CHECK(states_of({"yours", 1}) != first);
  CHECK(workspace.cache_uses().size() == 6);  // each has a toy model of its own
  CHECK(states_of({"mine", 1}, true) != first);
  CHECK(workspace.cache_uses().size() == 7);
}

TEST_CASE("means of all layers take the bytes that a plan foretells, and a stop after the last layer costs nothing", "[fault][lm]") {
  const test::Scratch scratch;
  const fs::path cache = scratch.fresh("cache");
  auto undisturbed = test::workspace_in(scratch.fresh("other")), workspace = test::workspace_in(cache);
  lm::Options options = toy_options();
  options.pooling = "mean";
  llama_vectors(options, workspace);  // makes the toy model
  options.keep_pooled = "all";
  const Tensor expected = llama_vectors(options, undisturbed);
  const auto bytes = [&] {  // of pooled states: means, last states, boundaries
    std::int64_t sum = 0;
    for (const auto& entry : fs::recursive_directory_iterator(cache)) {
      const std::string name = entry.path().filename();
      const bool counts = name.ends_with(".bin") || name.starts_with("boundary.");
      if (counts && entry.path().parent_path().filename().string().starts_with("pooled-")) sum += static_cast<std::int64_t>(entry.file_size());
    }
    return sum;
  };

  WorkspaceOptions asked = workspace.options();
  asked.build = false;
  HostWorkspace plan(asked);
  CHECK_THROWS_AS(llama_vectors(options, plan), Error);
  REQUIRE(plan.missing());
  REQUIRE(plan.missing()->estimate);
  const BuildEstimate estimate = *plan.missing()->estimate;

  // Stopped while all files are read for their digests.
  std::int64_t peak = 0;
  lm::states_fault_hook() = [&](const std::string& point) {
    peak = std::max(peak, bytes());
    if (point == "about") cancel_requested() = true;
  };
  std::optional<ErrorKind> stopped;
  try {
    llama_vectors(options, workspace);
  } catch (const Error& error) {
    stopped = error.kind();
  }
  cancel_requested() = false;
  CHECK(stopped == ErrorKind::kInterrupted);
  CHECK(peak == estimate.disk);

  int computed = 0;
  lm::states_fault_hook() = [&](const std::string&) { ++computed; };
  CHECK(at::equal(llama_vectors(options, workspace), expected));
  lm::states_fault_hook() = nullptr;
  CHECK(computed == 0);
  CHECK(bytes() == estimate.result);
}

TEST_CASE("the memory of a build counts embeddings that reading computes", "[unit][lm]") {
  // What a quantised GGUF file says of its embeddings.
  class Computed final : public ModelSource {
   public:
    explicit Computed(const ModelSource& source) : source_(source) {}
    const fs::path& path() const override { return source_.path(); }
    const nlohmann::json& config() const override { return source_.config(); }
    const nlohmann::json& metadata() const override { return source_.metadata(); }
    std::vector<std::string> names() const override { return source_.names(); }
    bool contains(const std::string& name) const override { return source_.contains(name); }
    Info info(const std::string& name) const override { return {at::kFloat, {1 << 20, 32}, name.find("embed_tokens") == std::string::npos}; }
    std::string digest(const ReadProgress& read) const override { return source_.digest(read); }
    Tensor read(const std::string& name) const override { return source_.read(name); }

   private:
    const ModelSource& source_;
  };
  const test::Stored stored("llama1");
  const lm::Forest forest = lm::make_forest(stored.tokens, true, 1024);
  const Computed computed(*stored.source);
  const auto memory = [&](const ModelSource& source) {
    return lm::states_cost({source, *stored.architecture, forest, 2, false, lm::Compute::kFloat32, at::kFloat, "cpu"}).memory;
  };
  CHECK(memory(*stored.source) < 1 << 26);
  CHECK(memory(computed) > std::int64_t{1 << 20} * 32 * 4);
}

TEST_CASE("an added token beyond the embeddings is no fault until a text holds it", "[unit][lm][errors]") {
  const test::Scratch scratch;
  auto workspace = test::workspace_in(scratch.path);
  const Tensor expected = llama_vectors(toy_options(), workspace);
  const fs::path model = scratch.fresh("model");
  fs::copy(workspace.cache_uses().at(0).folder, model, fs::copy_options::recursive);
  write_file(model / "added_tokens.json", R"({"<pad>": 1000})");  // as LLaMA 2's folders: the embeddings have 1000 rows
  lm::Options options = toy_options();
  options.weights = model.string();
  CHECK(test::relative_rms(llama_vectors(options, workspace), expected) < 1e-6);
  options.lead = "<pad> news article:";
  CHECK_THROWS_WITH(llama_vectors(options, workspace), Catch::Contains("the added token '<pad>' (id 1000)") && Catch::Contains("1000 rows"));
}

TEST_CASE("a config with any number in the place of a size is read or refused at once", "[fault][errors][lm]") {
  const test::Scratch scratch;
  const auto begin = std::chrono::steady_clock::now();
  const auto told = [&](const char* name, const std::string& key, const nlohmann::json& value) -> std::string {
    try {
      const auto source = changed_model(scratch, name, key, value);
      lm::check_tensors(*source, *bench::family_of(*source));
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kData);
      return error.what();
    }
    return "read";
  };
  for (const char* name : {"llama1", "qwen3", "mistral", "bert", "roberta"}) {
    const auto config = nlohmann::json::parse(read_file(fs::path(ONCEKIT_TREE) / "tests/lm/fixtures" / name / "config.json"));
    for (const auto& [key, value] : config.items()) {
      if (!value.is_number_integer()) continue;
      for (const nlohmann::json& other : {nlohmann::json(-1), nlohmann::json(0), nlohmann::json(INT32_MAX), nlohmann::json(INT64_MIN), nlohmann::json(UINT64_MAX)}) {
        INFO(name << " " << key << " = " << other.dump());
        told(name, key, other);
      }
    }
  }
  CHECK_THAT(told("llama1", "num_hidden_layers", 2'000'000'000), Catch::Contains("has no tensor '") && Catch::Contains("layers.3.") && Catch::Contains("; and more"));
  CHECK_THAT(told("llama1", "head_dim", 2'000'000'000), Catch::Contains("impossible sizes of layers and heads"));
  CHECK_THAT(told("llama1", "head_dim", 4'000'000'000), Catch::Contains("'head_dim' = 4000000000, expected a whole number below 2^31"));
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60));
}

TEST_CASE("multilingual models of the BERT family are refused by name", "[errors][lm]") {
  const test::Scratch scratch;
  const auto source = changed_model(scratch, "roberta", "model_type", "xlm-roberta");
  CHECK_THROWS_WITH(bert::Bert(*lm::model_config(*source)), Catch::Contains("xlm-roberta") && Catch::Contains("choose an English model"));
}

TEST_CASE("mistakes about language models are told in one paragraph", "[errors][lm]") {
  const test::Scratch scratch;
  auto workspace = test::workspace_in(scratch.path);
  const auto message = [&](const std::function<void(lm::Options&)>& change, ErrorKind kind) -> std::string {
    lm::Options options = toy_options();
    change(options);
    try {
      llama_vectors(options, workspace);
    } catch (const Error& error) {
      CHECK(error.kind() == kind);
      return error.what();
    }
    return "no error";
  };
  CHECK_THAT(message([](auto& o) { o.weights = "nowhere-7b"; }, ErrorKind::kData), Catch::Contains("nowhere-7b") && Catch::Contains("config.json"));
  const std::string fixtures = std::string(ONCEKIT_TREE) + "/tests/lm/fixtures/";
  CHECK_THAT(message([&](auto& o) { o.weights = fixtures + "bert"; }, ErrorKind::kData), Catch::Contains("content_encoder.use = \"bert\""));
  CHECK_THAT(message([&](auto& o) { o.weights = fixtures + "llama1", o.tune_layers = 9; }, ErrorKind::kUsage), Catch::Contains("tune_layers = 9") && Catch::Contains("3 layers"));
  CHECK_THAT(message([](auto& o) { o.tune_layers = 1, o.lora_targets = {"quary"}; }, ErrorKind::kUsage), Catch::Contains("quary"));
}
