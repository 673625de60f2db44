#include "toml/node.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace oncekit {

Node* Node::find(std::string_view key) noexcept {
  for (Entry& entry : entries)
    if (entry.first == key) return &entry.second;
  return nullptr;
}

std::string Node::text_at(std::string_view key) const {
  const Node* node = find(key);
  return node && node->is(Type::kString) ? node->text() : std::string();
}

void Node::erase(std::string_view key) {
  std::erase_if(entries, [&](const Entry& entry) { return entry.first == key; });
}

void Node::set_origin(const Origin& given) {
  origin = given;
  for (Node& item : items) item.set_origin(given);
  for (Entry& entry : entries) entry.second.set_origin(given);
}

std::string place(const Origin& origin) {
  return origin.kind == Origin::Kind::kOverride ? "override '" + origin.where + "'" : origin.where;
}

std::string describe(const Node& node) {
  switch (node.type) {
    case Node::Type::kBool: return std::get<bool>(node.scalar) ? "true" : "false";
    case Node::Type::kInteger: return "the whole number " + toml_text(node);
    case Node::Type::kReal: return "the number " + toml_text(node);
    case Node::Type::kString: return "the string " + toml_text(node);
    case Node::Type::kDate: return "the date " + toml_text(node);
    case Node::Type::kArray: return "a list";
    case Node::Type::kTable: return "a table";
  }
  return {};
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      case '\r': out += "\\r"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
          out += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
        else
          out += c;
    }
  }
  return out + '"';
}

std::string toml_key(std::string_view name) {
  const bool bare = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  return bare ? std::string(name) : in_quotes(name);
}

std::string toml_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

namespace {
struct Writer {
  std::string operator()(bool v) const { return v ? "true" : "false"; }
  std::string operator()(std::int64_t v) const { return std::to_string(v); }
  std::string operator()(double v) const { return toml_text(v); }
  std::string operator()(const std::string& v) const { return in_quotes(v); }
  template <class T>
  std::string operator()(const std::vector<T>& values) const {
    std::string text = "[";
    for (std::size_t i = 0; i < values.size(); ++i) text += (i ? ", " : "") + (*this)(values[i]);
    return text + "]";
  }
};
}  // namespace

std::string toml_text(const OptionValue& value) { return std::visit(Writer{}, value); }

std::string toml_text(const Node& node) {
  std::string text;
  switch (node.type) {
    case Node::Type::kDate: return node.text();
    case Node::Type::kArray:
      for (const Node& item : node.items) text += (text.empty() ? "" : ", ") + toml_text(item);
      return "[" + text + "]";
    case Node::Type::kTable:
      for (const auto& [key, value] : node.entries)
        text += (text.empty() ? " " : ", ") + toml_key(key) + " = " + toml_text(value);
      return text.empty() ? "{}" : "{" + text + " }";
    default: return std::visit([](const auto& v) { return toml_text(OptionValue(v)); }, node.scalar);
  }
}

std::vector<std::string> split_key(std::string_view dotted) {
  std::vector<std::string> parts(1);
  bool was_quoted = false;
  const auto refuse = [&] {
    throw Error(ErrorKind::kUsage, "'" + std::string(dotted) + "' is no key", "keys look like train.lr");
  };
  for (std::size_t i = 0; i < dotted.size(); ++i) {
    const char c = dotted[i];
    if ((c == '"' || c == '\'') && parts.back().empty()) {
      const std::size_t close = dotted.find(c, i + 1);
      if (close == std::string_view::npos) refuse();
      parts.back() = dotted.substr(i + 1, close - i - 1);
      was_quoted = true;
      i = close;
      if (i + 1 < dotted.size() && dotted[i + 1] != '.') refuse();
    } else if (c == '.') {
      if (parts.back().empty() && !was_quoted) refuse();
      parts.emplace_back();
      was_quoted = false;
    } else {
      parts.back() += c;
    }
  }
  if (parts.back().empty() && !was_quoted) refuse();
  return parts;
}

std::string join_key(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ".") + toml_key(part);
  return text;
}

}  // namespace oncekit
