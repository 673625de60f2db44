// Texts to numbers: words, vocabularies, packed token ids. Tier 0 of the SDK. Everything here is a pure function of its input, so
// it may be called from any thread, and gives the same on any number of threads.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "oncekit/corpus.h"
#include "oncekit/workspace.h"

namespace oncekit {

/// The words of a text, in order. The rule:
///  1. Unicode: damaged UTF-8 becomes U+FFFD, then normal form NFKC and lower case ("ﬁ" is "fi", "Ａ" is "a", "É" is "é").
///  2. Segments by Unicode's word boundaries (UAX #29; dictionaries for Thai, Chinese, Japanese); a colon always breaks, invisible
///     characters (soft hyphen, zero-width joiner) are dropped.
///  3. A segment with a letter or digit is a word; an English clitic is split off ("don't" -> "do", "n't"; "reader's" -> "reader", "'s"),
///     as in GloVe's vocabulary. Curly apostrophes count as straight ones.
///  4. Of the other segments, each character that is punctuation or a symbol is a word of its own when `punctuation` is set, and
///     dropped else; spaces and control characters are dropped.
std::vector<std::string> split_words(std::string_view text, bool punctuation = false);

/// A numbered set of words: id = place of first appearance. Ids are dense from 0.
class Vocabulary {
 public:
  std::int32_t add(std::string_view word);                 ///< the id, old or new
  std::int32_t find(std::string_view word) const noexcept;  ///< -1 when absent
  const std::string& word(std::int32_t id) const { return words_[static_cast<std::size_t>(id)]; }
  std::size_t size() const noexcept { return words_.size(); }
  const std::vector<std::string>& words() const noexcept { return words_; }
  std::string lines() const;  ///< one word a line, as a checkpoint keeps it

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const noexcept { return std::hash<std::string_view>{}(s); }
  };
  std::vector<std::string> words_;
  std::unordered_map<std::string, std::int32_t, Hash, std::equal_to<>> ids_;
};

/// Token ids of n texts end to end, without padding. Text i is ids[offsets[i], offsets[i + 1]); an empty text has none.
struct PackedText {
  std::vector<std::int32_t> ids;
  std::vector<std::int64_t> offsets{0};
  std::size_t size() const noexcept { return offsets.size() - 1; }
  std::span<const std::int32_t> operator[](std::size_t text) const noexcept {
    return std::span<const std::int32_t>(ids).subspan(static_cast<std::size_t>(offsets[text]),
                                                       static_cast<std::size_t>(offsets[text + 1] - offsets[text]));
  }
};

/// Tokenises a column by split_words, keeps the first `max_tokens` words of each text (0 = all), and numbers them in `vocabulary`,
/// which grows in order of first appearance. Runs on the workspace's threads; the result does not depend on their number.
PackedText tokenize_words(const StringColumn& texts, std::int64_t max_tokens, Vocabulary& vocabulary, Workspace& workspace,
                          bool punctuation = false);

/// One token a text: the whole value, as it stands (a category, an author). Empty values have none.
PackedText tokenize_values(const StringColumn& values, Vocabulary& vocabulary);

}  // namespace oncekit
