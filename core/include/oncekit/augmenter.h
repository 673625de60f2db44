// An augmenter says what to ask a language model about a corpus, reads the answers, and returns a richer corpus. It never opens a
// socket: the core sends, retries, pays and remembers. (DESIGN 6; Liu et al. 2024, section 4, "GENRE".)
//
// An augmenter that asks nothing and only changes the corpus is one too: the controls without a language model are written so.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "oncekit/corpus.h"

namespace oncekit {

/// One question, about an item or about one history of a user.
struct Prompt {
  std::string key;              ///< the item's or the user's id
  std::string system, user;     ///< the two messages; `user` is never empty
  int draws = 1;                ///< how many answers are wanted, each to be used
  std::int64_t max_tokens = 256;  ///< of one answer
  /// The clicks that the text was made from, those behind a profile in it included. The leak guard goes by them: an answer is handed to
  /// a history only when that history holds all of them. Empty for an item.
  std::vector<ItemId> seen;
};

/// What came of one answer: a value, or the reason why it was rejected.
struct Parsed {
  bool accepted = false;
  bool repaired = false;        ///< accepted after something was put right: a code fence, a trailing comma, a wrong case
  std::map<std::string, std::vector<std::string>> fields;  ///< e.g. {"title": {"..."}}, {"topic": {"health", "travel"}}
  std::string reject_reason;    ///< one of few fixed texts, so that they can be counted
};

/// The accepted answers to one augmenter's prompts, behind the leak guard: what may not be used is not here.
class Answers {
 public:
  virtual ~Answers();
  /// In the order of the draws. Valid while the Answers live.
  virtual std::span<const Parsed> about_item(ItemId item) const = 0;
  /// Those whose `seen` this history holds; when several prompts of the user qualify, those of the one that saw most.
  virtual std::span<const Parsed> about_history(std::int32_t history) const = 0;
};

/// Component kind "augmenter". Static members: needs(options), e.g. {"item:title", "item:abstract"}; gives(options), e.g. {"user:topic"}.
class Augmenter {
 public:
  using Sink = std::function<void(Prompt&&)>;
  virtual ~Augmenter();
  /// Streams the questions. Pure: the same corpus gives the same prompts in the same order; (key, seen) is unique. Corpus::history_users is
  /// filled, and a user's prompts show one history each.
  virtual void prompts(const Corpus& corpus, const Sink& sink) const = 0;
  /// Pure, thread-safe, never throws for a bad answer. `prompt` is the one that was asked; of an imported answer, key and seen alone.
  virtual Parsed parse(const Prompt& prompt, std::string_view answer) const = 0;
  /// Swaps columns, adds user profiles by history, appends items (never listed ones), and puts items behind a history's clicks. The clicks
  /// themselves (Corpus::clicks) stay as they are: the core refuses a corpus in which they do not.
  virtual Corpus apply(Corpus&& corpus, const Answers& answers) const = 0;
};

}  // namespace oncekit
