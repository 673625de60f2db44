#include "run/session.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/files.h"
#include "evaluate/prediction.h"
#include "plugin/guard.h"
#include "recipe/check.h"
#include "run/pipeline.h"
#include "score/scorer.h"
#include "train/sampler.h"

namespace oncekit {
namespace {

WorkspaceOptions with_recipe(WorkspaceOptions options, const RunOptions& run) {
  options.seed = static_cast<std::uint64_t>(run.seed);
  if (run.memory_gib > 0) options.memory_budget = run.memory_gib << 30;
  return options;
}

// Row r of the histories becomes another row's, so that every impression meets somebody else's clicks.
void shuffle_histories(Corpus& corpus, Rng rng) {
  std::vector<std::size_t> order(corpus.histories.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  rng.shuffle(order.data(), order.size());
  Ragged<ItemId> histories;
  std::vector<std::int32_t> before;
  for (std::size_t row : order) {
    histories.push_back(corpus.histories[row]);
    before.push_back(corpus.clicks_before[row]);
  }
  corpus.histories = std::move(histories);
  corpus.clicks_before = std::move(before);
}

// "demo": beside the caches, as all that --demo makes. The variable stands in for the default alone: what a recipe says is meant.
std::filesystem::path answer_store(const std::string& named, const std::filesystem::path& cache) {
  if (named == "demo") return cache / "demo-answers.db";
  const char* variable = std::getenv("ONCEKIT_ANSWERS");
  return variable && *variable && named == AnswersOptions().store ? std::filesystem::path(variable) : std::filesystem::path(named);
}

std::unique_ptr<Dataset> make_dataset(const UsedComponent& used) {
  return call_plugin(*used.spec, "construct", [&] { return used.spec->make_dataset(*used.options); });
}

Description describe(const UsedComponent& used, Dataset& dataset) {
  return call_plugin(*used.spec, "describe", [&] { return dataset.describe(); });
}

ComponentChoice choice(const UsedComponent& used) { return {used.spec, used.options.get()}; }

}  // namespace

const std::vector<CoreTable>& core_tables() {
  static const std::vector<CoreTable> tables{
      core_table<RecipeOptions>("recipe", "what the recipe says about itself"),
      core_table<ModelOptions>("model", "what user and item vectors have in common"),
      core_table<TrainOptions>("train", "losses, negatives, optimizer, schedule, stopping"),
      core_table<EvaluateOptions>("evaluate", "metrics, groups, candidates, slices"),
      core_table<EndpointOptions>("endpoint", "the language model that augmenters ask, how fast and for how much", true),
      core_table<AnswersOptions>("answers", "where answers are kept, and which may be used", true),
      core_table<RunOptions>("run", "seed and resources"),
  };
  return tables;
}

Session::Session(Recipe recipe, WorkspaceOptions workspace)
    : recipe_(std::move(recipe)), workspace_(with_recipe(std::move(workspace), run_options())) {}

Session::~Session() = default;

const Description& Session::description() {
  if (description_) return *description_;
  const UsedComponent& used = recipe_.component("dataset");
  if (!dataset_) dataset_ = make_dataset(used);
  description_ = describe(used, *dataset_);
  return *description_;
}

Description describe_data(const Recipe& recipe) {
  const UsedComponent& used = recipe.component("dataset");
  return describe(used, *make_dataset(used));
}

void check_fit(const Recipe& recipe, const Description& data, Catalog* catalog) {
  Problems problems = unmet_needs(recipe, data, catalog);
  // What chooses the checkpoint is one of the metrics that dev gives: found out here, not at the first dev check.
  const auto& evaluate = recipe.table<EvaluateOptions>("evaluate");
  const std::string& monitor = recipe.table<TrainOptions>("train").monitor;
  const auto has = [](const std::vector<std::string>& names, const std::string& name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  const std::size_t slash = monitor.find('/');
  const std::string slice = slash == std::string::npos ? "" : monitor.substr(0, slash), metric = slash == std::string::npos ? monitor : monitor.substr(slash + 1);
  if (recipe.table<RunOptions>("run").train && (!has(evaluate.metrics, metric) || (!slice.empty() && !has(evaluate.slices, slice))))
    problems.add("[train] monitor = \"" + monitor + "\" is not measured", fmt::format("[evaluate] metrics gives {}; of slices there are {}, as in new/auc",
                 fmt::join(evaluate.metrics, ", "), fmt::join(evaluate.slices, ", ")), display_path(recipe.file()));
  problems.raise(ErrorKind::kUsage);
}

void Session::load_data() {
  check_fit(recipe_, description());
  const UsedComponent& used = recipe_.component("dataset");
  corpus_ = call_plugin(*used.spec, "load", [&] { return dataset_->load(workspace_); });
  description_ = describe(used, *dataset_);
  if (run_options().shuffle_histories) shuffle_histories(corpus_, workspace_.rng("shuffle_histories"));
}

AugmentSetup Session::augment_setup() const {
  AugmentSetup setup;
  for (std::size_t i = 0; i < recipe_.augmenters().size(); ++i)
    setup.steps.push_back({recipe_.augment()[i], recipe_.augmenters()[i].spec, recipe_.augmenters()[i].options.get()});
  setup.answers = recipe_.table<AnswersOptions>("answers");
  setup.endpoint = recipe_.table<EndpointOptions>("endpoint");
  setup.seed = static_cast<std::uint64_t>(run_options().seed);
  setup.store = answer_store(setup.answers.store, workspace_.options().cache);
  return setup;
}

void Session::augment_data() { augment_data(augment_setup()); }

void Session::augment_data(const AugmentSetup& setup) {
  Augmented out = augment(std::move(corpus_), setup, workspace_);
  corpus_ = std::move(out.corpus);
  augmented_ = std::move(out.figures);
}

void Session::build_model() {
  model_ = build_recommender(choice(recipe_.component("content_encoder")), choice(recipe_.component("user_encoder")),
                             choice(recipe_.component("interaction")), recipe_.table<ModelOptions>("model"),
                             static_cast<std::uint64_t>(run_options().seed), corpus_, workspace_);
  size_ = model_size(*model_);
}

std::map<std::string, double> Session::facts() const {
  std::map<std::string, double> facts = corpus_.facts;
  facts["items"] = static_cast<double>(corpus_.items.size());
  facts["users"] = static_cast<double>(corpus_.users.size());
  facts["train_impressions"] = static_cast<double>(corpus_.train.size());
  facts["dev_impressions"] = static_cast<double>(corpus_.dev.size());
  facts["test_impressions"] = static_cast<double>(corpus_.test.size());
  return facts;
}

bool Session::leaky() const {
  return (run_options().train && pool_leaks(train_options(), corpus_)) ||
         std::any_of(augmented_.begin(), augmented_.end(), [](const AugmentFigures& f) { return f.leaky; });
}

const Impressions& Session::split(const std::string& name) const {
  if (name != "train" && name != "dev" && name != "test")
    throw Error(ErrorKind::kUsage, "there is no split '" + name + "'", "use train, dev or test");
  return name == "train" ? corpus_.train : name == "dev" ? corpus_.dev : corpus_.test;
}

bool Session::has_labels(const std::string& name) const { return split(name).size() > 0 && split(name).labelled(); }

const Impressions& Session::labelled(const std::string& name) const {
  if (!has_labels(name)) throw Error(ErrorKind::kUsage, "the " + name + " split has no labelled impressions", "see `oncekit data stats`");
  return split(name);
}

std::vector<float> Session::scores(const Impressions& impressions) {
  return score_impressions(*model_, corpus_, impressions, evaluate_options().batch_items, workspace_);
}

EvaluationContext& Session::context() {
  if (!context_) context_ = std::make_unique<EvaluationContext>(corpus_, evaluate_options(), workspace_);
  return *context_;
}

Metrics Session::evaluate_split(const std::string& name, GroupTable* groups) {
  const Impressions& impressions = labelled(name);
  context();
  const auto start = std::chrono::steady_clock::now();
  Metrics metrics = measure(impressions, [&](const Impressions& shown) { return scores(shown); }, groups);
  seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  impressions_ += static_cast<double>(impressions.size());
  return metrics;
}

void Session::write_prediction(const std::string& name, const std::filesystem::path& file) {
  const Impressions& impressions = split(name);
  oncekit::write_prediction(impressions, scores(impressions), file);
}

Metrics Session::evaluate_ranker(const std::string& ranker, const std::string& name) {
  return measure(labelled(name), [&](const Impressions& shown) { return rank_untrained(context(), ranker, shown); }, nullptr);
}

std::vector<Latency> Session::latency(const std::string& name) {
  LatencyOptions options;
  options.batch_items = evaluate_options().batch_items;
  return measure_latency(*model_, corpus_, labelled(name), options, workspace_);
}

Metrics Session::measure(const Impressions& impressions, const ListScorer& score, GroupTable* groups) {
  if (evaluate_options().candidates == "all") return evaluate_catalogue(context(), impressions, score, groups);
  return evaluate(context(), impressions, score(impressions), groups);
}

}  // namespace oncekit
