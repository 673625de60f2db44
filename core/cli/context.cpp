#include <algorithm>
#include <cstdlib>
#include <thread>

#include <unistd.h>

#include "base/log_sink.h"
#include "cli/commands.h"
#include "model/build.h"
#include "oncekit/error.h"
#include "plugin/places.h"
#include "run/pipeline.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

fs::path folder_option(const fs::path& given, const char* variable, const char* otherwise) {
  const char* named = std::getenv(variable);
  return !given.empty() ? given : named && *named ? fs::path(named) : fs::path(otherwise);
}

}  // namespace

PluginHost& Context::plugins() {
  if (!plugins_) plugins_ = std::make_unique<PluginHost>(plugin_paths);
  return *plugins_;
}

const std::vector<CoreTable>& Context::tables() const { return core_tables(); }

fs::path Context::cache_root() const { return folder_option(cache_folder, "ONCEKIT_CACHE", "cache"); }

WorkspaceOptions Context::workspace_options() {
  if (quiet) log::set_level(log::Level::kWarn);
  WorkspaceOptions options;
  options.cache = cache_root();
  options.models = folder_option(models_folder, "ONCEKIT_MODELS", "models");
  options.threads = threads > 0 ? threads : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  options.device = device != "auto" ? device : cuda_available() ? "cuda:0" : "cpu";
  if (options.device == "cuda") options.device = "cuda:0";
  if (options.device != "cpu" && !(options.device.starts_with("cuda:") && options.device.size() > 5 &&
                                   std::all_of(options.device.begin() + 5, options.device.end(), [](unsigned char c) { return std::isdigit(c); })))
    throw Error(ErrorKind::kUsage, "--device '" + device + "' is no device", "use auto, cpu, cuda or cuda:N");
  if (options.device != "cpu" && !cuda_available())
    throw Error(ErrorKind::kUsage, "--device " + device + ": this LibTorch has no CUDA, or sees no GPU", "use --device cpu, or a CUDA build of LibTorch (docs/build.md)");
  options.show = quiet ? WorkspaceOptions::Show::kNothing : isatty(2) && !std::getenv("NO_COLOR") ? WorkspaceOptions::Show::kBar : WorkspaceOptions::Show::kLines;
  static bool started = false;
  if (!std::exchange(started, true)) start_torch(options.threads);
  return options;
}

HostWorkspace& Context::workspace() {
  if (!workspace_) workspace_ = std::make_unique<HostWorkspace>(workspace_options());
  return *workspace_;
}

fs::path Context::recipes_folder() const {
  if (const char* named = std::getenv("ONCEKIT_RECIPES"); named && *named) return named;
  if (fs::exists("recipes")) return "recipes";
  const fs::path tree = library_folder();  // TREE/build/release/lib or PREFIX/lib
  for (const fs::path& folder : {tree / "../../../recipes", tree / "../share/oncekit/recipes"})
    if (fs::exists(folder)) return fs::weakly_canonical(folder);
  return "recipes";
}

fs::path Context::recipe_file(const std::string& name) const {
  const fs::path folder = recipes_folder();
  for (const fs::path& path : {fs::path(name), fs::path(name + ".toml"), folder / name, folder / (name + ".toml")})
    if (fs::is_regular_file(path)) return path;
  std::vector<std::string> names;
  std::error_code code;
  for (const auto& entry : fs::recursive_directory_iterator(folder, code))
    if (entry.path().extension() == ".toml") {
      names.push_back(entry.path().lexically_relative(folder).string());
      names.push_back((folder / entry.path().lexically_relative(folder)).lexically_normal().string());
    }
  const std::string near = nearest_name(name, names);
  throw Error(ErrorKind::kUsage, "there is no recipe '" + name + "'", near.empty() ? "`oncekit recipes ls` lists those there are" : "did you mean '" + near + "'?");
}

void Context::add_compute(CLI::App& command) {
  command.add_option("--out", out_folder, "folder of the runs")->type_name("DIR")->capture_default_str();
  command.add_option("--cache", cache_folder, "folder of the caches (default: $ONCEKIT_CACHE, or cache)")->type_name("DIR");
  command.add_option("--models", models_folder, "folder of the language models (default: $ONCEKIT_MODELS, or models)")->type_name("DIR");
  command.add_option("--device", device, "auto, cpu, cuda or cuda:N")->capture_default_str();
  command.add_option("--threads", threads, "CPU threads; 0 = all cores")->check(CLI::NonNegativeNumber)->capture_default_str();
}

void examples(CLI::App& command, std::vector<std::string> lines) {
  std::string text = "Examples:";
  for (const std::string& line : lines) text += "\n  " + line;
  command.footer(text);
}

}  // namespace oncekit
