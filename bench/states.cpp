// Caching the frozen layers' states of item titles against plain padded forwards of the same model in the same run.
//
//   bench_states MODEL TITLES [N]      MODEL: a folder or .gguf; TITLES: MIND's news.tsv (column 4) or one title a line; N of them (512)
//   bench_states 7b                    one layer of LLaMA-7B's shapes with random weights: share of the packed-product peak
#include <fmt/format.h>

#include "base/allocator.h"
#include "families.h"
#include "kernels/kernels.h"
#include "lm/layer.h"
#include "lm/states.h"
#include "model/build.h"
#include "plain_lm.h"
#include "run/environment.h"
#include "support.h"

namespace oncekit::bench {
namespace {

/// All frozen layers over all trees in memory: what build_states does between reading and writing.
at::Tensor frozen_states(const ModelSource& source, const lm::Architecture& architecture, const lm::Forest& forest, std::int64_t layers, lm::Compute compute) {
  const lm::StatesJob job{source, architecture, forest, layers, false, compute, at::kBFloat16, "cpu"};
  std::vector<at::Tensor> states(forest.trees.size());
  for (std::int64_t s = 0; s <= layers; ++s) {
    lm::FrozenStep step(job, s);
    for (std::size_t t = 0; t < forest.trees.size(); ++t) {
      const lm::TokenTree& tree = forest.trees[t];
      const at::Tensor below = lm::FrozenStep::rows_for(job, tree.nodes());
      if (s > 0) below.narrow(0, 0, tree.nodes()).copy_(states[t]);
      states[t] = step.run(tree, below);
    }
  }
  return states.back();
}

double flop_of(const lm::Architecture& architecture, std::int64_t layers) {  // of a token
  return 2 * lm::linear_weights(architecture) * static_cast<double>(layers);
}

int compare(const std::string& model, const std::string& titles, std::size_t count) {
  const auto source = open_model(model);
  const auto architecture = family_of(*source);
  const PackedText tokens = title_tokens(*source, titles, count);
  const auto& shape = architecture->shape();
  const lm::Forest apart = lm::make_forest(tokens, false, lm::nodes_a_tree(shape)), shared = lm::make_forest(tokens, shape.causal, lm::nodes_a_tree(shape));
  const auto file_order = in_order(tokens.size(), 64), sorted = by_length(tokens, 2048);
  const auto real = static_cast<double>(apart.tokens);
  fmt::print("{} titles, {} tokens ({} after sharing prefixes), {} layers of width {}\n", tokens.size(), apart.tokens, shared.nodes(), shape.layers, shape.width);

  const c10::NoGradGuard no_gradients;
  for (const lm::Compute compute : {lm::Compute::kBfloat16, lm::Compute::kFloat32}) {
    const at::ScalarType type = compute == lm::Compute::kFloat32 ? at::kFloat : at::kBFloat16;
    PlainWeights weights(*source, type);
    const auto plain = [&](const std::vector<std::vector<std::int32_t>>& batches) {
      for (const auto& batch : batches) plain_states(*architecture, weights, tokens, batch, shape.layers, type);
    };
    plain({file_order[0]});  // warm-up: weights, kernels
    std::vector<double> padded, by_budget, own, with_prefixes;
    for (int round = 0; round < 3; ++round) {
      padded.push_back(seconds_of([&] { plain(file_order); }));
      by_budget.push_back(seconds_of([&] { plain(sorted); }));
      own.push_back(seconds_of([&] { frozen_states(*source, *architecture, apart, shape.layers, compute); }));
      with_prefixes.push_back(seconds_of([&] { frozen_states(*source, *architecture, shared, shape.layers, compute); }));
    }
    const double peak = lm::gemm_peak(compute, 1024, shape.width, 4 * shape.width);
    const double rate = flop_of(*architecture, shape.layers) * real / median(own) / 1e9;
    fmt::print("{}: oncekit {:.0f} tokens/s, {:.0f}% of the packed-product peak ({:.0f} GFLOP/s); with prefixes shared {:.0f} tokens/s\n", lm::kernel_name(compute), real / median(own),
               100 * rate / peak, peak, real / median(with_prefixes));
    fmt::print("  against plain padded, file order: {:.2f}x ({:.0f} tokens/s), with prefixes {:.2f}x\n  against plain sorted by length:   {:.2f}x ({:.0f} tokens/s), with prefixes {:.2f}x\n",
               median(padded) / median(own), real / median(padded), median(padded) / median(with_prefixes), median(by_budget) / median(own), real / median(by_budget),
               median(by_budget) / median(with_prefixes));
  }
  fmt::print("peak memory of all of this {:.0f} MiB\n", static_cast<double>(peak_memory()) / (1 << 20));
  return 0;
}

int one_layer() {
  const RandomSource source(llama_config(4096, 11008, 32, 32, 1));
  PackedText tokens;
  for (int i = 0; i < 128; ++i) {
    for (int j = 0; j < 16; ++j) tokens.ids.push_back((i * 31 + j * 7) % 1000);
    tokens.offsets.push_back(static_cast<std::int64_t>(tokens.ids.size()));
  }
  const lm::Forest forest = lm::make_forest(tokens, false, 2048);
  const lm::TokenBatch batch(forest.trees[0], source.architecture().shape(), at::kCPU);
  const c10::NoGradGuard no_gradients;
  for (const lm::Compute compute : {lm::Compute::kBfloat16, lm::Compute::kFloat32}) {
    lm::FrozenLayer layer(source, source.architecture().layer_prefix(0), compute, at::kCPU);
    lm::FrozenContext context(layer, batch);
    const at::Tensor x = at::randn({forest.nodes(), 4096});
    source.architecture().layer(context, x);
    std::vector<double> own, peaks;
    for (int round = 0; round < 7; ++round) {
      peaks.push_back(std::max({lm::gemm_peak(compute, 1024, 4096, 4096, 0.3), lm::gemm_peak(compute, 1024, 4096, 11008, 0.3), lm::gemm_peak(compute, 2048, 4096, 11008, 0.3)}));
      own.push_back(seconds_of([&] { source.architecture().layer(context, x); }));
    }
    const double rate = flop_of(source.architecture(), 1) * static_cast<double>(forest.nodes()) / median(own) / 1e9;
    fmt::print("{}: one layer of LLaMA-7B, {} tokens: {:.0f} ms, {:.0f} GFLOP/s, {:.0f}% of the peak {:.0f} GFLOP/s of packed products (best round {:.0f}%)\n", lm::kernel_name(compute),
               forest.nodes(), median(own) * 1e3, rate, 100 * rate / median(peaks), median(peaks),
               100 * flop_of(source.architecture(), 1) * static_cast<double>(forest.nodes()) / *std::min_element(own.begin(), own.end()) / 1e9 / median(peaks));
  }
  return 0;
}

}  // namespace
}  // namespace oncekit::bench

int main(int argc, char** argv) {
  using namespace oncekit;
  tune_allocator();
  start_torch(2);
  const std::string first = argc > 1 ? argv[1] : "";
  if (first == "7b") return bench::one_layer();
  if (argc < 3) {
    fmt::print("usage: bench_states MODEL TITLES [N] | bench_states 7b\n");
    return 2;
  }
  return bench::compare(first, argv[2], argc > 3 ? std::stoul(argv[3]) : 512);
}
