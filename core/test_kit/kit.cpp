// The kit's entry: options set, scratch folder, dispatch by kind; checks of the options themselves.
#include "oncekit/test_kit.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <optional>
#include <set>

#include "oncekit/error.h"
#include "run/workspace.h"
#include "test_kit/checks.h"

namespace oncekit::test_kit {
namespace {

using Visit = std::function<void(const std::string& path, Field& field)>;

void each_field(Fields& fields, const Visit& visit, const std::string& prefix = {}) {
  for (const auto& field : fields.all()) {
    if (field->type == Field::Type::kNested) each_field(*field->nested, visit, prefix + field->name + ".");
    else visit(prefix + field->name, *field);
  }
}

std::string out_of_range(const Field& field, const OptionValue& value) {
  const auto number = [&](double x) -> std::string {
    if (field.low && x < *field.low) return "is below its range";
    if (field.high && x > *field.high) return "is above its range";
    return "";
  };
  const auto word = [&](const std::string& x) -> std::string {
    const bool limited = field.type == Field::Type::kChoice || (field.type == Field::Type::kStrings && !field.choices.empty());
    return limited && std::find(field.choices.begin(), field.choices.end(), x) == field.choices.end() ? "'" + x + "' is none of its choices" : "";
  };
  return std::visit(
      [&](const auto& held) -> std::string {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<T, std::int64_t> || std::is_same_v<T, double>) return number(static_cast<double>(held));
        else if constexpr (std::is_same_v<T, std::string>) return word(held);
        else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          for (const auto& x : held)
            if (std::string text = word(x); !text.empty()) return text;
        } else if constexpr (!std::is_same_v<T, bool>) {
          for (const auto& x : held)
            if (std::string text = number(static_cast<double>(x)); !text.empty()) return text;
        }
        return "";
      },
      value);
}

bool plain(const std::string& name) {
  return !name.empty() && name[0] >= 'a' && name[0] <= 'z' &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
}

// A value other than the one held, that the field allows; nothing when there is none to be had.
std::optional<OptionValue> another_value(const Field& field) {
  const OptionValue now = field.value();
  switch (field.type) {
    case Field::Type::kBool: return !std::get<bool>(now);
    case Field::Type::kInteger: {
      const auto value = std::get<std::int64_t>(now);
      if (!field.high || static_cast<double>(value + 1) <= *field.high) return value + 1;
      if (!field.low || static_cast<double>(value - 1) >= *field.low) return value - 1;
      return std::nullopt;
    }
    case Field::Type::kReal: {
      const double value = std::get<double>(now);
      if (field.low && field.high) return value == (*field.low + *field.high) / 2 ? *field.low : (*field.low + *field.high) / 2;
      return field.high ? value - 1 : value + 1;
    }
    case Field::Type::kChoice:
      for (const std::string& choice : field.choices)
        if (choice != std::get<std::string>(now)) return choice;
      return std::nullopt;
    case Field::Type::kString:
    case Field::Type::kPath: return std::get<std::string>(now) + "x";
    default: return std::nullopt;
  }
}

std::string replaced(std::string text, const std::string& kit) {
  for (std::size_t at = 0; (at = text.find("{kit}", at)) != std::string::npos; at += kit.size()) text.replace(at, 5, kit);
  return text;
}

// Demo values first (they are the small ones; a dataset's would put the toy corpus in the place of the kit's), then the caller's.
void set_options(OptionSet& options, const Setup& setup, const std::string& kit, bool demo) {
  Fields fields;
  options.describe(fields);
  std::set<std::string> used;
  std::vector<std::string> names;
  each_field(fields, [&](const std::string& path, Field& field) {
    names.push_back(path);
    if (demo && field.demo_value) field.assign(*field.demo_value);
    const auto given = setup.options.find(path);
    if (given == setup.options.end()) return;
    used.insert(path);
    const auto* text = std::get_if<std::string>(&given->second);
    field.assign(text ? OptionValue(replaced(*text, kit)) : given->second);
  });
  for (const auto& [name, value] : setup.options)
    if (!used.count(name)) {
      const std::string near = nearest_name(name, names);
      throw Error(ErrorKind::kUsage, "there is no option '" + name + "'" + (near.empty() ? "" : "; did you mean '" + near + "'?"));
    }
}

// Path options without a value.
std::string missing_path(OptionSet& options) {
  Fields fields;
  options.describe(fields);
  std::string missing;
  each_field(fields, [&](const std::string& path, Field& field) {
    if (field.type == Field::Type::kPath && std::get<std::string>(field.value()).empty()) missing += (missing.empty() ? "" : ", ") + path;
  });
  return missing;
}

struct Scratch {
  std::filesystem::path path;
  bool ours = false;
  ~Scratch() {
    std::error_code ignored;
    if (ours) std::filesystem::remove_all(path, ignored);
  }
};

Scratch make_scratch(const Setup& setup) {
  if (!setup.scratch.empty()) return {setup.scratch, false};
  std::string name = (std::filesystem::temp_directory_path() / "oncekit_test_kit_XXXXXX").string();
  if (!::mkdtemp(name.data())) throw Error(ErrorKind::kRun, "no temporary folder can be made", "set TMPDIR to a folder that can be written", name);
  return {name, true};
}

}  // namespace

bool Bench::needs(const std::string& what) const {
  const auto list = spec.needs(options);
  return std::find(list.begin(), list.end(), what) != list.end();
}

