// Classes of characters and loops over UTF-8, as Hugging Face's tokenizers draw them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <unicode/uchar.h>
#include <unicode/utf8.h>

namespace oncekit {

/// The character at `at`, which moves behind it. REQUIRES: well-formed UTF-8, at < text.size().
inline char32_t next_char(std::string_view text, std::size_t& at) {
  char32_t c = 0;
  U8_NEXT_UNSAFE(text.data(), at, c);
  return c;
}

inline void append_char(std::string& text, char32_t c) {
  char bytes[4];
  int n = 0;
  U8_APPEND_UNSAFE(bytes, n, c);
  text.append(bytes, static_cast<std::size_t>(n));
}

inline bool is_space(char32_t c) {
  return c < 128 ? c == ' ' || (c >= 9 && c <= 13) : u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_WHITE_SPACE) != 0;
}
inline bool is_numeric(char32_t c) {
  return c < 128 ? c >= '0' && c <= '9' : (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_N_MASK) != 0;
}
/// Whether the category of c is one of `mask`, and c in Unicode since `version`: the tables that the tokenizers library carries
/// for the functions below are old ones.
inline bool is_old(char32_t c, std::uint32_t mask, int version = 8) {
  if ((U_GET_GC_MASK(static_cast<UChar32>(c)) & mask) == 0) return false;
  UVersionInfo since;
  u_charAge(static_cast<UChar32>(c), since);
  return since[0] <= version;
}
inline bool is_mark(char32_t c) { return c >= 128 && is_old(c, U_GC_M_MASK, 9); }
/// U+1734 was one then, the other four were not.
inline bool is_nonspacing(char32_t c) {
  return c >= 128 && (c == 0x1734 || (is_old(c, U_GC_MN_MASK) && c != 0x1885 && c != 0x1886 && c != 0xA9BD && c != 0x111C9));
}
/// ASCII's symbols ($+<=>^`|~) count as punctuation.
inline bool is_punctuation(char32_t c) {
  if (c < 128) return c > 32 && c < 127 && !u_isalnum(static_cast<UChar32>(c));
  return is_old(c, U_GC_P_MASK) || c == 0x166D || c == 0x111C9;  // those two then
}

}  // namespace oncekit
