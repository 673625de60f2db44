// oncekit sweep.
#include <fmt/format.h>
#include <unistd.h>

#include "cli/commands.h"
#include "oncekit/log.h"
#include "run/child.h"
#include "run/session.h"
#include "sweep/sweep.h"

namespace oncekit {
namespace {

struct SweepFlags {
  std::string recipe;
  std::vector<std::string> overrides, points, columns, metrics;
  std::string against;
  double minutes = 0;
  bool demo = false, list = false, fresh = false, differences = false, accept_environment = false;
};

// What a job's process must be told again.
std::vector<std::string> child_options(const Context& context, bool paths) {
  std::vector<std::string> options;
  if (paths) {
    for (const auto& path : context.plugin_paths) options.insert(options.end(), {"--plugin-path", path.string()});
    return options;
  }
  options = {"--device", context.device, "--threads", std::to_string(context.threads)};
  if (!context.cache_folder.empty()) options.insert(options.end(), {"--cache", context.cache_folder.string()});
  if (!context.models_folder.empty()) options.insert(options.end(), {"--models", context.models_folder.string()});
  return options;
}

}  // namespace

void add_sweep(CLI::App& app, Context& context) {
  auto flags = std::make_shared<SweepFlags>();
  CLI::App* command = app.add_subcommand("sweep", "run a grid, seeds, or all points of a recipe; one table at the end");
  command->add_option("recipe", flags->recipe, "a recipe")->required()->type_name("RECIPE");
  command->add_option("overrides", flags->overrides, "as in run; several values with commas make an axis: run.seed=1,2,3")->type_name("KEY=VALUE,VALUE ...");
  command->add_option("--point", flags->points, "this named point alone; may be given several times")->type_name("NAME")->allow_extra_args(false);
  command->add_option("--minutes", flags->minutes, "time limit of one job; 0 = none")->check(CLI::NonNegativeNumber)->capture_default_str();
  command->add_option("--columns", flags->columns, "of the table: result names, e.g. test/auc,test/cold/auc")->type_name("NAME,NAME")->delimiter(',')->allow_extra_args(false);
  command->add_option("--against", flags->against, "differences of all rows to this one: a row's label or a point's name")->type_name("ROW");
  command->add_flag("--differences", flags->differences, "differences to the first row, or to [sweep] against");
  command->add_option("--metrics", flags->metrics, "of the differences, which it asks for (default: auc)")->type_name("NAME,NAME")->delimiter(',')->allow_extra_args(false);
  command->add_flag("--list", flags->list, "print the jobs and run nothing");
  command->add_flag("--fresh", flags->fresh, "run everything anew, finished points too");
  command->add_flag("--accept-environment", flags->accept_environment, "continue jobs that were begun on another CPU, thread count or build; their records say so");
  command->add_flag("--demo", flags->demo, "toy data, tiny models, the real code path");
  context.add_compute(*command);
  context.add_json(*command);
  examples(*command, {"oncekit sweep recipes/mind/nrms.toml --demo run.seed=1,2,3 --list", "oncekit sweep recipes/mind/nrms.toml --demo run.seed=1,2 train.lr=1e-3,3e-3",
                      "oncekit sweep recipes/mind/nrms.toml --demo run.seed=1,2 train.lr=1e-3,3e-3 --against train.lr=3e-3"});
  command->callback([flags, &context] {
    SweepRequest request;
    request.recipe = {context.recipe_file(flags->recipe), flags->overrides, "", flags->demo};
    request.points = flags->points;
    request.columns = flags->columns;
    if (!flags->against.empty()) request.against = flags->against;
    request.differences = flags->differences || !flags->metrics.empty();
    request.metrics = flags->metrics;
    request.threads = context.threads;
    request.out = context.out_folder;
    request.limit_minutes = flags->minutes;
    request.fresh = flags->fresh;
    request.program = this_program();
    request.options = child_options(context, true);
    request.run_options = child_options(context, false);
    if (flags->accept_environment) request.run_options.push_back("--accept-environment");
    request.check = [](const Recipe& recipe) { check_fit(recipe, describe_data(recipe)); };
    request.command = {"oncekit", "sweep", flags->recipe};
    request.command.insert(request.command.end(), flags->overrides.begin(), flags->overrides.end());
    for (const std::string& point : flags->points) request.command.insert(request.command.end(), {"--point", point});
    if (!flags->against.empty()) request.command.insert(request.command.end(), {"--against", flags->against});
    if (flags->differences) request.command.push_back("--differences");
    for (const std::string& metric : flags->metrics) request.command.insert(request.command.end(), {"--metrics", metric});
    if (flags->demo) request.command.push_back("--demo");
    (void)context.workspace_options();  // a wrong --device is said before the first job; sets --quiet
    const SweepPlan plan = plan_sweep(request, context.tables(), context.plugins());
    if (flags->list) {
      context.out << (context.json ? jobs_json(plan) : job_list(plan));
      return;
    }
    log::info(job_list(plan));
    const SweepOutcome outcome = run_sweep(plan, request);
    if (context.json) {
      context.out << as_json(outcome.table);
    } else {
      context.out << as_text(outcome.table, isatty(STDOUT_FILENO) && !std::getenv("NO_COLOR")) << "\n" << (outcome.folder / "table.md").string() << "\n";
    }
    if (outcome.failures.empty()) return;
    context.out.flush();
    std::string text = fmt::format("{} of {} jobs failed:", outcome.failures.size(), plan.jobs.size());
    for (const std::string& failure : outcome.failures) text += "\n" + failure;
    throw Error(ErrorKind::kRun, text, "the same command runs them again; log.txt of each job says more");
  });
}

}  // namespace oncekit
