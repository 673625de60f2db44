// A resolved recipe as text: TOML that resolves to the same, TOML with origins, JSON, and its hash.
#pragma once

#include <string>

#include "recipe/resolve.h"

namespace oncekit {

std::string print_resolved(const Resolved& recipe, const std::string& shown);
std::string print_origins(const Resolved& recipe, const std::string& shown, const std::string& hash, bool demo);
std::string print_json(const Resolved& recipe);
std::string hash_of(const Resolved& recipe);

/// "default", "fidelity paper", "base file", "recipe", "point", "override", "demo".
std::string origin_name(const Origin& origin);

}  // namespace oncekit
