// oncekit run, oncekit eval.
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "cli/commands.h"
#include "recipe/recipe.h"
#include "report/results_table.h"
#include "run/pipeline.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

bool color() { return isatty(STDOUT_FILENO) && !std::getenv("NO_COLOR"); }

void print_results(Context& context, const ResultList& results) {
  if (!context.json) {
    context.out << results_table(results, color());
    return;
  }
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [name, value] : results) json[name] = value;
  context.out << json.dump(2) << "\n";
}

struct RunFlags {
  std::string recipe, point;
  std::vector<std::string> overrides;
  bool demo = false, print = false, resume = false, accept_environment = false;
};

}  // namespace

void add_run(CLI::App& app, Context& context) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* command = app.add_subcommand("run", "train, evaluate and report a recipe; or continue a run");
  command->add_option("recipe", flags->recipe, "a recipe, or the folder of an unfinished run to continue")->required()->type_name("RECIPE|RUN");
  command->add_option("overrides", flags->overrides, "key=value sets, +key=value adds, ~key removes")->type_name("KEY=VALUE ...");
  command->add_option("--point", flags->point, "a named point of the recipe: [point.NAME]")->type_name("NAME");
  command->add_flag("--demo", flags->demo, "toy data, tiny models, the real code path: ends within a minute");
  command->add_flag("--print", flags->print, "show every value with its origin and run nothing");
  command->add_flag("--resume", flags->resume, "continue the newest unfinished run of this very recipe, if there is one");
  command->add_flag("--accept-environment", flags->accept_environment, "continue on another CPU, thread count or build; the records say so");
  context.add_compute(*command);
  context.add_json(*command);
  examples(*command, {"oncekit run recipes/demo.toml", "oncekit run recipes/mind/nrms.toml --demo train.lr=3e-3 run.seed=7",
                      "oncekit run recipes/mind/nrms.toml --demo --print"});
  command->callback([flags, &context] {
    RunRequest request;
    request.accept_environment = flags->accept_environment;
    request.resume_newest = flags->resume;
    request.out = context.out_folder;
    if (fs::exists(fs::path(flags->recipe) / "recipe.resolved.toml")) {
      request.resume = flags->recipe;
      if (!flags->overrides.empty() || flags->demo || !flags->point.empty())
        throw Error(ErrorKind::kUsage, "a run that is continued keeps its recipe: overrides, --demo and --point have no place here",
                    "run the recipe itself for another variant", flags->recipe);
    } else {
      request.recipe = {context.recipe_file(flags->recipe), flags->overrides, flags->point, flags->demo};
    }
    if (flags->print) {
      if (!request.resume.empty()) request.recipe.file = request.resume / "recipe.resolved.toml";
      context.out << Recipe::load(request.recipe, context.tables(), context.plugins()).print(context.json);
      return;
    }
    request.workspace = context.workspace_options();
    request.command = {"oncekit", "run", flags->recipe};
    request.command.insert(request.command.end(), flags->overrides.begin(), flags->overrides.end());
    if (flags->demo) request.command.push_back("--demo");
    if (!flags->point.empty()) request.command.insert(request.command.end(), {"--point", flags->point});
    const RunOutcome outcome = run_recipe(request, context.plugins());
    print_results(context, outcome.results);
    if (!context.json) context.out << "\n" << outcome.folder.string() << "\n";
  });
}

void add_eval(CLI::App& app, Context& context) {
  auto run = std::make_shared<std::string>();
  auto overrides = std::make_shared<std::vector<std::string>>();
  auto splits = std::make_shared<std::vector<std::string>>();
  auto latency = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("eval", "evaluate a run's best checkpoint again");
  command->add_option("run", *run, "a run: its folder, its name, the end of its name, or last")->required()->type_name("RUN");
  command->add_option("overrides", *overrides, "[dataset], [evaluate] and [answers] keys, e.g. 'evaluate.metrics=[\"hit@10\"]'")->type_name("KEY=VALUE ...");
  command->add_option("--split", *splits, "train, dev or test (default: test, or with --latency none)")->type_name("SPLIT")->allow_extra_args(false);
  command->add_flag("--latency", *latency, "milliseconds of one call, p50 and p99: encoding a new item, encoding a user, scoring 100 candidates");
  context.add_compute(*command);
  context.add_json(*command);
  examples(*command, {"oncekit eval last", "oncekit eval last --latency --threads 1", "oncekit eval last --split dev --split test 'evaluate.metrics=[\"auc\", \"hit@10\"]'"});
  command->callback([=, &context] {
    EvalRequest request;
    request.folder = find_run(context.out_folder, *run);
    request.overrides = *overrides;
    request.latency = *latency;
    request.splits = splits->empty() && !*latency ? std::vector<std::string>{"test"} : *splits;
    request.workspace = context.workspace_options();
    print_results(context, evaluate_run(request, context.plugins()));
  });
}

}  // namespace oncekit
