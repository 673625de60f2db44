#include "answers/rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "answers/database.h"
#include "data/utf8.h"
#include "oncekit/error.h"

namespace oncekit {
namespace {

using Json = nlohmann::ordered_json;

std::optional<std::string> seen_text(const StoredAnswer& answer) {
  if (!answer.seen) return std::nullopt;
  return compact(Json(*answer.seen));
}

// Fields one behind the other, each with its length: no two rows make the same bytes.
class Bytes {
 public:
  Bytes& add(std::string_view text) {
    add(static_cast<std::int64_t>(text.size()));
    bytes_.append(text);
    return *this;
  }
  Bytes& add(std::int64_t value) {
    char buffer[sizeof value];
    std::memcpy(buffer, &value, sizeof value);
    bytes_.append(buffer, sizeof value);
    return *this;
  }
  std::int64_t digest() const { return static_cast<std::int64_t>(XXH3_64bits(bytes_.data(), bytes_.size())); }

 private:
  std::string bytes_;
};

std::string to_base64(std::string_view bytes) {
  static const char* kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t three = 0;
    for (std::size_t k = 0; k < 3; ++k) three = three << 8 | (k < n ? static_cast<std::uint8_t>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) text += k <= n ? kDigits[three >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string bytes;
  std::uint32_t bits = 0;
  int held = 0;
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  for (const char c : text) {
    const int digit = c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= '0' && c <= '9' ? c - '0' + 52 : c == '+' ? 62 : c == '/' ? 63 : -1;
    if (digit < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    if ((held += 6) >= 8) bytes += static_cast<char>(bits >> (held -= 8) & 255);
  }
  return bytes;
}

}  // namespace

const std::vector<std::string>& answer_states() {
  static const std::vector<std::string> names{"accepted", "repaired", "rejected", "refused", "gave_up"};
  return names;
}

const std::string& state_name(StoredAnswer::State state) { return answer_states()[static_cast<std::size_t>(state)]; }

std::optional<StoredAnswer::State> state_of(std::string_view name) {
  const auto& names = answer_states();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<StoredAnswer::State>(found - names.begin());
}

bool is_import(const StoredAnswer& answer) { return answer.source.starts_with(kImport); }

std::int64_t picodollars(double usd) {
  if (std::isnan(usd)) return 0;
  return std::llround(std::clamp(usd, -4000.0, 4000.0) * 1e12);
}

double dollars(std::int64_t picodollars) { return static_cast<double>(picodollars) / 1e12; }

std::string compact(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

void bind_answer(Statement& statement, const StoredAnswer& a) {
  statement.bind(a.request).bind(a.draw).bind(a.attempt).bind(a.task).bind(a.key).bind(a.model).bind(a.source).bind(state_name(a.state)).bind(a.reason);
  statement.bind(a.prompt_tokens).bind(a.completion_tokens).bind(std::int64_t{a.usage_reported}).bind(picodollars(a.cost)).bind(a.seconds).bind(a.at);
  if (const auto seen = seen_text(a)) statement.bind(*seen);
  else statement.bind_null();
  statement.bind(a.parsed).bind(a.raw).bind(a.body);
}

StoredAnswer read_answer(const Statement& row) {
  StoredAnswer a;
  a.request = row.text(0);
  a.draw = row.integer(1);
  a.attempt = row.integer(2);
  a.task = row.text(3);
  a.key = row.text(4);
  a.model = row.text(5);
  a.source = row.text(6);
  const auto state = state_of(row.text(7));
  if (!state) throw Error(ErrorKind::kData, "the state '" + mend_utf8(row.text(7)) + "' of the answer about '" + a.key + "' is none");
  a.state = *state;
  a.reason = row.text(8);
  a.prompt_tokens = row.integer(9);
  a.completion_tokens = row.integer(10);
  a.usage_reported = row.integer(11) != 0;
  a.cost = dollars(row.integer(12));
  a.seconds = row.real(13);
  a.at = row.integer(14);
  if (!row.is_null(15)) {
    // The leak guard goes by this list: what cannot be read is no empty list.
    const Json seen = Json::parse(row.text(15), nullptr, false);
    if (!seen.is_array() || !std::all_of(seen.begin(), seen.end(), [](const Json& id) { return id.is_string(); }))
      throw Error(ErrorKind::kData, "the list of clicks seen by the answer about '" + a.key + "' cannot be read");
    a.seen = seen.get<std::vector<std::string>>();
  }
  a.parsed = row.text(16);
  a.raw = row.text(17);
  a.body = row.text(18);
  return a;
}

std::int64_t answer_digest(const StoredAnswer& a) {
  Bytes bytes;
  bytes.add(a.request).add(a.draw).add(a.attempt).add(a.task).add(a.key).add(a.model).add(a.source).add(state_name(a.state)).add(a.reason);
  std::int64_t seconds = 0;
  std::memcpy(&seconds, &a.seconds, sizeof seconds);
  bytes.add(a.prompt_tokens).add(a.completion_tokens).add(std::int64_t{a.usage_reported}).add(picodollars(a.cost)).add(seconds).add(a.at);
  const auto seen = seen_text(a);
  return bytes.add(std::int64_t{seen.has_value()}).add(seen.value_or("")).add(a.parsed).add(a.raw).add(a.body).digest();
}

std::int64_t billed_digest(const PossiblyBilled& b) {
  return Bytes().add(b.request).add(b.draw).add(b.attempt).add(b.task).add(b.key).add(b.why).add(picodollars(b.price)).add(b.at).digest();
}

Json answer_json(const StoredAnswer& a) {
  Json json{{"request", a.request}, {"draw", a.draw}, {"attempt", a.attempt}, {"task", a.task}, {"key", a.key}, {"model", a.model}, {"source", a.source},
            {"state", state_name(a.state)}, {"reason", a.reason}, {"prompt_tokens", a.prompt_tokens}, {"completion_tokens", a.completion_tokens},
            {"usage_reported", a.usage_reported}, {"cost", a.cost}, {"seconds", a.seconds}, {"at", a.at}, {"seen", nullptr}, {"parsed", a.parsed}};
  if (a.seen) json["seen"] = *a.seen;
  // As an object where that loses nothing.
  if (const Json parsed = Json::parse(a.parsed, nullptr, false); parsed.is_object() && compact(parsed) == a.parsed) json["parsed"] = parsed;
  json["raw"] = mend_utf8(a.raw);
  if (!is_utf8(a.raw)) json["raw_base64"] = to_base64(a.raw);
  json["body"] = a.body;
  return json;
}

StoredAnswer answer_from_json(const Json& json) {
  if (!json.is_object()) throw Error(ErrorKind::kData, "not a JSON object");
  const auto at = [&](const char* key) -> const Json& {
    const auto found = json.find(key);
    if (found == json.end()) throw Error(ErrorKind::kData, "no key '" + std::string(key) + "'");
    return *found;
  };
  const auto wrong = [](const char* key, const char* expected) { return Error(ErrorKind::kData, "'" + std::string(key) + "' should be " + expected); };
  const auto text = [&](const char* key) {
    if (!at(key).is_string()) throw wrong(key, "a text");
    return at(key).get<std::string>();
  };
  const auto count = [&](const char* key) {
    const Json& value = at(key);
    if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX) || value.get<std::int64_t>() < 0)
      throw wrong(key, "a whole number, 0 or more");
    return value.get<std::int64_t>();
  };
  const auto amount = [&](const char* key) {
    if (!at(key).is_number() || at(key).get<double>() < 0) throw wrong(key, "a number, 0 or more");
    return at(key).get<double>();
  };
  StoredAnswer a;
  a.request = text("request");
  a.draw = count("draw");
  a.attempt = count("attempt");
  a.task = text("task");
  a.key = text("key");
  a.model = text("model");
  a.source = text("source");
  const auto state = state_of(text("state"));
  if (!state) throw Error(ErrorKind::kData, "'state' should be accepted, repaired, rejected, refused or gave_up, not '" + text("state") + "'");
  a.state = *state;
  a.reason = text("reason");
  a.prompt_tokens = count("prompt_tokens");
  a.completion_tokens = count("completion_tokens");
  if (!at("usage_reported").is_boolean()) throw wrong("usage_reported", "true or false");
  a.usage_reported = at("usage_reported").get<bool>();
  a.cost = amount("cost");
  a.seconds = amount("seconds");
  a.at = count("at");
  if (const Json& seen = at("seen"); !seen.is_null()) {
    if (!seen.is_array() || !std::all_of(seen.begin(), seen.end(), [](const Json& id) { return id.is_string(); }))
      throw wrong("seen", "a list of ids, or null");
    a.seen = seen.get<std::vector<std::string>>();
  }
  const Json& parsed = at("parsed");
  if (!parsed.is_object() && !parsed.is_string()) throw wrong("parsed", "an object, or a text");
  a.parsed = parsed.is_object() ? compact(parsed) : parsed.get<std::string>();
  a.raw = text("raw");
  if (json.contains("raw_base64")) {
    const auto bytes = from_base64(text("raw_base64"));
    if (!bytes) throw wrong("raw_base64", "base64");
    a.raw = *bytes;
  }
  a.body = text("body");
  return a;
}

}  // namespace oncekit
