// Layers that train: they begin at the model as it is, gradients are right, recomputing changes nothing, adapters are saved as PEFT's.
#include <catch2/catch.hpp>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <c10/core/GradMode.h>
#include <nlohmann/json.hpp>
#include <torch/csrc/autograd/autograd.h>

#include "base/files.h"
#include "lm/adapter.h"
#include "lm/layer.h"
#include "oncekit/error.h"
#include "support.h"

using namespace oncekit;
using at::Tensor;
using test::Stored;

namespace {

lm::Tuning lora(bool recompute = false, double dropout = 0) { return {false, 4, 8, dropout, {"q_proj", "v_proj", "query", "value"}, recompute}; }

lm::Tuning of_family(lm::Tuning tuning, const Stored& stored) {
  tuning.targets = stored.architecture->adapter_targets();
  return tuning;
}

/// A batch of a stored model: its tree and the input of a layer, node by node.
struct Input {
  Input(const Stored& stored, std::int64_t layer, const at::Device& device = at::kCPU)
      : forest(lm::make_forest(stored.tokens, stored.architecture->shape().causal, 1024)), tokens(forest.trees.at(0), stored.architecture->shape(), device) {
    x = nodes(stored.hidden(layer), stored).to(device);
  }
  /// [T, D] by place -> [N, D] by node.
  Tensor nodes(const Tensor& places, const Stored& stored) const {
    Tensor rows = at::randn({forest.nodes(), places.size(1)});
    std::int64_t t = 0;
    for (std::size_t i = 0; i < stored.tokens.size(); ++i)
      for (const std::int64_t node : forest.path(static_cast<ItemId>(i))) rows[node].copy_(places[t++]);
    return rows;
  }
  lm::Forest forest;
  lm::TokenBatch tokens;
  Tensor x;
};

void fill_adapters(lm::TunedLayer& layer) {
  const c10::AutoGradMode no_gradients(false);
  for (const auto& adapter : layer.adapters()) adapter.b_OR.copy_(at::randn_like(adapter.b_OR) * 0.3);
}

struct Gradients {
  Tensor y, x;
  std::vector<Tensor> parameters;
};

Gradients gradients(lm::TunedLayer& layer, const Input& input, const Tensor& weights) {
  at::manual_seed(5);
  for (Tensor& p : layer.parameters()) p.mutable_grad() = Tensor();
  const Tensor x = input.x.clone().requires_grad_(true);
  const Tensor y = layer.forward(x, input.tokens);
  (y * weights).sum().backward();
  Gradients all{y.detach(), x.grad(), {}};
  for (const Tensor& p : layer.parameters()) all.parameters.push_back(p.grad().clone());
  return all;
}

}  // namespace

TEST_CASE("a tuned layer begins at the model as it is", "[unit][lm]") {
  for (const char* family : {"llama1", "llama3", "qwen2", "qwen3", "bert", "roberta"}) {
    const Stored stored(family);
    const Input input(stored, 0);
    for (const bool full : {false, true}) {
      INFO(family << (full ? " full" : " lora"));
      lm::Tuning tuning = of_family(lora(), stored);
      tuning.full = full;
      lm::TunedLayer layer(*stored.source, *stored.architecture, 0, tuning, at::kCPU);
      const c10::AutoGradMode no_gradients(false);
      CHECK(test::relative_rms(layer.forward(input.x, input.tokens), input.nodes(stored.hidden(1), stored)) < 1e-5);
    }
  }
}

TEST_CASE("adapters over packed weights have the gradients of plain products", "[unit][lm]") {
  for (const char* family : {"llama3", "qwen3", "bert"}) {
    INFO(family);
    const Stored stored(family);
    const Input input(stored, 1);
    lm::TunedLayer packed(*stored.source, *stored.architecture, 1, of_family(lora(), stored), at::kCPU);
    fill_adapters(packed);
    // The same function with adapters merged into trained weights: W + alpha / rank * B A.
    lm::Tuning full = of_family(lora(), stored);
    full.full = true;
    lm::TunedLayer plain(*stored.source, *stored.architecture, 1, full, at::kCPU);
    {
      const c10::AutoGradMode no_gradients(false);
      auto parameters = plain.named_parameters();
      for (const auto& adapter : packed.adapters()) {
        std::string name = adapter.name;
        std::replace(name.begin(), name.end(), '.', '_');
        parameters[name + "_weight"].add_(adapter.b_OR.mm(adapter.a_RI), 2.0);
      }
    }
    const Tensor weights = at::randn_like(input.x);
    const Gradients a = gradients(packed, input, weights), b = gradients(plain, input, weights);
    CHECK(test::relative_rms(a.y, b.y) < 1e-5);
    CHECK(test::relative_rms(a.x, b.x) < 1e-5);
    // dL/dA = s B^T dW, dL/dB = s dW A^T.
    const auto whole = plain.named_parameters();
    for (const auto& adapter : packed.adapters()) {
      std::string name = adapter.name;
      std::replace(name.begin(), name.end(), '.', '_');
      const Tensor dw = whole[name + "_weight"].grad();
      CHECK(test::relative_rms(adapter.a_RI.grad(), 2.0 * adapter.b_OR.detach().t().mm(dw)) < 1e-5);
      CHECK(test::relative_rms(adapter.b_OR.grad(), 2.0 * dw.mm(adapter.a_RI.detach().t())) < 1e-5);
    }
  }
}

