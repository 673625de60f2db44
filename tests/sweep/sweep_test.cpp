// Sweeps with a made-up program in the place of oncekit: grid, seeds, points, skipping, failures, limits, Ctrl-C.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "base/files.h"
#include "evaluate/options.h"
#include "model/options.h"
#include "oncekit/error.h"
#include "run/child.h"
#include "run/folder.h"
#include "run/options.h"
#include "run/workspace.h"
#include "sweep/rows.h"
#include "sweep/sweep.h"
#include "train/options.h"

using namespace oncekit;
namespace fs = std::filesystem;

namespace {

class FakeCatalog final : public Catalog {
 public:
  FakeCatalog() {
    for (const char* kind : {"dataset", "content_encoder", "user_encoder", "interaction"}) {
      ComponentSpec& spec = specs_[kind];
      spec.kind = kind;
      spec.name = "plain";
      spec.plugin = "test";
      spec.options = [] { return std::make_unique<TypedOptions<NoOptions>>(); };
      spec.needs = spec.gives = [](const OptionSet&) { return std::vector<std::string>{}; };
    }
  }
  const ComponentSpec& find(const std::string& kind, const std::string&) override { return specs_.at(kind); }
  std::vector<std::string> names(const std::string& kind) const override {
    return specs_.count(kind) ? std::vector<std::string>{"plain"} : std::vector<std::string>{};
  }

 private:
  std::map<std::string, ComponentSpec> specs_;
};

const std::vector<CoreTable>& tables() {
  static const std::vector<CoreTable> list{core_table<RecipeOptions>("recipe", ""), core_table<ModelOptions>("model", ""),
                                           core_table<TrainOptions>("train", ""), core_table<RunOptions>("run", ""),
                                           core_table<EvaluateOptions>("evaluate", "")};
  return list;
}

constexpr const char* kRecipe = R"(
[recipe]
title = "a small thing"
paper = "Table 9"
[dataset]
use = "plain"
[content_encoder]
use = "plain"
[user_encoder]
use = "plain"
[interaction]
use = "plain"
[expect]
"paper/test/auc" = 0.61
)";

// Stands for `oncekit run recipe.toml --resume --out FOLDER`. What it does depends on the recipe: clip 1 fails, clip 2 crashes,
// clip 3 hangs until SIGINT and then takes its time to save.
constexpr const char* kProgram = R"sh(#!/bin/bash
out=$5; sweep=$out/../..
[ "$1 $3 $4" = "run --resume --out" ] || { echo "error: called as $*"; exit 2; }
seed=$(sed -n 's/^seed = //p' "$2"); clip=$(sed -n 's/^clip = //p' "$2")
echo "$(basename "$out") $6" >>"$sweep/calls"
case $clip in
  1*) echo "error: the loss is not a number" >&2; echo; exit 1 ;;
  2*) kill -SEGV $$ ;;
  3*) trap 'sleep 0.2; echo saved >"$out/saved"; exit 130' INT; echo x >"$sweep/hanging"; while :; do sleep 0.02; done ;;
esac
run=$out/20260101-000000_recipe_s${seed}_abcd; mkdir -p "$run"
hash=$(sed -n 's/.*"recipe_hash": "\(.*\)".*/\1/p' "$sweep/sweep.json" | sed -n "$((10#$(basename "$out")))p")
touch "$run/recipe.resolved.toml"
echo "{\"recipe_hash\": \"$hash\", \"seed\": $seed}" >"$run/run.json"
echo "{\"test/auc\": 0.${seed}, \"time/total_s\": 2}" >"$run/results.json"
lr=$(sed -n 's/^lr = //p' "$2"); cp "$out/recipe.json" "$run/"
awk -v seed=$seed -v lr=$lr 'BEGIN { print "group,user,auc,new"; for (g = 0; g < 60; ++g) print g ",u" g ",0." (100 + (g * 37 + seed * g) % 50) + 200 * lr ",0" }' >"$run/per_group.csv"
echo '{"state": "done", "stage": "done"}' >"$run/status.json"
)sh";

struct World {
  fs::path folder = fs::temp_directory_path() / ("oncekit_sweep_test_" + std::to_string(::getpid()));
  FakeCatalog catalog;
  SweepRequest request;

