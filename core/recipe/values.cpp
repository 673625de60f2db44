#include "recipe/values.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace oncekit {
namespace {

using Type = Field::Type;

std::string in(const std::string& table) { return " in [" + table + "]"; }

std::string number(double value) {
  return std::abs(value) < 1e15 && value == std::floor(value) ? fmt::format("{:.0f}", value) : fmt::format("{}", value);
}

std::string range(const Field& field) {
  if (field.low && field.high) return " from " + number(*field.low) + " to " + number(*field.high);
  if (field.low) return ", at least " + number(*field.low);
  if (field.high) return ", at most " + number(*field.high);
  return {};
}

std::string choices(const Field& field) {
  std::string text;
  for (const std::string& choice : field.choices) text += (text.empty() ? "" : ", ") + in_quotes(choice);
  return text;
}

Type element_type(Type list) {
  switch (list) {
    case Type::kStrings: return Type::kString;
    case Type::kIntegers: return Type::kInteger;
    case Type::kReals: return Type::kReal;
    default: return list;
  }
}

class Reading {
 public:
  Reading(const Field& field, const std::string& table, Problems& problems)
      : field_(field), table_(table), problems_(problems) {}

  std::optional<OptionValue> value(const Node& node) const {
    switch (field_.type) {
      case Type::kStrings: return list<std::string>(node);
      case Type::kIntegers: return list<std::int64_t>(node);
      case Type::kReals: return list<double>(node);
      case Type::kNested: return wrong_type(node, field_.type);
      default: return scalar(node, field_.type);
    }
  }

 private:
  // Of the option itself, or (type is not the field's) of an element of its list.
  std::optional<OptionValue> scalar(const Node& node, Type type) const {
    switch (type) {
      case Type::kBool:
        if (node.is(Node::Type::kBool)) return OptionValue(std::get<bool>(node.scalar));
        break;
      case Type::kInteger:
        if (!node.is(Node::Type::kInteger)) break;
        if (!in_range(static_cast<double>(std::get<std::int64_t>(node.scalar)))) return out_of_range(node, type);
        return OptionValue(std::get<std::int64_t>(node.scalar));
      case Type::kReal: {
        if (!node.is(Node::Type::kInteger) && !node.is(Node::Type::kReal)) break;
        const double value = node.is(Node::Type::kReal) ? std::get<double>(node.scalar)
                                                        : static_cast<double>(std::get<std::int64_t>(node.scalar));
        if (!in_range(value)) return out_of_range(node, type);
        return OptionValue(value);
      }
      default:
        if (!node.is(Node::Type::kString)) break;
        if (!field_.choices.empty() && std::count(field_.choices.begin(), field_.choices.end(), node.text()) == 0)
          return no_choice(node, type);
        return OptionValue(node.text());
    }
    return wrong_type(node, type);
  }

  template <class T>
  std::optional<OptionValue> list(const Node& node) const {
    if (!node.is(Node::Type::kArray)) return wrong_type(node, field_.type);
    std::vector<T> values;
    bool good = true;
    for (const Node& item : node.items) {
      if (const auto value = scalar(item, element_type(field_.type)))
        values.push_back(std::get<T>(*value));
      else
        good = false;
    }
    if (!good) return std::nullopt;
    return OptionValue(std::move(values));
  }

  bool in_range(double value) const {
    return !std::isnan(value) && (!field_.low || value >= *field_.low) && (!field_.high || value <= *field_.high);
  }
  std::string subject(Type type) const {
    return (type == field_.type ? "'" : "an element of '") + field_.name + "'" + in(table_);
  }
  std::string wanted(Type type) const {
    Field one = field_;
    one.type = type == field_.type || field_.choices.empty() ? type : Type::kChoice;
    return "it must be " + expected(one);
  }
  std::nullopt_t out_of_range(const Node& node, Type type) const {
    problems_.add(subject(type) + " is " + toml_text(node), wanted(type), place(node.origin));
    return std::nullopt;
  }
  std::nullopt_t no_choice(const Node& node, Type type) const {
    const std::string near = nearest_name(node.text(), field_.choices);
    problems_.add(subject(type) + " is " + toml_text(node) + ", which is none of " + choices(field_),
                  near.empty() ? "choose one of them" : "did you mean " + in_quotes(near) + "?", place(node.origin));
    return std::nullopt;
  }
  std::nullopt_t wrong_type(const Node& node, Type type) const {
    std::string hint = wanted(type);
    const bool text_wanted = type == Type::kString || type == Type::kChoice || type == Type::kPath;
    if (node.is(Node::Type::kString) && node.origin.kind == Origin::Kind::kOverride &&
        node.text().find(',') != std::string::npos)
      hint += "; lists of values to try belong to `oncekit sweep`";
    else if (node.origin.kind == Origin::Kind::kOverride && text_wanted && !node.is(Node::Type::kString))
      hint += ", quoted twice because of the shell: '\"...\"'";
    problems_.add(subject(type) + " is " + describe(node), hint, place(node.origin));
    return std::nullopt;
  }

