// oncekit recipes: ls, cat, cp, check, reference.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/log_sink.h"
#include "cli/commands.h"
#include "cookbook/listing.h"
#include "cookbook/reference.h"
#include "plan/plan.h"
#include "run/session.h"

namespace oncekit {
namespace {

struct Checked {
  std::string recipe, point, hash, problem;
  ErrorKind kind = ErrorKind::kUsage;
  std::vector<PlanStep> plan{};
};

// One recipe, or one of its points: merged, typed, and its components' needs met.
Checked check(Context& context, const RecipeRequest& request, bool plan) {
  Checked result{display_path(request.file), request.point, "", ""};
  try {
    Recipe recipe = Recipe::load(request, context.tables(), context.plugins());
    check_fit(recipe, describe_data(recipe), &context.plugins());
    result.hash = recipe.hash();
    if (plan) result.plan = plan_run(std::move(recipe), context.workspace_options(), context.out_folder);
  } catch (const Error& e) {
    result.problem = e.what();
    result.kind = e.kind();
  }
  return result;
}

nlohmann::ordered_json as_json(const PlanStep& step) {
  nlohmann::ordered_json json{{"stage", step.stage}, {"state", plan_state_name(step.state)}, {"what", step.what}, {"cost_usd", step.cost_usd}};
  if (const auto& e = step.estimate)
    json["estimate"] = {{"what", e->what}, {"seconds", e->seconds}, {"memory_bytes", e->memory}, {"disk_bytes", e->disk}, {"result_bytes", e->result}};
  return json;
}

struct CheckFlags {
  std::vector<std::string> words;  ///< recipes, then overrides
  std::string point;
  bool demo = false;
};

// Where a recipe has points and none is named, each of them is checked; the recipe itself may then be incomplete. One variant alone gets a plan.
void check_all(Context& context, const CheckFlags& flags) {
  std::vector<RecipeRequest> requests;
  std::vector<std::string> names, overrides;
  for (const std::string& word : flags.words)
    (word.starts_with('~') || (word.find('=') != std::string::npos && !std::filesystem::exists(word)) ? overrides : names).push_back(word);
  for (const std::string& name : names) {
    const std::filesystem::path file = context.recipe_file(name);
    std::vector<std::string> points = flags.point.empty() ? read_head(file).points : std::vector<std::string>{flags.point};
    if (points.empty()) points.emplace_back();
    for (const std::string& point : points) requests.push_back({file, overrides, point, flags.demo});
  }
  if (requests.size() == 1) log::set_level(log::Level::kWarn);  // what components say while they are looked at is in the plan
  std::vector<Checked> results;
  for (const RecipeRequest& request : requests) results.push_back(check(context, request, requests.size() == 1));
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const Checked& r : results) {
    if (!r.problem.empty() && context.exit_code == 0) context.exit_code = static_cast<int>(r.kind);
    json.push_back({{"recipe", r.recipe}, {"point", r.point}, {"hash", r.hash}, {"problem", r.problem}});
    for (const PlanStep& step : r.plan) json.back()["plan"].push_back(as_json(step));
    if (context.json) continue;
    context.out << r.recipe << (r.point.empty() ? "" : " --point \"" + r.point + "\"") << ": "
                << (r.problem.empty() ? "good, " + r.hash : r.problem) << "\n";
    for (const PlanStep& step : r.plan) context.out << fmt::format("  {:<9} {:<8} {}\n", step.stage, plan_state_name(step.state), step.what);
  }
  if (context.json) context.out << json.dump(2) << "\n";
}

void add_check(CLI::App& recipes, Context& context) {
  auto flags = std::make_shared<CheckFlags>();
  CLI::App* command = recipes.add_subcommand("check", "resolve recipes and all their points, check that their parts fit; of a single one also the plan: which data, "
                                                      "caches and answers are there, and what the rest takes in time, memory and money. Runs nothing");
  command->add_option("recipes", flags->words, "recipes, then overrides")->required()->type_name("RECIPE ... [KEY=VALUE ...]");
  command->add_option("--point", flags->point, "a named point alone")->type_name("NAME");
  command->add_flag("--demo", flags->demo, "as --demo would run them");
  context.add_compute(*command);
  context.add_json(*command);
  examples(*command, {"oncekit recipes check recipes/demo.toml", "oncekit recipes check recipes/mind/nrms.toml --demo train.lr=3e-3",
                      "oncekit recipes check recipes/paper/table3.toml", "oncekit recipes check recipes/llama13b_nrms_gpt.toml --demo --json"});
  command->callback([flags, &context] { check_all(context, *flags); });
}

void add_ls(CLI::App& recipes, Context& context) {
  CLI::App* command = recipes.add_subcommand("ls", "the recipes there are: path, title, row of the paper, points");
  auto folder = std::make_shared<std::string>();
  command->add_option("folder", *folder, "where to look (default: the recipes folder)")->type_name("DIR");
  context.add_json(*command);
  examples(*command, {"oncekit recipes ls", "oncekit recipes ls recipes/mind --json"});
  command->callback([folder, &context] {
    const auto heads = list_recipes(folder->empty() ? context.recipes_folder() : std::filesystem::path(*folder));
    context.out << (context.json ? listing_json(heads) : listing_text(heads));
  });
}

void add_cat(CLI::App& recipes, Context& context) {
  struct Flags {
    std::string name;
    bool bases = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = recipes.add_subcommand("cat", "the text of a recipe");
  command->add_option("recipe", flags->name, "a recipe")->required()->type_name("RECIPE");
  command->add_flag("--bases", flags->bases, "also the files it extends, in the order in which they are merged");
  examples(*command, {"oncekit recipes cat recipes/demo.toml", "oncekit recipes cat mind/nrms --bases"});
  command->callback([flags, &context] { context.out << recipe_text(context.recipe_file(flags->name), flags->bases); });
}

void add_cp(CLI::App& recipes, Context& context) {
  auto names = std::make_shared<std::vector<std::string>>(2);
  CLI::App* command = recipes.add_subcommand("cp", "copy a recipe to make it your own; what it extends is still found");
  command->add_option("recipe", (*names)[0], "a recipe")->required()->type_name("RECIPE");
  command->add_option("destination", (*names)[1], "a file or a folder")->required()->type_name("DEST");
  examples(*command, {"oncekit recipes cp recipes/mind/nrms.toml mine.toml"});
  command->callback(
      [names, &context] { context.out << copy_recipe(context.recipe_file((*names)[0]), (*names)[1]).string() << "\n"; });
}

void add_reference(CLI::App& recipes, Context& context) {
  auto page = std::make_shared<std::string>();
  CLI::App* command = recipes.add_subcommand("reference", "all tables and keys as Markdown, made from the schemas");
  command->add_option("--update", *page, "rewrite this page below its marker line instead of printing")->type_name("FILE");
  examples(*command, {"oncekit recipes reference", "oncekit recipes reference --update docs/recipes.md"});
  command->callback([page, &context] {
    for (const FoundPlugin& plugin : context.plugins().found())
      if (!plugin.refused.empty())
        throw Error(ErrorKind::kPlugin, plugin.refused, "the reference needs all plugins", display_path(plugin.file));
    const std::string reference = recipe_reference(context.tables(), context.plugins());
    if (page->empty())
      context.out << reference;
    else
      write_file(*page, with_reference(read_file(*page), reference));
  });
}

}  // namespace

void add_recipes(CLI::App& app, Context& context) {
  CLI::App* recipes = app.add_subcommand("recipes", "list, show, copy and check recipes");
  recipes->require_subcommand(1);
  add_ls(*recipes, context);
  add_cat(*recipes, context);
  add_cp(*recipes, context);
  add_check(*recipes, context);
  add_reference(*recipes, context);
}

}  // namespace oncekit
