#include "recipe/resolve.h"

#include <algorithm>

namespace oncekit {
namespace {

void add_names(const Node* list, std::set<std::string>& names) {
  if (!list) return;
  if (list->is(Node::Type::kString)) names.insert(list->text());
  for (const Node& item : list->items) add_names(&item, names);
}

class Resolver {
 public:
  Resolver(const ResolveInput& input, Problems& problems) : in_(input), problems_(problems), root_(input.layers.root) {}

  Resolved run() {
    out_.notes = in_.layers.notes;
    read_fidelity();
    check_names();
    read_augment();
    core("recipe");
    component("dataset", {"dataset"});
    for (const std::string& name : out_.augment) component("augmenter", {"augmenter", name});
    for (const char* kind : {"content_encoder", "user_encoder", "interaction"}) component(kind, {kind});
    for (const CoreTable& table : in_.tables)
      if (table.name != "recipe") core(table.name);
    read_expect();
    resolve_sweep(in_, out_, problems_);
    return std::move(out_);
  }

 private:
  void problem(const Node& node, std::string message, std::string hint) {
    problems_.add(std::move(message), std::move(hint), place(node.origin));
  }

  void read_fidelity() {
    const Node* recipe = root_.find("recipe");
    fidelity_ = recipe ? recipe->text_at("fidelity") : "";
  }

  // Names at the top: tables, `augment`. A component's table without brackets is said here too.
  void check_names() {
    std::vector<std::string> names{"extends", "augment", "augmenter", "sweep", "point", "expect"};
    for (const CoreTable& table : in_.tables) names.push_back(table.name);
    names.insert(names.end(), component_tables().begin(), component_tables().end());
    for (const auto& [key, node] : root_.entries) {
      const bool known = std::count(names.begin(), names.end(), key) > 0;
      const bool table = node.is(Node::Type::kTable);
      if (known && (table || key == "augment")) continue;
      if (known) {
        problem(node, "'" + key + "' is " + describe(node), "it must be a table: [" + key + "]");
        continue;
      }
      const std::string near = nearest_name(key, names);
      const std::string hint = !near.empty()
                                   ? (near == "augment" ? "did you mean `augment = [...]`?" : "did you mean [" + near + "]?")
                               : table             ? "there are: " + listed(names)
                               : home(key).empty() ? "options stand in tables, e.g. lr in [train]"
                                                   : "it belongs in [" + home(key) + "]";
      problem(node, (table ? "unknown table [" + key + "]" : "unknown key '" + key + "' outside any table"), hint);
    }
  }

  // The core table that has an option of this name, or "".
  std::string home(const std::string& key) const {
    for (const CoreTable& table : in_.tables) {
      Fields fields;
      const auto options = table.options();
      options->describe(fields);
      if (fields.find(key)) return table.name;
    }
    return {};
  }

  void read_augment() {
    const Node* tables = root_.find("augmenter");
    if (tables && !tables->is(Node::Type::kTable)) tables = nullptr;
    std::vector<std::string> known;
    if (tables)
      for (const auto& entry : tables->entries) known.push_back(entry.first);
    if (const Node* augment = root_.find("augment")) {
      out_.augment_origin = augment->origin;
      if (!augment->is(Node::Type::kArray))
        problem(*augment, "`augment` is " + describe(*augment),
                "it must be a list of names, each with a table [augmenter.NAME]");
      for (const Node& item : augment->items) {
        if (!item.is(Node::Type::kString)) {
          problem(item, "an entry of `augment` is " + describe(item), "it must be the NAME of a table [augmenter.NAME]");
        } else if (std::count(out_.augment.begin(), out_.augment.end(), item.text())) {
          problem(item, "`augment` names " + in_quotes(item.text()) + " twice",
                  "a second pass needs a table of its own under another name");
        } else if (std::count(known.begin(), known.end(), item.text()) == 0) {
          const std::string near = nearest_name(item.text(), known);
          problem(
              item,
              "`augment` names " + in_quotes(item.text()) + ", but there is no table [augmenter." + toml_key(item.text()) + "]",
              near.empty() ? "add it, with `use = ...`" : "did you mean " + in_quotes(near) + "?");
        } else {
          out_.augment.push_back(item.text());
        }
      }
    }
    if (!tables) return;
    const std::set<std::string> named = named_augmenters(in_.layers);
    for (const auto& [name, node] : tables->entries) {
      if (std::count(out_.augment.begin(), out_.augment.end(), name)) continue;
      if (named.count(name))
        out_.notes.push_back("[augmenter." + toml_key(name) + "] is left out: `augment` does not name it here");
      else
        problem(node, "unused table [augmenter." + toml_key(name) + "]", "name it in `augment = [...]`, or take it out");
    }
  }

  // A hint about an unknown key that resembles none: where it lives, or where to read.
  std::string unknown_key(const std::string& key, const std::string& otherwise) const {
    const std::string table = home(key);
    return table.empty() ? otherwise : "it belongs in [" + table + "]";
  }

