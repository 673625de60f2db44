// oncekit data: ls, check, stats, show, toy.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "cli/commands.h"
#include "data/stats.h"
#include "oncekit/dataset.h"
#include "oncekit/toy.h"
#include "plugin/guard.h"
#include "recipe/recipe.h"
#include "run/session.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

struct Target {
  std::string name;                    ///< a recipe, or a folder of raw files
  std::string use;                     ///< dataset component of a folder; "" = by what lies in it
  std::vector<std::string> overrides;
  std::string point;
  bool demo = false;
};

struct Loaded {
  Corpus corpus;
  std::vector<fs::path> files;
  std::map<std::string, double> expect;
};

// "dataset.key=value" for a folder, where there is no recipe to merge it into.
void set_option(Fields& fields, const std::string& text) {
  const std::size_t equals = text.find('=');
  std::string key = text.substr(0, equals);
  if (equals == std::string::npos) throw Error(ErrorKind::kUsage, "'" + text + "' has no '='", "write dataset.key=value");
  if (key.starts_with("dataset.")) key = key.substr(8);
  Field* field = fields.find(key);
  if (!field) {
    const std::string near = nearest_name(key, fields.names());
    throw Error(ErrorKind::kUsage, "there is no option '" + key + "'", near.empty() ? "" : "did you mean '" + near + "'?");
  }
  const std::string value = text.substr(equals + 1);
  const auto bad = [&](const char* expected) { throw Error(ErrorKind::kUsage, key + ": expected " + expected + ", found '" + value + "'"); };
  if (std::holds_alternative<bool*>(field->target)) {
    if (value != "true" && value != "false") bad("true or false");
    field->assign(value == "true");
  } else if (std::holds_alternative<std::int64_t*>(field->target)) {
    std::int64_t number = 0;
    const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (code != std::errc() || end != value.data() + value.size()) bad("a whole number");
    field->assign(number);
  } else if (std::holds_alternative<double*>(field->target)) {
    double number = 0;
    const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (code != std::errc() || end != value.data() + value.size()) bad("a number");
    field->assign(number);
  } else if (std::holds_alternative<std::string*>(field->target)) {
    if (!field->choices.empty() && std::find(field->choices.begin(), field->choices.end(), value) == field->choices.end()) {
      const std::string near = nearest_name(value, field->choices);
      throw Error(ErrorKind::kUsage, key + " has no value '" + value + "'", near.empty() ? "`oncekit plugins info dataset/NAME` lists them" : "did you mean '" + near + "'?");
    }
    field->assign(value);
  } else {
    throw Error(ErrorKind::kUsage, key + " is a list: give it in a recipe");
  }
}

Loaded read(const ComponentSpec& spec, const OptionSet& options, Context& context) {
  const std::unique_ptr<Dataset> dataset = call_plugin(spec, "construct", [&] { return spec.make_dataset(options); });
  Loaded loaded;
  loaded.corpus = call_plugin(spec, "load", [&] { return dataset->load(context.workspace()); });
  loaded.files = call_plugin(spec, "describe", [&] { return dataset->describe(); }).files;
  return loaded;
}

Loaded load(const Target& target, Context& context) {
  if (!fs::is_directory(target.name)) {
    const Recipe recipe = Recipe::load({context.recipe_file(target.name), target.overrides, target.point, target.demo}, context.tables(), context.plugins());
    const UsedComponent& used = recipe.component("dataset");
    Loaded loaded = read(*used.spec, *used.options, context);
    if (!recipe.demo()) loaded.expect = recipe.expect();  // the toy has other counts
    return loaded;
  }
  const bool table = fs::exists(fs::path(target.name) / "items.tsv") || fs::exists(fs::path(target.name) / "items.tsv.gz");
  const ComponentSpec& spec = context.plugins().find("dataset", !target.use.empty() ? target.use : table ? "table" : "mind");
  const std::unique_ptr<OptionSet> options = spec.options();
  {
    Fields fields;
    options->describe(fields);
    set_option(fields, "path=" + target.name);
    if (target.demo) set_option(fields, "toy=true");
    for (const std::string& text : target.overrides) set_option(fields, text);
  }
  Problems problems;
  options->validate(problems);
  problems.raise(ErrorKind::kUsage);
  return read(spec, *options, context);
}

