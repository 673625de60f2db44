// Options are declared once, as a typed struct. Parsing, unknown-key errors, defaults, docs and sweeps all come from it.
//
//   struct NrmsOptions {
//     std::int64_t heads = 8;
//     double dropout = 0.1;
//     void describe(Fields& f) {
//       f.integer("heads", heads).range(1, 64).doc("attention heads").cite("Wu et al. 2019, section 3.1");
//       f.real("dropout", dropout).range(0, 1).doc("on attention weights").under("paper", 0.1);
//     }
//     void validate(Problems& problems) const;   // optional: rules across fields
//   };
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "oncekit/error.h"

namespace oncekit {

class Fields;

/// A value an option can hold. Paths are strings; choices are strings.
using OptionValue = std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>,
                                 std::vector<std::int64_t>, std::vector<double>>;

/// One declared option: its name, the member that holds it, and all that is known of it.
struct Field {
  using Target = std::variant<bool*, std::int64_t*, double*, std::string*, std::vector<std::string>*,
                              std::vector<std::int64_t>*, std::vector<double>*>;
  enum class Type { kBool, kInteger, kReal, kString, kChoice, kPath, kStrings, kIntegers, kReals, kNested };

  std::string name;
  Type type = Type::kBool;
  Target target;                                ///< unused when nested
  std::shared_ptr<Fields> nested;               ///< the fields of a sub-table
  std::string doc_text, unit_text, cite_text;
  std::optional<double> low, high;              ///< inclusive; for lists, of every element
  std::vector<std::string> choices;             ///< for kChoice; for kStrings, allowed elements when not empty
  std::vector<std::pair<std::string, OptionValue>> fidelity;  ///< defaults under "paper" or "released"
  std::optional<OptionValue> demo_value;        ///< the small value that --demo uses

  Field& doc(std::string text) { doc_text = std::move(text); return *this; }
  Field& unit(std::string text) { unit_text = std::move(text); return *this; }
  Field& cite(std::string text) { cite_text = std::move(text); return *this; }
  Field& range(double lowest, double highest) { low = lowest; high = highest; return *this; }
  Field& at_least(double lowest) { low = lowest; return *this; }
  Field& one_of(std::vector<std::string> values) { choices = std::move(values); return *this; }
  /// The default under this fidelity ("paper" or "released"); "corrected" is the member's own initial value.
  Field& under(std::string fidelity_name, OptionValue value) {
    fidelity.emplace_back(std::move(fidelity_name), std::move(value));
    return *this;
  }
  /// The value `--demo` puts in the place of any other.
  Field& demo(OptionValue value) { demo_value = std::move(value); return *this; }

  OptionValue value() const;             ///< what the member holds now
  void assign(const OptionValue& value); ///< REQUIRES: the same alternative as the target's
};

/// The fields of one struct, in the order of declaration. References stay valid while more fields are added.
class Fields {
 public:
  Fields();
  ~Fields();
  Fields(const Fields&) = delete;
  Fields& operator=(const Fields&) = delete;

  Field& boolean(std::string name, bool& target);
  Field& integer(std::string name, std::int64_t& target);
  Field& real(std::string name, double& target);
  Field& text(std::string name, std::string& target);
  Field& choice(std::string name, std::string& target, std::vector<std::string> values);
  Field& path(std::string name, std::string& target);
  Field& list(std::string name, std::vector<std::string>& target);
  Field& list(std::string name, std::vector<std::int64_t>& target);
  Field& list(std::string name, std::vector<double>& target);
  /// A sub-table: `target` is a struct with describe(Fields&).
  template <class T>
  Field& nested(std::string name, T& target) {
    Field& field = add(std::move(name), Field::Type::kNested, static_cast<bool*>(nullptr));
    field.nested = std::make_shared<Fields>();
    target.describe(*field.nested);
    return field;
  }

  const std::vector<std::unique_ptr<Field>>& all() const noexcept { return fields_; }
  Field* find(const std::string& name) noexcept;
  std::vector<std::string> names() const;

 private:
  Field& add(std::string name, Field::Type type, Field::Target target);
  std::vector<std::unique_ptr<Field>> fields_;
};

/// An options struct of any type, held by the core.
class OptionSet {
 public:
  virtual ~OptionSet();
  virtual void describe(Fields& fields) = 0;              ///< pointers into this object: it must outlive `fields`
  virtual void validate(Problems& problems) const = 0;
  virtual std::unique_ptr<OptionSet> clone() const = 0;
};

template <class T>
class TypedOptions final : public OptionSet {
 public:
  T value;
  void describe(Fields& fields) override { value.describe(fields); }
  void validate(Problems& problems) const override {
    if constexpr (requires(const T& t, Problems& p) { t.validate(p); }) value.validate(problems);
  }
  std::unique_ptr<OptionSet> clone() const override { return std::make_unique<TypedOptions<T>>(*this); }
};

/// For components without options.
struct NoOptions {
  void describe(Fields&) {}
};

}  // namespace oncekit