  const Field& field_;
  const std::string& table_;
  Problems& problems_;
};

}  // namespace

std::string expected(const Field& field) {
  const std::string limits = range(field);
  const std::string with_choices = field.choices.empty() ? "" : " of " + choices(field);
  switch (field.type) {
    case Type::kBool: return "true or false";
    case Type::kInteger: return "a whole number" + limits;
    case Type::kReal: return "a number" + limits;
    case Type::kString: return "a string";
    case Type::kChoice: return "one" + with_choices;
    case Type::kPath: return "a path (a string)";
    case Type::kStrings: return "a list" + (field.choices.empty() ? std::string(" of strings") : with_choices);
    case Type::kIntegers: return "a list of whole numbers" + limits;
    case Type::kReals: return "a list of numbers" + limits;
    case Type::kNested: return "a table";
  }
  return {};
}

std::optional<OptionValue> read_option(const Field& field, const Node& node, const std::string& table, Problems& problems) {
  return Reading(field, table, problems).value(node);
}

void apply_fidelity(Fields& fields, const std::string& fidelity, Origins& origins, const std::string& prefix) {
  for (const auto& field : fields.all()) {
    if (field->type == Type::kNested) apply_fidelity(*field->nested, fidelity, origins, prefix + field->name + ".");
    for (const auto& [name, value] : field->fidelity) {
      if (name != fidelity) continue;
      field->assign(value);
      origins[prefix + field->name] = {Origin::Kind::kFidelity, fidelity};
    }
  }
}

void apply_table(Fields& fields, const Node& written, const std::string& table,
                 const std::function<std::string(const std::string&)>& unknown, Origins& origins, Problems& problems,
                 const std::string& prefix) {
  for (const auto& [key, node] : written.entries) {
    Field* field = fields.find(key);
    if (!field) {
      const std::string near = nearest_name(key, fields.names());
      problems.add("unknown key '" + key + "'" + in(table), near.empty() ? unknown(key) : "did you mean '" + near + "'?",
                   place(node.origin));
    } else if (field->type == Type::kNested && node.is(Node::Type::kTable)) {
      apply_table(*field->nested, node, table + "." + key, unknown, origins, problems, prefix + key + ".");
    } else if (const auto value = read_option(*field, node, table, problems)) {
      field->assign(*value);
      origins[prefix + key] = node.origin;
    }
  }
}

void apply_demo(Fields& fields, Origins& origins, std::vector<std::string>& notes, const std::string& prefix) {
  for (const auto& field : fields.all()) {
    const std::string key = prefix + field->name;
    if (field->type == Type::kNested) apply_demo(*field->nested, origins, notes, key + ".");
    if (!field->demo_value) continue;
    const Origin before = origins[key];
    if (before.kind == Origin::Kind::kOverride && field->value() != *field->demo_value)
      notes.push_back(place(before) + " has no effect: --demo puts " + toml_text(*field->demo_value) + " in its place");
    field->assign(*field->demo_value);
    origins[key] = {Origin::Kind::kDemo, ""};
  }
}

void each_field(const Fields& fields, const std::function<void(const std::string&, const Field&)>& visit,
                const std::string& prefix) {
  for (const auto& field : fields.all()) {
    if (field->type == Type::kNested)
      each_field(*field->nested, visit, prefix + field->name + ".");
    else
      visit(prefix + field->name, *field);
  }
}

const Field* find_field(const Fields& fields, const std::string& dotted) {
  const std::size_t dot = dotted.find('.');
  const Field* field = const_cast<Fields&>(fields).find(dotted.substr(0, dot));
  if (!field || dot == std::string::npos) return field;
  return field->type == Type::kNested ? find_field(*field->nested, dotted.substr(dot + 1)) : nullptr;
}

}  // namespace oncekit
