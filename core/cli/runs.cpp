// oncekit runs ls, show, compare.
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include "base/files.h"
#include "cli/commands.h"
#include "oncekit/error.h"
#include "oncekit/log.h"
#include "report/results_table.h"
#include "report/table.h"
#include "run/pipeline.h"
#include "sweep/rows.h"

namespace oncekit {
namespace {

nlohmann::ordered_json as_json(const RunRecord& run) {
  nlohmann::ordered_json json{{"name", run.name}, {"folder", run.folder.string()}, {"state", run.state}, {"stage", run.stage}, {"title", run.title},
                              {"recipe", run.recipe}, {"recipe_hash", run.hash}, {"seed", run.seed}, {"demo", run.demo}, {"started", run.started}};
  if (!run.message.empty()) json["message"] = run.message;
  for (const auto& [name, value] : run.results) json["results"][name] = value;
  return json;
}

void list(Context& context) {
  const std::vector<RunRecord> runs = list_runs(context.out_folder);
  if (context.json) {
    nlohmann::ordered_json json = nlohmann::ordered_json::array();
    for (const RunRecord& run : runs) json.push_back(as_json(run));
    context.out << json.dump(2) << "\n";
    return;
  }
  if (runs.empty()) {
    context.out << "no runs under " << context.out_folder.string() << "; a first one: oncekit run recipes/demo.toml\n";
    return;
  }
  std::size_t width = 4;
  for (const RunRecord& run : runs) width = std::max(width, run.name.size());
  context.out << fmt::format("{:<{}}  {:<11} {:>9}  {:>8}  {}\n", "run", width, "state", "test/auc", "seconds", "title");
  for (const RunRecord& run : runs) {
    const double auc = result(run.results, "test/auc").value_or(NAN), seconds = result(run.results, "time/total_s").value_or(NAN);
    context.out << fmt::format("{:<{}}  {:<11} {:>9}  {:>8}  {}{}\n", run.name, width, run.state, std::isnan(auc) ? "-" : fmt::format("{:.4f}", auc),
                               std::isnan(seconds) ? "-" : fmt::format("{:.1f}", seconds), run.demo ? "[demo] " : "", run.title);
  }
}

void show(Context& context, const std::string& name) {
  const RunRecord run = read_run(find_run(context.out_folder, name));
  if (context.json) {
    context.out << as_json(run).dump(2) << "\n";
    return;
  }
  context.out << run.folder.string() << "\n" << (run.title.empty() ? run.recipe : run.title) << (run.demo ? "  [demo]" : "") << "\n";
  context.out << "recipe " << run.recipe << ", seed " << run.seed << ", started " << run.started << ", " << run.state;
  if (run.state != "done") context.out << " in stage " << run.stage;
  context.out << "\n";
  if (!run.message.empty()) context.out << run.message << "\n";
  if (run.state == "killed" || run.state == "interrupted" || run.state == "failed")
    context.out << "continue with `oncekit run " << run.folder.string() << "`\n";
  if (!run.results.empty()) context.out << "\n" << results_table(run.results, false);
}

struct CompareFlags {
  std::vector<std::string> names, columns, metrics;
  std::string against;
  bool markdown = false, csv = false, latex = false;
};

void compare(Context& context, const CompareFlags& flags) {
  const GatheredRows gathered = gather_rows(context.out_folder, flags.names);
  for (const std::string& note : gathered.notes) log::warn(note);
  if (gathered.rows.size() < 2)
    throw Error(ErrorKind::kUsage, gathered.rows.empty() ? "there are no finished runs here" : "all these runs are one row: they differ in nothing but the seed",
                "name runs of another recipe, point or value too");
  const std::size_t against = flags.against.empty() ? 0 : find_row(gathered, flags.against);
  std::string title;
  for (const std::string& name : flags.names) {
    const std::filesystem::path path = std::filesystem::path(name + "/").lexically_normal().parent_path();
    title += (title.empty() ? "" : ", ") + path.filename().string();
  }
  ResultsTable table = make_table(title, gathered.rows, flags.columns);
  BootstrapOptions options;
  options.threads = context.threads;
  table.differences = compare_groups(gathered.rows, against, flags.metrics, options);
  context.out << (context.json    ? as_json(table)
                  : flags.markdown ? as_markdown(table)
                  : flags.csv      ? as_csv(table)
                  : flags.latex    ? as_latex(table)
                                   : as_text(table, isatty(STDOUT_FILENO) && !std::getenv("NO_COLOR")));
}

}  // namespace

void add_runs(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("runs", "list, show and compare runs");
  command->require_subcommand(1);
  CLI::App* ls = command->add_subcommand("ls", "all runs, oldest first");
  ls->add_option("--out", context.out_folder, "folder of the runs")->type_name("DIR")->capture_default_str();
  context.add_json(*ls);
  examples(*ls, {"oncekit runs ls", "oncekit runs ls --json"});
  ls->callback([&context] { list(context); });
  auto name = std::make_shared<std::string>("last");
  CLI::App* one = command->add_subcommand("show", "one run: state, results, seconds");
  one->add_option("run", *name, "folder, name, end of a name, or last")->type_name("RUN")->capture_default_str();
  one->add_option("--out", context.out_folder, "folder of the runs")->type_name("DIR")->capture_default_str();
  context.add_json(*one);
  examples(*one, {"oncekit runs show", "oncekit runs show last --json"});
  one->callback([name, &context] { show(context, *name); });
  auto flags = std::make_shared<CompareFlags>();
  CLI::App* many = command->add_subcommand("compare", "runs or sweeps as one table, with differences: runs that differ in the seed alone are one row");
  many->add_option("runs", flags->names, "runs (folder, name, end of a name, or last), sweeps, folders that hold runs")->required()->type_name("RUN|SWEEP ...");
  many->add_option("--against", flags->against, "differences to this row: its label, or one of the runs named (default: the first)")->type_name("ROW");
  many->add_option("--metrics", flags->metrics, "of the differences (default: auc)")->type_name("NAME,NAME")->delimiter(',')->allow_extra_args(false);
  many->add_option("--columns", flags->columns, "of the table: result names, e.g. test/auc,test/cold/auc")->type_name("NAME,NAME")->delimiter(',')->allow_extra_args(false);
  many->add_option("--out", context.out_folder, "folder of the runs")->type_name("DIR")->capture_default_str();
  many->add_option("--threads", context.threads, "CPU threads; 0 = all cores")->check(CLI::NonNegativeNumber)->capture_default_str();
  CLI::Option* markdown = many->add_flag("--markdown", flags->markdown, "print Markdown");
  CLI::Option* csv = many->add_flag("--csv", flags->csv, "print CSV")->excludes(markdown);
  many->add_flag("--latex", flags->latex, "print LaTeX")->excludes(markdown)->excludes(csv);
  context.add_json(*many);
  examples(*many, {"oncekit runs compare RUN_A RUN_B --against RUN_B", "oncekit runs compare runs/sweeps/A runs/sweeps/B --latex"});
  many->callback([flags, &context] { compare(context, *flags); });
}

}  // namespace oncekit
