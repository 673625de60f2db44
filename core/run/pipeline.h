// One run, from recipe to results: data -> prepare -> train -> evaluate -> records.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "plugin/host.h"
#include "recipe/recipe.h"
#include "run/folder.h"
#include "run/workspace.h"

namespace oncekit {

/// The core's tables of a recipe: [recipe], [model], [train], [evaluate], [run].
const std::vector<CoreTable>& core_tables();

struct RunRequest {
  RecipeRequest recipe;
  std::filesystem::path out = "runs";
  std::filesystem::path resume;      ///< a run folder to continue; the recipe is then its recipe.resolved.toml
  bool resume_newest = false;        ///< continue the newest unfinished run of the same recipe under `out`, if there is one
  bool accept_environment = false;   ///< continue on another CPU, thread count or build, and say so in the records
  WorkspaceOptions workspace;
  std::vector<std::string> command;  ///< as typed, for run.json
};

struct RunOutcome {
  std::filesystem::path folder;
  ResultList results;
};

/// Throws Error; the run folder then says "failed" or "interrupted" and can be continued.
RunOutcome run_recipe(const RunRequest& request, PluginHost& plugins);

struct EvalRequest {
  std::filesystem::path folder;         ///< of a run with a checkpoint
  std::vector<std::string> overrides;   ///< of its recipe: keys of [dataset], [evaluate] and [answers]
  std::vector<std::string> splits{"test"};
  bool latency = false;                 ///< also time single calls, for users of the first split, or of test when there is none
  WorkspaceOptions workspace;
};

/// Evaluates the best checkpoint of a run again, or the untrained model of a run that does not train. Writes nothing. Throws Error(kUsage) for
/// overrides of other tables.
ResultList evaluate_run(const EvalRequest& request, PluginHost& plugins);

}  // namespace oncekit
