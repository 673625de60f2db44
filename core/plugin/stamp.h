// The text stamp of a plugin: parsed, compared with what this oncekit has, refused as a table. Format: docs/stamp.md.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plugin/host.h"

namespace oncekit {

using BuildFields = std::vector<std::pair<std::string, std::string>>;

/// The key=value lines in their order; `problem` gets a sentence when the text is no stamp of a format that this oncekit reads.
BuildFields parse_fields(std::string_view text, std::string& problem);

/// `problem` gets a sentence when the text is no plugin's stamp; then the result is empty.
Stamp parse_stamp(std::string_view text, std::string& problem);

/// The fields that differ: name, the plugin's value, the host's. A field that the plugin lacks differs.
struct Difference {
  std::string field, plugin_has, oncekit_has;
};
std::vector<Difference> compare_builds(const BuildFields& plugin, const BuildFields& host);

/// "field | plugin has | oncekit has", aligned, two spaces before each line, with a heading; no newline at the end.
std::string refusal_table(const std::vector<Difference>& differences);

/// What rebuilds a plugin file. With its folder when a CMakeLists.txt with oncekit_add_plugin stands at most three folders up.
std::string rebuild_command(const std::filesystem::path& file);

/// All of it for one file, read but not loaded.
FoundPlugin inspect_plugin(const std::filesystem::path& file, const BuildFields& host);

}  // namespace oncekit
