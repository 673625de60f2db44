#include "plugin/kinds.h"

#include <algorithm>

namespace oncekit {

const std::vector<std::string>& component_kinds() {
  static const std::vector<std::string> kinds = {"dataset", "augmenter", "content_encoder", "user_encoder", "interaction"};
  return kinds;
}

bool is_component_name(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return false;
  const auto& kinds = component_kinds();
  if (std::find(kinds.begin(), kinds.end(), text.substr(0, slash)) == kinds.end()) return false;
  const std::string_view name = text.substr(slash + 1);
  return !name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string_view::npos;
}

bool is_plain_name(std::string_view text) {
  return !text.empty() && text[0] >= 'a' && text[0] <= 'z' &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string_view::npos;
}

}  // namespace oncekit
