#include "train/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <optional>

#include <ATen/Context.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include "base/files.h"
#include "base/growing_file.h"
#include "model/recommender.h"
#include "oncekit/error.h"
#include "oncekit/log.h"
#include "train/batcher.h"
#include "train/checkpoint.h"
#include "train/loss.h"
#include "train/optimizer.h"
#include "train/sampler.h"

namespace oncekit {
namespace {

/// Adds the seconds since its last lap to a stage.
class Clock {
 public:
  explicit Clock(std::map<std::string, double>& stages) : stages_(stages) {}
  double lap(const char* stage) {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    if (stage != nullptr) stages_[stage] += seconds;
    return seconds;
  }

 private:
  std::map<std::string, double>& stages_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// Which steps there are, and after which of them dev is looked at.
struct Horizon {
  StepPlan plan;
  std::int64_t total = 0;
  double check_steps = 1, decay_steps = 1;

  Horizon(const TrainOptions& o, std::int64_t samples) : plan{samples, o.batch_size, o.accumulate} {
    const auto per_epoch = static_cast<double>(plan.steps_per_epoch());
    total = std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(o.epochs * per_epoch - 1e-9)));
    decay_steps = (o.schedule_epochs > 0 ? o.schedule_epochs : o.epochs) * per_epoch;
    if (o.max_steps > 0) total = std::min(total, o.max_steps);
    check_steps = o.check_every * per_epoch;
  }
  double epochs(std::int64_t step) const { return static_cast<double>(step) / static_cast<double>(plan.steps_per_epoch()); }
  bool is_check(std::int64_t step) const {
    const auto checks = [&](std::int64_t s) { return std::floor(static_cast<double>(s) / check_steps + 1e-9); };
    return step > 0 && (step == total || checks(step) > checks(step - 1));
  }
};

class Training {
 public:
  Training(Recommender& model, const Corpus& corpus, const TrainSetup& setup, const DevCheck& dev, Workspace& workspace)
      : model_(model), corpus_(corpus), setup_(setup), options_(setup.options), dev_(dev), workspace_(workspace),
        sampler_(corpus, options_, setup.seed), horizon_(options_, sampler_.size()), optimizer_(model, model.groups(), options_),
        checkpoints_(setup.folder / "checkpoints"), dropout_(Rng(setup.seed).at("dropout")) {}

  TrainSummary run() {
    start();
    Clock clock(state_.stage_s);
    clock_ = &clock;
    const auto progress = workspace_.progress("train", horizon_.total * horizon_.plan.step_size(), "samples", state_.samples);
    Prefetcher batches(corpus_, model_.content(), sampler_, horizon_.plan, state_.step, horizon_.total);
    try {
      for (;;) {
        if (horizon_.is_check(state_.step) && state_.checked_step != state_.step) check();
        if (state_.step >= horizon_.total || stopped()) break;
        workspace_.check_cancelled();
        const double loss = step(batches, *progress);
        progress->note(fmt::format("loss {:.4f}", loss));
        save_when_due();
      }
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kInterrupted) throw;
      interrupted();
    }
    return finish();
  }

 private:
  void start() {
    model_.train();
    model_.set_dropout_mask(options_.dropout_mask);
    summary_.leaky = pool_leaks(options_, corpus_);
    summary_.skipped = sampler_.skipped();
    if (summary_.leaky) log::warn("training negatives come from dev and test impressions too: results are printed under leaky/");
    if (summary_.skipped > 0) log::info(fmt::format("{} clicks have no negative and are not trained on", summary_.skipped));
    if (setup_.resume && checkpoints_.has("last")) {
      resume();
    } else {
      checkpoints_.clear();
      state_.recipe_hash = setup_.recipe_hash;
      state_.environment = setup_.environment;
      state_.seed = setup_.seed;
    }
    curves_.emplace(setup_.folder / "curves.csv", state_.curves_bytes);
    losses_.emplace(setup_.folder / "losses.csv", state_.losses_bytes);
    if (losses_->bytes() == 0) losses_->append("step,loss,lr\n");
    saved_at_ = std::chrono::steady_clock::now();
  }

