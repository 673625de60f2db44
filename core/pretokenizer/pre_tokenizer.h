// The "pre_tokenizer" of a tokenizer.json: where a text is cut before the model sees the pieces.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "pretokenizer/json_view.h"

namespace oncekit {

/// A piece of a text. `first`: it begins where the whole text begins.
struct TextPiece {
  std::string text;
  bool first = false;
};

/// Cuts and rewrites pieces, in place; none is empty afterwards. Thread-safe.
using PreTokenize = std::function<void(std::vector<TextPiece>& pieces)>;

/// Known: Sequence, ByteLevel, Split, Digits, Metaspace, Whitespace, WhitespaceSplit, Punctuation, BertPreTokenizer. Throws
/// Error(kData).
PreTokenize make_pre_tokenizer(const JsonView& spec);

/// GPT-2's alphabet: each byte as a printable character, in UTF-8 ("Ġ" for a space).
const std::string& byte_level_char(unsigned char byte);

/// GPT-2's expression of pieces, ByteLevel's default.
extern const char* const kGpt2Pieces;

}  // namespace oncekit