std::shared_ptr<Target> add_target(CLI::App& command, Context& context) {
  auto target = std::make_shared<Target>();
  command.add_option("target", target->name, "a recipe, or a folder of raw files")->required()->type_name("RECIPE|DIR");
  command.add_option("--use", target->use, "the dataset component that reads DIR; default: table where there is an items.tsv, else mind")->type_name("NAME");
  command.add_option("--point", target->point, "a named point of the recipe")->type_name("NAME");
  command.add_flag("--demo", target->demo, "the toy corpus in the place of the recipe's data");
  context.add_compute(command);
  context.add_json(command);
  return target;
}

void add_overrides(CLI::App& command, const std::shared_ptr<Target>& target) {
  command.add_option("overrides", target->overrides, "dataset.key=value")->type_name("KEY=VALUE ...");
}

Json as_json(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return static_cast<std::int64_t>(value);
  return value;
}

std::string number(double value) {
  return value == std::floor(value) && std::abs(value) < 1e15 ? fmt::format("{}", static_cast<std::int64_t>(value)) : fmt::format("{:.4f}", value);
}

void add_stats(CLI::App& data, Context& context) {
  CLI::App* command = data.add_subcommand("stats", "counts, lengths, shares: what the data looks like after loading");
  const auto target = add_target(*command, context);
  add_overrides(*command, target);
  examples(*command, {"oncekit data stats recipes/mind/nrms.toml --demo", "oncekit data stats recipes/mind/nrms.toml --demo --json"});
  command->callback([target, &context] {
    const Loaded loaded = load(*target, context);
    const std::vector<Figure> figures = corpus_figures(loaded.corpus);
    if (context.json) {
      Json json = Json::object();
      for (const Figure& figure : figures) json[figure.name] = as_json(figure.value);
      context.out << json.dump(2) << "\n";
      return;
    }
    for (const Figure& figure : figures) context.out << fmt::format("{:<26} {:>12}  {}\n", figure.name, number(figure.value), figure.doc);
  });
}

// What prompts about users had shown of what these users click later, with the answers that the store has now.
void check_leaks(const Target& target, Context& context) {
  if (fs::is_directory(target.name))
    throw Error(ErrorKind::kUsage, "--leaks looks at the augmenters of a recipe, and this is a folder", "name a recipe with `augment = [...]`", target.name);
  Session session(Recipe::load({context.recipe_file(target.name), target.overrides, target.point, target.demo}, context.tables(), context.plugins()), context.workspace_options());
  AugmentSetup setup = session.augment_setup();
  setup.dry_run = true;
  session.load_data();
  session.augment_data(setup);
  Json json = Json::object();
  for (const AugmentFigures& f : session.augmented()) {
    Json& one = json[f.name] = {{"histories", f.guard.histories}, {"given", f.guard.given}, {"withheld", f.guard.withheld}, {"prompt_unknown", f.guard.unknown}, {"splits", Json::object()}};
    for (const auto& [split, leaks] : f.leaks)
      one["splits"][split] = {{"impressions", leaks.impressions}, {"with_answer", leaks.with_answer}, {"positive_seen", leaks.seen_positive}, {"used", leaks.used}};
  }
  if (context.json) {
    context.out << json.dump(2) << "\n";
    return;
  }
  if (session.augmented().empty()) context.out << "no augmenters: no prompt has shown anything\n";
  for (const AugmentFigures& f : session.augmented()) {
    context.out << fmt::format("{}: {}\n", f.name, guard_summary(f));
    for (const char* split : {"train", "dev", "test"})
      if (const auto found = f.leaks.find(split); found != f.leaks.end())
        context.out << fmt::format("  {:<6} {:>9} impressions, {:>9} of users with answers, {:>9} with their click in a prompt, {:>9} that use such an answer\n", split,
                                   found->second.impressions, found->second.with_answer, found->second.seen_positive, found->second.used);
  }
}

