// A sweep: points of a recipe x a grid x seeds. Every job is frozen at launch and run by a child process; finished ones are skipped.
//
//   OUT/sweeps/<time>_<recipe>_<hash4>/
//     sweep.json table.md table.csv table.tex table.json
//     jobs/001/recipe.toml recipe.json log.txt <time>_recipe_s1_<hash4>/     (a run folder as any other)
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "recipe/recipe.h"
#include "report/table.h"

namespace oncekit {

struct SweepRequest {
  RecipeRequest recipe;                     ///< of `overrides`, those with a comma list become axes: run.seed=1,2,3; `point` is not used
  std::vector<std::string> points;          ///< empty = all points of the recipe, or the recipe itself when it has none
  std::filesystem::path out = "runs";
  double limit_minutes = 0;                 ///< a job may take so long; 0 = no limit
  bool fresh = false;                       ///< run everything anew, in a new sweep folder
  std::filesystem::path program;            ///< what runs a job: `program OPTIONS run recipe.toml --resume --out FOLDER RUN_OPTIONS`
  std::function<void(const Recipe&)> check; ///< throws when the parts of a job do not fit
  std::vector<std::string> options;         ///< before `run`, e.g. {"--plugin-path", "x"}
  std::vector<std::string> run_options;     ///< behind it, e.g. {"--threads", "2"}
  std::vector<std::string> command;         ///< as typed, for sweep.json
  std::vector<std::string> columns;         ///< of the table; empty = the default
  std::optional<std::string> against;       ///< differences to this row: a label or a point; nothing = as [sweep] against says
  bool differences = false;                 ///< where nobody names a row: to the first
  std::vector<std::string> metrics;         ///< of the differences; empty = auc, or the first there is
  int threads = 0;                          ///< for the differences; 0 = all cores
};

struct SweepJob {
  int number = 1;
  std::string point;
  std::vector<std::pair<std::string, std::string>> values;  ///< dotted key -> TOML text, run.seed included
  std::string row;                                          ///< point and values without the seed: one row of the table
  std::int64_t seed = 0;
  std::string hash;                                         ///< of its resolved recipe
  std::string resolved, origins;                            ///< the recipe as TOML; as JSON with the origin of each value
  std::string paper, not_comparable;
  std::map<std::string, double> paper_numbers;
  std::map<std::string, double> expected_data;              ///< [expect]'s counts of the data: items, users, ...
  std::filesystem::path done;                               ///< a finished run of this very recipe, or ""
  std::string label() const;                                ///< row and seed
};

struct SweepPlan {
  std::string name, title;
  std::string hash;                ///< of all jobs
  std::filesystem::path folder;    ///< of an earlier launch of the same sweep, or ""
  bool demo = false;
  std::vector<SweepJob> jobs;
  std::optional<std::size_t> against;  ///< the row that differences are taken to
};

/// Resolves every job, so that a mistake in any of them shows before the first starts, and looks for finished runs. Writes nothing.
SweepPlan plan_sweep(const SweepRequest& request, const std::vector<CoreTable>& tables, Catalog& catalog);

/// Finished runs under `out`, by recipe hash: plain runs and those of sweeps. Damaged ones are passed over with a warning.
std::map<std::string, std::filesystem::path> finished_runs(const std::filesystem::path& out, bool demo);

/// The jobs, one a line: number, label, "done already" where it is.
std::string job_list(const SweepPlan& plan);
/// The same as JSON.
std::string jobs_json(const SweepPlan& plan);

struct SweepOutcome {
  std::filesystem::path folder;
  ResultsTable table;
  std::vector<std::string> failures;  ///< "job 3 (train.lr=10, seed 1): why"
};

/// Freezes all recipes, runs what is not done, writes the tables. A failed job is kept for the end. Throws
/// Error(kInterrupted) when the user stops it, Error(kRun) when another process works on the same sweep.
SweepOutcome run_sweep(SweepPlan plan, const SweepRequest& request);

}  // namespace oncekit
