// The only place that sees toml++: text -> Node.
#include <algorithm>
#include <sstream>

#include <toml++/toml.h>

#include "toml/node.h"

namespace oncekit {
namespace {

class Reader {
 public:
  Reader(const std::string& shown, Origin::Kind kind) : shown_(shown), kind_(kind) {}

  Node read(const toml::node& source, const toml::source_region& key) const {
    Node node;
    node.origin = {kind_, where(key.begin)};
    node.line = source.source().begin.line;
    node.column = source.source().begin.column;
    node.end_line = source.source().end.line;
    node.end_column = source.source().end.column;
    switch (source.type()) {
      case toml::node_type::boolean: scalar(node, Node::Type::kBool, source.as_boolean()->get()); break;
      case toml::node_type::integer: scalar(node, Node::Type::kInteger, source.as_integer()->get()); break;
      case toml::node_type::floating_point: scalar(node, Node::Type::kReal, source.as_floating_point()->get()); break;
      case toml::node_type::string: scalar(node, Node::Type::kString, source.as_string()->get()); break;
      case toml::node_type::array:
        node.type = Node::Type::kArray;
        for (const toml::node& item : *source.as_array()) node.items.push_back(read(item, item.source()));
        break;
      case toml::node_type::table: read_table(*source.as_table(), node); break;
      case toml::node_type::date: scalar(node, Node::Type::kDate, text(source.as_date()->get())); break;
      case toml::node_type::time: scalar(node, Node::Type::kDate, text(source.as_time()->get())); break;
      case toml::node_type::date_time: scalar(node, Node::Type::kDate, text(source.as_date_time()->get())); break;
      case toml::node_type::none: break;
    }
    return node;
  }

 private:
  template <class T>
  static std::string text(const T& value) {
    std::ostringstream out;
    out << value;
    return out.str();
  }
  template <class T>
  static void scalar(Node& node, Node::Type type, T value) {
    node.type = type;
    node.scalar = std::move(value);
  }
  std::string where(const toml::source_position& at) const {
    return shown_.empty() ? std::string() : shown_ + ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
  }
  // toml++ keeps tables sorted by name: back to the order of the file.
  void read_table(const toml::table& table, Node& node) const {
    std::vector<std::pair<toml::source_position, Node::Entry>> entries;
    for (const auto& [key, value] : table)
      entries.emplace_back(key.source().begin, Node::Entry(std::string(key.str()), read(value, key.source())));
    std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
      return std::pair(a.first.line, a.first.column) < std::pair(b.first.line, b.first.column);
    });
    for (auto& [at, entry] : entries) node.entries.push_back(std::move(entry));
  }

  const std::string& shown_;
  Origin::Kind kind_;
};

}  // namespace

Node parse_toml(const std::string& text, const std::string& shown, Origin::Kind kind) {
  try {
    const toml::table table = toml::parse(text);
    Node root = Reader(shown, kind).read(table, table.source());
    return root;
  } catch (const toml::parse_error& e) {
    std::string what(e.description());
    if (!what.empty() && what[0] == 'E') what[0] = 'e';
    const toml::source_position at = e.source().begin;
    const bool twice = what.find("redefine") != std::string::npos;
    throw Error(ErrorKind::kUsage, "this is not TOML: " + what,
                twice ? "each key and each table may be written once in a file"
                      : "strings need quotes, a table begins with [name], a comment with #",
                shown + ":" + std::to_string(at.line) + ":" + std::to_string(at.column));
  }
}

Node parse_toml_value(const std::string& text) {
  Node root = parse_toml("v = " + text, "", Origin::Kind::kOverride);
  if (root.entries.size() != 1 || text.find('\n') != std::string::npos || text.find('#') == 0)
    throw Error(ErrorKind::kUsage, "this is not one TOML value");
  return std::move(root.entries[0].second);
}

}  // namespace oncekit
