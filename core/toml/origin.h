// Where a value comes from.
#pragma once

#include <string>

namespace oncekit {

struct Origin {
  enum class Kind { kDefault, kFidelity, kBaseFile, kRecipe, kPoint, kOverride, kDemo } kind = Kind::kDefault;
  std::string where;  ///< "recipes/x.toml:12:3", "run.seed=1", or ""
};

}  // namespace oncekit
