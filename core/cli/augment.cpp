// oncekit augment: asks for what a recipe's augmenters lack, or says what that would cost.
#include "augment/augment.h"
#include "cli/commands.h"
#include "data/digest.h"
#include "run/pipeline.h"
#include "run/session.h"

namespace oncekit {

void add_augment(CLI::App& app, Context& context) {
  struct Flags {
    std::string recipe, point;
    std::vector<std::string> overrides;
    bool demo = false, dry_run = false;
    std::int64_t limit = 0;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand("augment", "ask a language model for what a recipe's augmenters lack; answers are kept for good");
  command->add_option("recipe", flags->recipe, "a recipe with augmenters")->required()->type_name("RECIPE");
  command->add_option("overrides", flags->overrides, "key=value sets, +key=value adds, ~key removes")->type_name("KEY=VALUE ...");
  command->add_option("--point", flags->point, "a named point of the recipe")->type_name("NAME");
  command->add_flag("--demo", flags->demo, "toy data, and the bundled mock in the place of the endpoint");
  command->add_flag("--dry-run", flags->dry_run, "requests, tokens and cost at most; asks nothing");
  command->add_option("--limit", flags->limit, "answers to ask for in all, second attempts included; 0 = as many as are missing")->check(CLI::NonNegativeNumber)->capture_default_str();
  context.add_compute(*command);
  context.add_json(*command);
  examples(*command, {"oncekit augment recipes/llama13b_nrms_gpt.toml --demo --dry-run", "oncekit augment recipes/llama13b_nrms_gpt.toml --demo --limit 50"});
  command->callback([flags, &context] {
    Session session(Recipe::load({context.recipe_file(flags->recipe), flags->overrides, flags->point, flags->demo}, context.tables(), context.plugins()),
                    context.workspace_options());
    if (session.recipe().augmenters().empty())
      throw Error(ErrorKind::kUsage, "this recipe has no augmenters", "name some in `augment = [...]`, each with a table [augmenter.NAME]", flags->recipe);
    AugmentSetup setup = session.augment_setup();
    setup.dry_run = flags->dry_run;
    setup.limit = flags->limit;
    session.load_data();
    session.augment_data(setup);
    if (context.json) {
      nlohmann::ordered_json json = augment_record(session.augmented(), setup);
      json["corpus_digest"] = corpus_digest(session.corpus());
      context.out << json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
    } else {
      context.out << augment_text(session.augmented(), setup);
    }
  });
}

}  // namespace oncekit
