// Tokens that are matched in the text itself, before any model sees it: "<s>", "[MASK]", "<|endoftext|>".
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "pretokenizer/json_view.h"

namespace oncekit {

struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool single_word = false;  ///< only between characters that belong to no word
  bool left_strip = false;   ///< takes the spaces before it
  bool right_strip = false;  ///< takes the spaces behind it
  bool normalized = false;   ///< matched in the text's normal form, else in the text as it came
};

/// One entry of "added_tokens" (or of tokenizer_config.json's "added_tokens_decoder", whose key is the id).
AddedToken read_added_token(const JsonView& entry, std::int32_t id);
/// All of it, for digests.
std::string as_text(const AddedToken& token);

/// The longest of some tokens at the leftmost place, then on. Thread-safe once all are added.
class AddedTokens {
 public:
  void add(AddedToken token);
  /// Calls text(begin, end) for what lies between, token(id) for the tokens, in order. REQUIRES: well-formed UTF-8.
  void split(std::string_view whole, const std::function<void(std::size_t, std::size_t)>& text,
             const std::function<void(std::int32_t)>& token) const;

 private:
  const AddedToken* longest_at(std::string_view whole, std::size_t at) const;
  std::array<std::vector<AddedToken>, 256> by_first_byte_;  // longest first
  bool empty_ = true;
};

}  // namespace oncekit
