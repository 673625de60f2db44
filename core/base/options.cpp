#include "oncekit/options.h"

#include <stdexcept>

namespace oncekit {

OptionSet::~OptionSet() = default;

Fields::Fields() = default;
Fields::~Fields() = default;

OptionValue Field::value() const {
  return std::visit([](const auto* member) -> OptionValue { return *member; }, target);
}

void Field::assign(const OptionValue& value) {
  std::visit(
      [&](auto* member) {
        using T = std::remove_pointer_t<decltype(member)>;
        if (const T* held = std::get_if<T>(&value)) *member = *held;
        else throw std::logic_error("option '" + name + "' was assigned a value of another type");
      },
      target);
}

Field& Fields::add(std::string name, Field::Type type, Field::Target target) {
  if (find(name)) throw std::logic_error("option '" + name + "' is declared twice");
  fields_.push_back(std::make_unique<Field>());
  Field& field = *fields_.back();
  field.name = std::move(name);
  field.type = type;
  field.target = target;
  return field;
}

Field& Fields::boolean(std::string name, bool& target) { return add(std::move(name), Field::Type::kBool, &target); }
Field& Fields::integer(std::string name, std::int64_t& target) { return add(std::move(name), Field::Type::kInteger, &target); }
Field& Fields::real(std::string name, double& target) { return add(std::move(name), Field::Type::kReal, &target); }
Field& Fields::text(std::string name, std::string& target) { return add(std::move(name), Field::Type::kString, &target); }
Field& Fields::choice(std::string name, std::string& target, std::vector<std::string> values) {
  return add(std::move(name), Field::Type::kChoice, &target).one_of(std::move(values));
}
Field& Fields::path(std::string name, std::string& target) { return add(std::move(name), Field::Type::kPath, &target); }
Field& Fields::list(std::string name, std::vector<std::string>& target) { return add(std::move(name), Field::Type::kStrings, &target); }
Field& Fields::list(std::string name, std::vector<std::int64_t>& target) { return add(std::move(name), Field::Type::kIntegers, &target); }
Field& Fields::list(std::string name, std::vector<double>& target) { return add(std::move(name), Field::Type::kReals, &target); }

Field* Fields::find(const std::string& name) noexcept {
  for (const auto& field : fields_)
    if (field->name == name) return field.get();
  return nullptr;
}

std::vector<std::string> Fields::names() const {
  std::vector<std::string> names;
  for (const auto& field : fields_) names.push_back(field->name);
  return names;
}

}  // namespace oncekit
