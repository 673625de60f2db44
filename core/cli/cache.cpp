// oncekit cache: ls, verify, clean, build.
#include <chrono>
#include <iostream>
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/human.h"
#include "cache/listing.h"
#include "cli/commands.h"
#include "recipe/recipe.h"
#include "run/session.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;
using State = CacheEntry::State;

std::int64_t now() { return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count(); }

std::string age(std::int64_t since) {
  const std::int64_t s = std::max<std::int64_t>(0, now() - since);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min", s / 60);
  if (s < 2 * 86400) return fmt::format("{} h", s / 3600);
  return fmt::format("{} days", s / 86400);
}

std::string size(std::int64_t bytes) { return human_bytes(static_cast<double>(bytes)); }

std::int64_t total(const std::vector<CacheEntry>& entries) {
  return std::accumulate(entries.begin(), entries.end(), std::int64_t{0}, [](std::int64_t sum, const CacheEntry& e) { return sum + e.bytes; });
}

std::string count_of(std::size_t n) { return n == 1 ? "1 entry" : fmt::format("{} entries", n); }

std::string state_of(const CacheEntry& entry) {
  if (entry.state == State::kPartial && entry.resumable) return "partial, goes on";
  if (entry.in_use) return std::string(state_name(entry.state)) + ", in use";
  return state_name(entry.state);
}

Json as_json(const CacheEntry& entry) {
  return {{"name", entry.name}, {"folder", entry.folder.string()}, {"kind", entry.kind}, {"state", state_name(entry.state)}, {"resumable", entry.resumable},
          {"in_use", entry.in_use}, {"files", entry.files}, {"bytes", entry.bytes}, {"built", entry.built}, {"used", entry.used},
          {"description", entry.description}};
}

void print_list(std::ostream& out, const std::vector<CacheEntry>& entries) {
  std::size_t width = 4, states = 5;
  for (const CacheEntry& entry : entries) {
    width = std::max(width, entry.name.size());
    states = std::max(states, state_of(entry).size());
  }
  out << fmt::format("{:<{}}  {:>10}  {:>8}  {:>8}  {:<{}}  {}\n", "name", width, "size", "age", "used", "state", states, "of");
  for (const CacheEntry& entry : entries)
    out << fmt::format("{:<{}}  {:>10}  {:>8}  {:>8}  {:<{}}  {}\n", entry.name, width, size(entry.bytes), age(entry.built), age(entry.used),
                       state_of(entry), states, entry.description);
  out << fmt::format("{}, {}\n", count_of(entries.size()), size(total(entries)));
}

void add_folder(CLI::App& command, Context& context) {
  command.add_option("--cache", context.cache_folder, "folder of the caches (default: $ONCEKIT_CACHE, or cache)")->type_name("DIR");
}

void add_ls(CLI::App& cache, Context& context) {
  CLI::App* command = cache.add_subcommand("ls", "all entries: size, age, last use, whole or partial, what they were made from");
  add_folder(*command, context);
  context.add_json(*command);
  examples(*command, {"oncekit cache ls", "oncekit cache ls --json"});
  command->callback([&context] {
    const std::vector<CacheEntry> entries = list_cache(context.cache_root());
    if (context.json) {
      Json json{{"folder", context.cache_root().string()}, {"bytes", total(entries)}, {"entries", Json::array()}};
      for (const CacheEntry& entry : entries) json["entries"].push_back(as_json(entry));
      context.out << json.dump(2) << "\n";
    } else if (entries.empty()) {
      context.out << "nothing is cached in " << context.cache_root().string() << "; runs fill it\n";
    } else {
      print_list(context.out, entries);
    }
  });
}

