// A new plugin from a template, and its build: `oncekit plugins new` and `build`.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace oncekit {

/// Makes FOLDER with CMakeLists.txt, NAME.cpp and README.md: a component KIND/NAME that builds, passes the test kit and does something
/// simple. Returns the files. Throws Error(kUsage) for a name or kind that cannot be, or a folder that is there and not empty.
std::vector<std::filesystem::path> new_plugin(const std::string& name, const std::string& kind, const std::filesystem::path& folder);

/// Configures and builds the plugin in FOLDER against this oncekit, in FOLDER/build. Returns the plugin files made. Throws Error(kPlugin) with the
/// first errors of the compiler; all of its output is in FOLDER/build/build.log.
std::vector<std::filesystem::path> build_plugin(const std::filesystem::path& folder);

/// The text of a template; "@NAME@" and the like not yet replaced. kind "" is CMakeLists.txt, "readme" README.md.
const char* plugin_template(const std::string& kind);

}  // namespace oncekit
