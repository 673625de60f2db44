#include "json_line.h"

#include <cstdint>
#include <cstring>

namespace oncekit::goodreads {
namespace json {

const char* skip_space(const char* at, const char* end) noexcept {
  while (at != end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) ++at;
  return at;
}

const char* read_string(const char* at, const char* end, std::string_view& raw) noexcept {
  const char* const begin = ++at;
  while (at < end) {
    const char* quote = static_cast<const char*>(std::memchr(at, '"', static_cast<std::size_t>(end - at)));
    if (!quote) return nullptr;
    const char* back = quote;
    while (back > begin && back[-1] == '\\') --back;
    if ((quote - back) % 2 == 0) {  // an odd number of backslashes would escape the quote
      raw = {begin, static_cast<std::size_t>(quote - begin)};
      return quote + 1;
    }
    at = quote + 1;
  }
  return nullptr;
}

const char* read_value(const char* at, const char* end, JsonValue& value) noexcept {
  if (at == end) return nullptr;
  const char* const begin = at;
  if (*at == '"') {
    value.kind = JsonValue::Kind::kString;
    return read_string(at, end, value.raw);
  }
  if (*at == '[' || *at == '{') {
    value.kind = *at == '[' ? JsonValue::Kind::kArray : JsonValue::Kind::kObject;
    int depth = 0;
    while (at < end) {
      std::string_view ignored;
      if (*at == '"') {
        if (!(at = read_string(at, end, ignored))) return nullptr;
        continue;
      }
      if (*at == '[' || *at == '{') ++depth;
      if ((*at == ']' || *at == '}') && --depth == 0) {
        value.raw = {begin, static_cast<std::size_t>(at + 1 - begin)};
        return at + 1;
      }
      ++at;
    }
    return nullptr;
  }
  while (at < end && *at != ',' && *at != '}' && *at != ']' && *at != ' ' && *at != '\t' && *at != '\r') ++at;
  value.kind = JsonValue::Kind::kScalar;
  value.raw = {begin, static_cast<std::size_t>(at - begin)};
  return value.raw.empty() ? nullptr : at;
}

}  // namespace json

namespace {

constexpr std::uint32_t kReplacement = 0xFFFD;

// Appends a character; runs of white space and control characters become one blank.
void append(std::uint32_t c, std::string& text) {
  if (c <= 0x20 || (c >= 0x7F && c <= 0xA0) || c == 0x2028 || c == 0x2029) {
    if (!text.empty() && text.back() != ' ') text += ' ';
  } else if (c < 0x80) {
    text += static_cast<char>(c);
  } else if (c < 0x800) {
    text += static_cast<char>(0xC0 | c >> 6);
    text += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    text += static_cast<char>(0xE0 | c >> 12);
    text += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    text += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    text += static_cast<char>(0xF0 | c >> 18);
    text += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    text += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    text += static_cast<char>(0x80 | (c & 0x3F));
  }
}

// Four hexadecimal digits at the front, or -1.
std::int32_t hex4(std::string_view text) {
  if (text.size() < 4) return -1;
  std::int32_t value = 0;
  for (const char c : text.substr(0, 4)) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

// The escape at the front of `raw` ("\..."), taken off it.
std::uint32_t escape(std::string_view& raw) {
  const char kind = raw.size() > 1 ? raw[1] : '\\';
  if (kind != 'u') {
    raw.remove_prefix(raw.size() > 1 ? 2 : 1);
    switch (kind) {
      case 'n': case 'r': case 't': case 'b': case 'f': return ' ';
      default: return static_cast<unsigned char>(kind) < 0x80 ? static_cast<unsigned char>(kind) : kReplacement;
    }
  }
  const std::int32_t first = hex4(raw.substr(2));
  raw.remove_prefix(first < 0 ? 2 : 6);
  if (first < 0) return kReplacement;
  if (first < 0xD800 || first > 0xDFFF) return static_cast<std::uint32_t>(first);
  if (first > 0xDBFF || !raw.starts_with("\\u")) return kReplacement;
  const std::int32_t second = hex4(raw.substr(2));
  if (second < 0xDC00 || second > 0xDFFF) return kReplacement;
  raw.remove_prefix(6);
  return 0x10000u + (static_cast<std::uint32_t>(first - 0xD800) << 10) + static_cast<std::uint32_t>(second - 0xDC00);
}

// The UTF-8 character at the front of `raw`, taken off it; a byte that begins none counts as U+FFFD.
std::uint32_t character(std::string_view& raw) {
  const auto byte = [&](std::size_t i) -> std::uint32_t { return i < raw.size() ? static_cast<unsigned char>(raw[i]) : 0u; };
  const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0u) == 0x80u; };
  std::uint32_t c = byte(0);
  std::size_t n = 1;
  if (c >= 0x80) {
    if (c >= 0xC2 && c <= 0xDF && tail(1)) {
      n = 2;
      c = (c & 0x1F) << 6 | (byte(1) & 0x3F);
    } else if (c >= 0xE0 && c <= 0xEF && tail(1) && tail(2)) {
      n = 3;
      c = (c & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    } else if (c >= 0xF0 && c <= 0xF4 && tail(1) && tail(2) && tail(3)) {
      n = 4;
      c = (c & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
    } else {
      c = kReplacement;
    }
    // Overlong forms, surrogates, beyond Unicode: one byte at a time.
    if ((n == 3 && (c < 0x800 || (c >= 0xD800 && c <= 0xDFFF))) || (n == 4 && (c < 0x10000 || c > 0x10FFFF))) {
      n = 1;
      c = kReplacement;
    }
  }
  raw.remove_prefix(n);
  return c;
}

}  // namespace

void clean_text(std::string_view raw, std::string& text) {
  text.clear();
  while (!raw.empty()) append(raw[0] == '\\' ? escape(raw) : character(raw), text);
  if (text.ends_with(' ')) text.pop_back();
}

}  // namespace oncekit::goodreads
