// CacheKey: all that goes into a cached result, as text.
#include <cstdio>

#include "base/files.h"
#include "cache/digest.h"
#include "oncekit/workspace.h"

namespace oncekit {
namespace {

// One entry stays one line, whatever it holds.
void append_escaped(std::string& text, std::string_view value) {
  for (const char c : value) {
    if (c == '\\') text += "\\\\";
    else if (c == '\n') text += "\\n";
    else if (c == '\r') text += "\\r";
    else text += c;
  }
}

}  // namespace

CacheKey::CacheKey(std::string kind, int version) : kind_(std::move(kind)) {
  add("kind", kind_);
  add("version", static_cast<std::int64_t>(version));
}

CacheKey& CacheKey::add(std::string_view name, std::string_view value) {
  append_escaped(text_, name);
  text_ += " = ";
  append_escaped(text_, value);
  text_ += '\n';
  return *this;
}

CacheKey& CacheKey::add(std::string_view name, std::int64_t value) { return add(name, std::string_view(std::to_string(value))); }

CacheKey& CacheKey::add(std::string_view name, double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return add(name, std::string_view(text));
}

CacheKey& CacheKey::add_file(std::string_view name, const std::filesystem::path& file) {
  return add(name, std::string_view("file " + file_digest(file)));
}

std::string CacheKey::hash() const { return digest(text_); }

}  // namespace oncekit
