// What augmenters share: prompt files with placeholders, and reading what language models really answer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "oncekit/corpus.h"
#include "oncekit/options.h"

namespace oncekit {

/// A prompt file (docs/prompts.md): TOML with `version`, `about`, `output`, `placeholders`, and the texts `system` and `user`, in which
/// {name} stands for a value. A text of its own may be given for one line of a list: `click`.
class PromptTemplate {
 public:
  using Values = std::map<std::string, std::string>;

  /// `name`: a path when there is such a file, else prompts/NAME.toml of oncekit (ONCEKIT_PROMPTS, ./prompts, the source tree or the
  /// installation). `allowed`: the placeholders that the augmenter can fill in `system` and `user`; `in_click`: those of `click`. Throws
  /// Error(kData) when there is no such file, Error(kUsage) with file and line for a malformed one or for a placeholder that is not
  /// allowed, with the nearest name.
  static PromptTemplate load(const std::string& name, const std::vector<std::string>& allowed, const std::vector<std::string>& in_click = {});

  /// A placeholder without a value is empty. A line that has placeholders, all of them empty, is left out.
  std::string system(const Values& values) const;
  std::string user(const Values& values) const;
  std::string click(const Values& values) const;  ///< one line of a history, or of another list
  const std::filesystem::path& file() const noexcept { return file_; }
  const std::string& digest() const noexcept { return digest_; }  ///< of the file's content: 16 hex digits

 private:
  std::filesystem::path file_;
  std::string digest_, system_, user_, click_;
};

/// Tokens that a text may come to with any tokenizer in use: an upper estimate for limits and budgets, not a count.
std::int64_t token_bound(std::string_view text);

/// The newest lines that fit into `tokens`, oldest first: how a history is cut to a model's context. Returns how many were left out.
std::size_t keep_newest(std::vector<std::string>& lines, std::int64_t tokens);

/// Which histories an augmenter asks about, by Corpus::clicks_before. Its options: clicks_at_least, clicks_at_most.
struct ClickRange {
  std::int64_t at_least = 1, at_most = 0;  ///< at_most = 0: any number
  void describe(Fields& f);
  void validate(Problems& problems) const;
  bool holds(std::int32_t clicks) const noexcept { return clicks >= at_least && (at_most == 0 || clicks <= at_most); }
};

/// Histories as numbered lines, oldest click first, each by the template's `click`, in which the items' attributes stand for
/// themselves. Clicks on items without a title are not shown. One thread uses it; template and items outlive it.
class HistoryText {
 public:
  /// words: kept of each attribute.
  HistoryText(const PromptTemplate& prompt, const Items& items, std::int64_t words);
  struct Shown {
    std::string text;
    std::vector<ItemId> seen;    ///< the clicks in `text`
    std::size_t left_out = 0;    ///< older ones, for which there was no room
  };
  Shown show(std::span<const ItemId> clicks, std::int64_t tokens);

 private:
  const std::string& line(ItemId item);
  const PromptTemplate& prompt_;
  const Items& items_;
  std::int64_t words_;
  std::map<ItemId, std::string> lines_;
};

/// Runs of white space and control characters become one blank, damaged UTF-8 becomes U+FFFD: a text that is one line of a prompt or of a table.
std::string one_line(std::string_view text);
/// The first `words` words of a line, and at most 12 bytes a word: for scripts without blanks too.
std::string first_words(std::string_view text, std::int64_t words);
/// Lower case by Unicode's rules, whatever the language.
std::string lower_case(std::string_view text);

/// An answer stripped of what models put around it: white space, a code fence, a lead such as "Sure, here is the title:", quotes.
struct Unwrapped {
  std::string text;
  bool repaired = false;  ///< more than outer white space was taken off
};
Unwrapped unwrap(std::string_view answer);

/// The text behind a tag such as "[title]" up to the next "[...]" tag or the end; the whole unwrapped answer when the tag is missing (repaired).
Unwrapped tagged(std::string_view answer, std::string_view tag);

/// The first JSON object of an answer: keys in lower case; text and numbers as one string, lists as several, null as none. Forgives text around
/// it, code fences, trailing or missing commas, typographic quotes, quotes within quotes, an end cut off (what is whole counts); says so.
struct FoundObject {
  std::map<std::string, std::vector<std::string>> fields;
  bool repaired = false;
};
std::optional<FoundObject> find_object(std::string_view answer);

/// "I'm sorry, but as an AI ...": an answer that declines.
bool declines(std::string_view answer);

/// Whether the letters of `text` are, for the most part, of the scripts that `like` uses: a title in Latin letters is not answered in Thai.
bool same_script(std::string_view text, std::string_view like);

/// The choice that `word` means, whatever its case, spacing, plural or punctuation; "" when it is none of them.
std::string closest_choice(std::string_view word, const std::vector<std::string>& choices);

}  // namespace oncekit
