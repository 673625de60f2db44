// Normalizer, added tokens, pre-tokenizer and model in a row: what a tokenizer.json describes.
#pragma once

#include <memory>
#include <vector>

#include "pretokenizer/added_tokens.h"
#include "pretokenizer/normalizer.h"
#include "pretokenizer/pre_tokenizer.h"
#include "tokenizer/token_table.h"
#include "tokenizer/tokenizer.h"

namespace oncekit {

struct PipelineParts {
  Normalize normalize;       ///< may be empty
  PreTokenize pre_tokenize;  ///< may be empty: the model sees the whole text
  std::unique_ptr<PieceModel> model;
  std::vector<AddedToken> added;
  std::string digest;  ///< of all that the parts were made from
};
std::unique_ptr<Tokenizer> make_pipeline(PipelineParts parts);

/// A parsed tokenizer.json. Throws Error(kData) naming the component that is damaged or of an unknown kind.
std::unique_ptr<Tokenizer> json_tokenizer(const nlohmann::json& json, const std::filesystem::path& file,
                                          const std::string& digest);

/// Merges as a tokenizer.json, a merges.txt or a GGUF file has them: "a b", or ["a", "b"].
Merges read_merges(const JsonView& list);
/// One merge, "a b". Throws Error(kData) naming file and number.
std::pair<std::string, std::string> read_merge(const std::string& text, std::size_t number, const std::filesystem::path& file);

/// BERT's parts around a WordPiece vocabulary. `normalizer`: what a BertNormalizer should do otherwise, e.g. {"lowercase":
/// false}.
PipelineParts bert_parts(TokenTable tokens, nlohmann::json normalizer, const std::filesystem::path& file);

}  // namespace oncekit