  explicit World(const std::string& recipe = kRecipe) {
    fs::remove_all(folder);
    fs::create_directories(folder);
    std::ofstream(folder / "small.toml") << recipe;
    std::ofstream(folder / "program") << kProgram;
    fs::permissions(folder / "program", fs::perms::owner_all);
    request.recipe.file = folder / "small.toml";
    request.out = folder / "runs";
    request.program = folder / "program";
    request.run_options = {"--threads=2"};
    cancel_requested() = false;
  }
  ~World() {
    cancel_requested() = false;
    fs::remove_all(folder);
  }
  SweepPlan plan(const std::vector<std::string>& overrides) {
    request.recipe.overrides = overrides;
    return plan_sweep(request, tables(), catalog);
  }
  SweepOutcome run(const std::vector<std::string>& overrides) { return run_sweep(plan(overrides), request); }
  std::size_t calls(const fs::path& sweep) const {
    if (!fs::exists(sweep / "calls")) return 0;
    const std::string text = read_file(sweep / "calls");
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }
};

std::vector<std::string> labels(const SweepPlan& plan) {
  std::vector<std::string> list;
  for (const SweepJob& job : plan.jobs) list.push_back(job.label());
  return list;
}

}  // namespace

TEST_CASE("the paper's numbers stand beside the same experiment alone", "[unit]") {
  World world(std::string(kRecipe) + "\"paper/comparable\" = 1\n");
  const auto comparable = [&](const std::string& override_text) { return world.plan({override_text}).jobs[0].not_comparable.empty(); };
  for (const char* text : {"run.seed=7", "evaluate.slices=[\"new\"]", "recipe.title=mine", "train.checkpoint_minutes=5"}) CHECK(comparable(text));
  for (const char* text : {"evaluate.group=user", "evaluate.candidates=all", "recipe.fidelity=paper", "train.lr=2e-3", "~recipe.title"}) CHECK_FALSE(comparable(text));
}

TEST_CASE("a job whose parts do not fit is said before the first starts", "[errors]") {
  World world;
  world.request.check = [](const Recipe& recipe) {
    if (recipe.table<TrainOptions>("train").lr > 1) throw Error(ErrorKind::kUsage, "too fast", "", "");
  };
  CHECK_NOTHROW(world.plan({"train.lr=1e-3,1e-2"}));
  CHECK_THROWS_WITH(world.plan({"train.lr=1e-3,10"}), Catch::Contains("too fast"));
}

TEST_CASE("comma lists become axes, seeds turn fastest", "[unit]") {
  World world;
  const SweepPlan plan = world.plan({"run.seed=1,2", "train.lr=0.1, 0.2", "train.loss=bce"});
  CHECK(labels(plan) == std::vector<std::string>{"train.lr=0.1, seed 1", "train.lr=0.1, seed 2", "train.lr=0.2, seed 1", "train.lr=0.2, seed 2"});
  for (const SweepJob& job : plan.jobs) CHECK(job.resolved.find("loss = \"bce\"") != std::string::npos);
  CHECK(job_list(plan) == "4 jobs\n   1  train.lr=0.1, seed 1\n   2  train.lr=0.1, seed 2\n   3  train.lr=0.2, seed 1\n   4  train.lr=0.2, seed 2\n");
  CHECK(labels(world.plan({})) == std::vector<std::string>{"small, seed 2023"});
  CHECK_THROWS_WITH(world.plan({"run.seed=1,,2"}), Catch::Contains("empty value between its commas"));
  CHECK_FALSE(fs::exists(world.request.out));
}

TEST_CASE("the recipe's own [sweep], which the command line can replace or fix", "[unit]") {
  World world(std::string(kRecipe) + "[sweep]\n\"run.seed\" = [1, 2]\n\"train.loss\" = [\"softmax\", \"bce\"]\n");
  CHECK(labels(world.plan({})) == std::vector<std::string>{"train.loss=\"softmax\", seed 1", "train.loss=\"softmax\", seed 2", "train.loss=\"bce\", seed 1", "train.loss=\"bce\", seed 2"});
  CHECK(labels(world.plan({"train.loss=bce"})) == std::vector<std::string>{"small, seed 1", "small, seed 2"});
  CHECK(labels(world.plan({"run.seed=7,8,9", "train.loss=bce"})) == std::vector<std::string>{"small, seed 7", "small, seed 8", "small, seed 9"});
}

