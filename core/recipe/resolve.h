// Merged layers -> typed options: each table filled, checked, with the origin of every value.
#pragma once

#include <exception>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "recipe/layers.h"
#include "recipe/recipe.h"
#include "recipe/values.h"

namespace oncekit {

/// One table as print() and hash() see it.
struct TableView {
  std::string table;                    ///< "train", "user_encoder", "augmenter.summary"
  const ComponentSpec* spec = nullptr;  ///< null for the core's own tables
  Origin use;                           ///< of `use`
  OptionSet* options = nullptr;         ///< owned by Resolved
  Origins origins;                      ///< what is missing here is a default
};

struct Resolved {
  std::map<std::string, std::unique_ptr<OptionSet>> core;
  std::map<std::string, UsedComponent> components;
  std::vector<UsedComponent> augmenters;
  std::vector<std::string> augment;
  Origin augment_origin;
  std::vector<TableView> views;
  std::map<std::string, double> expect;
  Origins expect_origins;
  std::vector<std::pair<std::string, std::vector<std::string>>> sweep;
  std::vector<std::string> notes;
  std::exception_ptr plugin_error;  ///< a component that exists and could not be loaded
};

struct ResolveInput {
  const Layers& layers;
  const std::vector<CoreTable>& tables;
  Catalog& catalog;
  bool demo = false;
  std::string shown;         ///< the recipe's file, for messages about what is missing
  std::string missing_hint;  ///< said of a missing component; empty = the usual
};

/// Finds all problems; what it returns is whole only when there are none.
Resolved resolve(const ResolveInput& input, Problems& problems);

/// Checks [sweep] against the schemas; fills Resolved::sweep. Part of resolve().
void resolve_sweep(const ResolveInput& input, Resolved& resolved, Problems& problems);

/// The schema of a table as the layers have it: a core table's, or the component's that `use` names. Null when there is none.
std::unique_ptr<OptionSet> schema_of(const ResolveInput& input, const std::vector<std::string>& table, const std::string& use);

/// Names in `augment` lists of the layers, their points and their sweep.
std::set<std::string> named_augmenters(const Layers& layers);

}  // namespace oncekit
