#include "plugin/scaffold.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/files.h"
#include "oncekit/error.h"
#include "plugin/kinds.h"
#include "plugin/places.h"
#include "run/child.h"

namespace oncekit {
namespace {

namespace fs = std::filesystem;

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
  return text;
}

// last_click -> LastClick
std::string class_name(const std::string& name) {
  std::string text;
  bool up = true;
  for (const char c : name) {
    if (c == '_') up = true;
    else text += up ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c, up = false;
  }
  return text;
}

fs::path program_on_path(const std::string& name) {
  const char* variable = std::getenv("PATH");
  std::istringstream folders(variable ? variable : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::error_code error;
    const fs::path file = fs::path(folder.empty() ? "." : folder) / name;
    if (fs::is_regular_file(file, error)) return file;
  }
  throw Error(ErrorKind::kPlugin, "building a plugin needs " + name + ", which is not on PATH", "install it: apt install " + name);
}

// The lines of a log that say what went wrong: the first ones with "error", or else the last ones.
std::string excerpt(const fs::path& log) {
  std::ifstream in(log);
  std::vector<std::string> lines, errors;
  for (std::string line; std::getline(in, line);) {
    if (line.size() > 300) line = line.substr(0, 300) + "...";
    if (line.find("rror:") != std::string::npos || line.find("CMake Error") != std::string::npos) errors.push_back(line);
    lines.push_back(std::move(line));
  }
  constexpr std::size_t kShown = 8;
  if (errors.size() > kShown) errors.resize(kShown);
  if (errors.empty()) errors.assign(lines.end() - static_cast<std::ptrdiff_t>(std::min(kShown, lines.size())), lines.end());
  std::string text;
  for (const std::string& line : errors) text += "\n  " + line;
  return text;
}

}  // namespace

std::vector<fs::path> new_plugin(const std::string& name, const std::string& kind, const fs::path& folder) {
  if (!is_plain_name(name))
    throw Error(ErrorKind::kUsage, "'" + name + "' is no name for a plugin", "use small letters, digits and _, beginning with a letter");
  const auto& kinds = component_kinds();
  if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) {
    const std::string near = nearest_name(kind, kinds);
    std::string all;
    for (const std::string& one : kinds) all += (all.empty() ? "" : ", ") + one;
    throw Error(ErrorKind::kUsage, "there is no kind of component '" + kind + "'", (near.empty() ? std::string() : "did you mean '" + near + "'? ") + "kinds are " + all);
  }
  std::error_code error;
  if (fs::exists(folder, error) && !(fs::is_directory(folder, error) && fs::is_empty(folder, error)))
    throw Error(ErrorKind::kUsage, shown_path(folder) + " is there already and not empty", "choose another name, or another folder with --folder");
  fs::create_directories(folder, error);
  if (error) throw Error(ErrorKind::kUsage, "the folder " + shown_path(folder) + " cannot be made: " + error.message());

  const bool tier0 = kind == "dataset" || kind == "augmenter";
  const auto fill = [&](std::string text) {
    text = replaced(text, "@NAME@", name);
    text = replaced(text, "@CLASS@", class_name(name));
    text = replaced(text, "@KIND@", kind);
    text = replaced(text, "@TIER0@", tier0 ? "\n  TIER0" : "");
    return replaced(text, "@TABLE@", kind == "augmenter" ? "augmenter." + name : kind);
  };
  const std::vector<std::pair<fs::path, std::string>> files = {
      {folder / "CMakeLists.txt", plugin_template("")}, {folder / (name + ".cpp"), plugin_template(kind)}, {folder / "README.md", plugin_template("readme")}};
  std::vector<fs::path> written;
  for (const auto& [file, text] : files) {
    write_file(file, fill(text));
    written.push_back(file);
  }
  return written;
}

std::vector<fs::path> build_plugin(const fs::path& folder) {
  if (!fs::exists(folder / "CMakeLists.txt"))
    throw Error(ErrorKind::kUsage, "there is no CMakeLists.txt in " + shown_path(folder), "name the folder of a plugin's sources; a new one: oncekit plugins new NAME --kind KIND");
  const fs::path package = cmake_folder();
  if (package.empty())
    throw Error(ErrorKind::kPlugin, "oncekit's CMake package is not beside this oncekit (" + shown_path(library_folder()) + ")", "install oncekit whole: cmake --install build/release --prefix DIR");
  const fs::path cmake = program_on_path("cmake"), build = folder / "build", log = build / "build.log";
  std::error_code error;
  fs::create_directories(build, error);
  fs::remove(log, error);
  const auto step = [&](const std::vector<std::string>& arguments, const std::string& what) {
    const ChildEnd end = run_child(cmake, arguments, log, 0);
    if (end.cancelled) throw Error(ErrorKind::kInterrupted, "stopped by the user");
    if (end.exit_code != 0)
      throw Error(ErrorKind::kPlugin, what + " the plugin in " + shown_path(folder) + " failed:" + excerpt(log), "all of it is in " + shown_path(log));
  };
  std::vector<std::string> configure = {"-S", folder.string(), "-B", build.string(), "-DCMAKE_BUILD_TYPE=Release", "-Doncekit_DIR=" + package.string()};
  if (!fs::exists(build / "CMakeCache.txt"))
    try {
      program_on_path("ninja");
      configure.insert(configure.end(), {"-G", "Ninja"});
    } catch (const Error&) {  // make is as good
    }
  step(configure, "configuring");
  step({"--build", build.string()}, "building");
  std::vector<fs::path> made;
  for (const auto& entry : fs::recursive_directory_iterator(build, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("oncekit_") && name.ends_with(".so")) made.push_back(entry.path());
  }
  std::sort(made.begin(), made.end());
  if (made.empty()) throw Error(ErrorKind::kPlugin, "building " + shown_path(folder) + " made no file oncekit_*.so", "use oncekit_add_plugin() in its CMakeLists.txt");
  return made;
}

}  // namespace oncekit