TEST_CASE("recomputing in the backward pass gives the same bits, dropout included, on every device", "[unit][lm]") {
  for (const at::Device& device : test::devices()) {
    for (const char* family : {"llama3", "bert"}) {
      for (const bool full : {false, true}) {
        INFO(device << " " << family << (full ? " full" : " lora"));
        const Stored stored(family);
        const Input input(stored, 1, device);
        const Tensor weights = at::randn_like(input.x);
        std::vector<Gradients> both;
        Tensor next;
        for (const bool recompute : {false, true}) {
          at::manual_seed(3);
          lm::Tuning tuning = of_family(lora(recompute, 0.3), stored);
          tuning.full = full;
          lm::TunedLayer layer(*stored.source, *stored.architecture, 1, tuning, device);
          if (!full) fill_adapters(layer);
          layer.train();
          both.push_back(gradients(layer, input, weights));
          const Tensor drawn = at::rand({8}, input.x.options());
          if (recompute) CHECK(at::equal(drawn, next));  // the second run draws nothing that counts
          next = drawn;
        }
        // A GPU may sum in any order. Another mask would change numbers of size 1.
        const auto same = [&](const Tensor& a, const Tensor& b) { return device.is_cpu() ? at::equal(a, b) : at::allclose(a, b, 1e-3, 1e-3); };
        CHECK(same(both[0].y, both[1].y));
        CHECK(same(both[0].x, both[1].x));
        REQUIRE(both[0].parameters.size() == both[1].parameters.size());
        for (std::size_t i = 0; i < both[0].parameters.size(); ++i) CHECK(same(both[0].parameters[i], both[1].parameters[i]));
      }
    }
  }
}

TEST_CASE("recomputing reaches the parameters of a layer whose input needs no gradient", "[unit][lm]") {
  const Stored stored("llama3");
  const Input input(stored, 2);
  lm::TunedLayer layer(*stored.source, *stored.architecture, 2, of_family(lora(true), stored), at::kCPU);
  fill_adapters(layer);
  layer.forward(input.x, input.tokens).sum().backward();
  for (const Tensor& p : layer.parameters()) CHECK(p.grad().defined());
}

TEST_CASE("an adapter target that is no linear layer is named", "[errors][lm]") {
  const Stored stored("llama1");
  lm::Tuning tuning = lora();
  tuning.targets = {"q_prj"};
  try {
    lm::TunedLayer layer(*stored.source, *stored.architecture, 0, tuning, at::kCPU);
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUsage);
    CHECK_THAT(error.what(), Catch::Contains("q_prj") && Catch::Contains("did you mean 'q_proj'?"));
  }
}

TEST_CASE("adapters are written as PEFT reads them", "[unit][lm]") {
  const test::Scratch scratch;
  const Stored stored("llama3");
  const lm::Tuning tuning = of_family(lora(), stored);
  std::vector<std::shared_ptr<lm::TunedLayer>> layers;
  for (const std::int64_t l : {1, 2}) layers.push_back(std::make_shared<lm::TunedLayer>(*stored.source, *stored.architecture, l, tuning, at::kCPU));
  lm::save_adapter(scratch.path, layers, *stored.architecture, tuning, "some/model");
  const auto config = nlohmann::json::parse(read_file(scratch.path / "adapter_config.json"));
  CHECK(config["peft_type"] == "LORA");
  CHECK(config["r"] == 4);
  CHECK(config["target_modules"] == nlohmann::json({"q_proj", "v_proj"}));
  CHECK(config["layers_to_transform"] == nlohmann::json({1, 2}));
  const SafetensorsFile file = read_safetensors(scratch.path / "adapter_model.safetensors");
  CHECK(file.names().size() == 8);
  CHECK(file.shape("base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight") == std::vector<std::int64_t>{4, 32});
  CHECK(file.shape("base_model.model.model.layers.1.self_attn.v_proj.lora_B.weight") == std::vector<std::int64_t>{16, 4});
}
