// A step of the top layers from cached states: LoRA, f32, forward and backward, and what it costs against the whole model.
//
//   bench_tuning MODEL K [RANK] [ITEMS] [TOKENS] [STEPS]    K top layers on ITEMS items of TOKENS random tokens; one line of milliseconds
//   bench_tuning MODEL epoch TITLES                          k = 0, 1, 2 and the whole model on batches of real titles, ratios
// bench/peft_step.py runs the first beside peft's own step.
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include "base/allocator.h"
#include "families.h"
#include "kernels/kernels.h"
#include "lm/layer.h"
#include "model/build.h"
#include "support.h"

namespace oncekit::bench {
namespace {

struct Top {
  Top(const ModelSource& source, const lm::Architecture& architecture, std::int64_t k, std::int64_t rank) {
    const lm::Tuning tuning{false, rank, 4.0 * static_cast<double>(rank), 0, architecture.adapter_targets(), false};
    for (std::int64_t l = architecture.shape().layers - k; l < architecture.shape().layers; ++l)
      layers.push_back(std::make_shared<lm::TunedLayer>(source, architecture, l, tuning, at::kCPU));
    norm = std::make_shared<lm::FinalNorm>(source, architecture, false, at::kCPU);
    projection = at::randn({64, architecture.shape().width}).mul_(0.02).requires_grad_(true);
  }
  void step(const at::Tensor& x, const lm::TokenBatch& batch) {
    for (const auto& layer : layers)
      for (at::Tensor& p : layer->parameters()) p.mutable_grad() = at::Tensor();
    at::Tensor h = x;
    for (const auto& layer : layers) h = layer->forward(h, batch);
    at::linear(norm->forward(h, batch), projection).pow(2).mean().backward();
  }
  std::vector<std::shared_ptr<lm::TunedLayer>> layers;
  std::shared_ptr<lm::FinalNorm> norm;
  at::Tensor projection;
};

PackedText random_items(std::int64_t items, std::int64_t length, std::int64_t vocabulary) {
  PackedText tokens;
  Rng rng(7);
  for (std::int64_t i = 0; i < items; ++i) {
    for (std::int64_t j = 0; j < length; ++j) tokens.ids.push_back(static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(vocabulary))));
    tokens.offsets.push_back(static_cast<std::int64_t>(tokens.ids.size()));
  }
  return tokens;
}

int fixed(const ModelSource& source, const lm::Architecture& architecture, std::int64_t k, std::int64_t rank, std::int64_t items, std::int64_t length, int steps) {
  const lm::Forest forest = lm::make_forest(random_items(items, length, architecture.shape().vocabulary), false, items * length);
  const lm::TokenBatch batch(forest.trees[0], architecture.shape(), at::kCPU);
  const at::Tensor x = at::randn({forest.nodes(), architecture.shape().width});
  Top top(source, architecture, k, rank);
  top.step(x, batch), top.step(x, batch);
  std::vector<double> times;
  for (int i = 0; i < steps; ++i) {
    times.push_back(seconds_of([&] { top.step(x, batch); }));
  }
  fmt::print("{:.2f} ms a step (best {:.2f}), top {} of {} layers, rank {}, {} tokens\n", median(times) * 1e3, *std::min_element(times.begin(), times.end()) * 1e3, k,
             architecture.shape().layers, rank, forest.nodes());
  return 0;
}

int epoch(const ModelSource& source, const lm::Architecture& architecture, const std::string& titles) {
  const PackedText tokens = title_tokens(source, titles, 400);
  const lm::Forest forest = lm::make_forest(tokens, architecture.shape().causal, 1 << 30);
  const lm::TokenBatch batch(forest.trees[0], architecture.shape(), at::kCPU);
  const at::Tensor x = at::randn({forest.nodes(), architecture.shape().width});
  fmt::print("a batch of {} items, {} tokens, {} after sharing prefixes\n", tokens.size(), forest.tokens, forest.nodes());
  const std::int64_t all = architecture.shape().layers;
  std::map<std::int64_t, std::unique_ptr<Top>> tops;
  for (const std::int64_t k : {std::int64_t{0}, std::int64_t{1}, std::int64_t{2}, all}) tops[k] = std::make_unique<Top>(source, architecture, k, 32);
  std::map<std::int64_t, std::vector<double>> times;
  for (int round = 0; round < 4; ++round)
    for (auto& [k, top] : tops) {
      const double seconds = seconds_of([&, &top = top] { top->step(x, batch); });
      if (round > 0) times[k].push_back(seconds);
    }
  for (auto& [k, seconds] : times)
    fmt::print("top {:>2} of {} layers: {:8.1f} ms a step, the whole model costs {:.1f}x\n", k, all, median(seconds) * 1e3, median(times[all]) / median(seconds));
  return 0;
}

}  // namespace
}  // namespace oncekit::bench

int main(int argc, char** argv) {
  using namespace oncekit;
  tune_allocator();
  start_torch(2);
  if (argc < 3) {
    fmt::print("usage: bench_tuning MODEL K [RANK] [ITEMS] [TOKENS] [STEPS] | bench_tuning MODEL epoch TITLES\n");
    return 2;
  }
  const auto source = open_model(argv[1]);
  const auto architecture = bench::family_of(*source);
  if (std::string(argv[2]) == "epoch") return bench::epoch(*source, *architecture, argc > 3 ? argv[3] : "");
  const auto number = [&](int i, std::int64_t otherwise) { return argc > i ? std::stoll(argv[i]) : otherwise; };
  return bench::fixed(*source, *architecture, std::stoll(argv[2]), number(3, 32), number(4, 64), number(5, 30), static_cast<int>(number(6, 15)));
}
