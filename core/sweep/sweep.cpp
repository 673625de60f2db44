#include "sweep/sweep.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <map>
#include <set>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <unistd.h>

#include "base/files.h"
#include "base/human.h"
#include "evaluate/metrics.h"
#include "evaluate/options.h"
#include "oncekit/error.h"
#include "oncekit/log.h"
#include "recipe/layers.h"
#include "run/child.h"
#include "run/options.h"
#include "run/workspace.h"
#include "sweep/rows.h"

namespace oncekit {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
namespace {

using Axis = std::pair<std::string, std::vector<std::string>>;  // dotted key -> values as TOML text

// Overrides apart: those with several values are axes; the key of each of the others.
struct Overrides {
  std::vector<std::string> fixed, fixed_keys;
  std::vector<Axis> axes;
};

std::string key_of(const std::string& text) { return text.substr(0, text.find('=')); }

Overrides split_overrides(const std::vector<std::string>& overrides) {
  Overrides result;
  for (const std::string& text : overrides) {
    const std::size_t equals = text.find('=');
    std::vector<std::string> values;
    if (equals != std::string::npos) values = split_values(text.substr(equals + 1));
    if (values.size() < 2) {
      result.fixed.push_back(text);
      result.fixed_keys.push_back(key_of(text));
      continue;
    }
    for (std::string& value : values) {
      value.erase(0, value.find_first_not_of(' '));
      value.erase(value.find_last_not_of(' ') + 1);
      if (value.empty())
        throw Error(ErrorKind::kUsage, "override '" + text + "' has an empty value between its commas", "write " + key_of(text) + "=1,2,3, or quote a value that holds a comma");
    }
    result.axes.emplace_back(key_of(text), std::move(values));
  }
  return result;
}

// The recipe's own axes, but those that the command line sets; then the command line's.
std::vector<Axis> axes_of(const Recipe& recipe, const Overrides& overrides) {
  std::vector<Axis> axes;
  for (const Axis& axis : recipe.sweep()) {
    if (axis.first == "against") continue;  // no axis
    const auto same = [&](const Axis& other) { return other.first == axis.first; };
    const bool fixed = std::count(overrides.fixed_keys.begin(), overrides.fixed_keys.end(), axis.first) > 0;
    if (!fixed && std::none_of(overrides.axes.begin(), overrides.axes.end(), same)) axes.push_back(axis);
  }
  axes.insert(axes.end(), overrides.axes.begin(), overrides.axes.end());
  // Seeds turn fastest, so that the rows of the table fill one by one.
  std::stable_partition(axes.begin(), axes.end(), [](const Axis& axis) { return axis.first != "run.seed"; });
  return axes;
}

std::vector<std::string> points_of(const SweepRequest& request) {
  if (!request.points.empty()) return request.points;
  std::vector<std::string> names;
  const Layers layers = read_layers(request.recipe.file);
  if (const Node* points = layers.root.find("point"))
    for (const auto& [name, node] : points->entries) names.push_back(name);
  if (names.empty()) names.push_back("");
  return names;
}

std::string row_label(const SweepJob& job, const std::string& otherwise) {
  std::string text = job.point;
  for (const auto& [key, value] : job.values)
    if (key != "run.seed") text += (text.empty() ? "" : ", ") + key + "=" + value;
  return text.empty() ? otherwise : text;
}

// Keys that an override may set without making another experiment of it: where things lie, how fast it goes, what else is measured.
bool harmless(const std::string& key) {
  static const std::set<std::string> kKeys{"run.seed", "run.memory_gib", "dataset.path", "dataset.split_list", "evaluate.metrics", "evaluate.slices",
                                           "evaluate.rankers", "evaluate.per_group", "evaluate.batch_items", "recipe.title", "recipe.paper", "recipe.paper_gap",
                                           "answers.store", "answers.ask", "train.checkpoint_minutes"};
  if (key.starts_with("endpoint.")) return key != "endpoint.model" && key != "endpoint.temperature" && key != "endpoint.top_p";
  return kKeys.count(key) > 0 || key.starts_with("expect.") || key.starts_with("sweep.");
}

void read_paper(const Recipe& recipe, const SweepRequest& request, SweepJob& job) {
  const bool demo = request.recipe.demo;
  job.paper = recipe.table<RecipeOptions>("recipe").paper;
  bool stated = false;
  for (const auto& [name, value] : recipe.expect()) {
    if (name == "paper/comparable") stated = value != 0;
    else if (name.starts_with("paper/")) job.paper_numbers[name.substr(6)] = value;
    else job.expected_data[name] = value;
  }
  std::string changed;
  const auto note = [&](std::string key) {
    const bool removed = key.starts_with("~");  // a file of the paper's own split, say
    if (key.starts_with("+") || removed) key.erase(0, 1);
    if (removed || !harmless(key)) changed += (changed.empty() ? "" : ", ") + key;
  };
  for (const std::string& text : request.recipe.overrides) note(key_of(text));
  for (const auto& [key, value] : job.values) note(key);
  const std::string gap = recipe.table<RecipeOptions>("recipe").paper_gap;
  if (demo) job.not_comparable = "demo data";
  else if (!stated) job.not_comparable = gap.empty() ? "the recipe does not say that data, split, weights and metric match" : gap;
  else if (!changed.empty()) job.not_comparable = "set otherwise than in the recipe: " + changed;
}

fs::path earlier_launch(const fs::path& out, const std::string& hash) {
  std::error_code code;
  fs::path found;
  for (const auto& entry : fs::directory_iterator(out / "sweeps", code)) {
    try {
      if (Json::parse(read_file(entry.path() / "sweep.json")).value("hash", "") == hash && entry.path() > found) found = entry.path();
    } catch (const std::exception&) {
      continue;  // no sweep, or begun and never frozen
    }
  }
  return found;
}

fs::path job_folder(const fs::path& sweep, int number) { return sweep / "jobs" / fmt::format("{:03}", number); }

// Open for as long as it or a child that inherited it lives: two processes never work on one sweep.
class SweepLock {
 public:
  explicit SweepLock(const fs::path& folder) : fd_(::open((folder / "lock").c_str(), O_RDWR | O_CREAT, 0644)) {
    if (fd_ < 0) throw Error(ErrorKind::kRun, "the sweep folder cannot be written", "check space and permissions", folder.string());
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      ::close(fd_);
      throw Error(ErrorKind::kRun, "another process is working on this sweep, or a job of it still runs", "wait for it, or stop it first", folder.string());
    }
  }
  SweepLock(const SweepLock&) = delete;
  SweepLock& operator=(const SweepLock&) = delete;
  ~SweepLock() { ::close(fd_); }

