// A recipe: TOML files merged, typed and validated; every value with its origin.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "recipe/catalog.h"
#include "toml/origin.h"

namespace oncekit {

/// A component a recipe uses, with its options filled in.
struct UsedComponent {
  const ComponentSpec* spec = nullptr;
  std::unique_ptr<OptionSet> options;
};

struct RecipeRequest {
  std::filesystem::path file;
  std::vector<std::string> overrides;  ///< "train.lr=1e-3", "+sweep.x=[1]", "~train.clip": values are TOML; a bare word is a string
  std::string point;                   ///< a name under [point.NAME], or ""
  bool demo = false;
};

/// Read-only once made.
class Recipe {
 public:
  /// Merges, types and validates. Throws Error(kUsage) that lists all problems (file:line:column, nearest name), or Error(kPlugin).
  static Recipe load(const RecipeRequest& request, const std::vector<CoreTable>& tables, Catalog& catalog);
  ~Recipe();
  Recipe(Recipe&&) noexcept;
  Recipe& operator=(Recipe&&) noexcept;

  const std::filesystem::path& file() const;   ///< of the recipe itself
  const std::string& source() const;           ///< its text as written
  bool demo() const;

  /// A core table, e.g. table<TrainOptions>("train").
  template <class T>
  const T& table(const std::string& name) const {
    return static_cast<const TypedOptions<T>&>(options(name)).value;
  }
  const OptionSet& options(const std::string& core_table) const;

  /// "dataset", "content_encoder", "user_encoder", "interaction".
  const UsedComponent& component(const std::string& kind) const;
  /// The augmenters, in the order of `augment = [...]`.
  const std::vector<UsedComponent>& augmenters() const;
  /// Their names in `augment`, parallel to augmenters().
  const std::vector<std::string>& augment() const;

  /// The [expect] table, as written: name -> number.
  const std::map<std::string, double>& expect() const;
  /// [sweep]: dotted key -> values, each as TOML text, in the order of the file.
  const std::vector<std::pair<std::string, std::vector<std::string>>>& sweep() const;
  /// Names of the [point.NAME] tables, in the order of the file.
  const std::vector<std::string>& points() const;

  /// Every value as one TOML file that resolves to the same recipe: no `extends`, no sweep, no points.
  std::string resolved() const;
  /// For `--print`: the same with the origin of each value behind it. As JSON: {"train.lr": {"value":…, "origin":…, "where":…}}.
  std::string print(bool json) const;
  /// 16 hex digits of all that changes results: not [run] out/cache/threads-like paths, titles or docs.
  std::string hash() const;
  /// Dotted keys that differ from another recipe, for notes such as "changing use drops …".
  const std::vector<std::string>& notes() const;

 private:
  Recipe();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace oncekit
