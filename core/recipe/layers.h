// The layers of a recipe, merged: files it extends, the file itself, a point, overrides. Nothing is typed yet.
#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "toml/node.h"

namespace oncekit {

/// "dataset", "content_encoder", "user_encoder", "interaction": tables whose `use` names a component.
const std::vector<std::string>& component_tables();
/// Is this table filled by a component: [user_encoder], [augmenter.NAME]?
bool is_component(const std::vector<std::string>& path);

struct Layers {
  Node root;
  std::vector<std::string> notes;            ///< what was dropped by the way
  std::set<std::string> retired;             ///< augmenters that a later layer's `augment` no longer names
  std::string source;                        ///< text of the recipe's own file
  std::vector<std::filesystem::path> files;  ///< all files read, each once, the recipe last
};

/// Reads a recipe and all it extends. Throws Error(kUsage) that lists what cannot be read: no such file, no TOML, a circle.
Layers read_layers(const std::filesystem::path& file);

/// The file that an entry of `extends` means: beside the file that says it, or under a folder named recipes above it; with
/// `anywhere` also under ONCEKIT_RECIPES and ./recipes. Empty when there is none.
std::filesystem::path find_base(const std::string& name, const std::filesystem::path& from, bool anywhere = true);

/// Puts a table over the layers: tables deep, the rest replaced. Another `use` drops the options below and leaves a note.
void put_over(Layers& layers, Node table);

/// Takes [point.NAME] and puts it over the layers.
void apply_point(Layers& layers, const std::string& name);

/// Applies "key=value", "+key=value" and "~key"; `use` and `augment` first, so that the order of a command line does not
/// matter.
void apply_overrides(Layers& layers, const std::vector<std::string>& overrides, Problems& problems);

/// Splits "1,2,3" at the commas outside quotes and brackets, for sweeps on the command line.
std::vector<std::string> split_values(const std::string& text);

}  // namespace oncekit
