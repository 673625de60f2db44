#include "sweep/rows.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "oncekit/error.h"
#include "run/folder.h"
#include "sweep/sweep.h"

namespace oncekit {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
namespace {

using Settings = std::map<std::string, std::string>;  // option -> value as JSON

// A run, or a job of a sweep that has none.
struct Found {
  std::string name;   // what the user wrote
  std::string label;  // of the sweep's row; "" for plain runs
  std::string point;
  RunRecord run;      // without a folder: the job is not done
  Settings settings;
};

Json read_json(const fs::path& file) {
  try {
    return Json::parse(read_file(file));
  } catch (const nlohmann::json::exception& e) {
    throw Error(ErrorKind::kData, std::string("damaged JSON: ") + e.what(), "delete the file, or restore it from a copy", file.string());
  }
}

// What makes two runs the same row: every option but the seed. [recipe] holds words; fidelity acts through the others' defaults.
Settings settings_of(const fs::path& recipe_json, bool demo) {
  Settings settings{{"demo", demo ? "true" : "false"}};
  const Json recipe = read_json(recipe_json);  // lives as long as the loop
  for (const auto& [key, value] : recipe.items())
    if (key != "run.seed" && !key.starts_with("recipe.") && !key.starts_with("expect.")) settings[key] = value.contains("value") ? value["value"].dump() : value.dump();
  return settings;
}

void add_run(const fs::path& folder, const std::string& name, const std::string& label, const std::string& point, std::vector<Found>& found) {
  Found one{name, label, point, read_run(folder), {}};
  if (one.run.state != "done" || one.run.results.empty())
    throw Error(ErrorKind::kUsage, "run " + one.run.name + " is " + (one.run.state.empty() ? "not finished" : one.run.state) + ": it has no results to compare",
                "`oncekit run " + folder.string() + "` continues it", folder.string());
  one.settings = settings_of(folder / "recipe.json", one.run.demo);
  found.push_back(std::move(one));
}

fs::path sweep_folder(const fs::path& out, const std::string& name) {
  for (const fs::path& folder : {fs::path(name), out / "sweeps" / name})
    if (fs::exists(folder / "sweep.json")) return folder;
  return {};
}

void add_sweep_jobs(const fs::path& sweep, const std::string& name, std::vector<Found>& found) {
  const Json json = read_json(sweep / "sweep.json");
  const bool demo = json.value("demo", false);
  const fs::path out = fs::weakly_canonical(sweep).parent_path().parent_path();
  const std::map<std::string, fs::path> finished = finished_runs(out, demo);
  const Json jobs = json.value("jobs", Json::array());
  for (const Json& job : jobs) {
    const std::string label = job.value("row", ""), point = job.value("point", "");
    const auto run = finished.find(job.value("recipe_hash", ""));
    if (run != finished.end()) {
      add_run(run->second, name, label, point, found);
    } else {
      const fs::path frozen = sweep / "jobs" / fmt::format("{:03}", job.value("job", 0)) / "recipe.json";
      found.push_back({name, label, point, {}, settings_of(frozen, demo)});
    }
  }
}

std::vector<Found> find_all(const fs::path& out, const std::vector<std::string>& names) {
  std::vector<Found> found;
  for (const std::string& name : names) {
    if (const fs::path sweep = sweep_folder(out, name); !sweep.empty()) {
      add_sweep_jobs(sweep, name, found);
      continue;
    }
    const bool run = fs::exists(fs::path(name) / "recipe.resolved.toml");
    const std::vector<RunRecord> inside = run || !fs::is_directory(name) ? std::vector<RunRecord>{} : list_runs(name);
    for (const RunRecord& one : inside)
      if (one.state == "done" && !one.results.empty()) add_run(one.folder, name, "", "", found);
    if (inside.empty()) add_run(find_run(out, name), name, "", "", found);
  }
  return found;
}

// "key=value" of options in which some of the groups differ, for one of them.
std::vector<std::pair<std::string, std::string>> differing(const std::vector<const Settings*>& groups, const Settings& own) {
  std::vector<std::pair<std::string, std::string>> list;
  std::set<std::string> keys;
  for (const Settings* settings : groups)
    for (const auto& [key, value] : *settings) keys.insert(key);
  const auto value_in = [](const Settings& settings, const std::string& key) {
    const auto at = settings.find(key);
    return at == settings.end() ? std::string() : at->second;
  };
  for (const std::string& key : keys) {
    const std::string value = value_in(own, key);
    if (std::any_of(groups.begin(), groups.end(), [&](const Settings* s) { return value_in(*s, key) != value; })) list.emplace_back(key, value.empty() ? "none" : value);
  }
  return list;
}

// Rows that would read the same are told apart by the options in which they differ, three at most; these alone when all would.
void tell_apart(std::vector<RunGroup>& rows, const std::vector<Settings>& settings) {
  std::map<std::string, std::vector<std::size_t>> same;
  for (std::size_t i = 0; i < rows.size(); ++i) same[rows[i].label].push_back(i);
  std::set<std::string> taken;
  for (const auto& [label, members] : same) {
    if (members.size() == 1) continue;
    std::vector<const Settings*> group;
    for (std::size_t i : members) group.push_back(&settings[i]);
    for (std::size_t i : members) {
      const auto options = differing(group, settings[i]);
      std::string text;
      for (std::size_t k = 0; k < std::min<std::size_t>(3, options.size()); ++k) text += (k ? ", " : "") + options[k].first + "=" + options[k].second;
      if (options.size() > 3) text += fmt::format(" and {} more", options.size() - 3);
      const std::string told = (members.size() == rows.size() ? "" : label + ": ") + text;
      rows[i].label = told;
      for (int n = 2; !taken.insert(rows[i].label).second; ++n) rows[i].label = told + fmt::format(" ({})", n);
    }
  }
}

}  // namespace

std::size_t find_row(const std::vector<RowName>& rows, const std::string& name) {
  std::vector<std::string> known;
  std::vector<std::size_t> of_point;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].label == name) return i;
    if (!rows[i].point.empty() && rows[i].point == name) of_point.push_back(i);
    known.push_back(rows[i].label);
  }
  if (of_point.size() == 1) return of_point[0];
  std::string list;
  const auto add = [&](std::size_t i) { list += (list.empty() ? "'" : ", '") + rows[i].label + "'"; };
  if (of_point.size() > 1) {
    for (std::size_t i : of_point) add(i);
    throw Error(ErrorKind::kUsage, fmt::format("point '{}' has {} rows, and differences need one", name, of_point.size()), "name one of " + list);
  }
  for (const RowName& row : rows) known.push_back(row.point);
  std::erase(known, std::string());
  const std::string near = nearest_name(name, known);
  for (std::size_t i = 0; i < std::min<std::size_t>(8, rows.size()); ++i) add(i);
  throw Error(ErrorKind::kUsage, "there is no row '" + name + "' to take differences to",
              !near.empty() ? "did you mean '" + near + "'?" : "the rows are " + list + (rows.size() > 8 ? fmt::format(" and {} more", rows.size() - 8) : ""));
}

