// What `oncekit plugins ls`, `info` and `doctor` say, as text and as JSON.
#pragma once

#include <string>

#include "plugin/host.h"

namespace oncekit {

/// Components with the files that hold them, refused files with their reason, notes on the search. Loads nothing.
std::string plugins_text(const PluginHost& host);
std::string plugins_json(const PluginHost& host);

/// One component: doc, source, plugin, needs, gives, options with type, range, default, unit and doc, and a table for a recipe.
/// `component` is KIND/NAME, or a NAME that one kind alone has. Loads its plugin.
std::string component_text(PluginHost& host, const std::string& component);
std::string component_json(PluginHost& host, const std::string& component);

/// The component that a user means by KIND/NAME or NAME. Throws Error(kPlugin) when there is none, Error(kUsage) when several kinds have it.
const ComponentSpec& component_of(PluginHost& host, const std::string& component);

/// The component's options with their defaults as a table of a recipe, a comment behind each.
std::string paste_ready_toml(const ComponentSpec& spec);

/// Why each file is used or not, after trying to load it. `healthy` gets false when one is refused.
std::string doctor_text(PluginHost& host, bool& healthy);

}  // namespace oncekit
