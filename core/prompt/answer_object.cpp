// JSON as language models write it. An answer that is JSON is read as such; else the text is mended, character by character, into what
// nlohmann's strict parser takes or refuses: nothing is guessed about values.
#include <algorithm>
#include <initializer_list>

#include <nlohmann/json.hpp>

#include "data/utf8.h"
#include "oncekit/prompt.h"

namespace oncekit {
namespace {

using View = std::string_view;
using nlohmann::json;

constexpr std::size_t kDeepest = 16;  // brackets within brackets
constexpr int kTries = 8;             // opening braces tried, when an earlier one opens no object

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

class Mender {
 public:
  explicit Mender(View text) : text_(text) {}

  // Text of the object that begins at the front; nothing when it cannot be one.
  std::optional<std::string> run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (is_blank(c)) ++at_;
      else if (text_.substr(at_).starts_with("\xc2\xa0")) at_ += 2;
      else if (c == '{' || c == '[') {
        if (open_.size() >= kDeepest) return std::nullopt;
        before_value();
        out_ += c;
        open_.push_back(c);
        last_ = c;
        ++at_;
        keep();
      } else if (c == '}' || c == ']') {
        if (!close(c)) return std::nullopt;
        ++at_;
        if (open_.empty()) return out_;
      } else if (c == ',') {
        if (last_ == 'v') out_ += ',', last_ = ',';  // a second comma, or one behind a bracket, is dropped
        ++at_;
      } else if (c == ':') {
        if (last_ != 'k') return std::nullopt;
        out_ += ':';
        last_ = ':';
        ++at_;
      } else if (const std::size_t mark = quote_at(at_)) {
        if (!string(mark)) break;
      } else if (!word()) {
        return std::nullopt;
      }
    }
    // Cut off: what was whole counts, what was not is dropped.
    out_.resize(kept_);
    for (auto bracket = kept_open_.rbegin(); bracket != kept_open_.rend(); ++bracket) out_ += *bracket == '{' ? '}' : ']';
    return out_;
  }

 private:
  // Whatever a string may be opened with: its length in bytes, or 0.
  std::size_t quote_at(std::size_t at) const {
    if (at >= text_.size()) return 0;
    if (text_[at] == '"' || text_[at] == '\'') return 1;
    for (const View mark : {"\xe2\x80\x9c", "\xe2\x80\x9d", "\xe2\x80\x9e", "\xe2\x80\x98", "\xe2\x80\x99", "\xc2\xab", "\xc2\xbb"})
      if (text_.substr(at).starts_with(mark)) return mark.size();
    return 0;
  }
  bool in_object() const { return !open_.empty() && open_.back() == '{'; }
  bool wants_key() const { return in_object() && last_ != ':'; }

  void before_value() {
    if (last_ == 'v') out_ += ',';  // forgotten
  }
  void keep() {
    kept_ = out_.size();
    kept_open_ = open_;
  }
  void value_done() {
    last_ = 'v';
    keep();
  }

  bool close(char bracket) {
    const char opener = bracket == '}' ? '{' : '[';
    if (std::find(open_.begin(), open_.end(), opener) == open_.end()) return last_ != 'k' && last_ != ':';  // one too many
    if (last_ == 'k' || last_ == ':') return false;
    while (true) {
      if (last_ == ',') out_.pop_back();
      const char top = open_.back();
      out_ += top == '{' ? '}' : ']';
      open_.pop_back();
      last_ = 'v';
      if (top == opener) break;
    }
    value_done();
    return true;
  }

  // Whether a quotation mark that ends at `behind` ends its string: what follows would follow a string. A straight one before a line
  // break does too (a forgotten comma).
  bool ends_string(std::size_t behind) const {
    std::size_t next = behind;
    while (next < text_.size() && is_blank(text_[next])) ++next;
    if (next >= text_.size()) return true;
    if (View(",:}]").find(text_[next]) != View::npos) return true;
    return quote_at(next) > 0 && text_.substr(behind, next - behind).find('\n') != View::npos;
  }