 private:
  int fd_;
};

fs::path make_folder(const SweepPlan& plan, const fs::path& out) {
  std::string time = utc_now();  // 2026-11-23T22:15:30Z -> 20261123-221530
  std::erase_if(time, [](char c) { return c == '-' || c == ':' || c == 'Z'; });
  std::replace(time.begin(), time.end(), 'T', '-');
  std::error_code code;
  fs::create_directories(out / "sweeps", code);
  const std::string base = time + "_" + plan.name + "_" + plan.hash.substr(0, 4);
  for (int attempt = 1; attempt < 100 && !code; ++attempt) {
    const fs::path folder = out / "sweeps" / (attempt == 1 ? base : base + "-" + std::to_string(attempt));
    if (fs::create_directory(folder, code)) return folder;
  }
  throw Error(ErrorKind::kRun, "a sweep folder cannot be made: " + code.message(), "check space and permissions, or name another folder with --out", out.string());
}

// All recipes first, sweep.json last: a folder with sweep.json is frozen whole.
void freeze(const SweepPlan& plan, const SweepRequest& request, const fs::path& folder) {
  Json jobs = Json::array();
  for (const SweepJob& job : plan.jobs) {
    const fs::path place = job_folder(folder, job.number);
    std::error_code code;
    fs::create_directories(place, code);
    write_file(place / "recipe.toml", job.resolved);
    write_file(place / "recipe.json", job.origins);
    Json values = Json::object();
    for (const auto& [key, value] : job.values) values[key] = value;
    jobs.push_back({{"job", job.number}, {"row", job.row}, {"point", job.point}, {"seed", job.seed}, {"values", values}, {"recipe_hash", job.hash}});
  }
  const Json json{{"name", plan.name}, {"title", plan.title}, {"recipe", display_path(request.recipe.file)}, {"demo", plan.demo}, {"hash", plan.hash},
                  {"started", utc_now()}, {"command", request.command}, {"jobs", jobs}};
  write_file(folder / "sweep.json", json.dump(2) + "\n");
}

// Why a job failed, in one sentence: what its run folder says, else the last error line of its log.
std::string failure_of(const fs::path& folder, const ChildEnd& end, double limit_minutes) {
  if (end.timed_out) return fmt::format("stopped at the time limit of {:g} minutes; the same sweep with a longer one continues it", limit_minutes);
  std::string message;
  try {
    const std::vector<RunRecord> runs = list_runs(folder);
    if (!runs.empty() && runs.back().state == "failed") message = runs.back().message;
    if (message.empty()) {
      const std::string log = read_file(folder / "log.txt");
      const std::size_t at = log.rfind("error: ");
      if (at != std::string::npos) message = log.substr(at + 7, log.find('\n', at) - at - 7);
    }
  } catch (const Error&) {
  }
  if (message.empty()) message = end.exit_code > 128 ? fmt::format("ended by signal {}", end.exit_code - 128) : fmt::format("ended with exit code {}", end.exit_code);
  return message;
}

fs::path finished_in(const fs::path& folder, const std::string& hash) {
  for (const RunRecord& run : list_runs(folder))
    if (run.state == "done" && run.hash == hash && !run.results.empty()) return run.folder;
  return {};
}

// What [expect] says of the data and the run found otherwise, or "".
std::string other_data(const SweepJob& job, const ResultList& results) {
  for (const auto& [name, value] : results) {
    const auto expected = name.starts_with("data/") ? job.expected_data.find(name.substr(5)) : job.expected_data.end();
    if (expected != job.expected_data.end() && expected->second != value) return fmt::format("other data: {} {}, expected {}", value, name.substr(5), expected->second);
  }
  return "";
}

std::vector<RunGroup> groups_of(const SweepPlan& plan) {
  std::vector<RunGroup> groups;
  for (const SweepJob& job : plan.jobs) {
    auto group = std::find_if(groups.begin(), groups.end(), [&](const RunGroup& g) { return g.label == job.row; });
    if (group == groups.end()) {
      groups.emplace_back();
      group = groups.end() - 1;
      group->label = job.row;
      if (!job.point.empty()) group->values.emplace_back("point", job.point);
      for (const auto& value : job.values)
        if (value.first != "run.seed") group->values.push_back(value);
      group->paper = job.paper;
      group->paper_numbers = job.paper_numbers;
      group->not_comparable = job.not_comparable;
    }
    ++group->wanted;
    if (job.done.empty()) continue;
    group->results.push_back(read_results(job.done / "results.json"));
    if (group->not_comparable.empty()) group->not_comparable = other_data(job, group->results.back());
    group->folders.push_back(job.done);
    group->seeds.push_back(job.seed);
  }
  return groups;
}

// The row that differences are taken to: the request's word, else the recipe's, else the first when differences are wanted.
std::optional<std::size_t> row_against(const SweepRequest& request, const std::optional<std::string>& in_recipe, const SweepPlan& plan) {
  const std::optional<std::string>& name = request.against ? request.against : in_recipe;
  if (!name) return request.differences ? std::optional<std::size_t>(0) : std::nullopt;
  std::vector<RowName> rows;
  for (const SweepJob& job : plan.jobs)
    if (std::none_of(rows.begin(), rows.end(), [&](const RowName& row) { return row.label == job.row; })) rows.push_back({job.row, job.point});
  return find_row(rows, *name);
}

// What differences need is said before the first job runs, not after the last.
void check_differences(const SweepRequest& request, const Recipe& recipe, const std::string& label) {
  const auto& options = recipe.table<EvaluateOptions>("evaluate");
  if (!options.per_group)
    throw Error(ErrorKind::kUsage, "differences need per_group.csv, and [evaluate] per_group is false in " + label, "set evaluate.per_group=true");
  for (const std::string& name : request.metrics) {
    const auto metric = parse_metric(name);
    if (metric && !metric->grouped()) throw Error(ErrorKind::kUsage, name + " is one number for all groups: it has no differences by group", "take auc");
    if (std::find(options.metrics.begin(), options.metrics.end(), name) != options.metrics.end()) continue;
    const std::string near = nearest_name(name, options.metrics);
    throw Error(ErrorKind::kUsage, "differences in '" + name + "' were asked for, which " + label + " does not measure",
                near.empty() ? "add it to [evaluate] metrics" : "did you mean '" + near + "'?");
  }
}

std::string one_line(const fs::path& run) {
  std::string text;
  for (const auto& [name, value] : read_results(run / "results.json")) {
    if (name == "test/auc" || name == "leaky/test/auc") text = fmt::format("{} {:.4f}", name, value);
    if (name == "time/total_s") text += (text.empty() ? "" : ", ") + human_seconds(value);
  }
  return text;
}

}  // namespace

