#include "run/pipeline.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/log_sink.h"
#include "cache/digest.h"
#include "data/digest.h"
#include "data/stats.h"
#include "evaluate/evaluate.h"
#include "model/build.h"
#include "oncekit/dataset.h"
#include "oncekit/log.h"
#include "oncekit/version.h"
#include "report/report.h"
#include "run/environment.h"
#include "run/options.h"
#include "run/session.h"
#include "train/checkpoint.h"
#include "train/trainer.h"

namespace oncekit {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
namespace {

constexpr const char* kBest = "checkpoints/best";
constexpr const char* kLast = "checkpoints/last";

std::string recipe_name(const RecipeRequest& request) {
  std::string name = request.file.stem().string();
  if (!request.point.empty()) name += "-" + request.point;
  if (request.demo && name != "demo") name += "-demo";
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '.') c = '_';
  return name;
}

// What the run record says about files and plugins.
Json data_record(const Description& description) {
  Json files = Json::array();
  for (const fs::path& file : description.files) {
    std::error_code code;
    const auto bytes = fs::file_size(file, code);
    files.push_back({{"file", display_path(file)}, {"bytes", bytes}, {"digest", file_digest(file)}});
  }
  return files;
}

Json plugins_record(const PluginHost& plugins) {
  Json list = Json::array();
  for (const FoundPlugin* plugin : plugins.loaded()) {
    Json stamp = Json::object();
    for (const auto& [field, value] : plugin->stamp.build) stamp[field] = value;
    list.push_back({{"plugin", plugin->stamp.name}, {"file", display_path(plugin->file)}, {"components", plugin->stamp.components}, {"stamp", stamp}});
  }
  return list;
}

Json counts_record(const std::vector<Count>& counts) {
  Json list = Json::array();
  for (const Count& count : counts) list.push_back({{"reason", count.reason}, {"count", count.count}, {"first", count.first}});
  return list;
}

void append(ResultList& results, const std::string& prefix, const Metrics& metrics) {
  for (const auto& [name, value] : metrics) results.emplace_back(prefix + name, value);
}

// The newest run under `out` with this recipe that was begun and not ended.
fs::path newest_unfinished(const fs::path& out, const std::string& hash) {
  fs::path found;
  for (const RunRecord& run : list_runs(out))
    if (run.hash == hash && run.state != "done" && run.state != "running") found = run.folder;
  return found;
}

// One run in progress: the state that its stages hand on.
class Run {
 public:
  Run(const RunRequest& request, PluginHost& plugins, Recipe recipe, RunFolder folder, bool resumed, bool demo)
      : request_(request), plugins_(plugins), session_(std::move(recipe), request.workspace),
        folder_(std::move(folder)), resumed_(resumed), demo_(demo) {}

  ResultList execute() {
    log::set_file(folder_.file("log.txt"));
    log::info(folder_.path().string());
    begin_records();
    try {
      stage("data", [&] { load_data(); });
      if (!session_.recipe().augmenters().empty()) stage("augment", [&] { augment_data(); });
      check_corpus();
      stage("prepare", [&] { session_.build_model(); });
      record_["parameters"] = {{"trainable", session_.size().trainable}, {"frozen", session_.size().frozen}, {"groups", session_.size().groups}};
      if (const auto facts = model_facts(session_.model()); !facts.empty()) record_["content_encoder"] = facts;
      record_["data_counts"] = counts_record(session_.workspace().counts());
      save_record();
      if (session_.run_options().train) stage("train", [&] { train_model(); });
      stage("evaluate", [&] { evaluate_model(); });
      stage("rankers", [&] { evaluate_rankers(); });
      finish();
    } catch (const std::exception& e) {  // ours, LibTorch's, or memory that ran out
      const auto* error = dynamic_cast<const Error*>(&e);
      folder_.status(error && error->kind() == ErrorKind::kInterrupted ? "interrupted" : "failed", stage_, e.what());
      log::set_file({});
      throw;
    }
    log::set_file({});
    return results_;
  }

