// What a run of a recipe would do and take, found out without doing it: data are read, caches looked up, prompts counted.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "recipe/recipe.h"
#include "run/workspace.h"

namespace oncekit {

struct PlanStep {
  enum class State {
    kReady,    ///< nothing stands in its way
    kToDo,     ///< the run will build or ask something first, which takes what `estimate` and `cost_usd` say
    kMissing,  ///< the run will fail until the user puts something there: data, weights, answers
    kUnknown,  ///< depends on a step before it
  };
  std::string stage;  ///< as in the run's status: "data", "augment", "prepare", "train", "evaluate"
  State state = State::kReady;
  std::string what;   ///< one line for people
  std::optional<BuildEstimate> estimate;
  double cost_usd = 0;  ///< at most, for a first attempt at each question
};
const char* plan_state_name(PlanStep::State state);

/// Builds, asks and trains nothing. What stops the run ends up in a step; throws only when the recipe's parts do not fit. How long training takes
/// is told from the newest finished run of the same title under `runs`: nothing else knows this machine.
std::vector<PlanStep> plan_run(Recipe recipe, WorkspaceOptions workspace, const std::filesystem::path& runs = "runs");

}  // namespace oncekit
