// The kinds of components, and how a component is written: KIND/NAME.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace oncekit {

/// In the order of the data's way.
const std::vector<std::string>& component_kinds();
/// KIND one of component_kinds(), NAME of small letters, digits and _.
bool is_component_name(std::string_view text);
/// Small letters, digits and _, beginning with a letter.
bool is_plain_name(std::string_view text);

}  // namespace oncekit