void add_verify(CLI::App& cache, Context& context) {
  auto names = std::make_shared<std::vector<std::string>>();
  CLI::App* command = cache.add_subcommand("verify", "read all files again and compare them with what they were when built");
  command->add_option("names", *names, "entries, as ls shows them: a name, its beginning, or a kind; all when none is named")->type_name("NAME");
  add_folder(*command, context);
  context.add_json(*command);
  examples(*command, {"oncekit cache verify", "oncekit cache verify toy --json"});
  command->callback([names, &context] {
    HostWorkspace& workspace = context.workspace();  // before the list: a wrong option is said first
    std::vector<CacheEntry> entries = named_entries(list_cache(context.cache_root()), *names);
    std::erase_if(entries, [](const CacheEntry& e) { return e.state == State::kPartial || e.state == State::kBuilding; });
    Json json = Json::array();
    std::size_t good = 0, unverifiable = 0;
    std::string damaged;
    std::vector<std::string> names_damaged;
    const auto progress = workspace.progress("verify", total(entries) >> 20, "MiB");
    std::int64_t bytes = 0;
    for (const CacheEntry& entry : entries) {
      const FileCheck check = verify_entry(entry, [&](std::int64_t read) {
        workspace.check_cancelled();
        progress->advance(((bytes + read) >> 20) - (bytes >> 20));
        bytes += read;
      });
      const char* verdict = !check.faults.empty() ? "damaged" : check.listed ? "good" : "not verifiable";
      Json faults = Json::array();
      for (const FileFault& fault : check.faults) {
        damaged += "\n" + (entry.folder / fault.file).string() + " " + fault.what;
        faults.push_back({{"file", fault.file}, {"what", fault.what}});
      }
      if (!check.faults.empty()) names_damaged.push_back(entry.name);
      else ++(check.listed ? good : unverifiable);
      json.push_back({{"name", entry.name}, {"verdict", verdict}, {"files", check.files}, {"bytes", check.bytes}, {"faults", faults}});
      if (!context.json)
        context.out << fmt::format("{:<14}  {}{}\n", verdict, entry.name, check.listed ? fmt::format(", {} files, {}", check.files, size(check.bytes)) : "");
    }
    if (context.json) context.out << json.dump(2) << "\n";
    else context.out << fmt::format("{} good, {} damaged, {} not verifiable{}\n", good, names_damaged.size(), unverifiable,
                                    unverifiable ? " (built before entries had a files.tsv)" : "");
    if (names_damaged.empty()) return;
    context.out.flush();
    std::string all;
    for (const std::string& name : names_damaged) all += " " + name;
    throw Error(ErrorKind::kData, fmt::format("{} of {} {} damaged:", names_damaged.size(), count_of(entries.size()), names_damaged.size() == 1 ? "is" : "are") + damaged,
                "`oncekit cache clean" + all + "` removes " + (names_damaged.size() == 1 ? "it" : "them") + "; the next run builds anew");
  });
}

struct CleanFlags {
  std::vector<std::string> names;
  std::string kind;
  double days = -1;
  bool all = false, yes = false, dry_run = false;
};

