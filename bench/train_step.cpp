// Training steps at MIND-small's shape: oncekit's own path (plugins, background batches, fused Adam) against the plain padded step, in
// one process, interleaved, medians. Prints ratios and the share of this machine's f32 matrix-multiply peak.
//   bench_train_step [nrms|naml|both] [rounds] [threads]      rounds = 0: oncekit's steps alone, for profiling
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/allocator.h"
#include "model/build.h"
#include "plain.h"
#include "plugin/host.h"
#include "run/workspace.h"
#include "support.h"
#include "synthetic.h"
#include "train/batcher.h"
#include "train/loss.h"
#include "train/optimizer.h"

namespace {

using namespace oncekit;
using namespace oncekit::bench;

constexpr std::int64_t kWidth = 256, kHeads = 8;
constexpr double kDropout = 0.1;
constexpr int kStepsARound = 8;

// Processor seconds of all threads: less disturbed by other programs than the clock on the wall.
double processor() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// Best of a few square products, FLOP/s: what this machine gives f32 matrices right now.
double gemm_rate() {
  const at::Tensor a = at::randn({2048, 1024}), b = at::randn({1024, 1024});
  double best = 0;
  for (int i = 0; i < 6; ++i) {
    const double start = now();
    at::Tensor c = at::mm(a, b);
    best = std::max(best, 2.0 * 2048 * 1024 * 1024 / (now() - start));
  }
  return best;
}

std::unique_ptr<OptionSet> options_of(const ComponentSpec& spec) {
  auto options = spec.options();
  Fields fields;
  options->describe(fields);
  if (Field* field = fields.find("dropout")) field->assign(kDropout);
  if (Field* field = fields.find("heads")) field->assign(kHeads);
  if (Field* field = fields.find("max_tokens")) field->assign(std::vector<std::int64_t>{30});
  return options;
}

struct Work {
  double rows = 0, tokens = 0, items = 0, clicks = 0;  ///< means a batch
  double gemm(const std::string& kind) const {         ///< multiply-adds times two, forward and backward
    const double square = 2.0 * kWidth * kWidth;
    const double forward = kind == "nrms" ? square * (3 * rows + tokens + items + 3 * items + clicks) : square * (3 * rows + tokens + clicks);
    return 3 * forward;
  }
};

int compare(const std::string& kind, int rounds, const Corpus& corpus, PluginHost& plugins, HostWorkspace& workspace) {
  const std::string content = kind == "nrms" ? "nrms" : "cnn_glove";
  const ComponentSpec &item_spec = plugins.find("content_encoder", content), &user_spec = plugins.find("user_encoder", kind),
                      &dot_spec = plugins.find("interaction", "dot");
  const auto item_options = options_of(item_spec), user_options = options_of(user_spec), dot_options = options_of(dot_spec);
  ModelOptions model_options;
  model_options.width = kWidth;
  const auto model = build_recommender({&item_spec, item_options.get()}, {&user_spec, user_options.get()}, {&dot_spec, dot_options.get()}, model_options, 1, corpus, workspace);
  TrainOptions train;
  train.batch_size = 64;
  Optimizer optimizer(*model, model->groups(), train);
  const Sampler sampler(corpus, train, 1);
  const StepPlan plan{sampler.size(), train.batch_size, 1};
  ItemTextOptions text_options;
  const ItemText text(text_options, corpus.items, workspace);
  PlainModel plain(*model, kind, text, kHeads, kDropout, 30, 50);

  BatchMaker maker(corpus, model->content());
  const auto order = sampler.order(0);
  const auto batch_of = [&](std::int64_t step) { return maker.make(sampler, 0, std::span(order).subspan(static_cast<std::size_t>(plan.begin(step)), 64)); };
  Work work;
  constexpr int kLooked = 20;
  for (int i = 0; i < kLooked; ++i) {
    const SampleBatch batch = batch_of(i);
    std::set<std::int32_t> words;
    for (const ItemId item : batch.items->ids_U) {
      words.insert(text.words(0, item).begin(), text.words(0, item).end());
      work.tokens += static_cast<double>(text.words(0, item).size()) / kLooked;
    }
    work.rows += static_cast<double>(words.size()) / kLooked;
    work.items += static_cast<double>(batch.items->ids_U.size()) / kLooked;
    work.clicks += static_cast<double>(batch.click_ids_N.size()) / kLooked;
  }
  fmt::print("{}: {} items in the corpus; a batch of 64: {:.0f} clicks, {:.0f} distinct items, {:.0f} tokens, {:.0f} distinct words\n", kind,
             corpus.items.size(), work.clicks, work.items, work.tokens, work.rows);

  // The two are the same model: equal losses from equal weights, without dropout.
  model->eval();
  const SampleBatch first = batch_of(0);
  const double ours = batch_loss(*model, first, train, 64).item<double>(), theirs = plain.loss(first, false).item<double>();
  fmt::print("  loss without dropout: oncekit {:.7f}, plain {:.7f}\n", ours, theirs);
  if (!(std::abs(ours - theirs) <= 1e-5 * std::abs(theirs))) {
    fmt::print("  the two differ: nothing to compare\n");
    return 1;
  }

  model->train();
  std::vector<double> own, padded, own_cpu, padded_cpu, peaks, waits, forwards, backwards, updates;
  const int total = std::max(1, rounds) * kStepsARound * (rounds == 0 ? 8 : 1) + 2;
  Prefetcher batches(corpus, model->content(), sampler, plan, 0, total);
  int step = 0;
  const auto one = [&] {
    const double c0 = processor(), t0 = now();
    optimizer.zero_grad();
    const auto batch = batches.next();
    const double t1 = now();
    const Tensor loss = batch_loss(*model, batch.samples, train, batch.step_samples);
    (void)loss.item<double>();
    const double t2 = now();
    loss.backward();
    const double t3 = now();
    optimizer.step(1);
    const double t4 = now();
    if (++step <= 2) return;  // warm-up
    own_cpu.push_back(processor() - c0);
    own.push_back(t4 - t0), waits.push_back(t1 - t0), forwards.push_back(t2 - t1), backwards.push_back(t3 - t2), updates.push_back(t4 - t3);
  };
  one(), one();
  if (rounds > 0) plain.step(first);  // warm-up
  while (step < total) {
    peaks.push_back(gemm_rate());
    for (int i = 0; i < kStepsARound && step < total; ++i) one();
    if (rounds == 0) continue;
    const double start = now(), start_cpu = processor();
    plain.step(first);
    padded.push_back(now() - start);
    padded_cpu.push_back(processor() - start_cpu);
  }
  const double own_s = median(own), peak = *std::max_element(peaks.begin(), peaks.end());
  fmt::print("  oncekit {:.1f} ms a step ({:.0f} samples/s): batch {:.1f}, forward {:.1f}, backward {:.1f}, optimizer {:.1f} ms; best step {:.1f} ms\n", own_s * 1e3, 64 / own_s,
             median(waits) * 1e3, median(forwards) * 1e3, median(backwards) * 1e3, median(updates) * 1e3, *std::min_element(own.begin(), own.end()) * 1e3);
  fmt::print("  matrix products: {:.1f} GFLOP a step; this machine's f32 peak {:.0f} GFLOP/s (median {:.0f}): {:.0f}% of the peak\n", work.gemm(kind) / 1e9, peak / 1e9,
             median(peaks) / 1e9, 100 * work.gemm(kind) / own_s / peak);
  if (rounds > 0) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < padded.size(); ++i) ratios.push_back(padded[i] / median({own.begin() + static_cast<std::ptrdiff_t>(i) * kStepsARound,
                                                                                      own.begin() + static_cast<std::ptrdiff_t>(std::min(own.size(), (i + 1) * kStepsARound))}));
    fmt::print("  plain padded step {:.0f} ms ({:.1f} samples/s)\n  ratio {:.1f}x (medians; by round {:.1f} to {:.1f})\n", median(padded) * 1e3, 64 / median(padded), median(padded) / own_s,
               *std::min_element(ratios.begin(), ratios.end()), *std::max_element(ratios.begin(), ratios.end()));
    fmt::print("  processor time: oncekit {:.0f} ms, plain {:.0f} ms, ratio {:.1f}x\n", median(own_cpu) * 1e3, median(padded_cpu) * 1e3, median(padded_cpu) / median(own_cpu));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string which = argc > 1 ? argv[1] : "both";
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 5, threads = argc > 3 ? std::atoi(argv[3]) : 2;
  tune_allocator();
  start_torch(threads);
  WorkspaceOptions workspace_options;
  workspace_options.threads = threads;
  HostWorkspace workspace(workspace_options);
  PluginHost plugins({});
  const Corpus corpus = synthetic_corpus({});
  int rc = 0;
  for (const char* kind : {"nrms", "naml"})
    if (which == kind || which == "both") rc |= compare(kind, rounds, corpus, plugins, workspace);
  return rc;
}
