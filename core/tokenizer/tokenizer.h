// Tokenizers of language models: text -> token ids as Hugging Face's tokenizers give them, without special tokens.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace oncekit {

/// Read-only once made; all const methods may be called from any thread.
class Tokenizer {
 public:
  virtual ~Tokenizer();
  /// Ids of one segment of text (UTF-8; damaged bytes count as U+FFFD). No BOS, EOS, CLS, SEP. A special token's name in the
  /// text ("</s>") is that token, as in Hugging Face's.
  virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;
  virtual std::int64_t size() const = 0;             ///< ids are in [0, size())
  virtual std::int64_t vocabulary_size() const = 0;  ///< ids from here on are of tokens that the folder adds to its vocabulary
  virtual std::string digest() const = 0;  ///< of all that decides the ids: goes into cache keys
  virtual std::string kind() const = 0;    ///< "sentencepiece", "wordpiece", "bpe"
  virtual std::string token(
      std::int32_t id) const = 0;  ///< as in the vocabulary, e.g. "▁news", "##ing"; for messages; "" if none
};

/// The tokenizer of a Hugging Face folder: tokenizer.model (sentencepiece), else tokenizer.json (BPE or WordPiece), else
/// vocab.txt (WordPiece; cased or not by tokenizer_config.json's do_lower_case), else vocab.json with merges.txt (byte-level
/// BPE: GPT-2, RoBERTa). Throws Error(kData) that says which files were looked for, or what in which file is wrong or of an
/// unknown kind.
std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& folder);

/// From a GGUF file's metadata as JSON: keys "tokenizer.ggml.model" ("llama", "gpt2" or "bert"), ".tokens", ".scores",
/// ".token_type", ".merges", ".pre". `file` is for messages. Throws Error(kData).
std::unique_ptr<Tokenizer> gguf_tokenizer(const nlohmann::json& metadata, const std::filesystem::path& file);

}  // namespace oncekit
