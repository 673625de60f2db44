#include "plugin/describe.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "plugin/kinds.h"
#include "plugin/places.h"
#include "toml/node.h"
#include "recipe/values.h"

namespace oncekit {
namespace {

using Json = nlohmann::ordered_json;

// Rows of equal cells, aligned, the last column as it is.
std::string aligned(const std::vector<std::vector<std::string>>& rows, const std::string& indent) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (c >= widths.size()) widths.push_back(0);
      widths[c] = std::max(widths[c], row[c].size());
    }
  std::string text;
  for (const auto& row : rows) {
    std::string line = indent;
    for (std::size_t c = 0; c < row.size(); ++c) line += row[c] + (c + 1 < row.size() ? std::string(widths[c] - row[c].size() + 2, ' ') : "");
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string indented(const std::string& text) {
  std::string out = "  ";
  for (const char c : text) out += c == '\n' ? std::string("\n  ") : std::string(1, c);
  return out;
}

Json json_of(const OptionValue& value) {
  return std::visit([](const auto& held) { return Json(held); }, value);
}

const char* type_name(Field::Type type) {
  switch (type) {
    case Field::Type::kBool: return "bool";
    case Field::Type::kInteger: return "integer";
    case Field::Type::kReal: return "real";
    case Field::Type::kString: return "string";
    case Field::Type::kChoice: return "choice";
    case Field::Type::kPath: return "path";
    case Field::Type::kStrings: return "list of strings";
    case Field::Type::kIntegers: return "list of integers";
    case Field::Type::kReals: return "list of reals";
    case Field::Type::kNested: return "table";
  }
  return "";
}

std::string joined(const std::vector<std::string>& words, const std::string& between = ", ") {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

std::string meaning(const Field& field) {
  std::string text = field.doc_text;
  if (!field.unit_text.empty()) text += (text.empty() ? "in " : "; in ") + field.unit_text;
  if (!field.cite_text.empty()) text += (text.empty() ? "(" : " (") + field.cite_text + ")";
  for (const auto& [fidelity, value] : field.fidelity) text += "; " + fidelity + ": " + toml_text(value);
  return text;
}

}  // namespace

std::string plugins_text(const PluginHost& host) {
  std::vector<std::vector<std::string>> rows;
  std::string refused, shadowed;
  for (const std::string& kind : component_kinds())
    for (const std::string& name : host.names(kind)) {
      const FoundPlugin* plugin = host.plugin_of(kind, name);
      if (plugin->refused.empty()) rows.push_back({kind + "/" + name, plugin->stamp.name, shown_path(plugin->file)});
    }
  for (const FoundPlugin& plugin : host.found()) {
    if (!plugin.refused.empty()) refused += plugin.refused + "\n";
    if (!plugin.shadowed.empty())
      shadowed += shown_path(plugin.file) + ": " + joined(plugin.shadowed) + " not used, an earlier file has it\n";
  }
  std::string text;
  if (rows.empty()) text += "no components found in " + [&] {
      std::vector<std::string> folders;
      for (const auto& folder : host.folders()) folders.push_back(shown_path(folder));
      return folders.empty() ? std::string("any folder") : joined(folders);
    }() + "\n";
  rows.insert(rows.begin(), {"component", "plugin", "file"});
  if (rows.size() > 1) text += aligned(rows, "");
  if (!shadowed.empty()) text += "\n" + shadowed;
  if (!refused.empty()) text += "\n" + refused;
  for (const std::string& note : host.notes()) text += "\n" + note + "\n";
  return text;
}

std::string plugins_json(const PluginHost& host) {
  Json components = Json::array(), plugins = Json::array(), folders = Json::array();
  for (const std::string& kind : component_kinds())
    for (const std::string& name : host.names(kind))
      if (host.plugin_of(kind, name)->refused.empty()) components.push_back({{"kind", kind}, {"name", name}, {"plugin", host.plugin_of(kind, name)->stamp.name}});
  for (const FoundPlugin& plugin : host.found()) {
    Json build = Json::object();
    for (const auto& [field, value] : plugin.stamp.build) build[field] = value;
    plugins.push_back({{"name", plugin.stamp.name}, {"file", shown_path(plugin.file)}, {"components", plugin.stamp.components},
                       {"stamp", build}, {"refused", plugin.refused}, {"shadowed", plugin.shadowed}});
  }
  for (const auto& folder : host.folders()) folders.push_back(shown_path(folder));
  return Json{{"components", components}, {"plugins", plugins}, {"folders", folders}, {"notes", host.notes()}}.dump(2) + "\n";
}

const ComponentSpec& component_of(PluginHost& host, const std::string& component) {
  if (const std::size_t slash = component.find('/'); slash != std::string::npos)
    return host.find(component.substr(0, slash), component.substr(slash + 1));
  std::vector<std::string> meant, all;
  for (const std::string& kind : component_kinds()) {
    if (host.plugin_of(kind, component)) meant.push_back(kind);
    for (const std::string& name : host.names(kind)) all.push_back(name);
  }
  if (meant.size() == 1) return host.find(meant[0], component);
  if (meant.size() > 1) {
    std::vector<std::string> whole;
    for (const std::string& kind : meant) whole.push_back(kind + "/" + component);
    throw Error(ErrorKind::kUsage, "'" + component + "' is the name of " + std::to_string(meant.size()) + " components", "say which: " + joined(whole, " or "));
  }
  const std::string near = nearest_name(component, all);
  throw Error(ErrorKind::kPlugin, "no plugin gives a component '" + component + "'",
              (near.empty() ? std::string() : "did you mean '" + near + "'? ") + "all there are: oncekit plugins ls");
}

std::string paste_ready_toml(const ComponentSpec& spec) {
  const auto options = spec.options();
  Fields fields;
  options->describe(fields);
  std::vector<std::vector<std::string>> rows = {{"use = " + in_quotes(spec.name)}};
  each_field(fields, [&](const std::string& key, const Field& field) {
    std::string comment = expected(field);
    if (!field.doc_text.empty()) comment = field.doc_text + "; " + comment;
    std::replace(comment.begin(), comment.end(), '\n', ' ');
    rows.push_back({key + " = " + toml_text(field.value()), "# " + comment});
  });
  return "[" + (spec.kind == "augmenter" ? "augmenter." + toml_key(spec.name) : spec.kind) + "]\n" + aligned(rows, "");
}

std::string component_text(PluginHost& host, const std::string& component) {
  const ComponentSpec& spec = component_of(host, component);
  const FoundPlugin* plugin = host.plugin_of(spec.kind, spec.name);
  const auto options = spec.options();
  Fields fields;
  options->describe(fields);
  std::string text = spec.kind + "/" + spec.name + ": " + spec.doc_text + "\n\n";
  std::vector<std::vector<std::string>> head;
  if (!spec.cite_text.empty()) head.push_back({"source", spec.cite_text});
  head.push_back({"plugin", spec.plugin + ", " + shown_path(plugin->file)});
  if (const auto needs = spec.needs(*options); !needs.empty()) head.push_back({"needs", joined(needs)});
  if (const auto gives = spec.gives(*options); !gives.empty()) head.push_back({"gives", joined(gives)});
  text += aligned(head, "");
  std::vector<std::vector<std::string>> rows = {{"option", "type", "default", "accepts", "meaning"}};
  each_field(fields, [&](const std::string& key, const Field& field) {
    rows.push_back({key, type_name(field.type), toml_text(field.value()), expected(field), meaning(field)});
  });
  text += rows.size() > 1 ? "\n" + aligned(rows, "") : "\nno options\n";
  return text + "\nin a recipe:\n\n" + paste_ready_toml(spec);
}

std::string component_json(PluginHost& host, const std::string& component) {
  const ComponentSpec& spec = component_of(host, component);
  const FoundPlugin* plugin = host.plugin_of(spec.kind, spec.name);
  const auto options = spec.options();
  Fields fields;
  options->describe(fields);
  Json list = Json::array();
  each_field(fields, [&](const std::string& key, const Field& field) {
    Json one = {{"name", key}, {"type", type_name(field.type)}, {"default", json_of(field.value())}, {"accepts", expected(field)}};
    if (field.low) one["low"] = *field.low;
    if (field.high) one["high"] = *field.high;
    if (!field.choices.empty()) one["choices"] = field.choices;
    for (const auto& [fidelity, value] : field.fidelity) one["under_" + fidelity] = json_of(value);
    if (field.demo_value) one["demo"] = json_of(*field.demo_value);
    one["unit"] = field.unit_text;
    one["doc"] = field.doc_text;
    one["cite"] = field.cite_text;
    list.push_back(std::move(one));
  });
  return Json{{"kind", spec.kind}, {"name", spec.name}, {"plugin", spec.plugin}, {"file", shown_path(plugin->file)},
              {"doc", spec.doc_text}, {"cite", spec.cite_text}, {"needs", spec.needs(*options)}, {"gives", spec.gives(*options)},
              {"options", list}, {"toml", paste_ready_toml(spec)}}.dump(2) + "\n";
}

std::string doctor_text(PluginHost& host, bool& healthy) {
  std::string text = "this oncekit\n";
  std::vector<std::vector<std::string>> rows;
  for (const auto& [field, value] : host_build()) rows.push_back({field, value});
  text += aligned(rows, "  ") + "\nsearched, in this order\n";
  for (const auto& folder : host.folders()) text += "  " + shown_path(folder) + "\n";
  for (const std::string& note : host.notes()) text += "  (" + note + ")\n";
  text += "\nplugins\n";
  healthy = true;
  for (const FoundPlugin& plugin : host.found()) {
    if (plugin.refused.empty()) {
      for (const std::string& component : plugin.stamp.components) {
        const std::size_t slash = component.find('/');
        const std::string kind = component.substr(0, slash), name = component.substr(slash + 1);
        if (host.plugin_of(kind, name) != &plugin) continue;  // shadowed
        try {
          host.find(kind, name);
        } catch (const Error&) {  // now it is in plugin.refused
        }
        break;
      }
    }
    healthy = healthy && plugin.refused.empty();
    if (!plugin.refused.empty()) text += indented(plugin.refused) + "\n";
    else text += "  " + plugin.stamp.name + " (" + shown_path(plugin.file) + ") is good: " + joined(plugin.stamp.components) + "\n";
    if (!plugin.shadowed.empty()) text += "    not used, since an earlier file has the same: " + joined(plugin.shadowed) + "\n";
  }
  if (host.found().empty()) text += "  none found; name a folder with --plugin-path or ONCEKIT_PLUGIN_PATH\n";
  return text;
}

}  // namespace oncekit