TEST_CASE("points are swept, all or some", "[unit]") {
  World world(std::string(kRecipe) + "[point.\"A 1\".train]\nlr = 0.1\n[point.B.train]\nlr = 0.2\n");
  CHECK(labels(world.plan({"run.seed=1,2"})) == std::vector<std::string>{"A 1, seed 1", "A 1, seed 2", "B, seed 1", "B, seed 2"});
  world.request.points = {"B"};
  CHECK(labels(world.plan({})) == std::vector<std::string>{"B, seed 2023"});
  world.request.points = {"C"};
  CHECK_THROWS_AS(world.plan({}), Error);
}

TEST_CASE("a mistake in any job shows before the first starts", "[unit][errors]") {
  World world;
  CHECK_THROWS_WITH(world.plan({"run.seed=1,2,x"}), Catch::Contains("run.seed=x"));
}

TEST_CASE("a sweep runs its jobs, ends in a table, and does nothing the second time", "[unit]") {
  World world;
  const SweepOutcome first = world.run({"run.seed=1,2", "train.lr=0.1,0.2"});
  CHECK(first.failures.empty());
  CHECK(world.calls(first.folder) == 4);
  CHECK(read_file(first.folder / "calls").find("003 --threads=2\n") != std::string::npos);
  for (const char* name : {"sweep.json", "table.md", "table.csv", "table.tex", "table.json", "jobs/001/recipe.toml", "jobs/001/recipe.json", "jobs/004/log.txt"}) CHECK(fs::exists(first.folder / name));
  CHECK(read_file(first.folder / "jobs/003/recipe.json").find("\"origin\": \"override\", \"where\": \"train.lr=0.2\"") != std::string::npos);
  REQUIRE(first.table.rows.size() == 4);  // a row of the paper behind each
  CHECK(first.table.rows[0].cells.at("test/auc").mean == Approx(0.15));
  CHECK(first.table.rows[1].note.find("not comparable") == 0);

  const SweepOutcome again = world.run({"run.seed=1,2", "train.lr=0.1,0.2"});
  CHECK(again.folder == first.folder);
  CHECK(world.calls(first.folder) == 4);
  CHECK(as_csv(again.table) == as_csv(first.table));

  // More seeds: another sweep, which takes what is done already from the first.
  const SweepOutcome more = world.run({"run.seed=1,2,3", "train.lr=0.1,0.2"});
  CHECK(more.folder != first.folder);
  CHECK(world.calls(more.folder) == 2);
  CHECK(more.table.rows[0].seeds == "3");

  world.request.fresh = true;
  const SweepOutcome fresh = world.run({"run.seed=1,2", "train.lr=0.1,0.2"});
  CHECK(fresh.folder != first.folder);
  CHECK(world.calls(fresh.folder) == 4);
}

TEST_CASE("what each job runs was frozen at launch", "[unit]") {
  World world;
  const SweepPlan plan = world.plan({"run.seed=1,2"});
  std::ofstream(world.folder / "small.toml") << "not a recipe any more";
  const SweepOutcome outcome = run_sweep(plan, world.request);
  CHECK(outcome.failures.empty());
  RecipeRequest frozen;
  frozen.file = outcome.folder / "jobs/002/recipe.toml";
  CHECK(Recipe::load(frozen, tables(), world.catalog).hash() == plan.jobs[1].hash);
}

TEST_CASE("failed jobs are kept for the end, and run again by the same command", "[unit][errors]") {
  World world;
  const std::vector<std::string> overrides{"train.clip=0.0,1.0,2.0,0.5"};
  const SweepOutcome outcome = world.run(overrides);
  REQUIRE(outcome.failures.size() == 2);
  CHECK(outcome.failures[0] == "job 2 (train.clip=1.0, seed 2023): the loss is not a number");
  CHECK(outcome.failures[1] == "job 3 (train.clip=2.0, seed 2023): ended by signal 11");
  CHECK(world.calls(outcome.folder) == 4);
  CHECK(fs::exists(outcome.folder / "table.md"));
  CHECK(world.run(overrides).failures.size() == 2);
  CHECK(world.calls(outcome.folder) == 6);
}

TEST_CASE("a job over its time limit is asked to save, and the sweep goes on", "[unit]") {
  World world;
  world.request.limit_minutes = 0.3 / 60;
  const SweepOutcome outcome = world.run({"train.clip=3.0,0.0"});
  REQUIRE(outcome.failures.size() == 1);
  CHECK(outcome.failures[0].find("stopped at the time limit") != std::string::npos);
  CHECK(fs::exists(outcome.folder / "jobs/001/saved"));
  CHECK(world.calls(outcome.folder) == 2);
}

