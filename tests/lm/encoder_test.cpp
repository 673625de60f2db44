// The encoder as a whole, on toy models: one result however it is computed; builds that are stopped; errors a user can cause.
#include <catch2/catch.hpp>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/equal.h>
#include <c10/core/GradMode.h>

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
