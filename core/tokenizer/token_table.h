// The tokens of a vocabulary by text and by id, and the models that turn a piece of text into ids.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "pretokenizer/json_view.h"

namespace oncekit {

/// For maps that are asked by string_view.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};
template <typename Value>
using TextMap = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;

/// Tokens with their ids. Read-only when all are added.
class TokenTable {
 public:
  /// False when the id has another token. REQUIRES: 0 <= id < kLargest.
  bool add(const std::string& token, std::int32_t id);
  std::int32_t find(std::string_view token) const noexcept;                                 ///< -1 when absent
  const std::string& token(std::int32_t id) const;                                          ///< "" when absent
  std::int64_t size() const noexcept { return static_cast<std::int64_t>(tokens_.size()); }  ///< largest id + 1
  std::int64_t first_gap() const noexcept;  ///< an id below size() without a token, or -1

  static constexpr std::int64_t kLargest = 1 << 24;  // ids above are damage, not vocabulary

 private:
  TextMap<std::int32_t> ids_;
  std::vector<std::string> tokens_;
  std::vector<bool> used_;
};

/// The object "vocab" of a tokenizer.json or vocab.json: token -> id. Throws Error(kData) on ids that are wrong or shared by
/// two tokens.
TokenTable read_vocabulary(const JsonView& vocab);

/// Turns one piece of text into ids. Thread-safe.
class PieceModel {
 public:
  virtual ~PieceModel();
  virtual void encode(std::string_view piece, std::vector<std::int32_t>& ids) const = 0;
  virtual const TokenTable& tokens() const = 0;
  virtual const char* kind() const = 0;
};

/// Byte pair encoding (Sennrich et al. 2016): pairs are joined in the order of the merges, leftmost first.
struct BpeOptions {
  std::string unknown;            ///< token of characters that the vocabulary lacks; empty: they are dropped
  std::string continuing_prefix;  ///< before each character but the first
  std::string end_suffix;         ///< behind the last
  bool byte_fallback = false;     ///< an unknown character becomes its bytes <0x..>, when the vocabulary has all of them
  bool fuse_unknown = false;      ///< neighbouring unknown characters are one unknown token
  bool ignore_merges = false;     ///< a piece that is a token is that token, whatever the merges say
};
using Merges = std::vector<std::pair<std::string, std::string>>;
/// Throws Error(kData), naming `file`, when a merge or the unknown token is not in the vocabulary.
std::unique_ptr<PieceModel> make_bpe(TokenTable tokens, const Merges& merges, BpeOptions options,
                                     const std::filesystem::path& file);

/// WordPiece (Schuster and Nakajima 2012; Devlin et al. 2019): the longest token, then the longest that continues it, and so
/// on; `unknown` for a word that cannot be covered or is longer than `most_chars` characters.
std::unique_ptr<PieceModel> make_wordpiece(TokenTable tokens, const std::string& unknown, const std::string& continuing_prefix,
                                           std::int64_t most_chars, const std::filesystem::path& file);

}  // namespace oncekit
