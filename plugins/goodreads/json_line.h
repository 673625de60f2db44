// One JSON object a line, read without building it: the scanner walks over keys and values and hands out views. What is inside a
// value that nobody asks for is passed over with memchr; a line that is cut off, or goes on behind its object, is malformed.
#pragma once

#include <string>
#include <string_view>

namespace oncekit::goodreads {

/// A value as it stands in the line. Valid as long as the line.
struct JsonValue {
  enum class Kind { kString, kScalar, kArray, kObject } kind = Kind::kScalar;
  std::string_view raw;  ///< strings without their quotes, escapes as they are; arrays and objects with their brackets
};

namespace json {

/// Each returns where it ended, or nullptr when the text ends or breaks off before the value does.
const char* skip_space(const char* at, const char* end) noexcept;
const char* read_string(const char* at, const char* end, std::string_view& raw) noexcept;  ///< `at` is on the opening quote
const char* read_value(const char* at, const char* end, JsonValue& value) noexcept;

}  // namespace json

/// Calls field(key, value) for each member of the object. Keys are raw. Returns nullptr, or what is wrong. Thread-safe.
template <class Field>
const char* scan_object(std::string_view line, const Field& field) {
  const char* const end = line.data() + line.size();
  const char* at = json::skip_space(line.data(), end);
  if (at == end || *at != '{') return "expected a JSON object, one a line";
  at = json::skip_space(at + 1, end);
  if (at != end && *at == '}') return json::skip_space(at + 1, end) == end ? nullptr : "the line goes on behind its JSON object";
  for (;;) {
    std::string_view key;
    JsonValue value;
    if (at == end || *at != '"' || !(at = json::read_string(at, end, key))) return "expected a name in quotes, or the line is cut off";
    at = json::skip_space(at, end);
    if (at == end || *at != ':') return "expected ':' behind a name, or the line is cut off";
    if (!(at = json::read_value(json::skip_space(at + 1, end), end, value))) return "expected a value, or the line is cut off";
    field(key, value);
    at = json::skip_space(at, end);
    if (at == end) return "the line is cut off";
    if (*at == '}') return json::skip_space(at + 1, end) == end ? nullptr : "the line goes on behind its JSON object";
    if (*at != ',') return "expected ',' or '}' behind a value";
    at = json::skip_space(at + 1, end);
  }
}

/// Calls element(value) for each element of an array's raw text; stops where it is malformed.
template <class Element>
void scan_array(std::string_view raw, const Element& element) {
  const char* const end = raw.data() + raw.size();
  const char* at = raw.data();
  if (at == end || *at != '[') return;
  at = json::skip_space(at + 1, end);
  while (at && at != end && *at != ']') {
    JsonValue value;
    if (!(at = json::read_value(at, end, value))) return;
    element(value);
    at = json::skip_space(at, end);
    if (at != end && *at == ',') at = json::skip_space(at + 1, end);
  }
}

/// A raw string as text: escapes resolved (surrogate pairs joined; half a pair becomes U+FFFD), bytes that are not UTF-8 become
/// U+FFFD, white space and control characters become one blank each run, none at either end. `text` is replaced.
void clean_text(std::string_view raw, std::string& text);

}  // namespace oncekit::goodreads
