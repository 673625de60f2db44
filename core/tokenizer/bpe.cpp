// Byte pair encoding with a heap of joinable pairs: n log n in the length of a piece, since LLaMA's pieces are whole texts.
#include <algorithm>
#include <queue>

#include "oncekit/error.h"
#include "tokenizer/token_table.h"
#include "pretokenizer/unicode.h"

namespace oncekit {
namespace {

class Bpe final : public PieceModel {
 public:
  Bpe(TokenTable tokens, const Merges& merges, BpeOptions options, const std::filesystem::path& file)
      : tokens_(std::move(tokens)), options_(std::move(options)) {
    if (!options_.unknown.empty() && (unknown_ = tokens_.find(options_.unknown)) < 0) {
      throw Error(ErrorKind::kData, "the unknown token '" + options_.unknown + "' is not in the vocabulary",
                  "the file is damaged: fetch it again", file.string());
    }
    merges_.reserve(merges.size());
    const auto id_of = [&](const std::string& token, std::size_t rank) {
      const std::int32_t id = tokens_.find(token);
      if (id < 0) {
        throw Error(ErrorKind::kData,
                    "merge " + std::to_string(rank + 1) + ", '" + merges[rank].first + " " + merges[rank].second +
                        "', needs the token '" + token + "', which is not in the vocabulary",
                    "vocabulary and merges do not belong together, or the file is damaged: fetch it again", file.string());
      }
      return id;
    };
    for (std::size_t rank = 0; rank < merges.size(); ++rank) {
      const auto& [left, right] = merges[rank];
      const std::size_t cut = std::min(options_.continuing_prefix.size(), right.size());
      const std::uint64_t pair = key(id_of(left, rank), id_of(right, rank));
      merges_[pair] = {static_cast<std::int32_t>(rank), id_of(left + right.substr(cut), rank)};
    }
    for (unsigned b = 0; b < 256; ++b) {
      constexpr char kHex[] = "0123456789ABCDEF";
      bytes_[b] = tokens_.find(std::string("<0x") + kHex[b / 16] + kHex[b % 16] + ">");
    }
  }

  const TokenTable& tokens() const override { return tokens_; }
  const char* kind() const override { return "bpe"; }

  void encode(std::string_view piece, std::vector<std::int32_t>& ids) const override {
    if (options_.ignore_merges) {
      if (const std::int32_t id = tokens_.find(piece); id >= 0) {
        ids.push_back(id);
        return;
      }
    }
    std::vector<Symbol> symbols = symbols_of(piece);
    join(symbols);
    for (std::int32_t at = symbols.empty() ? -1 : 0; at >= 0; at = symbols[static_cast<std::size_t>(at)].next) {
      ids.push_back(symbols[static_cast<std::size_t>(at)].id);
    }
  }

 private:
  struct Merge {
    std::int32_t rank, id;
  };
  struct Symbol {
    std::int32_t id, previous, next;  // -1: none; id -1: joined to the one before
  };
  struct Candidate {
    std::int32_t rank, at, id;
    bool operator<(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : at > other.at;
    }  // least rank on top
  };

  static std::uint64_t key(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
  }

  std::vector<Symbol> symbols_of(std::string_view piece) const {
    std::vector<Symbol> symbols;
    symbols.reserve(piece.size());
    const auto add = [&](std::int32_t id) {
      const auto n = static_cast<std::int32_t>(symbols.size());
      if (n > 0) symbols.back().next = n;
      symbols.push_back({id, n - 1, -1});
    };
    bool unknown = false;  // an unknown token is due, and waits for more characters to fuse with
    std::string decorated;
    for (std::size_t at = 0; at < piece.size();) {
      const std::size_t begin = at;
      next_char(piece, at);
      std::string_view c = piece.substr(begin, at - begin);
      const bool prefixed = begin > 0 && !options_.continuing_prefix.empty();
      const bool suffixed = at == piece.size() && !options_.end_suffix.empty();
      if (prefixed || suffixed) {
        decorated = (prefixed ? options_.continuing_prefix : std::string()) + std::string(c) +
                    (suffixed ? options_.end_suffix : std::string());
        c = decorated;
      }
      if (const std::int32_t id = tokens_.find(c); id >= 0) {
        if (unknown) add(unknown_);
        unknown = false;
        add(id);
        continue;
      }
      const auto byte_of = [&](char b) { return bytes_[static_cast<unsigned char>(b)]; };
      if (options_.byte_fallback && std::all_of(c.begin(), c.end(), [&](char b) { return byte_of(b) >= 0; })) {
        for (const char b : c) add(byte_of(b));
      } else if (unknown_ >= 0) {
        if (unknown && !options_.fuse_unknown) add(unknown_);
        unknown = true;
      }
    }
    if (unknown) add(unknown_);
    return symbols;
  }

  void join(std::vector<Symbol>& symbols) const {
    std::priority_queue<Candidate> queue;
    const auto offer = [&](std::int32_t at) {
      if (at < 0) return;
      const Symbol& left = symbols[static_cast<std::size_t>(at)];
      if (left.next < 0) return;
      const auto merge = merges_.find(key(left.id, symbols[static_cast<std::size_t>(left.next)].id));
      if (merge != merges_.end()) queue.push({merge->second.rank, at, merge->second.id});
    };
    for (std::size_t at = 0; at + 1 < symbols.size(); ++at) offer(static_cast<std::int32_t>(at));
    while (!queue.empty()) {
      const Candidate top = queue.top();
      queue.pop();
      Symbol& left = symbols[static_cast<std::size_t>(top.at)];
      if (left.id < 0 || left.next < 0) continue;
      Symbol& right = symbols[static_cast<std::size_t>(left.next)];
      const auto merge = merges_.find(key(left.id, right.id));
      if (merge == merges_.end() || merge->second.id != top.id) continue;  // one of the two was joined to another meanwhile
      left.id = top.id;
      left.next = right.next;
      right.id = -1;
      if (left.next >= 0) symbols[static_cast<std::size_t>(left.next)].previous = top.at;
      offer(left.previous);
      offer(top.at);
    }
  }

  TokenTable tokens_;
  BpeOptions options_;
  std::int32_t unknown_ = -1;
  std::int32_t bytes_[256];
  std::unordered_map<std::uint64_t, Merge> merges_;
};

}  // namespace

std::unique_ptr<PieceModel> make_bpe(TokenTable tokens, const Merges& merges, BpeOptions options,
                                     const std::filesystem::path& file) {
  return std::make_unique<Bpe>(std::move(tokens), merges, std::move(options), file);
}

}  // namespace oncekit
