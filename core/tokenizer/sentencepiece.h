// LLaMA's tokenizer: a sentencepiece model, run by the sentencepiece library.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pretokenizer/added_tokens.h"
#include "tokenizer/tokenizer.h"

namespace oncekit {

/// Kinds of pieces; the numbers are those of sentencepiece's own format and of GGUF's token_type.
enum class PieceKind { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

struct SentencePieceOptions {
  std::vector<AddedToken> added;  ///< beyond the model's own control and user-defined pieces
  /// The space before a text also before each section between added tokens, as transformers' "legacy" does; else only at the
  /// very start, and only when the text does not begin with a space itself.
  bool every_section = true;
};

/// `model`: a serialized ModelProto (the content of tokenizer.model). Throws Error(kData) naming `file`.
std::unique_ptr<Tokenizer> make_sentencepiece(const std::string& model, SentencePieceOptions options,
                                              const std::filesystem::path& file);

struct SentencePieceEntry {
  std::string piece;
  float score = 0;
  PieceKind kind = PieceKind::kNormal;
};
/// A serialized BPE ModelProto with byte fallback and no normalisation, as LLaMA's.
std::string write_sentencepiece_model(const std::vector<SentencePieceEntry>& pieces, bool space_before, bool drop_spaces);

}  // namespace oncekit