  void fill(TableView view, OptionSet& options, const Node* written, const std::string& help) {
    Fields fields;
    options.describe(fields);
    apply_fidelity(fields, fidelity_, view.origins);
    const std::size_t before = problems_.size();
    if (written)
      apply_table(
          fields, *written, view.table, [&](const std::string& key) { return unknown_key(key, help); }, view.origins,
          problems_);
    if (in_.demo) apply_demo(fields, view.origins, out_.notes);
    if (problems_.size() == before) {
      Problems across;
      options.validate(across);
      const std::string at = written && !written->origin.where.empty() ? place(written->origin) : in_.shown;
      for (const Error& e : across.items()) {
        const bool named = e.message().find("[" + view.table + "]") != std::string::npos;
        problems_.add(named ? e.message() : "[" + view.table + "]: " + e.message(), e.hint(),
                      e.where().empty() ? at : e.where());
      }
    }
    view.options = &options;
    out_.views.push_back(std::move(view));
  }

  void core(const std::string& name) {
    const auto table = std::find_if(in_.tables.begin(), in_.tables.end(), [&](const CoreTable& t) { return t.name == name; });
    if (table == in_.tables.end()) return;
    const Node* written = root_.find(name);
    if (written && !written->is(Node::Type::kTable)) written = nullptr;
    auto& options = out_.core[name] = table->options();
    TableView view;
    view.table = name;
    fill(std::move(view), *options, written, "docs/recipes.md lists the keys of [" + name + "]");
    if (table->for_augmenters && out_.augment.empty()) out_.views.pop_back();  // checked, and of no use here
  }

  void component(const std::string& kind, const std::vector<std::string>& path) {
    const std::string table = join_key(path);
    const Node* written = &root_;
    for (const std::string& part : path) written = written ? written->find(part) : nullptr;
    if (written && !written->is(Node::Type::kTable)) {
      if (path.size() == 2)
        problem(*written, "'" + table + "' is " + describe(*written), "it must be a table with `use = ...`");
      return;
    }
    const std::vector<std::string> names = in_.catalog.names(kind);
    const std::string choose =
        names.empty() ? "no plugin offers one: see `oncekit plugins ls`" : "use one of: " + listed(names);
    if (!written) {
      problems_.add("there is no [" + table + "]",
                    in_.missing_hint.empty() ? "add it, with `use = ...`; " + choose : in_.missing_hint, in_.shown);
      return;
    }
    const Node* use = written->find("use");
    if (!use || !use->is(Node::Type::kString)) {
      problem(use ? *use : *written,
              use ? "'use' in [" + table + "] is " + describe(*use) : "[" + table + "] does not say what to `use`", choose);
      return;
    }
    if (std::count(names.begin(), names.end(), use->text()) == 0) {
      const std::string near = nearest_name(use->text(), names);
      problem(*use, "there is no " + kind + " '" + use->text() + "'", near.empty() ? choose : "did you mean '" + near + "'?");
      return;
    }
    TableView view;
    view.table = table;
    view.use = use->origin;
    UsedComponent used;
    try {
      used.spec = view.spec = &in_.catalog.find(kind, use->text());
    } catch (const Error&) {
      if (!out_.plugin_error) out_.plugin_error = std::current_exception();
      return;
    }
    used.options = used.spec->options();
    Node options = *written;
    options.erase("use");
    fill(std::move(view), *used.options, &options, "`oncekit plugins info " + kind + "/" + use->text() + "` lists its options");
    if (kind == "augmenter")
      out_.augmenters.push_back(std::move(used));
    else
      out_.components[kind] = std::move(used);
  }

  void read_expect() {
    const Node* expect = root_.find("expect");
    if (!expect || !expect->is(Node::Type::kTable)) return;
    for (const auto& [name, node] : expect->entries) {
      if (node.is(Node::Type::kInteger))
        out_.expect[name] = static_cast<double>(std::get<std::int64_t>(node.scalar));
      else if (node.is(Node::Type::kReal))
        out_.expect[name] = std::get<double>(node.scalar);
      else
        problem(node, "'" + name + "' in [expect] is " + describe(node), "it must be a number");
      out_.expect_origins[name] = node.origin;
    }
  }

  const ResolveInput& in_;
  Problems& problems_;
  const Node& root_;
  std::string fidelity_;
  Resolved out_;
};

}  // namespace

std::set<std::string> named_augmenters(const Layers& layers) {
  std::set<std::string> names = layers.retired;
  add_names(layers.root.find("augment"), names);
  if (const Node* points = layers.root.find("point"))
    for (const auto& point : points->entries) add_names(point.second.find("augment"), names);
  if (const Node* sweep = layers.root.find("sweep")) add_names(sweep->find("augment"), names);
  return names;
}

std::unique_ptr<OptionSet> schema_of(const ResolveInput& input, const std::vector<std::string>& table, const std::string& use) {
  if (!is_component(table)) {
    for (const CoreTable& core : input.tables)
      if (core.name == table[0]) return core.options();
    return nullptr;
  }
  const std::vector<std::string> names = input.catalog.names(table[0]);
  if (std::count(names.begin(), names.end(), use) == 0) return nullptr;
  try {
    return input.catalog.find(table[0], use).options();
  } catch (const Error&) {
    return nullptr;  // said where it is used
  }
}

Resolved resolve(const ResolveInput& input, Problems& problems) { return Resolver(input, problems).run(); }

}  // namespace oncekit
