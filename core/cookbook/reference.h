// The recipe reference in docs/recipes.md: tables made from the schemas.
#pragma once

#include <string>
#include <vector>

#include "recipe/catalog.h"

namespace oncekit {

/// Markdown for all core tables and all components: keys, what they accept, defaults under each fidelity, demo values, meaning.
std::string recipe_reference(const std::vector<CoreTable>& tables, Catalog& catalog);

/// `page` with all below its marker line replaced by `reference`. Throws Error(kData) when the marker is missing.
std::string with_reference(const std::string& page, const std::string& reference);

}  // namespace oncekit