std::map<std::string, fs::path> finished_runs(const fs::path& out, bool demo) {
  std::map<std::string, fs::path> finished;
  const auto look = [&](const fs::path& folder) {
    for (const RunRecord& run : list_runs(folder)) {
      if (run.state == "damaged") log::warn("a damaged run is passed over: " + run.message);
      else if (run.state == "done" && run.demo == demo && !run.results.empty()) finished[run.hash] = run.folder;
    }
  };
  look(out);
  std::error_code code;
  std::vector<fs::path> jobs;
  for (const auto& sweep : fs::directory_iterator(out / "sweeps", code))
    for (const auto& job : fs::directory_iterator(sweep.path() / "jobs", code)) jobs.push_back(job.path());
  std::sort(jobs.begin(), jobs.end());
  for (const fs::path& job : jobs) look(job);
  return finished;
}

std::string SweepJob::label() const { return row + ", seed " + std::to_string(seed); }

SweepPlan plan_sweep(const SweepRequest& request, const std::vector<CoreTable>& tables, Catalog& catalog) {
  SweepPlan plan;
  plan.demo = request.recipe.demo;
  for (const char c : request.recipe.file.stem().string()) plan.name += std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' ? c : '_';
  if (plan.demo && plan.name != "demo") plan.name += "-demo";
  const Overrides overrides = split_overrides(request.recipe.overrides);
  std::optional<std::string> against;
  for (const std::string& point : points_of(request)) {
    RecipeRequest wanted = request.recipe;
    wanted.overrides = overrides.fixed;
    wanted.point = point;
    const Recipe base = Recipe::load(wanted, tables, catalog);
    if (plan.title.empty()) plan.title = base.table<RecipeOptions>("recipe").title;
    for (const Axis& axis : base.sweep())
      if (axis.first == "against") against = axis.second[0];
    const std::vector<Axis> axes = axes_of(base, overrides);
    std::size_t combinations = 1;
    for (const Axis& axis : axes) combinations *= axis.second.size();
    for (std::size_t combination = 0; combination < combinations; ++combination) {
      SweepJob job;
      job.number = static_cast<int>(plan.jobs.size()) + 1;
      job.point = point;
      wanted.overrides = overrides.fixed;
      std::size_t rest = combination, block = combinations;
      for (const Axis& axis : axes) {  // the last axis turns fastest
        block /= axis.second.size();
        const std::string& value = axis.second[rest / block];
        rest %= block;
        job.values.emplace_back(axis.first.starts_with('+') ? axis.first.substr(1) : axis.first, value);
        wanted.overrides.push_back(axis.first + "=" + value);
      }
      const Recipe recipe = Recipe::load(wanted, tables, catalog);
      if (request.check) request.check(recipe);
      job.row = row_label(job, recipe.file().stem().string());
      job.seed = recipe.table<RunOptions>("run").seed;
      job.hash = recipe.hash();
      job.resolved = recipe.resolved();
      job.origins = recipe.print(true);
      read_paper(recipe, request, job);
      if (request.against || against || request.differences) check_differences(request, recipe, job.label());
      plan.jobs.push_back(std::move(job));
    }
  }
  plan.against = row_against(request, against, plan);
  std::string all = plan.demo ? "demo\n" : "";
  for (const SweepJob& job : plan.jobs) all += job.hash + " " + job.label() + "\n";
  plan.hash = digest(all);
  if (request.fresh) return plan;
  plan.folder = earlier_launch(request.out, plan.hash);
  const std::map<std::string, fs::path> finished = finished_runs(request.out, plan.demo);
  for (SweepJob& job : plan.jobs)
    if (const auto run = finished.find(job.hash); run != finished.end()) job.done = run->second;
  return plan;
}

