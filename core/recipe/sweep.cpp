// [sweep]: dotted keys, each with a list of values; every key and value is checked before the first job starts. One key is no axis:
// `against`, a text.
#include <algorithm>

#include "recipe/resolve.h"

namespace oncekit {
namespace {

class Sweep {
 public:
  Sweep(const ResolveInput& input, Problems& problems, const Node& table) : in_(input), problems_(problems), sweep_(table) {}

  void check(const std::string& key, const Node& node) {
    const std::vector<std::string> path = split_key(key);
    if (path[0] == "augment" && path.size() == 1) return augment(node);
    const std::size_t depth = path[0] == "augmenter" ? 2 : 1;
    const std::vector<std::string> table(path.begin(),
                                         path.begin() + static_cast<std::ptrdiff_t>(std::min(depth, path.size())));
    if (!known(table) || path.size() <= depth) {
      std::vector<std::string> names = component_tables();
      for (const CoreTable& core : in_.tables) names.push_back(core.name);
      if (path[0] == "augmenter") names.push_back("augmenter.NAME");
      const std::string near = path.size() > 1 ? nearest_name(path[0], names) : "";
      const std::string rest = near.empty() ? "" : key.substr(path[0].size());
      problem(node, "'" + key + "' in [sweep] is no option",
              !near.empty() && near != path[0] ? "did you mean '" + near + rest + "'?"
                                               : "keys look like train.lr; the tables are " + listed(names));
      return;
    }
    const std::string option = key.substr(join(table).size() + 1);
    if (is_component(table) && option == "use") return use(table, node);
    if (!is_component(table)) return values(table, "", option, node);
    for (const std::string& component : uses(table)) values(table, component, option, node);
  }

 private:
  void problem(const Node& node, std::string message, std::string hint) {
    problems_.add(std::move(message), std::move(hint), place(node.origin));
  }
  static std::string join(const std::vector<std::string>& parts) {
    return parts.size() == 1 ? parts[0] : parts[0] + "." + parts[1];
  }
  static std::string kind(const std::vector<std::string>& table) { return table[0]; }

  bool known(const std::vector<std::string>& table) const {
    if (table[0] == "augmenter") return table.size() == 2 && named_augmenters(in_.layers).count(table[1]);
    return is_component(table) ||
           std::any_of(in_.tables.begin(), in_.tables.end(), [&](const CoreTable& core) { return core.name == table[0]; });
  }

  // What the table may `use` in some job of the sweep.
  std::vector<std::string> uses(const std::vector<std::string>& table) const {
    std::vector<std::string> names;
    if (const Node* swept = sweep_.find(join(table) + ".use")) {
      for (const Node& item : swept->items)
        if (item.is(Node::Type::kString)) names.push_back(item.text());
      return names;
    }
    const Node* written = &in_.layers.root;
    for (const std::string& part : table) written = written ? written->find(part) : nullptr;
    if (written && !written->text_at("use").empty()) names.push_back(written->text_at("use"));
    return names;
  }

  void use(const std::vector<std::string>& table, const Node& node) {
    const std::vector<std::string> names = in_.catalog.names(kind(table));
    for (const Node& item : node.items) {
      if (item.is(Node::Type::kString) && std::count(names.begin(), names.end(), item.text())) continue;
      const std::string near = item.is(Node::Type::kString) ? nearest_name(item.text(), names) : "";
      problem(item, "there is no " + kind(table) + " " + toml_text(item),
              near.empty() ? "use some of: " + listed(names) : "did you mean '" + near + "'?");
    }
  }

  void augment(const Node& node) {
    const Node* tables = in_.layers.root.find("augmenter");
    for (const Node& list : node.items) {
      if (!list.is(Node::Type::kArray))
        problem(list, "a value of 'augment' in [sweep] is " + describe(list), "it must be a list of names");
      for (const Node& name : list.items)
        if (!name.is(Node::Type::kString) || !tables || !tables->find(name.text()))
          problem(name, "'augment' in [sweep] names " + toml_text(name) + ", which has no table",
                  "add [augmenter.NAME], with `use = ...`");
    }
  }

  void values(const std::vector<std::string>& table, const std::string& component, const std::string& option,
              const Node& node) {
    const auto schema = schema_of(in_, table, component);
    if (!schema) return;
    Fields fields;
    schema->describe(fields);
    const std::string name = component.empty() ? "[" + join(table) + "]" : kind(table) + " '" + component + "'";
    const Field* field = find_field(fields, option);
    if (!field) {
      std::vector<std::string> known;
      each_field(fields, [&](const std::string& key, const Field&) { known.push_back(key); });
      const std::string near = nearest_name(option, known);
      problem(node, "[sweep] names the unknown key '" + option + "' of " + name,
              !near.empty() ? "did you mean '" + join(table) + "." + near + "'?" : "docs/recipes.md lists what there is");
      return;
    }
    for (const Node& item : node.items) (void)read_option(*field, item, join(table), problems_);
  }

  const ResolveInput& in_;
  Problems& problems_;
  const Node& sweep_;
};

}  // namespace

void resolve_sweep(const ResolveInput& input, Resolved& resolved, Problems& problems) {
  const Node* table = input.layers.root.find("sweep");
  if (!table || !table->is(Node::Type::kTable)) return;
  Sweep sweep(input, problems, *table);
  for (const auto& [key, node] : table->entries) {
    if (key == "against") {  // no axis: the row that others are compared with; its name is known once the rows are
      if (!node.is(Node::Type::kString) || node.text().empty())
        problems.add("'against' in [sweep] is " + describe(node), "it must be a row's label or a point's name, in quotes", place(node.origin));
      else
        resolved.sweep.emplace_back(key, std::vector<std::string>{node.text()});
      continue;
    }
    if (!node.is(Node::Type::kArray) || node.items.empty()) {
      problems.add("'" + key + "' in [sweep] is " +
                       (node.items.empty() && node.is(Node::Type::kArray) ? "an empty list" : describe(node)),
                   "it must be a list of the values to try", place(node.origin));
      continue;
    }
    try {
      sweep.check(key, node);
    } catch (const Error& e) {
      problems.add(e.message(), e.hint(), place(node.origin));
    }
    std::vector<std::string> values;
    for (const Node& item : node.items) values.push_back(toml_text(item));
    resolved.sweep.emplace_back(key, std::move(values));
  }
}

}  // namespace oncekit
