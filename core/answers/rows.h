// Rows of the store: how an answer becomes columns, a digest, and a line of JSON, and back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "answers/store.h"

namespace oncekit {

class Statement;

/// "accepted", "repaired", "rejected", "refused", "gave_up": in the file, in exports, and as `answers ls` shows them.
const std::vector<std::string>& answer_states();
const std::string& state_name(StoredAnswer::State state);
std::optional<StoredAnswer::State> state_of(std::string_view name);

constexpr std::string_view kImport = "import: ";  ///< how the source of an import begins
bool is_import(const StoredAnswer& answer);

/// USD as whole millionths of millionths: sums are exact, whatever their order. At most 4,000 USD either way, which a double still holds exactly.
std::int64_t picodollars(double usd);
double dollars(std::int64_t picodollars);

/// Columns in the order of bind_answer() and read_answer(); `digest` comes behind them.
constexpr const char* kAnswerColumns =
    "request, draw, attempt, task, key, model, source, state, reason, prompt_tokens, completion_tokens, usage_reported, picodollars, seconds, at, "
    "seen, parsed, raw, body";
constexpr int kAnswerColumnCount = 19;

void bind_answer(Statement& statement, const StoredAnswer& answer);
/// Throws Error(kData), without a place, for a state or a list `seen` that cannot be read.
StoredAnswer read_answer(const Statement& statement);

/// XXH3 (64 bits) of all columns, with their lengths.
std::int64_t answer_digest(const StoredAnswer& answer);
std::int64_t billed_digest(const PossiblyBilled& billed);

/// One object, keys in a fixed order; `raw_base64` only when `raw` is not UTF-8 (which is then mended). docs/formats.md.
nlohmann::ordered_json answer_json(const StoredAnswer& answer);
/// Throws Error(kData), without a place, that names the key which is missing or wrong.
StoredAnswer answer_from_json(const nlohmann::ordered_json& json);
/// Compact JSON; bytes that are not UTF-8 become U+FFFD.
std::string compact(const nlohmann::ordered_json& json);

}  // namespace oncekit
