#include "plugin/stamp.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "plugin/elf.h"
#include "plugin/kinds.h"
#include "plugin/places.h"

namespace oncekit {
namespace {

constexpr std::string_view kFirstLine = "oncekit-stamp 1";

std::vector<std::string> split(std::string_view text, char by) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(by), text.size());
    if (end > 0) parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

// Control characters of a damaged stamp must not reach a terminal.
std::string printable(std::string_view text) {
  std::string clean;
  for (const char c : text.substr(0, 80)) clean += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return clean;
}

// Stamps do not say which file LibTorch comes from; the dynamic section does. A name with a version or a folder is another build's.
void compare_needed(const std::vector<std::string>& needed, std::vector<Difference>& differences) {
  for (const std::string& library : needed) {
    const std::string name = std::filesystem::path(library).filename().string();
    if (!name.starts_with("libtorch") && !name.starts_with("libc10")) continue;
    const std::string ours = name.substr(0, name.find(".so")) + ".so";
    if (library != ours) differences.push_back({"needs", printable(library), ours});
  }
}

}  // namespace

BuildFields parse_fields(std::string_view text, std::string& problem) {
  problem.clear();
  const std::string_view first = text.substr(0, std::min(text.find('\n'), text.size()));
  if (first != kFirstLine) {
    problem = first.starts_with("oncekit-stamp ")
                  ? "its stamp has format '" + printable(first.substr(14)) + "', this oncekit reads format 1"
                  : "its stamp does not begin with 'oncekit-stamp 1'";
    return {};
  }
  BuildFields fields;
  std::set<std::string, std::less<>> seen;
  for (const std::string& line : split(text.substr(first.size()), '\n')) {
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) {
      problem = "its stamp has a line that is not key=value: '" + printable(line) + "'";
      return {};
    }
    fields.emplace_back(line.substr(0, equals), line.substr(equals + 1));
    if (!seen.insert(fields.back().first).second) {
      problem = "its stamp gives '" + printable(fields.back().first) + "' twice";
      return {};
    }
  }
  return fields;
}

Stamp parse_stamp(std::string_view text, std::string& problem) {
  Stamp stamp;
  for (auto& [key, value] : parse_fields(text, problem)) {
    if (key == "name") stamp.name = printable(value);
    else if (key == "components") stamp.components = split(value, ',');
    else stamp.build.emplace_back(printable(key), printable(value));
  }
  if (!problem.empty()) return {};
  if (stamp.name.empty()) problem = "its stamp has no name";
  else if (stamp.components.empty()) problem = "its stamp names no components";
  for (const std::string& component : stamp.components)
    if (!is_component_name(component)) problem = "its stamp names a component '" + printable(component) + "', which is not KIND/NAME";
  for (std::size_t i = 0; i < stamp.components.size() && problem.empty(); ++i)
    if (std::count(stamp.components.begin(), stamp.components.end(), stamp.components[i]) > 1)
      problem = "its stamp names component '" + stamp.components[i] + "' twice";
  return problem.empty() ? stamp : Stamp{};
}

std::vector<Difference> compare_builds(const BuildFields& plugin, const BuildFields& host) {
  std::vector<Difference> differences;
  for (const auto& [field, ours] : host) {
    const auto theirs = std::find_if(plugin.begin(), plugin.end(), [&](const auto& pair) { return pair.first == field; });
    if (theirs == plugin.end()) differences.push_back({field, "(nothing)", ours});
    else if (theirs->second != ours) differences.push_back({field, theirs->second, ours});
  }
  return differences;
}

std::string refusal_table(const std::vector<Difference>& differences) {
  std::size_t field = 5, theirs = 10;
  for (const Difference& d : differences) {
    field = std::max(field, d.field.size());
    theirs = std::max(theirs, d.plugin_has.size());
  }
  const auto row = [&](const std::string& a, const std::string& b, const std::string& c) {
    return "  " + a + std::string(field - a.size(), ' ') + " | " + b + std::string(theirs - b.size(), ' ') + " | " + c;
  };
  std::string table = row("field", "plugin has", "oncekit has");
  for (const Difference& d : differences) table += "\n" + row(d.field, d.plugin_has, d.oncekit_has);
  return table;
}

std::string rebuild_command(const std::filesystem::path& file) {
  std::filesystem::path folder = std::filesystem::absolute(file).parent_path().lexically_normal();
  if (const std::filesystem::path own = plugin_folder(); !own.empty() && folder == own)  // a plugin of ours: rebuilt with oncekit itself
    return std::filesystem::exists(own.parent_path() / "CMakeCache.txt") ? "cmake --build " + shown_path(own.parent_path())
                                                                        : "install this version of oncekit again";
  for (int level = 0; level < 3 && folder.has_relative_path(); ++level, folder = folder.parent_path()) {
    std::ifstream in(folder / "CMakeLists.txt");
    std::stringstream text;
    if (in && text << in.rdbuf() && text.str().find("oncekit_add_plugin(") != std::string::npos)
      return "oncekit plugins build " + shown_path(folder);
  }
  return "oncekit plugins build FOLDER";
}

FoundPlugin inspect_plugin(const std::filesystem::path& file, const BuildFields& host) {
  FoundPlugin plugin;
  plugin.file = file;
  const auto refuse = [&](const std::string& why) {
    plugin.refused = "plugin file " + shown_path(file) + " is refused: " + why;
    return plugin;
  };

  const ElfFile elf = read_elf(file);
  if (!elf.problem.empty()) return refuse(elf.problem);
  if (elf.machine != own_machine())
    return refuse("it is built for " + machine_name(elf.machine) + "; this oncekit runs on " + machine_name(own_machine()));
  if (!elf.stamp)
    return refuse("it has no oncekit stamp (ELF section .oncekit_stamp); build it with oncekit_add_plugin() of oncekit's CMake package");
  std::string problem;
  plugin.stamp = parse_stamp(*elf.stamp, problem);
  if (!problem.empty()) return refuse(problem + "; rebuild it: " + rebuild_command(file));

  std::vector<Difference> differences = compare_builds(plugin.stamp.build, host);
  compare_needed(elf.needed, differences);
  if (!differences.empty())
    plugin.refused = "plugin '" + plugin.stamp.name + "' (" + shown_path(file) + ") was built against another oncekit or LibTorch and is not loaded:\n" +
                     refusal_table(differences) + "\nrebuild it: " + rebuild_command(file);
  return plugin;
}

}  // namespace oncekit
