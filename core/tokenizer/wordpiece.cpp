// WordPiece: the longest token first.
#include <algorithm>

#include "oncekit/error.h"
#include "tokenizer/token_table.h"
#include "pretokenizer/unicode.h"

namespace oncekit {
namespace {

class WordPiece final : public PieceModel {
 public:
  WordPiece(TokenTable tokens, const std::string& unknown, const std::string& prefix, std::int64_t most_chars,
            const std::filesystem::path& file)
      : tokens_(std::move(tokens)), unknown_(tokens_.find(unknown)), most_chars_(most_chars) {
    if (unknown_ < 0) {
      throw Error(
          ErrorKind::kData,
          "the unknown token '" + unknown + "' is not in the vocabulary of " + std::to_string(tokens_.size()) + " tokens",
          "the file is damaged or no WordPiece vocabulary: fetch it again", file.string());
    }
    for (std::int32_t id = 0; id < tokens_.size(); ++id) {
      const std::string& token = tokens_.token(id);
      longest_ = std::max(longest_, token.size());
      if (token.starts_with(prefix)) inner_.emplace(token.substr(prefix.size()), tokens_.find(token));
    }
  }

  const TokenTable& tokens() const override { return tokens_; }
  const char* kind() const override { return "wordpiece"; }

  void encode(std::string_view word, std::vector<std::int32_t>& ids) const override {
    const std::size_t before = ids.size();
    std::int64_t chars = 0;
    for (const char c : word) chars += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    bool covered = chars <= most_chars_;
    for (std::size_t begin = 0; covered && begin < word.size();) {
      std::size_t end = std::min(word.size(), begin + longest_);
      std::int32_t id = -1;
      for (; end > begin; --end) {
        if (end < word.size() && (static_cast<unsigned char>(word[end]) & 0xC0) == 0x80) continue;  // amid a character
        const std::string_view part = word.substr(begin, end - begin);
        id = begin == 0 ? tokens_.find(part) : inner(part);
        if (id >= 0) break;
      }
      covered = id >= 0;
      ids.push_back(id);
      begin = end;
    }
    if (covered) return;
    ids.resize(before);
    ids.push_back(unknown_);
  }

 private:
  std::int32_t inner(std::string_view part) const {
    const auto known = inner_.find(part);
    return known == inner_.end() ? -1 : known->second;
  }

  TokenTable tokens_;
  TextMap<std::int32_t> inner_;  // without their prefix
  std::int32_t unknown_;
  std::int64_t most_chars_;
  std::size_t longest_ = 1;  // bytes of the longest token
};

}  // namespace

std::unique_ptr<PieceModel> make_wordpiece(TokenTable tokens, const std::string& unknown, const std::string& continuing_prefix,
                                           std::int64_t most_chars, const std::filesystem::path& file) {
  return std::make_unique<WordPiece>(std::move(tokens), unknown, continuing_prefix, most_chars, file);
}

}  // namespace oncekit
