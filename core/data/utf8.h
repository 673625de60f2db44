// Text that claims to be UTF-8.
#pragma once

#include <string>
#include <string_view>

namespace oncekit {

/// Whether all bytes are below 128.
bool is_ascii(std::string_view text) noexcept;
/// Well-formed by Unicode's table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text) noexcept;
/// Every byte that belongs to no well-formed character becomes U+FFFD.
std::string mend_utf8(std::string_view text);
/// Number of characters, for widths of tables. REQUIRES: well-formed.
std::size_t utf8_length(std::string_view text) noexcept;

}  // namespace oncekit
