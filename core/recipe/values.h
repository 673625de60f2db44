// From what is written to what an option holds: types, ranges, choices, unknown keys.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "toml/node.h"

namespace oncekit {

using Origins = std::map<std::string, Origin>;  ///< by dotted key inside a table

/// What an option accepts, in words: "a whole number, 1 to 64".
std::string expected(const Field& field);

/// The value `node` means for `field`; nothing, and a problem, when it cannot be one. `table`: for messages, e.g. "train".
std::optional<OptionValue> read_option(const Field& field, const Node& node, const std::string& table, Problems& problems);

/// Sets the defaults of a fidelity ("paper", "released"); leaves the rest.
void apply_fidelity(Fields& fields, const std::string& fidelity, Origins& origins, const std::string& prefix = {});

/// Fills the fields from a table as written; `unknown` is asked for a hint about a key that is no field.
void apply_table(Fields& fields, const Node& written, const std::string& table,
                 const std::function<std::string(const std::string& key)>& unknown, Origins& origins, Problems& problems,
                 const std::string& prefix = {});

/// Puts demo values in the place of any other; says which overrides that leaves without effect.
void apply_demo(Fields& fields, Origins& origins, std::vector<std::string>& notes, const std::string& prefix = {});

/// Calls visit(dotted key, field) for every field that is no sub-table, in the order of declaration.
void each_field(const Fields& fields, const std::function<void(const std::string&, const Field&)>& visit,
                const std::string& prefix = {});

/// The field under a dotted key, or null.
const Field* find_field(const Fields& fields, const std::string& dotted);

}  // namespace oncekit