 private:
  template <class Body>
  void stage(const std::string& name, Body&& body) {
    stage_ = name;
    folder_.status("running", name);
    session_.workspace().check_cancelled();
    const auto start = std::chrono::steady_clock::now();
    body();
    times_.emplace_back(name, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }

  void begin_records() {
    const Recipe& recipe = session_.recipe();
    if (!resumed_) {
      write_file(folder_.file("recipe.toml"), recipe.source());
      write_file(folder_.file("recipe.resolved.toml"), recipe.resolved());
      write_file(folder_.file("recipe.json"), recipe.print(true));
      record_ = {{"oncekit", ONCEKIT_VERSION}, {"title", session_.recipe_options().title}, {"recipe", display_path(recipe.file())},
                 {"point", request_.recipe.point}, {"demo", demo_}, {"recipe_hash", recipe.hash()}, {"seed", session_.run_options().seed},
                 {"started", utc_now()}, {"command", request_.command}};
    } else {
      record_ = Json::parse(read_file(folder_.file("run.json")));
      record_["resumed"].push_back({{"at", utc_now()}, {"command", request_.command},
                                    {"environment", resume_environment(request_.workspace.threads, request_.workspace.device)}});
    }
    const Environment& e = environment();
    record_["environment"] = {{"cpu", e.cpu}, {"features", e.features}, {"cores", e.cores}, {"threads", request_.workspace.threads},
                              {"device", request_.workspace.device}, {"memory_gib", static_cast<double>(e.memory) / (1ll << 30)},
                              {"system", e.system}, {"compiler", e.compiler}, {"build", e.build_type}, {"torch", e.torch}};
    record_["plugins"] = plugins_record(plugins_);
    if (!session_.recipe().notes().empty()) record_["notes"] = session_.recipe().notes();
    save_record();
  }

  void save_record() { write_file(folder_.file("run.json"), record_.dump(2) + "\n"); }

  void load_data() {
    session_.load_data();
    record_["data_files"] = data_record(session_.description());
    if (demo_) return;  // the toy has other counts
    Problems problems;
    check_expected(corpus_figures(session_.corpus()), session_.recipe().expect(), problems);
    for (const Error& problem : problems.items()) {
      log::warn(problem.what());
      record_["unexpected_data"].push_back(problem.what());
    }
  }

  bool trained_before() const { return resumed_ && fs::exists(folder_.file(kLast)); }

  void augment_data() {
    AugmentSetup setup = session_.augment_setup();
    if (trained_before()) setup.answers.ask = false;  // training goes on with the answers that it began with
    session_.augment_data(setup);
    log::info(augment_text(session_.augmented(), setup));
    record_["augment"] = augment_record(session_.augmented(), setup);
    save_record();
  }

  // A run is trained on one corpus from its first step to its last.
  void check_corpus() {
    const std::string before = record_.value("corpus_digest", ""), now = corpus_digest(session_.corpus());
    record_["corpus_digest"] = now;
    if (!trained_before() || before.empty() || before == now) return;
    const char* what = "the data, or the answers about them, are not those that this run began with";
    if (!request_.accept_environment)
      throw Error(ErrorKind::kUsage, what, "bring them back, start a new run, or go on with --accept-environment: the run is then marked", folder_.path().string());
    record_["notes"].push_back(what);
  }

  void train_model() {
    TrainSetup setup;
    setup.options = session_.train_options();
    setup.seed = static_cast<std::uint64_t>(session_.run_options().seed);
    setup.folder = folder_.path();
    setup.recipe_hash = session_.recipe().hash();
    setup.resume = resumed_;
    setup.environment = resume_environment(request_.workspace.threads, request_.workspace.device);
    setup.accept_environment = request_.accept_environment;
    DevCheck check;
    if (session_.has_labels("dev")) check = [&](std::int64_t) { return session_.evaluate_split("dev", nullptr); };
    else log::warn("there is no labelled dev split: the last checkpoint counts, and nothing stops training early");
    trained_ = train(session_.model(), session_.corpus(), setup, check, session_.workspace());
    has_trained_ = true;
    save_for_others(session_.model(), folder_.file("adapter"));
  }

  void evaluate_model() {
    if (session_.has_labels("dev")) append(results_, prefix() + "dev/", session_.evaluate_split("dev", nullptr));
    if (session_.has_labels("test")) {
      GroupTable groups;
      append(results_, prefix() + "test/", session_.evaluate_split("test", &groups));
      if (session_.evaluate_options().per_group) write_groups(groups, folder_.file("per_group.csv"));
    } else if (session_.corpus().test.size() > 0) {
      session_.write_prediction("test", folder_.file("prediction.txt"));
      log::info("the test split has no labels: the ranks of its candidates are in " + display_path(folder_.file("prediction.txt")));
    }
  }

  // On test, or on dev where test cannot be measured.
  void evaluate_rankers() {
    const std::string split = session_.has_labels("test") ? "test" : "dev";
    if (!session_.has_labels(split)) return;
    for (const std::string& ranker : session_.evaluate_options().rankers) {
      session_.workspace().check_cancelled();
      append(results_, "rankers/" + ranker + "/" + split + "/", session_.evaluate_ranker(ranker, split));
    }
  }

  std::string prefix() const { return session_.leaky() ? "leaky/" : ""; }

  void finish() {
    const auto by_split = [](const std::string& name) { return name.find("test/") == std::string::npos ? 1 : 0; };
    std::stable_sort(results_.begin(), results_.end(), [&](const auto& a, const auto& b) {
      const bool ra = a.first.starts_with("rankers/"), rb = b.first.starts_with("rankers/");
      return ra != rb ? rb : by_split(a.first) < by_split(b.first);
    });
    for (const auto& [name, value] : session_.facts()) results_.emplace_back("data/" + name, value);
    double cost = 0;
    for (const AugmentFigures& f : session_.augmented()) {
      results_.emplace_back("augment/" + f.name + "/coverage", f.coverage());
      cost += f.cost;
    }
    if (!session_.augmented().empty()) results_.emplace_back("augment/cost_usd", cost);
    if (has_trained_) {
      results_.emplace_back("train/steps", static_cast<double>(trained_.steps));
      results_.emplace_back("train/best_step", static_cast<double>(trained_.best_step));
      results_.emplace_back("train/epochs", trained_.epochs);
      results_.emplace_back("train/parameters", static_cast<double>(session_.size().trainable));
      results_.emplace_back("train/samples_per_s", trained_.samples_per_s);
      for (const auto& [name, seconds] : trained_.stage_s) results_.emplace_back("time/train_" + name + "_s", seconds);
    }
    if (session_.impressions_per_s() > 0) results_.emplace_back("eval/impressions_per_s", session_.impressions_per_s());
    double total = 0;
    for (const auto& [name, seconds] : times_) {
      results_.emplace_back("time/" + name + "_s", name == "train" && has_trained_ ? std::max(seconds, trained_.seconds) : seconds);
      total += results_.back().second;
    }
    results_.emplace_back("time/total_s", total);
    results_.emplace_back("memory/peak_mib", static_cast<double>(peak_memory()) / (1 << 20));
    const auto mib = [](std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
    record_["memory_mib"] = {{"peak", mib(peak_memory())}, {"budget", mib(session_.workspace().memory_budget())}};
    if (data_limit() > 0) record_["memory_mib"]["data_limit"] = mib(data_limit());
    record_["finished"] = utc_now();
    record_["data_counts"] = counts_record(session_.workspace().counts());
    if (has_trained_) {
      record_["training"] = {{"stopped_early", trained_.stopped_early}, {"best_step", trained_.best_step}, {"best_dev", trained_.best_dev},
                             {"clicks_without_negatives", trained_.skipped}, {"notes", trained_.notes}};
    }
    Json times = Json::object();
    for (const auto& [name, seconds] : times_) times[name] = seconds;
    record_["seconds"] = times;
    save_record();
    folder_.results(results_);
    folder_.status("done", "done");
    try {
      write_report(folder_.path());
    } catch (const Error& e) {  // the results stand without it
      log::warn(std::string("no report: ") + e.what());
    }
  }

  const RunRequest& request_;
  PluginHost& plugins_;
  Session session_;
  RunFolder folder_;
  bool resumed_, demo_;
  std::string stage_ = "start";
  Json record_;
  ResultList results_;
  TrainSummary trained_;
  bool has_trained_ = false;
  std::vector<std::pair<std::string, double>> times_;
};

}  // namespace

RunOutcome run_recipe(const RunRequest& request, PluginHost& plugins) {
  RecipeRequest wanted = request.recipe;
  fs::path resume = request.resume;
  bool demo = wanted.demo;
  if (!resume.empty()) {
    wanted = {};
    wanted.file = resume / "recipe.resolved.toml";
    demo = read_run(resume).demo;
  }
  Recipe recipe = Recipe::load(wanted, core_tables(), plugins);
  if (resume.empty() && request.resume_newest) resume = newest_unfinished(request.out, recipe.hash());
  if (!resume.empty()) {
    if (read_run(resume).state == "done")
      throw Error(ErrorKind::kUsage, "this run is finished already", "`oncekit runs show` prints its results; run its recipe for a new one", resume.string());
  }
  const std::string name = recipe_name(wanted), hash = recipe.hash();
  const std::int64_t seed = recipe.table<RunOptions>("run").seed;
  RunFolder folder = resume.empty() ? RunFolder::create(request.out, name, seed, hash) : RunFolder::open(resume);
  const fs::path path = folder.path();
  const bool begun = !resume.empty() && fs::exists(path / "run.json");
  Run run(request, plugins, std::move(recipe), std::move(folder), begun, demo);
  try {
    return {path, run.execute()};
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kInterrupted) throw;
    throw Error(e.kind(), e.message(), "continue with `oncekit run " + path.string() + "`");
  }
}

namespace {

// Other tables made the model, and stand as they were.
void check_eval_override(const std::string& text) {
  const std::string key = text.substr(std::min(text.find_first_not_of("+~"), text.size()));
  for (const char* table : {"dataset.", "evaluate.", "answers."})
    if (key.starts_with(table)) return;
  throw Error(ErrorKind::kUsage, "override '" + text + "' changes nothing: a run that is evaluated again keeps its model", "set keys of [dataset], [evaluate] or [answers]; train anew for others");
}

}  // namespace

ResultList evaluate_run(const EvalRequest& request, PluginHost& plugins) {
  for (const std::string& text : request.overrides) check_eval_override(text);
  RecipeRequest wanted;
  wanted.file = request.folder / "recipe.resolved.toml";
  wanted.overrides = request.overrides;
  Session session(Recipe::load(wanted, core_tables(), plugins), request.workspace);
  const bool trained = session.run_options().train;
  if (trained && !fs::exists(request.folder / kBest))
    throw Error(ErrorKind::kData, "this run has no checkpoint to evaluate", "continue it with `oncekit run " + request.folder.string() + "`", request.folder.string());
  session.load_data();
  AugmentSetup setup = session.augment_setup();
  setup.answers.ask = false;  // nothing new is asked about a model that is there
  session.augment_data(setup);
  session.build_model();
  if (trained) load_checkpoint(session.model(), request.folder / kBest);
  ResultList results;
  const std::string prefix = session.leaky() ? "leaky/" : "";
  for (const std::string& split : request.splits) append(results, prefix + split + "/", session.evaluate_split(split, nullptr));
  for (const std::string& split : request.splits)
    for (const std::string& ranker : session.evaluate_options().rankers)
      append(results, "rankers/" + ranker + "/" + split + "/", session.evaluate_ranker(ranker, split));
  if (request.latency) {
    for (const Latency& of : session.latency(request.splits.empty() ? "test" : request.splits.front())) {
      if (!of.problem.empty()) {
        log::warn("latency of " + of.call + " not measured: " + of.problem);
        continue;
      }
      results.emplace_back("latency/" + of.call + "_p50_ms", of.p50_ms);
      results.emplace_back("latency/" + of.call + "_p99_ms", of.p99_ms);
      results.emplace_back("latency/" + of.call + "_calls", static_cast<double>(of.calls));
    }
  }
  for (const auto& [name, value] : session.facts()) results.emplace_back("data/" + name, value);
  if (session.impressions_per_s() > 0) results.emplace_back("eval/impressions_per_s", session.impressions_per_s());
  results.emplace_back("memory/peak_mib", static_cast<double>(peak_memory()) / (1 << 20));
  return results;
}

}  // namespace oncekit
