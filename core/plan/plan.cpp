#include "plan/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/files.h"
#include "base/human.h"
#include "cache/listing.h"
#include "run/folder.h"
#include "run/session.h"
#include "train/sampler.h"
#include "train/trainer.h"

namespace oncekit {
namespace {

using State = PlanStep::State;

std::string size_text(std::int64_t bytes) { return human_bytes(static_cast<double>(bytes)); }

/// Walks through a run's stages until one cannot be looked at.
class Planner {
 public:
  Planner(Recipe recipe, WorkspaceOptions workspace, const std::filesystem::path& runs)
      : session_(std::move(recipe), planning(std::move(workspace))), earlier_(finished_run(runs)) {}

  std::vector<PlanStep> plan() {
    session_.description();  // throws when the parts do not fit
    const bool augments = !session_.recipe().augmenters().empty();
    if (!look("data", [&] { session_.load_data(); })) return rest(augments ? std::vector<std::string>{"augment", "prepare", "train", "evaluate"} : std::vector<std::string>{"prepare", "train", "evaluate"});
    data();
    const bool complete = !augments || augment();
    if (complete) prepare();
    else steps_.push_back({"prepare", State::kUnknown, "depends on the answers", {}, 0});
    train();
    evaluate();
    return std::move(steps_);
  }

 private:
  static WorkspaceOptions planning(WorkspaceOptions options) {
    options.build = false;
    options.show = WorkspaceOptions::Show::kNothing;
    return options;
  }

  // The newest run that was trained to its end: of this very recipe, or else of one with its title.
  std::optional<RunRecord> finished_run(const std::filesystem::path& runs) const {
    std::optional<RunRecord> found;
    const std::string hash = session_.recipe().hash();
    for (RunRecord& run : list_runs(runs)) {
      if (run.state != "done" || run.title != session_.recipe_options().title || run.demo != session_.recipe().demo() || !result(run.results, "train/samples_per_s")) continue;
      if (run.hash == hash || !found || found->hash != hash) found = std::move(run);
    }
    return found;
  }
  // A figure of that run.
  std::optional<double> measured(const std::string& name) const {
    if (!earlier_) return std::nullopt;
    const std::optional<double> found = result(earlier_->results, name);
    return found && *found > 0 ? found : std::nullopt;
  }

  std::vector<PlanStep> rest(const std::vector<std::string>& stages) {
    for (const std::string& stage : stages) steps_.push_back({stage, State::kUnknown, "depends on the data", {}, 0});
    return std::move(steps_);
  }

  // Whether body() came to its end; if not, the step says why.
  template <class Body>
  bool look(const std::string& stage, Body&& body) {
    try {
      body();
      return true;
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kInterrupted) throw;
      PlanStep step{stage, State::kMissing, error.what(), {}, 0};
      if (const auto& missing = session_.workspace().missing()) {
        step.state = State::kToDo;
        step.estimate = missing->estimate;
        step.what = missing->estimate ? "to be built: " + missing->estimate->what + "; " + estimate_text(*missing->estimate) : "to be made: " + missing->key.kind();
      }
      steps_.push_back(std::move(step));
      return false;
    }
  }

  void data() {
    const auto count = [](std::size_t n) { return human_count(static_cast<std::int64_t>(n)); };
    const Corpus& c = session_.corpus();
    steps_.push_back({"data", State::kReady, fmt::format("{} items, {} users; {} impressions to train on, {} dev, {} test ({} of files)", count(c.items.size()), count(c.users.size()),
                                                          count(c.train.size()), count(c.dev.size()), count(c.test.size()), size_text(session_.description().bytes)), {}, 0});
  }

