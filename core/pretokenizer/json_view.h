// A value of a JSON file that knows where it stands: whoever reads it gets the right type, or an error that names the place.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

namespace oncekit {

/// REQUIRES: the JSON and the path outlive the view. All methods throw Error(kData) naming file and place.
class JsonView {
 public:
  JsonView(const nlohmann::json& value, const std::filesystem::path& file, std::string place = {})
      : value_(&value), file_(&file), place_(std::move(place)) {}

  const nlohmann::json& json() const noexcept { return *value_; }
  const std::filesystem::path& file() const noexcept { return *file_; }
  const std::string& place() const noexcept { return place_; }

  bool has(const std::string& key) const;     ///< present and not null
  JsonView at(const std::string& key) const;  ///< must be present
  JsonView at(std::size_t i) const;           ///< element of an array; REQUIRES: i < size()
  std::size_t size() const;                   ///< of an array
  const std::string& text() const;
  std::int64_t integer() const;
  bool flag(const std::string& key, bool absent) const;
  std::string text(const std::string& key, const std::string& absent) const;

  /// "tokenizer.json: model.vocab: MESSAGE".
  [[noreturn]] void refuse(const std::string& message, const std::string& hint = {}) const;

 private:
  [[noreturn]] void wrong_type(const char* expected) const;
  const nlohmann::json* value_;
  const std::filesystem::path* file_;
  std::string place_;
};

/// The parsed file. Throws Error(kData) with the byte where it ceases to be JSON.
nlohmann::json parse_json(const std::filesystem::path& file);

}  // namespace oncekit