  // False when the text ends within it.
  bool string(std::size_t mark) {
    const bool key = wants_key(), straight = text_[at_] == '"', single = text_[at_] == '\'';
    std::string value;
    std::size_t at = at_ + mark;
    for (;; ) {
      if (at >= text_.size()) return false;
      const char c = text_[at];
      if (c == '\\') {
        if (at + 1 >= text_.size()) return false;
        const char next = text_[at + 1];
        // \' and other escapes that JSON does not know: the character itself.
        if (View("\"\\/bfnrtu").find(next) != View::npos) value.append({c, next});
        else value += next;
        at += 2;
        continue;
      }
      const std::size_t closing = straight ? std::size_t{c == '"'} : single ? std::size_t{c == '\''} : c == '\'' ? 0 : quote_at(at);
      if (closing > 0 && ends_string(at + closing)) {
        at += closing;
        break;
      }
      if (c == '"') value += "\\\"";
      else if (c == '\n') value += "\\n";
      else if (static_cast<unsigned char>(c) < 0x20) value += ' ';
      else value += c;
      ++at;
    }
    at_ = at;
    before_value();
    out_ += '"' + value + '"';
    if (key) last_ = 'k';
    else value_done();
    return true;
  }

  // true, null, a number, or a key without quotes.
  bool word() {
    std::size_t end = at_;
    while (end < text_.size() && !is_blank(text_[end]) && View(",:{}[]\"").find(text_[end]) == View::npos) ++end;
    std::string found(text_.substr(at_, end - at_));
    if (found.empty()) return false;
    const bool key = wants_key();
    if (key) {
      if (!std::all_of(found.begin(), found.end(), [](char c) { return c == '_' || c == '-' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); })) return false;
      found = '"' + found + '"';
    } else if (found == "None" || found == "NaN" || found == "undefined") {
      found = "null";
    } else if (found == "True" || found == "False") {
      found[0] = static_cast<char>(found[0] + 32);
    } else if (!json::accept(found)) {
      return false;
    }
    at_ = end;
    before_value();
    out_ += found;
    if (key) last_ = 'k';
    else if (at_ < text_.size() || found == "true" || found == "false" || found == "null") value_done();
    return true;
  }

  View text_;
  std::size_t at_ = 0, kept_ = 0;
  std::string out_;
  std::vector<char> open_, kept_open_;
  char last_ = 0;  // the last thing written: a bracket, ',', ':', 'k' a key, 'v' a value
};

std::string text_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "";
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::size_t depth(View text) {
  std::size_t now = 0, most = 0;
  for (const char c : text) {
    if (c == '{' || c == '[') most = std::max(most, ++now);
    else if ((c == '}' || c == ']') && now > 0) --now;
  }
  return most;
}

std::optional<FoundObject> fields_of(const json& object, bool repaired) {
  const json* found = &object;
  // {"news": {"title": ...}}
  if (found->size() == 1 && found->begin()->is_object()) {
    found = &*found->begin();
    repaired = true;
  }
  FoundObject out;
  out.repaired = repaired;
  for (const auto& [key, value] : found->items()) {
    const std::string name = lower_case(one_line(key));
    out.repaired |= name != key;
    std::vector<std::string>& texts = out.fields[name];
    texts.clear();
    if (!value.is_array()) {
      if (!value.is_null()) texts.push_back(text_of(value));
      continue;
    }
    for (const json& element : value)
      if (!element.is_null()) texts.push_back(text_of(element));
  }
  return out;
}

}  // namespace

std::optional<FoundObject> find_object(std::string_view answer) {
  std::string mended;
  if (!is_utf8(answer)) answer = mended = mend_utf8(answer);
  if (depth(answer) <= kDeepest) {
    const json whole = json::parse(answer, nullptr, false);
    if (whole.is_object()) return fields_of(whole, !mended.empty());
  }
  int tries = 0;
  for (std::size_t at = answer.find('{'); at != View::npos && tries < kTries; at = answer.find('{', at + 1), ++tries) {
    const auto text = Mender(answer.substr(at)).run();
    if (!text) continue;
    const json object = json::parse(*text, nullptr, false);
    if (object.is_object()) return fields_of(object, true);
  }
  return std::nullopt;
}

}  // namespace oncekit