std::string job_list(const SweepPlan& plan) {
  std::size_t done = 0, width = 0;
  for (const SweepJob& job : plan.jobs) {
    done += !job.done.empty();
    width = std::max(width, job.label().size());
  }
  std::string text = fmt::format("{} jobs{}\n", plan.jobs.size(), done ? fmt::format(", {} done already", done) : "");
  for (const SweepJob& job : plan.jobs)
    text += job.done.empty() ? fmt::format("{:>4}  {}\n", job.number, job.label()) : fmt::format("{:>4}  {:<{}}  done: {}\n", job.number, job.label(), width, display_path(job.done));
  return text;
}

std::string jobs_json(const SweepPlan& plan) {
  Json json{{"name", plan.name}, {"title", plan.title}, {"demo", plan.demo}, {"hash", plan.hash}, {"jobs", Json::array()}};
  for (const SweepJob& job : plan.jobs)
    json["jobs"].push_back({{"number", job.number}, {"row", job.row}, {"point", job.point}, {"seed", job.seed}, {"values", std::map(job.values.begin(), job.values.end())}, {"hash", job.hash},
                            {"done", job.done.string()}, {"paper", job.paper}, {"not_comparable", job.not_comparable}});
  return json.dump(2) + "\n";
}

SweepOutcome run_sweep(SweepPlan plan, const SweepRequest& request) {
  const bool continued = !plan.folder.empty();
  const fs::path folder = continued ? plan.folder : make_folder(plan, request.out);
  const SweepLock lock(folder);
  if (!continued) freeze(plan, request, folder);
  log::info(fmt::format("{}{}", continued ? "continuing " : "", display_path(folder)));

  SweepOutcome outcome;
  outcome.folder = folder;
  std::map<std::string, fs::path> made;  // equal recipes run once
  for (SweepJob& job : plan.jobs) {
    if (job.done.empty() && made.count(job.hash)) job.done = made[job.hash];
    if (!job.done.empty()) continue;
    if (cancel_requested()) throw Error(ErrorKind::kInterrupted, "stopped by the user", "the same command continues the sweep");
    const fs::path place = job_folder(folder, job.number);
    log::info(fmt::format("[{}/{}] {}", job.number, plan.jobs.size(), job.label()));
    std::vector<std::string> arguments = request.options;
    arguments.insert(arguments.end(), {"run", (place / "recipe.toml").string(), "--resume", "--out", place.string()});
    if (plan.demo) arguments.push_back("--demo");
    arguments.insert(arguments.end(), request.run_options.begin(), request.run_options.end());
    const ChildEnd end = run_child(request.program, arguments, place / "log.txt", request.limit_minutes * 60);
    if (end.cancelled)
      throw Error(ErrorKind::kInterrupted, fmt::format("stopped by the user in job {} of {}", job.number, plan.jobs.size()), "the same command continues the sweep");
    if (end.exit_code == 0) job.done = finished_in(place, job.hash);
    if (!job.done.empty()) {
      made[job.hash] = job.done;
      log::info("  " + one_line(job.done));
      continue;
    }
    const std::string why = end.exit_code == 0 ? "it ended well, but left no results for the recipe it was given" : failure_of(place, end, request.limit_minutes);
    outcome.failures.push_back(fmt::format("job {} ({}): {}", job.number, job.label(), why));
    log::warn(outcome.failures.back());
  }
  const std::vector<RunGroup> groups = groups_of(plan);
  outcome.table = make_table((plan.title.empty() ? plan.name : plan.title) + (plan.demo ? " [demo]" : ""), groups, request.columns);
  if (plan.against) {
    BootstrapOptions options;
    options.threads = request.threads;
    try {
      outcome.table.differences = compare_groups(groups, *plan.against, request.metrics, options);
    } catch (const Error& e) {  // the table itself is not lost for it
      log::warn(std::string("no differences: ") + e.what());
    }
  }
  write_file(folder / "table.md", as_markdown(outcome.table));
  write_file(folder / "table.csv", as_csv(outcome.table));
  write_file(folder / "table.tex", as_latex(outcome.table));
  write_file(folder / "table.json", as_json(outcome.table));
  return outcome;
}

}  // namespace oncekit