  void resume() {
    // Looked at before the tensors: the answer to a mismatch is about the run, not about shapes.
    const TrainState saved = read_train_state(checkpoints_.path("last"));
    if (saved.recipe_hash != setup_.recipe_hash || saved.seed != setup_.seed) {
      throw Error(ErrorKind::kUsage,
                  saved.seed != setup_.seed ? fmt::format("the checkpoint was made with seed {}, this run has {}", saved.seed, setup_.seed)
                                            : fmt::format("the checkpoint belongs to another recipe (hash {}, this one {})", saved.recipe_hash, setup_.recipe_hash),
                  "resume with the run's own recipe.resolved.toml, or start a new run", display_path(checkpoints_.path("last")));
    }
    if (saved.environment != setup_.environment) {
      if (!setup_.accept_environment) {
        throw Error(ErrorKind::kUsage,
                    "the checkpoint was made on another machine, thread count or build, so the resumed run would not equal an uninterrupted one\n  there: " +
                        saved.environment + "\n  here:  " + setup_.environment,
                    "resume where it was made (--threads N sets the threads), or accept the difference with --accept-environment: the run is then marked", display_path(checkpoints_.path("last")));
      }
      summary_.notes.push_back(fmt::format("resumed at step {} in another environment: {} instead of {}", saved.step, setup_.environment, saved.environment));
    }
    state_ = checkpoints_.load_last(model_, optimizer_);
    state_.environment = setup_.environment;
    saved_step_ = state_.step;
    log::info(fmt::format("resumed at step {} of {}", state_.step, horizon_.total));
  }

  bool stopped() const { return options_.patience > 0 && state_.checks_without_gain >= options_.patience; }

  double step(Prefetcher& batches, Progress& progress) {
    const double before = seconds();
    optimizer_.zero_grad();
    double loss = 0;
    std::int64_t samples = 0;
    clock_->lap(nullptr);
    for (bool more = true; more;) {
      Prefetcher::Batch batch = batches.next();
      clock_->lap("batch");
      // Dropout is a function of the step, whatever ran before it.
      at::manual_seed(dropout_.at(static_cast<std::uint64_t>(state_.step)).at(static_cast<std::uint64_t>(samples))());
      const Tensor part = batch_loss(model_, batch.samples, options_, batch.step_samples);
      loss += part.item<double>();
      clock_->lap("forward");
      part.backward();
      clock_->lap("backward");
      samples += batch.samples.batch();
      more = !batch.ends_step;
    }
    const double factor = schedule_factor(options_, state_.step, horizon_.decay_steps);
    if (!std::isfinite(loss)) {
      throw Error(ErrorKind::kRun,
                  fmt::format("the training loss is {} at step {} (epoch {:.2f}, learning rate {:g})", loss, state_.step + 1,
                              horizon_.epochs(state_.step), factor * options_.lr),
                  checkpoints_.has("last") ? "lower [train] lr or set [train] clip; checkpoints/last is from before it went wrong"
                                           : "lower [train] lr or set [train] clip");
    }
    if (options_.clip > 0) optimizer_.clip(options_.clip);
    optimizer_.step(factor);
    clock_->lap("optimizer");
    ++state_.step;
    state_.samples += samples;
    state_.loss_sum += loss;
    ++state_.loss_steps;
    state_.seconds += seconds() - before;
    losses_->append(fmt::format("{},{},{}\n", state_.step, loss, factor * options_.lr));
    progress.advance(samples);
    return loss;
  }

  /// Of all stages that count as training steps.
  double seconds() const {
    double sum = 0;
    for (const char* stage : {"batch", "forward", "backward", "optimizer"}) {
      const auto found = state_.stage_s.find(stage);
      if (found != state_.stage_s.end()) sum += found->second;
    }
    return sum;
  }

  void check() {
    clock_->lap(nullptr);
    std::map<std::string, double> metrics;
    if (dev_) metrics = dev_(state_.step);
    clock_->lap("dev");
    bool better = true;
    double value = std::nan("");
    if (!metrics.empty()) {
      const auto found = metrics.find(options_.monitor);
      if (found == metrics.end()) {
        std::vector<std::string> names;
        for (const auto& [name, number] : metrics) names.push_back(name);
        throw Error(ErrorKind::kUsage, "[train] monitor = '" + options_.monitor + "' is not among the dev metrics", 
                    fmt::format("[evaluate] metrics gives {}", fmt::join(names, ", ")));
      }
      value = found->second;
      better = state_.best_step < 0 || value > state_.best;  // the second is false for NaN
    }
    if (better) {
      state_.best_step = state_.step;
      state_.checks_without_gain = 0;
      if (!std::isnan(value)) state_.best = value;
    } else {
      ++state_.checks_without_gain;
    }
    state_.checked_step = state_.step;
    write_row(metrics);
    log::info(metrics.empty() ? fmt::format("step {}: loss {:.4f}", state_.step, last_mean_)
                              : fmt::format("step {} (epoch {:.2f}): loss {:.4f}, dev {} {:.4f}{}", state_.step, horizon_.epochs(state_.step),
                                            last_mean_, options_.monitor, value, better ? ", the best so far" : ""));
    save(better);
  }