bool Bench::gives(const std::string& what) const {
  const auto list = spec.gives(options);
  return std::find(list.begin(), list.end(), what) != list.end();
}

void check_options(const ComponentSpec& spec, Report& report) {
  const auto options = spec.options();
  HostWorkspace workspace{WorkspaceOptions{}};
  const Setup setup;
  Bench bench(spec, setup, *options, workspace, report);
  bench.check("options have names, docs and defaults within range", [&]() -> std::string {
    std::string text;
    const auto add = [&](const std::string& what) { text += (text.empty() ? "" : "; ") + what; };
    Fields fields;
    options->describe(fields);
    each_field(fields, [&](const std::string& path, Field& field) {
      if (!plain(field.name)) add("option '" + path + "' is not in small letters, digits and _");
      if (field.name == "use") add("'use' names the component and cannot be an option");
      if (field.doc_text.empty()) add("option '" + path + "' has no doc");
      if (field.type == Field::Type::kChoice && field.choices.empty()) add("option '" + path + "' has no choices");
      if (std::string bad = out_of_range(field, field.value()); !bad.empty()) add("the default of '" + path + "' " + bad);
      const auto fits = [&](const OptionValue& value, const std::string& what) {
        if (value.index() != field.value().index()) add("the " + what + " value of '" + path + "' is of another type");
        else if (std::string bad = out_of_range(field, value); !bad.empty()) add("the " + what + " value of '" + path + "' " + bad);
      };
      for (const auto& [fidelity, value] : field.fidelity) {
        if (fidelity != "paper" && fidelity != "released") add("option '" + path + "' has a default under '" + fidelity + "', which is no fidelity");
        fits(value, fidelity);
      }
      if (field.demo_value) fits(*field.demo_value, "demo");
    });
    return text;
  });
  bench.check("options survive a round trip", [&]() -> std::string {
    std::string text;
    const auto changed = spec.options();
    Fields fields;
    changed->describe(fields);
    std::map<std::string, OptionValue> values;
    each_field(fields, [&](const std::string& path, Field& field) {
      if (const auto other = another_value(field)) field.assign(*other);
      values[path] = field.value();
    });
    const auto copy = changed->clone();
    const auto fresh = spec.options();
    Fields of_copy, of_fresh;
    copy->describe(of_copy);
    fresh->describe(of_fresh);
    each_field(of_fresh, [&](const std::string& path, Field& field) { field.assign(values.at(path)); });
    each_field(of_copy, [&](const std::string& path, Field& field) {
      if (field.value() != values.at(path)) text = "clone() loses the value of '" + path + "'";
    });
    each_field(of_fresh, [&](const std::string& path, Field& field) {
      if (field.value() != values.at(path)) text = "assigning '" + path + "' does not keep its value";
    });
    return text;
  });
  bench.check("needs and gives are well-formed", [&]() -> std::string {
    for (const auto& [list, what] : {std::pair{spec.needs(*options), "needs"}, std::pair{spec.gives(*options), "gives"}})
      for (const std::string& word : list)
        if (word.empty() || word.find_first_of(" \t\n,") != std::string::npos) return std::string(what) + " '" + word + "'";
    return spec.doc_text.empty() ? "the component has no doc" : "";
  });
}

Report check(const ComponentSpec& spec, const Setup& setup) {
  Report report;
  report.component = spec.kind + "/" + spec.name;
  check_options(spec, report);

  const Scratch scratch = make_scratch(setup);
  const auto options = spec.options();
  WorkspaceOptions host;
  host.cache = scratch.path / "cache";
  host.threads = 2;
  host.seed = setup.seed;
  HostWorkspace workspace(host);
  Setup own = setup;
  own.scratch = scratch.path;
  Bench bench(spec, own, *options, workspace, report);
  const std::filesystem::path kit = scratch.path / "kit";
  if (!bench.check("options are accepted", [&]() -> std::string {
        set_options(*options, setup, kit.string(), spec.kind != "dataset");
        return "";
      }))
    return report;
  write_kit_files(kit_items(spec.needs(*options)), kit);

  // A dataset's path is what the kit writes; any other path must be given.
  Problems problems;
  options->validate(problems);
  if (const std::string path = missing_path(*options); !path.empty() && spec.kind != "dataset" && !problems.empty()) {
    bench.skip("all but options", "give a value to the path option " + path);
    return report;
  }
  if (spec.kind == "dataset") check_dataset(bench);
  else if (spec.kind == "augmenter") check_augmenter(bench);
  else if (spec.kind == "content_encoder") check_content_encoder(bench);
  else if (spec.kind == "user_encoder") check_user_encoder(bench);
  else if (spec.kind == "interaction") check_interaction(bench);
  else report.failures.push_back({"kind", "there is no kind of component '" + spec.kind + "'"});
  return report;
}

std::vector<Report> check_all(void (*register_components)(Registrar&), const Setup& setup) {
  class Collector final : public Registrar {
   public:
    ComponentSpec& add(ComponentSpec spec) override {
      specs.push_back(std::move(spec));
      return specs.back();
    }
    std::deque<ComponentSpec> specs;
  } collector;
  register_components(collector);
  std::vector<Report> reports;
  for (const ComponentSpec& spec : collector.specs) reports.push_back(check(spec, setup));
  return reports;
}

}  // namespace oncekit::test_kit