GatheredRows gather_rows(const fs::path& out, const std::vector<std::string>& names) {
  GatheredRows gathered;
  std::vector<Settings> settings;
  std::vector<std::vector<RunRecord>> runs;
  for (const Found& found : find_all(out, names)) {
    std::size_t i = static_cast<std::size_t>(std::find(settings.begin(), settings.end(), found.settings) - settings.begin());
    if (i == settings.size()) {
      settings.push_back(found.settings);
      gathered.rows.emplace_back();
      gathered.names.emplace_back();
      runs.emplace_back();
      RunGroup& row = gathered.rows.back();
      row.label = !found.label.empty() ? found.label : !found.run.title.empty() ? found.run.title : found.run.recipe;
      if (!found.point.empty()) row.values.emplace_back("point", found.point);
    }
    RunGroup& row = gathered.rows[i];
    if (std::find(gathered.names[i].begin(), gathered.names[i].end(), found.name) == gathered.names[i].end()) gathered.names[i].push_back(found.name);
    if (found.run.folder.empty()) {
      ++row.wanted;
      continue;
    }
    const auto same_seed = std::find_if(runs[i].begin(), runs[i].end(), [&](const RunRecord& other) { return other.seed == found.run.seed; });
    if (same_seed == runs[i].end()) {
      ++row.wanted;
      runs[i].push_back(found.run);
    } else if (same_seed->name != found.run.name) {  // the newer one counts: names begin with the time
      const bool newer = same_seed->name < found.run.name;
      gathered.notes.push_back(fmt::format("passed over: {}, a run of seed {} like the newer {}", newer ? same_seed->name : found.run.name, found.run.seed,
                                           newer ? found.run.name : same_seed->name));
      if (newer) *same_seed = found.run;
    }
  }
  std::vector<const Settings*> all;
  for (const Settings& one : settings) all.push_back(&one);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    std::sort(runs[i].begin(), runs[i].end(), [](const RunRecord& a, const RunRecord& b) { return a.seed < b.seed; });
    for (RunRecord& run : runs[i]) {
      gathered.rows[i].results.push_back(std::move(run.results));
      gathered.rows[i].folders.push_back(run.folder);
      gathered.rows[i].seeds.push_back(run.seed);
    }
    if (const auto options = differing(all, settings[i]); options.size() <= 8) gathered.rows[i].values.insert(gathered.rows[i].values.end(), options.begin(), options.end());
  }
  tell_apart(gathered.rows, settings);
  return gathered;
}

std::size_t find_row(const GatheredRows& gathered, const std::string& name) {
  std::vector<std::size_t> led;
  std::vector<RowName> rows;
  for (std::size_t i = 0; i < gathered.rows.size(); ++i) {
    const auto& names = gathered.names[i];
    if (std::find(names.begin(), names.end(), name) != names.end()) led.push_back(i);
    const auto& values = gathered.rows[i].values;
    rows.push_back({gathered.rows[i].label, !values.empty() && values[0].first == "point" ? values[0].second : ""});
  }
  return led.size() == 1 ? led[0] : find_row(rows, name);
}

}  // namespace oncekit
