// Regular expressions over UTF-8 with Unicode's properties (PCRE2), as tokenizer.json files write them for Oniguruma.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "pretokenizer/json_view.h"

namespace oncekit {

/// Thread-safe once made; copies share the compiled expression.
class Pattern {
 public:
  /// Throws Error(kData) with the reason and the place in the expression; the caller adds the file.
  explicit Pattern(const std::string& expression);
  /// A literal text.
  static Pattern literal(const std::string& text);

  /// Calls use(begin, end) for each match from left to right, none empty, none overlapping. REQUIRES: well-formed UTF-8.
  void for_each_match(std::string_view text, const std::function<void(std::size_t, std::size_t)>& use) const;

 private:
  Pattern() = default;
  std::string literal_;
  std::shared_ptr<const void> code_;  // pcre2_code
};

/// The "pattern" of a component: {"String": ...} or {"Regex": ...}. Throws Error(kData) naming the place.
Pattern read_pattern(const JsonView& component);

}  // namespace oncekit
