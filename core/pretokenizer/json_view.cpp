#include "pretokenizer/json_view.h"

#include "base/files.h"
#include "oncekit/error.h"

namespace oncekit {

void JsonView::refuse(const std::string& message, const std::string& hint) const {
  throw Error(ErrorKind::kData, (place_.empty() ? std::string() : place_ + ": ") + message, hint, file_->string());
}

void JsonView::wrong_type(const char* expected) const {
  const char* article = value_->is_null() ? "" : value_->is_array() || value_->is_object() ? "an " : "a ";
  refuse(std::string("is ") + article + value_->type_name() + " where " + expected + " is expected",
         "the file is damaged or of another program: fetch it again");
}

bool JsonView::has(const std::string& key) const {
  if (!value_->is_object()) wrong_type("an object");
  const auto found = value_->find(key);
  return found != value_->end() && !found->is_null();
}

JsonView JsonView::at(const std::string& key) const {
  if (!has(key)) refuse("has no '" + key + "'", "the file is damaged or of another program: fetch it again");
  return JsonView(*value_->find(key), *file_, place_.empty() ? key : place_ + "." + key);
}

JsonView JsonView::at(std::size_t i) const { return JsonView((*value_)[i], *file_, place_ + "[" + std::to_string(i) + "]"); }

std::size_t JsonView::size() const {
  if (!value_->is_array()) wrong_type("an array");
  return value_->size();
}

const std::string& JsonView::text() const {
  if (!value_->is_string()) wrong_type("a string");
  return value_->get_ref<const std::string&>();
}

std::int64_t JsonView::integer() const {
  if (!value_->is_number_integer()) wrong_type("an integer");
  return value_->get<std::int64_t>();
}

bool JsonView::flag(const std::string& key, bool absent) const {
  if (!has(key)) return absent;
  const JsonView value = at(key);
  if (!value.value_->is_boolean()) value.wrong_type("true or false");
  return value.value_->get<bool>();
}

std::string JsonView::text(const std::string& key, const std::string& absent) const {
  return has(key) ? at(key).text() : absent;
}

nlohmann::json parse_json(const std::filesystem::path& file) {
  const std::string content = read_file(file);
  try {
    return nlohmann::json::parse(content);
  } catch (const nlohmann::json::parse_error& e) {
    const std::string size = std::to_string(content.size());
    const std::string what = content.empty() ? "is empty where JSON is expected"
                             : e.byte > content.size()
                                 ? "ends after " + size + " bytes, before its JSON does"
                                 : "is not JSON from byte " + std::to_string(e.byte) + " of " + size + " on";
    throw Error(ErrorKind::kData, what, "the file is damaged or was cut short: fetch it again", file.string());
  } catch (const nlohmann::json::exception&) {
    throw Error(ErrorKind::kData, "is no JSON that can be read: it holds a number beyond all range", "the file is damaged: fetch it again", file.string());
  }
}

}  // namespace oncekit
