// The command line: one file a command, each adding its subcommand to the app.
#pragma once

#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "plugin/host.h"
#include "recipe/catalog.h"
#include "run/workspace.h"

namespace oncekit {

/// What commands share: global options, and the parts made from them on first use.
class Context {
 public:
  explicit Context(std::ostream& out) : out(out) {}

  std::ostream& out;  ///< stdout; results only, never progress
  bool json = false;
  bool quiet = false;
  std::filesystem::path out_folder = "runs";
  std::filesystem::path cache_folder;  ///< --cache, ONCEKIT_CACHE or "cache"
  std::filesystem::path models_folder;  ///< --models, ONCEKIT_MODELS or "models"
  std::vector<std::filesystem::path> plugin_paths;
  std::string device = "auto";
  int threads = 0;  ///< 0 = all cores
  int exit_code = 0;

  PluginHost& plugins();
  /// The core's recipe tables: [recipe], [model], [train], [evaluate], [run].
  const std::vector<CoreTable>& tables() const;
  std::filesystem::path cache_root() const;  ///< from --cache, ONCEKIT_CACHE or "cache"
  /// From the global options; fixes torch's threads on the first call. Throws Error(kUsage) for a device that is not there.
  WorkspaceOptions workspace_options();
  /// A workspace for commands that read data outside a run.
  HostWorkspace& workspace();
  /// ONCEKIT_RECIPES, ./recipes, or the recipes of the source tree or installation.
  std::filesystem::path recipes_folder() const;
  /// `name` as given, or under the recipes folder, with or without .toml. Throws Error(kUsage) that names the nearest one.
  std::filesystem::path recipe_file(const std::string& name) const;

  /// Options that every command takes that lists or shows.
  void add_json(CLI::App& command) { command.add_flag("--json", json, "print JSON"); }
  /// Options of everything that computes: --out, --cache, --models, --device, --threads, --quiet.
  void add_compute(CLI::App& command);

 private:
  std::unique_ptr<PluginHost> plugins_;
  std::unique_ptr<HostWorkspace> workspace_;
};

void add_run(CLI::App& app, Context& context);
void add_augment(CLI::App& app, Context& context);
void add_sweep(CLI::App& app, Context& context);
void add_eval(CLI::App& app, Context& context);
void add_recipes(CLI::App& app, Context& context);
void add_plugins(CLI::App& app, Context& context);
void add_data(CLI::App& app, Context& context);
void add_cache(CLI::App& app, Context& context);
void add_mock_llm(CLI::App& app, Context& context);
void add_answers(CLI::App& app, Context& context);
void add_runs(CLI::App& app, Context& context);
void add_doctor(CLI::App& app, Context& context);
void add_version(CLI::App& app, Context& context);

/// Sets the footer of a command's --help: real examples, which a test runs.
void examples(CLI::App& command, std::vector<std::string> lines);

}  // namespace oncekit
