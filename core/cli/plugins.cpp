// oncekit plugins: ls, info, new, build, test, doctor.
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "oncekit/test_kit.h"
#include "plugin/describe.h"
#include "plugin/places.h"
#include "plugin/scaffold.h"
#include "toml/node.h"
#include "recipe/values.h"

namespace oncekit {
namespace {

void add_ls(CLI::App& plugins, Context& context) {
  CLI::App* command = plugins.add_subcommand("ls", "the components there are, their plugins, and refused files with the reason; loads nothing");
  context.add_json(*command);
  examples(*command, {"oncekit plugins ls", "oncekit plugins ls --json"});
  command->callback([&context] { context.out << (context.json ? plugins_json(context.plugins()) : plugins_text(context.plugins())); });
}

void add_info(CLI::App& plugins, Context& context) {
  auto component = std::make_shared<std::string>();
  CLI::App* command = plugins.add_subcommand("info", "one component: what it does, its options, and a table for a recipe");
  command->add_option("component", *component, "KIND/NAME, or NAME when one kind alone has it")->required()->type_name("COMPONENT");
  context.add_json(*command);
  examples(*command, {"oncekit plugins info user_encoder/nrms", "oncekit plugins info dot --json"});
  command->callback([component, &context] {
    context.out << (context.json ? component_json(context.plugins(), *component) : component_text(context.plugins(), *component));
  });
}

void add_new(CLI::App& plugins, Context& context) {
  struct Flags {
    std::string name, kind = "user_encoder", folder;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = plugins.add_subcommand("new", "a folder with a small plugin that builds and passes the test kit, to change into yours");
  command->add_option("name", flags->name, "small letters, digits and _")->required()->type_name("NAME");
  command->add_option("--kind", flags->kind, "dataset, augmenter, content_encoder, user_encoder or interaction")->type_name("KIND")->capture_default_str();
  command->add_option("--folder", flags->folder, "where to write it (default: ./NAME)")->type_name("DIR");
  examples(*command, {"oncekit plugins new last_click --kind user_encoder"});
  command->callback([flags, &context] {
    const std::filesystem::path folder = flags->folder.empty() ? flags->name : flags->folder;
    for (const auto& file : new_plugin(flags->name, flags->kind, folder)) context.out << shown_path(file) << "\n";
    context.out << "next: oncekit plugins build " << shown_path(folder) << "\n";
  });
}

void add_build(CLI::App& plugins, Context& context) {
  auto folder = std::make_shared<std::string>();
  CLI::App* command = plugins.add_subcommand("build", "build the plugin in a folder against this oncekit, in FOLDER/build");
  command->add_option("folder", *folder, "the folder of its CMakeLists.txt")->required()->type_name("FOLDER");
  examples(*command, {"oncekit plugins build last_click"});
  command->callback([folder, &context] {
    for (const auto& file : build_plugin(*folder)) {
      context.out << shown_path(file) << "\n";
      context.out << "next: oncekit plugins test " << shown_path(file) << "\n";
    }
  });
}

// "name=value" with a TOML value, typed by the option of that name in any of the components.
std::pair<std::string, OptionValue> read_setting(const std::string& text, const std::vector<const ComponentSpec*>& specs) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) throw Error(ErrorKind::kUsage, "--set " + text + " is not NAME=VALUE", "e.g. --set dropout=0.2");
  const std::string name = text.substr(0, equals), value = text.substr(equals + 1);
  std::vector<std::string> known;
  for (const ComponentSpec* spec : specs) {
    const auto options = spec->options();
    Fields fields;
    options->describe(fields);
    if (const Field* field = find_field(fields, name)) {
      const bool plain = field->type == Field::Type::kString || field->type == Field::Type::kPath || field->type == Field::Type::kChoice;
      const Node node = parse_toml_value(plain && !value.starts_with('"') && !value.starts_with('\'') ? in_quotes(value) : value);
      Problems problems;
      const auto read = read_option(*field, node, spec->kind, problems);
      problems.raise(ErrorKind::kUsage);
      if (read) return {name, *read};
    }
    each_field(fields, [&](const std::string& key, const Field&) { known.push_back(key); });
  }
  const std::string near = nearest_name(name, known);
  throw Error(ErrorKind::kUsage, "--set " + name + ": there is no such option" + (near.empty() ? "" : "; did you mean '" + near + "'?"));
}

// The components meant by a plugin file, a plugin's name, or KIND/NAME. A file is looked at alone.
std::vector<const ComponentSpec*> components_of(PluginHost& host, const std::string& what) {
  std::vector<const ComponentSpec*> specs;
  if (what.find('/') != std::string::npos && !std::filesystem::exists(what)) return {&component_of(host, what)};
  std::vector<std::string> names;
  for (const FoundPlugin& plugin : host.found()) {
    std::error_code error;
    const bool meant = plugin.stamp.name == what || std::filesystem::equivalent(plugin.file, what, error);
    names.push_back(plugin.stamp.name);
    if (!meant) continue;
    if (!plugin.refused.empty()) throw Error(ErrorKind::kPlugin, plugin.refused);
    for (const std::string& component : plugin.stamp.components) specs.push_back(&component_of(host, component));
    return specs;
  }
  const std::string near = nearest_name(what, names);
  throw Error(ErrorKind::kPlugin, "there is no plugin '" + what + "'", (near.empty() ? std::string() : "did you mean '" + near + "'? ") + "name a file oncekit_*.so, a plugin or a component; all there are: oncekit plugins ls");
}

void add_test(CLI::App& plugins, Context& context) {
  struct Flags {
    std::string what;
    std::vector<std::string> settings;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command = plugins.add_subcommand("test", "run the conformance test kit on a plugin's components");
  command->add_option("plugin", flags->what, "a plugin file, a plugin's name, or KIND/NAME")->required()->type_name("FILE|NAME");
  command->add_option("--set", flags->settings, "an option that differs from its default; {kit} stands for the folder with the kit's glove.txt, vectors.npy, ids.txt")
      ->type_name("NAME=VALUE")->allow_extra_args(false);
  context.add_json(*command);
  examples(*command, {"oncekit plugins test nrms", "oncekit plugins test user_encoder/nrms --set heads=4"});
  command->callback([flags, &context] {
    const bool file = flags->what.ends_with(".so") && std::filesystem::exists(flags->what);
    PluginHost alone(file ? std::vector<std::filesystem::path>{flags->what} : std::vector<std::filesystem::path>{});
    const auto specs = components_of(file ? alone : context.plugins(), flags->what);
    test_kit::Setup setup;
    for (const std::string& text : flags->settings) setup.options.insert(read_setting(text, specs));
    nlohmann::ordered_json json = nlohmann::ordered_json::array();
    for (const ComponentSpec* spec : specs) {
      // A setting reaches the components that have the option.
      test_kit::Setup own = setup;
      const auto options = spec->options();
      Fields fields;
      options->describe(fields);
      std::erase_if(own.options, [&](const auto& pair) { return !find_field(fields, pair.first); });
      const test_kit::Report report = test_kit::check(*spec, own);
      if (!report.failures.empty()) context.exit_code = static_cast<int>(ErrorKind::kPlugin);
      nlohmann::ordered_json failures = nlohmann::ordered_json::array();
      for (const auto& failure : report.failures) failures.push_back({{"check", failure.check}, {"text", failure.text}});
      json.push_back({{"component", report.component}, {"passed", report.passed}, {"failures", failures}, {"skipped", report.skipped}});
      if (context.json) continue;
      context.out << report.component << ": " << report.passed.size() << " checks passed, " << report.failures.size() << " failed\n";
      for (const auto& failure : report.failures) context.out << "  failed: " << failure.check << ": " << failure.text << "\n";
      for (const std::string& skipped : report.skipped) context.out << "  skipped: " << skipped << "\n";
    }
    if (context.json) context.out << json.dump(2) << "\n";
  });
}

void add_doctor_of_plugins(CLI::App& plugins, Context& context) {
  CLI::App* command = plugins.add_subcommand("doctor", "what was searched, what each plugin file is, and why one is refused; tries to load them all");
  examples(*command, {"oncekit plugins doctor"});
  command->callback([&context] {
    bool healthy = true;
    context.out << doctor_text(context.plugins(), healthy);
    if (!healthy) context.exit_code = static_cast<int>(ErrorKind::kPlugin);
  });
}

}  // namespace

void add_plugins(CLI::App& app, Context& context) {
  CLI::App* plugins = app.add_subcommand("plugins", "list, describe, make, build and test plugins");
  plugins->require_subcommand(1);
  add_ls(*plugins, context);
  add_info(*plugins, context);
  add_new(*plugins, context);
  add_build(*plugins, context);
  add_test(*plugins, context);
  add_doctor_of_plugins(*plugins, context);
}

}  // namespace oncekit