TEST_CASE("Ctrl-C waits until the job has saved", "[unit][fault]") {
  World world;
  const SweepPlan plan = world.plan({"train.clip=3.0,0.0"});
  std::thread user([&] {
    for (int i = 0; i < 500; ++i) {
      std::error_code code;
      for (const auto& sweep : fs::directory_iterator(world.request.out / "sweeps", code))
        if (fs::exists(sweep.path() / "hanging")) {
          cancel_requested() = true;
          return;
        }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  try {
    run_sweep(plan, world.request);
    FAIL("no error");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kInterrupted);
    CHECK(std::string(e.what()) == "stopped by the user in job 1 of 2; the same command continues the sweep");
  }
  user.join();
  const SweepPlan again = world.plan({"train.clip=3.0,0.0"});
  CHECK(fs::exists(again.folder / "jobs/001/saved"));
  CHECK(world.calls(again.folder) == 1);
}

TEST_CASE("a child that ignores the request is ended, and one that cannot start is said", "[unit][fault]") {
  World world;
  std::ofstream(world.folder / "deaf") << "#!/bin/bash\ntrap '' INT\nwhile :; do sleep 0.05; done\n";
  fs::permissions(world.folder / "deaf", fs::perms::owner_all);
  const ChildEnd end = run_child(world.folder / "deaf", {}, world.folder / "log.txt", 0.2, 0.2);
  CHECK(end.timed_out);
  CHECK(end.exit_code == 128 + 9);
  CHECK(end.seconds < 10);
  CHECK_THROWS_WITH(run_child(world.folder / "nothing", {}, world.folder / "log.txt", 0), Catch::Contains("cannot be started"));
}

TEST_CASE("differences to a row, named by label, by point, in the recipe, or the first", "[unit]") {
  World world;
  world.request.against = "train.lr=0.2";
  const std::vector<std::string> overrides{"run.seed=1,2,3,4,5", "train.lr=0.1,0.2,0.3"};
  const SweepOutcome outcome = world.run(overrides);
  REQUIRE(outcome.table.differences);
  const Differences& d = *outcome.table.differences;
  CHECK(d.against == "train.lr=0.2");
  REQUIRE(d.rows.size() == 3);
  CHECK(d.rows[1].cells.empty());
  CHECK(d.rows[0].cells[0].interval.value == Approx(-0.02));  // lr moves every user's auc alike
  CHECK(d.rows[2].cells[0].interval.value == Approx(0.02));
  CHECK(d.rows[2].cells[0].star);
  CHECK(d.rows[2].cells[1].why == "no group");
  CHECK(read_file(outcome.folder / "table.md").find("| difference to train.lr=0.2 |") != std::string::npos);
  CHECK(read_file(outcome.folder / "table.tex").find("\\midrule\ntrain.lr=0.1 & auc & $-0.0200$\\rlap{$^{*}$}") != std::string::npos);
  CHECK(read_file(outcome.folder / "table.csv").find("test/auc diff") != std::string::npos);

  world.request.against.reset();
  CHECK_FALSE(world.run(overrides).table.differences);
  world.request.differences = true;
  CHECK(world.run(overrides).table.differences->against == "train.lr=0.1");

  World points(std::string(kRecipe) + "[sweep]\nagainst = \"B\"\n\"run.seed\" = [1, 2]\n[point.A.train]\nlr = 0.1\n[point.B.train]\nlr = 0.2\n");
  CHECK(points.plan({}).against == std::optional<std::size_t>(1));
  CHECK(points.plan({"train.lr=0.1,0.2", "sweep.against=\"B, train.lr=0.2\""}).against == std::optional<std::size_t>(3));
  points.request.against = "A";
  CHECK(points.plan({}).against == std::optional<std::size_t>(0));
}

TEST_CASE("a wrong row or metric of differences is said before the first job", "[unit][errors]") {
  World world(std::string(kRecipe) + "[point.NRMS.train]\nlr = 0.1\n[point.NAML.train]\nlr = 0.2\n");
  const auto says = [&](const std::string& text, const std::vector<std::string>& overrides = {}) { CHECK_THROWS_WITH(world.plan(overrides), Catch::Contains(text)); };
  world.request.against = "NMRS";
  says("there is no row 'NMRS' to take differences to; did you mean 'NRMS'?");
  world.request.against = "something else";
  says("there is no row 'something else' to take differences to; the rows are 'NRMS', 'NAML'");
  world.request.against = "NRMS";
  says("point 'NRMS' has 2 rows, and differences need one; name one of 'NRMS, train.clip=0.0', 'NRMS, train.clip=1.0'", {"train.clip=0.0,1.0"});
  says("differences need per_group.csv, and [evaluate] per_group is false in NRMS, seed 2023", {"evaluate.per_group=false"});
  world.request.metrics = {"mmr"};
  says("differences in 'mmr' were asked for, which NRMS, seed 2023 does not measure; did you mean 'mrr'?");
  world.request.metrics = {"global_auc"};
  says("global_auc is one number for all groups");
  CHECK_FALSE(fs::exists(world.request.out));
  World list(std::string(kRecipe) + "[sweep]\nagainst = [\"B\"]\n");
  CHECK_THROWS_WITH(list.plan({}), Catch::Contains("'against' in [sweep] is a list; it must be a row's label or a point's name, in quotes"));
}

TEST_CASE("runs and sweeps gathered into rows: what differs in the seed alone is one row", "[unit]") {
  World world;
  const SweepOutcome one = world.run({"run.seed=1,2", "train.lr=0.1,0.2"}), two = world.run({"run.seed=3,4", "train.lr=0.2,0.3"});
  const auto gather = [&](const std::vector<std::string>& names) { return gather_rows(world.request.out, names); };
  const GatheredRows both = gather({one.folder.string(), two.folder.filename().string()});
  REQUIRE(both.rows.size() == 3);
  CHECK(both.rows[0].label == "train.lr=0.1");
  CHECK(both.rows[1].label == "train.lr=0.2");
  CHECK(both.rows[1].seeds == std::vector<std::int64_t>{1, 2, 3, 4});
  CHECK(both.rows[1].wanted == 4);
  CHECK(both.rows[2].seeds == std::vector<std::int64_t>{3, 4});
  CHECK(both.rows[0].values == std::vector<std::pair<std::string, std::string>>{{"train.lr", "0.1"}});
  CHECK(find_row(both, "train.lr=0.3") == 2);
  CHECK_THROWS_WITH(find_row(both, one.folder.string()), Catch::Contains("there is no row"));  // it led to two

  // Single runs: told apart by the options in which they differ, and named by what the user wrote.
  const fs::path first = list_runs(one.folder / "jobs/001")[0].folder, third = list_runs(one.folder / "jobs/003")[0].folder;
  const GatheredRows runs = gather({first.string(), third.string(), (one.folder / "jobs/002").string()});
  REQUIRE(runs.rows.size() == 2);
  CHECK(runs.rows[0].label == "train.lr=0.1");
  CHECK(runs.rows[0].seeds == std::vector<std::int64_t>{1, 2});
  CHECK(find_row(runs, third.string()) == 1);
  const Differences d = compare_groups(runs.rows, 1, {});
  CHECK(d.rows[0].cells[0].interval.value < 0);
  CHECK(d.rows[0].seeds == 2);

  // The same seed twice: the newer run counts.
  const fs::path copy = world.folder / "copies" / "20270101-000000_recipe_s1_abcd";
  fs::create_directories(copy.parent_path());
  fs::copy(first, copy, fs::copy_options::recursive);
  const GatheredRows twice = gather({copy.string(), first.string(), third.string()});
  REQUIRE(twice.notes.size() == 1);
  CHECK(twice.notes[0] == "passed over: " + first.filename().string() + ", a run of seed 1 like the newer " + copy.filename().string());
  CHECK(twice.rows[0].folders == std::vector<fs::path>{copy});

  CHECK_THROWS_WITH(gather({"nothing"}), Catch::Contains("no run is called 'nothing'"));
  write_file(copy / "status.json", R"({"state": "failed"})");
  CHECK_THROWS_WITH(gather({copy.string()}), Catch::Contains("is failed: it has no results to compare"));
  // A sweep whose jobs are not all done keeps a row for them.
  fs::remove_all(one.folder / "jobs/004" / list_runs(one.folder / "jobs/004")[0].name);
  const GatheredRows part = gather({one.folder.string()});
  CHECK(part.rows[1].wanted == 2);
  CHECK(part.rows[1].results.size() == 1);
}
