// What a recipe may name: the core's own tables and the plugins' components. The recipe room knows options, nothing else.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "oncekit/registrar.h"

namespace oncekit {

/// The components that can be named with `use`. Implemented by the plugin host; tests make their own.
class Catalog {
 public:
  virtual ~Catalog();
  /// The component; loads its plugin when needed. Throws Error(kPlugin) that names the nearest ones when there is none.
  virtual const ComponentSpec& find(const std::string& kind, const std::string& name) = 0;
  /// Names of a kind, without loading anything, sorted.
  virtual std::vector<std::string> names(const std::string& kind) const = 0;
};

/// A table of the core, e.g. [train]: its name and a maker of its options struct.
struct CoreTable {
  std::string name;
  std::string doc;
  std::function<std::unique_ptr<OptionSet>()> options;
  bool for_augmenters = false;  ///< part of a recipe only when it has augmenters
};

template <class T>
CoreTable core_table(std::string name, std::string doc, bool for_augmenters = false) {
  return {std::move(name), std::move(doc), [] { return std::make_unique<TypedOptions<T>>(); }, for_augmenters};
}

}  // namespace oncekit