void add_check(CLI::App& data, Context& context) {
  CLI::App* command = data.add_subcommand("check", "load everything, report all oddities, compare with the recipe's [expect]");
  const auto target = add_target(*command, context);
  auto leaks = std::make_shared<bool>(false);
  command->add_flag("--leaks", *leaks, "which clicks of dev and test had stood in a prompt about the same user, by split");
  add_overrides(*command, target);
  examples(*command, {"oncekit data check recipes/mind/nrms.toml --demo", "oncekit data check recipes/llama13b_nrms_gpt.toml --demo --leaks"});
  command->callback([target, leaks, &context] {
    if (*leaks) return check_leaks(*target, context);
    const Loaded loaded = load(*target, context);
    Problems problems;
    check_expected(corpus_figures(loaded.corpus), loaded.expect, problems);
    if (context.json) {
      Json json = {{"files", Json::array()}, {"counts", Json::array()}, {"problems", Json::array()}};
      for (const fs::path& file : loaded.files) json["files"].push_back(display_path(file));
      for (const Count& count : loaded.corpus.counts) json["counts"].push_back({{"reason", count.reason}, {"count", count.count}, {"first", count.first}});
      for (const Error& problem : problems.items()) json["problems"].push_back(problem.what());
      context.out << json.dump(2) << "\n";
    } else {
      for (const fs::path& file : loaded.files) context.out << "read     " << display_path(file) << "\n";
      for (const Count& count : loaded.corpus.counts)
        context.out << fmt::format("counted  {:>10}  {}{}\n", count.count, count.reason, count.first.empty() ? "" : ", first " + count.first);
      if (problems.empty()) context.out << (loaded.expect.empty() ? "good; no figures are expected\n" : "good; all expected figures came out\n");
    }
    problems.raise(ErrorKind::kData);
  });
}

void add_show(CLI::App& data, Context& context) {
  struct What {
    std::string kind, id, split = "test";
  };
  CLI::App* command = data.add_subcommand("show", "one item, user or impression, readable");
  const auto target = add_target(*command, context);
  auto what = std::make_shared<What>();
  command->add_option("kind", what->kind, "item, user or impression")->required()->check(CLI::IsMember({"item", "user", "impression"}));
  command->add_option("id", what->id, "as in the raw files")->required();
  command->add_option("--split", what->split, "of an impression")->check(CLI::IsMember({"train", "dev", "test"}))->capture_default_str();
  add_overrides(*command, target);
  examples(*command, {"oncekit data show recipes/mind/nrms.toml item N10001 --demo", "oncekit data show recipes/mind/nrms.toml impression 1 --split dev --demo"});
  command->callback([target, what, &context] {
    const Corpus corpus = load(*target, context).corpus;
    const std::string text = what->kind == "item" ? show_item(corpus, what->id) : what->kind == "user" ? show_user(corpus, what->id)
                                                                                                 : show_impression(corpus, what->split, what->id);
    if (context.json) context.out << Json{{"text", text}}.dump(2) << "\n";
    else context.out << text;
  });
}

// The first line of text of a README, without its mark.
std::string headline(const fs::path& readme) {
  std::ifstream in(readme);
  std::string line;
  while (std::getline(in, line)) {
    const std::size_t begin = line.find_first_not_of("# ");
    if (begin != std::string::npos) return line.substr(begin);
  }
  return "";
}