  void write_row(const std::map<std::string, double>& metrics) {
    if (curves_->bytes() == 0) {  // the metrics of one recipe have the same names at every check
      std::string header = "step,epoch,loss,lr";
      for (const auto& [name, value] : metrics) header += "," + name;
      curves_->append(header + ",seconds\n");
    }
    last_mean_ = state_.loss_steps > 0 ? state_.loss_sum / static_cast<double>(state_.loss_steps) : 0;
    const double lr = options_.lr * schedule_factor(options_, state_.step - 1, horizon_.decay_steps);
    std::string row = fmt::format("{},{},{},{}", state_.step, horizon_.epochs(state_.step), last_mean_, lr);
    for (const auto& [name, value] : metrics) row += fmt::format(",{}", value);
    curves_->append(row + fmt::format(",{:.3f}\n", state_.seconds));
    curves_->flush();
    state_.loss_sum = 0;
    state_.loss_steps = 0;
  }

  void save(bool is_best) {
    clock_->lap(nullptr);
    curves_->sync();
    losses_->sync();
    state_.curves_bytes = curves_->bytes();
    state_.losses_bytes = losses_->bytes();
    checkpoints_.save(model_, optimizer_, state_, is_best);
    saved_step_ = state_.step;
    saved_at_ = std::chrono::steady_clock::now();
    clock_->lap("save");
  }

  void save_when_due() {
    if (options_.checkpoint_minutes <= 0) return;
    const auto age = std::chrono::steady_clock::now() - saved_at_;
    if (std::chrono::duration<double>(age).count() >= options_.checkpoint_minutes * 60) save(false);
  }

  [[noreturn]] void interrupted() {
    if (state_.step > 0 && saved_step_ != state_.step) save(false);
    throw Error(ErrorKind::kInterrupted, fmt::format("stopped at step {} of {}", state_.step, horizon_.total),
                state_.step > 0 ? "resume goes on from here" : "nothing was trained yet", state_.step > 0 ? display_path(checkpoints_.path("last")) : "");
  }

  TrainSummary finish() {
    if (state_.best_step != state_.step) load_checkpoint(model_, checkpoints_.path("best"));
    model_.eval();
    summary_.steps = state_.step;
    summary_.samples = state_.samples;
    summary_.epochs = horizon_.epochs(state_.step);
    summary_.best_dev = state_.best;
    summary_.best_step = state_.best_step;
    summary_.stopped_early = stopped() && state_.step < horizon_.total;
    summary_.seconds = state_.seconds;
    summary_.samples_per_s = state_.seconds > 0 ? static_cast<double>(state_.samples) / state_.seconds : 0;
    summary_.stage_s = state_.stage_s;
    return summary_;
  }

  Recommender& model_;
  const Corpus& corpus_;
  const TrainSetup& setup_;
  const TrainOptions& options_;
  const DevCheck& dev_;
  Workspace& workspace_;
  Sampler sampler_;
  Horizon horizon_;
  Optimizer optimizer_;
  CheckpointFolder checkpoints_;
  Rng dropout_;
  TrainState state_;
  TrainSummary summary_;
  std::optional<GrowingFile> curves_, losses_;
  double last_mean_ = 0;
  std::int64_t saved_step_ = -1;
  std::chrono::steady_clock::time_point saved_at_;
  Clock* clock_ = nullptr;
};

}  // namespace

std::int64_t most_steps(const TrainOptions& options, std::int64_t samples) { return Horizon(options, samples).total; }

TrainSummary train(Recommender& model, const Corpus& corpus, const TrainSetup& setup, const DevCheck& dev, Workspace& workspace) {
  // Kernels that have a deterministic form use it (a sum into equal indices, for one). Filling fresh memory would only cost time.
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true);
  at::globalContext().setDeterministicFillUninitializedMemory(false);
  const c10::AutoGradMode gradients(true);
  return Training(model, corpus, setup, dev, workspace).run();
}

}  // namespace oncekit
