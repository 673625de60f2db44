// oncekit doctor, oncekit version.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/human.h"
#include "cli/commands.h"
#include "model/build.h"
#include "oncekit/version.h"
#include "run/environment.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

constexpr const char* kCite = R"(@inproceedings{liu2024once,
  title     = {{ONCE}: Boosting Content-based Recommendation with Both Open- and Closed-source Large Language Models},
  author    = {Liu, Qijiong and Chen, Nuo and Sakai, Tetsuya and Wu, Xiao-Ming},
  booktitle = {Proceedings of the 17th ACM International Conference on Web Search and Data Mining},
  year      = {2024}
}

@software{oncekit,
  title   = {oncekit: a toolkit for content-based recommendation boosted by language models},
  version = {)" ONCEKIT_VERSION R"(},
  year    = {2026}
}
)";

struct Check {
  std::string name, found;
  bool good = true;
  std::string advice;
};

bool writable(const fs::path& folder) {
  std::error_code code;
  fs::path at = fs::absolute(folder, code);
  while (!fs::exists(at, code) && at.has_parent_path() && at != at.parent_path()) at = at.parent_path();
  return ::access(at.c_str(), W_OK) == 0;
}

std::vector<Check> examine(Context& context) {
  const Environment& e = environment();
  std::vector<Check> checks;
  std::string features;
  for (const std::string& f : e.features) features += (features.empty() ? "" : " ") + f;
  checks.push_back({"oncekit", ONCEKIT_VERSION " (" + e.build_type + ", " + e.compiler + ")"});
  checks.push_back({"LibTorch", e.torch + (cuda_available() ? ", CUDA" : ", CPU")});
  checks.push_back({"system", e.system});
  const bool avx2 = features.find("avx2") != std::string::npos;
  checks.push_back({"processor", e.cpu + ", " + std::to_string(e.cores) + " cores; " + (features.empty() ? "no vector features known" : features), avx2,
                    "without AVX2 everything works, slowly"});
  const std::int64_t free = available_memory();
  checks.push_back({"memory", human_bytes(static_cast<double>(free)) + " free of " + human_bytes(static_cast<double>(e.memory)), free > (1ll << 30),
                    "less than 1 GiB is free: stop other programs, or set run.memory_gib"});
  std::size_t refused = 0, components = 0;
  for (const FoundPlugin& plugin : context.plugins().found()) {
    if (plugin.refused.empty()) components += plugin.stamp.components.size();
    else ++refused;
  }
  checks.push_back({"plugins", fmt::format("{} found, {} components, {} refused", context.plugins().found().size(), components, refused),
                    refused == 0 && components > 0, components == 0 ? "no plugin was found: build them, or name their folder with --plugin-path" : "`oncekit plugins doctor` says why"});
  const char* cache = std::getenv("ONCEKIT_CACHE");
  for (const auto& [name, folder] : {std::pair<std::string, fs::path>{"runs", context.out_folder}, {"cache", cache && *cache ? fs::path(cache) : fs::path("cache")}}) {
    std::error_code code;
    fs::path at = fs::absolute(folder, code);
    while (!fs::exists(at, code) && at != at.parent_path()) at = at.parent_path();
    const auto space = fs::space(at, code);
    const bool can = writable(folder), room = !code && space.available > (1ull << 30);
    checks.push_back({name, folder.string() + (code ? "" : ", " + human_bytes(static_cast<double>(space.available)) + " free"), can && room,
                      can ? "less than 1 GiB is free there" : "the folder cannot be written: name another one with --out, --cache or ONCEKIT_CACHE"});
  }
  const fs::path recipes = context.recipes_folder();
  checks.push_back({"recipes", recipes.string(), fs::exists(recipes), "run from the source tree, or set ONCEKIT_RECIPES"});
  return checks;
}

}  // namespace

void add_doctor(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("doctor", "look for what could keep oncekit from working here");
  context.add_json(*command);
  examples(*command, {"oncekit doctor", "oncekit doctor --json"});
  command->callback([&context] {
    bool good = true;
    nlohmann::ordered_json json = nlohmann::ordered_json::array();
    for (const Check& check : examine(context)) {
      good = good && check.good;
      if (context.json) json.push_back({{"check", check.name}, {"found", check.found}, {"ok", check.good}, {"advice", check.good ? "" : check.advice}});
      else context.out << fmt::format("{} {:<10} {}{}\n", check.good ? "ok  " : "LOOK", check.name, check.found, check.good ? "" : "\n     -> " + check.advice);
    }
    if (context.json) context.out << json.dump(2) << "\n";
    context.exit_code = good ? 0 : 1;
  });
}

void add_version(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("version", "versions of oncekit and what it stands on");
  auto cite = std::make_shared<bool>(false);
  command->add_flag("--cite", *cite, "BibTeX of the paper and of oncekit");
  context.add_json(*command);
  examples(*command, {"oncekit version", "oncekit version --cite"});
  command->callback([cite, &context] {
    if (*cite) {
      context.out << kCite;
      return;
    }
    const Environment& e = environment();
    if (context.json)
      context.out << nlohmann::ordered_json{{"oncekit", ONCEKIT_VERSION}, {"sdk", ONCEKIT_SDK_VERSION}, {"torch", e.torch}, {"compiler", e.compiler}, {"build", e.build_type}}.dump(2) << "\n";
    else
      context.out << "oncekit " ONCEKIT_VERSION " (plugin interface " << ONCEKIT_SDK_VERSION << "), LibTorch " << e.torch << ", " << e.compiler << ", " << e.build_type << "\n";
  });
}

}  // namespace oncekit
