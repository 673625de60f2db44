// States of every family at every layer against Hugging Face transformers; and what must not make a difference.
#include <catch2/catch.hpp>

#include <ATen/ops/cat.h>

#include "support.h"

using namespace oncekit;
using test::Stored;

namespace {

const std::vector<std::string> kFamilies{"llama1", "llama3", "linear", "yarn", "mistral", "qwen2", "qwen3", "bert", "roberta"};

lm::StatesJob job_of(const Stored& stored, const lm::Forest& forest, std::int64_t layers, lm::Compute compute = lm::Compute::kFloat32,
                     at::ScalarType states = at::kFloat) {
  return {*stored.source, *stored.architecture, forest, layers, layers == stored.architecture->shape().layers, compute, states, "cpu"};
}

/// A source whose rotary rows of q stand in GGUF's order: a fault that leaves fluent but wrong states.
class Permuted final : public ModelSource {
 public:
  explicit Permuted(const ModelSource& source, std::int64_t heads) : source_(source), heads_(heads) {}
  const std::filesystem::path& path() const override { return source_.path(); }
  const nlohmann::json& config() const override { return source_.config(); }
  const nlohmann::json& metadata() const override { return source_.metadata(); }
  std::vector<std::string> names() const override { return source_.names(); }
  bool contains(const std::string& name) const override { return source_.contains(name); }
  Info info(const std::string& name) const override { return source_.info(name); }
  std::string digest(const ReadProgress& read) const override { return source_.digest(read); }
  at::Tensor read(const std::string& name) const override {
    const at::Tensor t = source_.read(name);
    if (name.find("q_proj.weight") == std::string::npos) return t;
    return t.view({heads_, 2, -1, t.size(1)}).transpose(1, 2).reshape(t.sizes()).contiguous();
  }

 private:
  const ModelSource& source_;
  std::int64_t heads_;
};

}  // namespace

TEST_CASE("float32 states equal transformers' at every layer of every family", "[parity][lm]") {
  const test::Scratch scratch;
  for (const std::string& family : kFamilies) {
    const Stored stored(family);
    auto workspace = test::workspace_in(scratch.path);
    const lm::Forest forest = lm::make_forest(stored.tokens, stored.architecture->shape().causal, 1024);
    for (std::int64_t l = 0; l <= stored.architecture->shape().layers; ++l) {
      INFO(family << " layer " << l);
      const at::Tensor states = test::states_of(job_of(stored, forest, l), stored.tokens, scratch.fresh("states"), workspace);
      CHECK(test::relative_rms(states, stored.hidden(l)) < 1e-5);
    }
  }
}

TEST_CASE("bfloat16 products and states stay within 2e-2", "[parity][lm]") {
  if (lm::fastest_compute() != lm::Compute::kBfloat16) WARN("this CPU has no bf16 products: they run emulated");
  const test::Scratch scratch;
  for (const std::string& family : kFamilies) {
    const Stored stored(family);
    auto workspace = test::workspace_in(scratch.path);
    const lm::Forest forest = lm::make_forest(stored.tokens, stored.architecture->shape().causal, 1024);
    for (std::int64_t l = 1; l <= stored.architecture->shape().layers; ++l) {
      INFO(family << " layer " << l);
      const at::Tensor states =
          test::states_of(job_of(stored, forest, l, lm::Compute::kBfloat16, at::kBFloat16), stored.tokens, scratch.fresh("states"), workspace);
      CHECK(test::relative_rms(states, stored.hidden(l)) < 2e-2);
    }
  }
}

TEST_CASE("shared prefixes, small batches and separate items give the same states", "[unit][lm]") {
  const test::Scratch scratch;
  auto workspace = test::workspace_in(scratch.path);
  const Stored stored("llama3");
  const std::int64_t layers = stored.architecture->shape().layers;
  const lm::Forest apart = lm::make_forest(stored.tokens, false, 1024);
  const at::Tensor expected = test::states_of(job_of(stored, apart, layers), stored.tokens, scratch.fresh("a"), workspace);
  CHECK(apart.nodes() == apart.tokens);
  for (const std::int64_t nodes : {1, 16, 30, 1024}) {
    const lm::Forest shared = lm::make_forest(stored.tokens, true, nodes);
    INFO(nodes << " nodes a tree");
    if (nodes > 1) CHECK(shared.nodes() < apart.nodes());
    const at::Tensor states = test::states_of(job_of(stored, shared, layers), stored.tokens, scratch.fresh("b"), workspace);
    CHECK(test::relative_rms(states, expected) < 1e-5);
  }
}

TEST_CASE("rotary rows left in GGUF's order are noticed", "[parity][lm]") {
  const test::Scratch scratch;
  auto workspace = test::workspace_in(scratch.path);
  const Stored stored("llama1");
  const Permuted wrong(*stored.source, stored.architecture->shape().heads);
  const lm::Forest forest = lm::make_forest(stored.tokens, true, 1024);
  lm::StatesJob job{wrong, *stored.architecture, forest, 2, false, lm::Compute::kFloat32, at::kFloat, "cpu"};
  CHECK(test::relative_rms(test::states_of(job, stored.tokens, scratch.fresh("states"), workspace), stored.hidden(2)) > 1e-2);
}

TEST_CASE("a bidirectional decoder looks at later tokens, a causal one does not", "[unit][lm]") {
  const test::Scratch scratch;
  auto workspace = test::workspace_in(scratch.path);
  const Stored stored("llama1");
  const auto both_ways = bench::family_of(*stored.source, false);
  PackedText one, longer;
  one.ids = {5, 6, 7};
  one.offsets = {0, 3};
  longer.ids = {5, 6, 7, 8};
  longer.offsets = {0, 4};
  for (const bool causal : {true, false}) {
    const lm::Architecture& architecture = causal ? *stored.architecture : *both_ways;
    const auto states = [&](const PackedText& tokens) {
      const lm::Forest forest = lm::make_forest(tokens, causal, 1024);
      return test::states_of({*stored.source, architecture, forest, 2, false, lm::Compute::kFloat32, at::kFloat, "cpu"}, tokens, scratch.fresh("s"), workspace).narrow(0, 0, 3);
    };
    const double change = test::relative_rms(states(one), states(longer));
    if (causal) CHECK(change < 1e-6);
    else CHECK(change > 1e-3);
  }
}
