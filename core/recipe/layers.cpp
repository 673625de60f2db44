#include "recipe/layers.h"

#include <algorithm>
#include <cstdlib>

#include "base/files.h"

namespace oncekit {
namespace fs = std::filesystem;

const std::vector<std::string>& component_tables() {
  static const std::vector<std::string> kinds{"dataset", "content_encoder", "user_encoder", "interaction"};
  return kinds;
}

bool is_component(const std::vector<std::string>& path) {
  if (path.size() == 1) return std::count(component_tables().begin(), component_tables().end(), path[0]) > 0;
  return path.size() == 2 && path[0] == "augmenter";
}

namespace {

std::string names_of(const std::vector<Node::Entry>& entries) {
  std::string text;
  for (const auto& [key, value] : entries)
    if (key != "use") text += (text.empty() ? "" : ", ") + key;
  return text;
}

void merge(Layers& layers, Node& into, Node&& from, const std::vector<std::string>& path) {
  // Inside [point.NAME] the same rules hold as outside.
  const bool in_point = path.size() >= 2 && path[0] == "point";
  const std::vector<std::string> inner(path.begin() + (in_point ? 2 : 0), path.end());
  if (is_component(inner)) {
    const std::string before = into.text_at("use"), now = from.text_at("use");
    if (!before.empty() && !now.empty() && before != now) {
      if (const std::string dropped = names_of(into.entries); !dropped.empty())
        layers.notes.push_back(place(from.find("use")->origin) + ": use = " + in_quotes(now) + " replaces " +
                               in_quotes(before) + " in [" + join_key(inner) + "] and drops its options: " + dropped);
      into.entries.clear();
    }
  }
  for (auto& [key, value] : from.entries) {
    Node* old = into.find(key);
    if (old && inner.empty() && key == "augment" && old->is(Node::Type::kArray))
      for (const Node& name : old->items)
        if (name.is(Node::Type::kString)) layers.retired.insert(name.text());
    if (!old) {
      into.entries.emplace_back(key, std::move(value));
    } else if (old->is(Node::Type::kTable) && value.is(Node::Type::kTable)) {
      std::vector<std::string> below = path;
      below.push_back(key);
      old->origin = value.origin;
      merge(layers, *old, std::move(value), below);
    } else {
      *old = std::move(value);
    }
  }
}

// [sweep] keys are dotted, whether written "train.lr" or train.lr.
void flatten(Node& table, const std::string& prefix, std::vector<Node::Entry>& out) {
  for (auto& [key, value] : table.entries) {
    const std::string name = prefix.empty() ? key : prefix + "." + key;
    if (value.is(Node::Type::kTable))
      flatten(value, name, out);
    else
      out.emplace_back(name, std::move(value));
  }
}

void flatten_sweep(Node& root) {
  Node* sweep = root.find("sweep");
  if (!sweep || !sweep->is(Node::Type::kTable)) return;
  std::vector<Node::Entry> flat;
  flatten(*sweep, "", flat);
  sweep->entries = std::move(flat);
}

struct Loader {
  Layers layers;
  Problems problems;
  std::vector<fs::path> open;  // the chain of files being read

  static std::string identity(const fs::path& file) { return fs::weakly_canonical(file).string(); }

  Node read(const fs::path& file, Origin::Kind kind) {
    const std::string text = read_file(file);
    if (kind == Origin::Kind::kRecipe) layers.source = text;
    Node root;
    try {
      root = parse_toml(text, display_path(file), kind);
    } catch (const Error& e) {
      problems.add(e.message(), e.hint(), e.where());
    }
    flatten_sweep(root);
    return root;
  }

  void load(const fs::path& file, Origin::Kind kind) {
    open.push_back(file);
    Node root = read(file, kind);
    if (const Node* extends = root.find("extends")) {
      if (!extends->is(Node::Type::kArray))
        problems.add("`extends` is " + describe(*extends),
                     "it must be a list of recipe files, e.g. extends = [\"base/mind.toml\"]", place(extends->origin));
      for (const Node& entry : extends->items) load_base(entry, file);
    }
    root.erase("extends");
    merge(layers, layers.root, std::move(root), {});
    if (std::none_of(layers.files.begin(), layers.files.end(),
                     [&](const fs::path& f) { return identity(f) == identity(file); }))
      layers.files.push_back(file);
    open.pop_back();
  }

  void load_base(const Node& entry, const fs::path& from) {
    if (!entry.is(Node::Type::kString)) {
      problems.add("an entry of `extends` is " + describe(entry), "it must be the name of a recipe file", place(entry.origin));
      return;
    }
    const fs::path base = find_base(entry.text(), from);
    if (base.empty()) {
      problems.add("there is no file '" + entry.text() + "' to extend",
                   "it is looked for beside this file, then under the recipes folder", place(entry.origin));
      return;
    }
    const auto same = std::find_if(open.begin(), open.end(), [&](const fs::path& f) { return identity(f) == identity(base); });
    if (same != open.end()) {
      std::string chain;
      for (auto it = same; it != open.end(); ++it) chain += display_path(*it) + " -> ";
      problems.add("`extends` goes in a circle: " + chain + display_path(base), "take one of these entries out",
                   place(entry.origin));
      return;
    }
    load(base, Origin::Kind::kBaseFile);
  }
};

}  // namespace

fs::path find_base(const std::string& name, const fs::path& from, bool anywhere) {
  const fs::path whole = fs::absolute(from).lexically_normal();
  std::vector<fs::path> places{from.parent_path()};
  for (fs::path folder = whole.parent_path(); folder.has_relative_path(); folder = folder.parent_path())
    if (folder.filename() == "recipes") places.push_back(folder);
  if (anywhere) {
    if (const char* named = std::getenv("ONCEKIT_RECIPES"); named && *named) places.emplace_back(named);
    places.emplace_back("recipes");
  }
  for (const fs::path& folder : places)
    if (fs::is_regular_file(folder / name)) return (folder / name).lexically_normal();
  return {};
}

Layers read_layers(const fs::path& file) {
  if (!fs::is_regular_file(file))
    throw Error(ErrorKind::kUsage, "there is no recipe '" + file.string() + "'", "`oncekit recipes ls` lists those there are");
  Loader loader;
  loader.load(file, Origin::Kind::kRecipe);
  loader.problems.raise(ErrorKind::kUsage);
  return std::move(loader.layers);
}

void put_over(Layers& layers, Node table) { merge(layers, layers.root, std::move(table), {}); }

void apply_point(Layers& layers, const std::string& name) {
  const Node* points = layers.root.find("point");
  if (const Node* point = points ? points->find(name) : nullptr; point && point->is(Node::Type::kTable))
    put_over(layers, *point);
}

}  // namespace oncekit