void add_ls(CLI::App& data, Context& context) {
  CLI::App* command = data.add_subcommand("ls", "dataset components, and how to get which data");
  context.add_json(*command);
  examples(*command, {"oncekit data ls", "oncekit data ls --json"});
  command->callback([&context] {
    Json json = {{"components", Json::array()}, {"folders", Json::array()}};
    for (const std::string& name : context.plugins().names("dataset"))
      json["components"].push_back({{"name", name}, {"doc", context.plugins().find("dataset", name).doc_text}});
    std::error_code code;
    std::vector<fs::path> readmes;
    const fs::path beside = context.recipes_folder() / ".." / "datasets";
    for (const auto& entry : fs::directory_iterator(beside, code)) {
      if (fs::exists(entry.path() / "README.md", code)) readmes.push_back(entry.path().lexically_normal() / "README.md");
    }
    std::sort(readmes.begin(), readmes.end());
    for (const fs::path& readme : readmes)
      json["folders"].push_back({{"name", readme.parent_path().filename().string()}, {"doc", headline(readme)}, {"readme", readme.string()}});
    if (context.json) {
      context.out << json.dump(2) << "\n";
      return;
    }
    for (const Json& c : json["components"]) context.out << fmt::format("dataset/{:<12} {}\n", c["name"].get<std::string>(), c["doc"].get<std::string>());
    for (const Json& f : json["folders"]) context.out << fmt::format("{:<20} {}\n", f["readme"].get<std::string>(), f["doc"].get<std::string>());
  });
}

void add_toy(CLI::App& data, Context& context) {
  struct Wish {
    std::string folder, layout = "mind";
    std::int64_t seed = 2023;
    ToyOptions sizes;
  };
  auto wish = std::make_shared<Wish>();
  CLI::App* command = data.add_subcommand("toy", "write a small made-up corpus with a known best AUC in a dataset's raw layout");
  command->add_option("folder", wish->folder, "an empty or new folder")->required()->type_name("DIR");
  command->add_option("--layout", wish->layout, "the dataset whose layout it gets")->type_name("NAME")->capture_default_str();
  command->add_option("--seed", wish->seed, "of the world")->check(CLI::NonNegativeNumber)->capture_default_str();
  command->add_option("--items", wish->sizes.items)->capture_default_str();
  command->add_option("--users", wish->sizes.users)->capture_default_str();
  command->add_option("--train", wish->sizes.train, "training impressions")->capture_default_str();
  command->add_option("--dev", wish->sizes.dev)->capture_default_str();
  command->add_option("--test", wish->sizes.test)->capture_default_str();
  examples(*command, {"oncekit data toy /tmp/toy", "oncekit data toy /tmp/toy_table --layout table --seed 7"});
  command->callback([wish, &context] {
    const fs::path folder = wish->folder;
    std::error_code code;
    if (fs::exists(folder, code) && (!fs::is_directory(folder, code) || !fs::is_empty(folder, code)))
      throw Error(ErrorKind::kUsage, "is not an empty folder", "name a new one", display_path(folder));
    const ComponentSpec& spec = context.plugins().find("dataset", wish->layout);
    const std::unique_ptr<OptionSet> options = spec.options();
    const std::unique_ptr<Dataset> dataset = spec.make_dataset(*options);
    const ToyWorld world = make_toy(wish->sizes, Rng(static_cast<std::uint64_t>(wish->seed)).at("toy"));
    // Beside the name it was asked for, and moved there when whole.
    fs::path part = folder.lexically_normal();
    if (!part.has_filename()) part = part.parent_path();
    const fs::path whole = part;
    part += ".part";
    fs::remove_all(part, code);
    try {
      fs::create_directories(part);
      call_plugin(spec, "write_toy", [&] { dataset->write_toy(world, part); });
      fs::remove(whole, code);
      fs::rename(part, whole);
    } catch (const fs::filesystem_error& error) {
      fs::remove_all(part, code);
      throw Error(ErrorKind::kRun, std::string("cannot be written: ") + error.code().message(), "check the path and the room on the disk", display_path(folder));
    } catch (...) {
      fs::remove_all(part, code);
      throw;
    }
    for (const auto& [name, value] : world.facts) context.out << fmt::format("{:<14} {:.4f}\n", name, value);
    context.out << display_path(whole) << "\n";
  });
}

}  // namespace

void add_data(CLI::App& app, Context& context) {
  CLI::App* data = app.add_subcommand("data", "look at data before training on it");
  data->require_subcommand(1);
  add_ls(*data, context);
  add_check(*data, context);
  add_stats(*data, context);
  add_show(*data, context);
  add_toy(*data, context);
}

}  // namespace oncekit
