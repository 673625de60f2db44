#include "tokenizer/token_table.h"

#include <algorithm>

namespace oncekit {

bool TokenTable::add(const std::string& token, std::int32_t id) {
  const auto at = static_cast<std::size_t>(id);
  if (at >= tokens_.size()) {
    tokens_.resize(at + 1);
    used_.resize(at + 1);
  }
  if (used_[at] && tokens_[at] != token) return false;
  tokens_[at] = token;
  used_[at] = true;
  ids_.insert_or_assign(token, id);
  return true;
}

std::int32_t TokenTable::find(std::string_view token) const noexcept {
  const auto known = ids_.find(token);
  return known == ids_.end() ? -1 : known->second;
}

const std::string& TokenTable::token(std::int32_t id) const {
  static const std::string none;
  return id < 0 || id >= size() ? none : tokens_[static_cast<std::size_t>(id)];
}

std::int64_t TokenTable::first_gap() const noexcept {
  const auto gap = std::find(used_.begin(), used_.end(), false);
  return gap == used_.end() ? -1 : gap - used_.begin();
}

TokenTable read_vocabulary(const JsonView& vocab) {
  if (!vocab.json().is_object())
    vocab.refuse("is not a table of tokens and ids", "the file is damaged or of another program: fetch it again");
  TokenTable tokens;
  for (const auto& [token, id] : vocab.json().items()) {
    const bool integer = id.is_number_integer();
    if (!integer || id.get<std::int64_t>() < 0 || id.get<std::int64_t>() >= TokenTable::kLargest) {
      vocab.refuse("token '" + token + "' has the id " + id.dump() + " where 0 to " + std::to_string(TokenTable::kLargest - 1) +
                       " is expected",
                   "the file is damaged: fetch it again");
    }
    const auto number = id.get<std::int32_t>();
    if (!tokens.add(token, number)) {
      vocab.refuse("tokens '" + tokens.token(number) + "' and '" + token + "' have the same id " + std::to_string(number),
                   "the file is damaged: fetch it again");
    }
  }
  if (tokens.size() == 0) vocab.refuse("is empty", "the file is damaged: fetch it again");
  return tokens;
}

PieceModel::~PieceModel() = default;

}  // namespace oncekit
