// A TOML document as plain data, every node with its origin. toml++ is seen by document.cpp only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "oncekit/options.h"
#include "toml/origin.h"

namespace oncekit {

struct Node {
  enum class Type { kBool, kInteger, kReal, kString, kDate, kArray, kTable };
  using Entry = std::pair<std::string, Node>;

  Type type = Type::kTable;
  std::variant<bool, std::int64_t, double, std::string> scalar;    ///< a date's is its text
  std::vector<Node> items;                                         ///< of an array
  std::vector<Entry> entries;                                      ///< of a table, in the order of the file
  Origin origin;                                                   ///< of the key; of an array's element, the element's own
  std::size_t line = 0, column = 0, end_line = 0, end_column = 0;  ///< where the value itself stands; 0 = in no file

  bool is(Type wanted) const noexcept { return type == wanted; }
  const std::string& text() const { return std::get<std::string>(scalar); }

  Node* find(std::string_view key) noexcept;
  const Node* find(std::string_view key) const noexcept { return const_cast<Node*>(this)->find(key); }
  /// The string under `key`, or "" when there is none.
  std::string text_at(std::string_view key) const;
  void erase(std::string_view key);
  /// This origin for the node and all below.
  void set_origin(const Origin& given);
};

/// Reads a file; `kind` goes into every origin, `shown` is how messages name the file. Throws Error(kUsage) with
/// file:line:column when it is no TOML.
Node parse_toml(const std::string& text, const std::string& shown, Origin::Kind kind);

/// One TOML value, as in an override. Throws Error(kUsage) without a place when it is none.
Node parse_toml_value(const std::string& text);

/// "recipes/x.toml:12:3", or "override 'run.seed=1'".
std::string place(const Origin& origin);

/// What a user would call it: "a whole number", "the string \"x\"".
std::string describe(const Node& node);

/// "a, b, c".
std::string listed(const std::vector<std::string>& names);

// Writing.

/// A TOML basic string, which is also a JSON string.
std::string in_quotes(std::string_view text);
/// A key, quoted when it has to be.
std::string toml_key(std::string_view name);
std::string toml_text(double value);  ///< the shortest text that reads back as the same number
std::string toml_text(const OptionValue& value);
std::string toml_text(const Node& node);

/// Splits "a.\"b c\".d" at its dots. Throws Error(kUsage) when a quote is left open or a part is empty.
std::vector<std::string> split_key(std::string_view dotted);
std::string join_key(const std::vector<std::string>& parts);

}  // namespace oncekit