  // True when every answer that the run will use is there.
  bool augment() {
    AugmentSetup setup = session_.augment_setup();
    setup.dry_run = true;
    const bool asks = setup.asks();
    if (!look("augment", [&] { session_.augment_data(setup); })) return false;
    bool complete = true;
    for (const AugmentFigures& f : session_.augmented()) {
      PlanStep step{"augment", State::kReady, f.name + ": ", {}, 0};
      if (f.wanted == 0) step.what += "no questions";
      else step.what += fmt::format("{} of {} answers there", human_count(f.covered), human_count(f.wanted));
      if (f.missing > 0 && asks) {
        complete = false;
        step.state = State::kToDo;
        step.cost_usd = f.cost;
        step.what += fmt::format("; {}{} to be asked of {}{}: at most {} prompt and {} answer tokens, {:.4f} USD for a first attempt at each", f.provisional ? "about " : "", human_count(f.missing),
                                 setup.endpoint.url == "mock" ? "" : setup.endpoint.model + " at ", shown_host(setup.endpoint.url), human_count(f.prompt_tokens), human_count(f.completion_tokens), f.cost);
        if (f.provisional) step.what += " (an augmenter before it lacks answers: with them its questions will be others)";
      } else if (f.wanted > 0 && f.coverage() < setup.answers.min_coverage) {
        step.state = State::kMissing;
        step.what += fmt::format("; answers.min_coverage asks for {:.1f}%", 100 * setup.answers.min_coverage);
      }
      steps_.push_back(std::move(step));
    }
    return complete;
  }

  void prepare() {
    if (!look("prepare", [&] { session_.build_model(); })) return;
    std::vector<std::string> parts;
    const std::vector<CacheEntry> there = list_cache(session_.workspace().options().cache);
    for (const CacheUse& use : session_.workspace().cache_uses())
      for (const CacheEntry& entry : there)
        if (entry.name == use.folder.filename()) parts.push_back(fmt::format("{} is there, {}", entry.name, size_text(entry.bytes)));
    const ModelSize& size = session_.size();
    parts.push_back(fmt::format("{} trainable parameters{}: {} with gradients and Adam's moments", human_count(size.trainable),
                                size.frozen > 0 ? ", " + human_count(size.frozen) + " frozen" : "", size_text(16 * size.trainable + 4 * size.frozen)));
    steps_.push_back({"prepare", State::kReady, fmt::format("{}", fmt::join(parts, "; ")), {}, 0});
  }

  void train() {
    const TrainOptions& options = session_.train_options();
    if (!session_.run_options().train) {
      steps_.push_back({"train", State::kReady, "no training: run.train = false", {}, 0});
      return;
    }
    look("train", [&] {
      const Sampler sampler(session_.corpus(), options, static_cast<std::uint64_t>(session_.run_options().seed));
      const std::int64_t steps = most_steps(options, sampler.size());
      PlanStep step{"train", State::kReady, fmt::format("{} samples an epoch, {} a step, {} steps at most; a dev check every {:g} epochs; ", human_count(sampler.size()),
                                                        options.batch_size * options.accumulate, human_count(steps), options.check_every), {}, 0};
      if (const auto rate = measured("train/samples_per_s")) {
        step.estimate.emplace();
        step.estimate->what = "training at the speed of " + earlier_->name;
        step.estimate->seconds = static_cast<double>(steps * options.batch_size * options.accumulate) / *rate;
        step.estimate->memory = static_cast<std::int64_t>(measured("memory/peak_mib").value_or(0) * 1024 * 1024);
        step.what += fmt::format("{} at most and {} at the peak, if as fast as {} ({} samples/s)", human_seconds(step.estimate->seconds), size_text(step.estimate->memory), earlier_->name,
                                 human_count(static_cast<std::int64_t>(*rate)));
      } else {
        step.what += "how long is not known: no run of it has finished here";
      }
      steps_.push_back(std::move(step));
    });
  }

  void evaluate() {
    const std::vector<std::string>& rankers = session_.evaluate_options().rankers;
    PlanStep step{"evaluate", State::kReady, rankers.empty() ? "the model alone" : fmt::format("the model, and untrained: {}", fmt::join(rankers, ", ")), {}, 0};
    if (const auto seconds = measured("time/evaluate_s")) step.what += fmt::format("; {} in {}", human_seconds(*seconds), earlier_->name);
    steps_.push_back(std::move(step));
  }

  Session session_;
  std::optional<RunRecord> earlier_;
  std::vector<PlanStep> steps_;
};

}  // namespace

const char* plan_state_name(State state) {
  switch (state) {
    case State::kReady: return "ready";
    case State::kToDo: return "to do";
    case State::kMissing: return "missing";
    case State::kUnknown: return "unknown";
  }
  return "";
}

std::vector<PlanStep> plan_run(Recipe recipe, WorkspaceOptions workspace, const std::filesystem::path& runs) {
  return Planner(std::move(recipe), std::move(workspace), runs).plan();
}

}  // namespace oncekit