// The user's yes, from the terminal.
bool agreed(const std::vector<CacheEntry>& entries) {
  if (!isatty(STDIN_FILENO))
    throw Error(ErrorKind::kUsage, "nothing was removed: stdin is no terminal that could say yes", "add --yes, or --dry-run to look only");
  std::cerr << fmt::format("remove {}, {}? [y/N] ", count_of(entries.size()), size(total(entries)));
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

void clean(const CleanFlags& flags, Context& context) {
  const fs::path root = context.cache_root();
  const std::vector<CacheEntry> there = list_cache(root);
  CleanWish wish{flags.all || (!flags.names.empty() && flags.days < 0 && flags.kind.empty()), std::nullopt, flags.kind};
  if (flags.days >= 0) wish.older_than_days = flags.days;
  const std::vector<CacheEntry> entries = to_clean(named_entries(there, flags.names), wish, now());
  const auto busy = std::count_if(there.begin(), there.end(), [](const CacheEntry& e) { return e.in_use || e.state == State::kBuilding; });
  if (!context.json) {
    if (entries.empty()) context.out << "nothing to clean in " << root.string() << (busy ? fmt::format(" ({} in use or being built)", busy) : "") << "\n";
    else print_list(context.out, entries);
    context.out.flush();
  }
  std::vector<std::string> removed, kept;
  std::int64_t freed = 0;
  const bool go = !entries.empty() && !flags.dry_run && (flags.yes || agreed(entries));
  for (const CacheEntry& entry : entries) {
    if (!go) break;
    if (remove_entry(root, entry)) {
      removed.push_back(entry.name);
      freed += entry.bytes;
    } else {
      kept.push_back(entry.name);
    }
  }
  if (context.json) {
    Json json{{"dry_run", flags.dry_run}, {"entries", Json::array()}, {"removed", removed}, {"kept", kept}, {"freed_bytes", freed}};
    for (const CacheEntry& entry : entries) json["entries"].push_back(as_json(entry));
    context.out << json.dump(2) << "\n";
    return;
  }
  for (const std::string& name : kept) context.out << name << " was taken into use meanwhile, and kept\n";
  if (entries.empty()) return;
  if (go) context.out << fmt::format("removed {}, freed {}\n", count_of(removed.size()), size(freed));
  else context.out << (flags.dry_run ? "a dry run: nothing was removed\n" : "nothing was removed\n");
}

void add_clean(CLI::App& cache, Context& context) {
  auto flags = std::make_shared<CleanFlags>();
  CLI::App* command = cache.add_subcommand("clean", "remove partial and broken entries; or those named, old, of a kind, or all");
  command->description(command->get_description() + ". What is being built or used is never touched.");
  command->add_option("names", flags->names, "these only: a name, its beginning, or a kind")->type_name("NAME");
  command->add_option("--older-than", flags->days, "those that no run asked for in so many days")->check(CLI::NonNegativeNumber)->type_name("DAYS");
  command->add_option("--kind", flags->kind, "those of this kind, e.g. states")->type_name("KIND");
  CLI::Option* all = command->add_flag("--all", flags->all, "all of them");
  for (const char* other : {"names", "--older-than", "--kind"}) all->excludes(command->get_option(other));
  command->add_flag("--yes", flags->yes, "do not ask");
  command->add_flag("--dry-run", flags->dry_run, "list what would go, and remove nothing");
  add_folder(*command, context);
  context.add_json(*command);
  examples(*command, {"oncekit cache clean --dry-run", "oncekit cache clean --older-than 30 --yes", "oncekit cache clean --kind toy --dry-run"});
  command->callback([flags, &context] { clean(*flags, context); });
}

struct BuildFlags {
  std::string recipe, point, pooled;
  std::vector<std::string> overrides;
  bool demo = false;
};

// The corpus that a run would have, of answers that are there: asking may cost money, and is for `augment` and `run`.
void augment(Session& session) {
  AugmentSetup setup = session.augment_setup();
  const bool asks = setup.asks() && setup.endpoint.url != "mock";
  if (asks) setup.answers.ask = false;
  session.augment_data(setup);
  std::int64_t missing = 0;
  for (const AugmentFigures& f : session.augmented()) missing += f.missing;
  if (asks && missing > 0)
    throw Error(ErrorKind::kData, human_count(missing) + " answers are missing that a run would ask for, and other texts have other states",
                "`oncekit augment RECIPE` asks for them first; answers.ask=false builds for a run without them");
}

void build(const BuildFlags& flags, Context& context) {
  std::vector<std::string> overrides = flags.overrides;
  if (!flags.pooled.empty()) overrides.push_back("content_encoder.keep_pooled=\"" + flags.pooled + "\"");
  Session session(Recipe::load({context.recipe_file(flags.recipe), overrides, flags.point, flags.demo}, context.tables(), context.plugins()),
                  context.workspace_options());
  try {
    session.load_data();
    if (!session.recipe().augmenters().empty()) augment(session);
    session.build_model();
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kInterrupted) throw;
    throw Error(e.kind(), e.message(), "the same command goes on from what was built so far");
  }
  const std::vector<CacheEntry> there = list_cache(context.cache_root());
  Json json = Json::array();
  std::int64_t bytes = 0;
  for (const CacheUse& use : session.workspace().cache_uses()) {
    const auto entry = std::find_if(there.begin(), there.end(), [&](const CacheEntry& e) { return e.name == use.folder.filename(); });
    if (entry == there.end()) continue;
    bytes += entry->bytes;
    json.push_back({{"name", entry->name}, {"folder", entry->folder.string()}, {"built", use.built}, {"bytes", entry->bytes}, {"seconds", use.seconds},
                    {"description", entry->description}});
  }
  if (context.json) {
    context.out << json.dump(2) << "\n";
    return;
  }
  for (const Json& e : json)
    context.out << fmt::format("{}  {:<32}  {:>10}  {:>9}  {}\n", e["built"].get<bool>() ? "built" : "found", e["name"].get<std::string>(),
                               size(e["bytes"].get<std::int64_t>()), human_seconds(e["seconds"].get<double>()), e["description"].get<std::string>());
  context.out << (json.empty() ? "this recipe caches nothing\n" : fmt::format("{}, {} in {}\n", count_of(json.size()), size(bytes), context.cache_root().string()));
}

void add_build(CLI::App& cache, Context& context) {
  auto flags = std::make_shared<BuildFlags>();
  CLI::App* command = cache.add_subcommand("build", "load a recipe's data and prepare its content encoder, so that runs find all caches there");
  command->add_option("recipe", flags->recipe, "a recipe")->required()->type_name("RECIPE");
  command->add_option("overrides", flags->overrides, "as in run")->type_name("KEY=VALUE ...");
  command->add_option("--point", flags->point, "a named point of the recipe: [point.NAME]")->type_name("NAME");
  command->add_option("--pooled", flags->pooled, "of a language model: keep the mean state of every layer (all), or none; as the recipe says when not given")
      ->check(CLI::IsMember({"all", "none"}))->type_name("all|none");
  command->add_flag("--demo", flags->demo, "toy data, tiny models, the real code path");
  context.add_compute(*command);
  context.add_json(*command);
  examples(*command, {"oncekit cache build recipes/demo.toml", "oncekit cache build recipes/mind/nrms.toml --demo --json"});
  command->callback([flags, &context] { build(*flags, context); });
}

}  // namespace

void add_cache(CLI::App& app, Context& context) {
  CLI::App* cache = app.add_subcommand("cache", "look at, check, fill and empty the folder of cached results");
  cache->require_subcommand(1);
  add_ls(*cache, context);
  add_verify(*cache, context);
  add_clean(*cache, context);
  add_build(*cache, context);
}

}  // namespace oncekit
