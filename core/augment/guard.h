// The leak guard: an answer made from a user's clicks is handed to a history only when that history holds all of them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "oncekit/augmenter.h"
#include "oncekit/rng.h"

namespace oncekit {

/// Gives each (user, history) that occurs in an impression a row of its own, in order of first use, and fills Corpus::history_users.
/// Rows that nobody uses are dropped. Does nothing when history_users is filled.
void own_histories(Corpus& corpus);

/// Sorted, without repeats.
std::vector<ItemId> as_set(std::span<const ItemId> items);

/// What an answer's prompt had shown; nothing: not known.
using Seen = std::optional<std::vector<ItemId>>;

/// Answers of one augmenter. Filled by add(), then sealed once, then read.
class GuardedAnswers final : public Answers {
 public:
  /// allow_leak: the guard counts what it would have withheld, and withholds nothing. REQUIRES: own_histories(corpus); it outlives this.
  /// shuffle: histories that get an answer get one another's (a negative control).
  GuardedAnswers(const Corpus& corpus, bool allow_leak, std::optional<Rng> shuffle = {});

  void add_item(ItemId item, Parsed&& parsed);
  /// Answers with the same `seen` of a user are draws of one prompt, in the order of the calls.
  void add_user(UserId user, const Seen& seen, Parsed&& parsed);
  void seal();

  std::span<const Parsed> about_item(ItemId item) const override;
  std::span<const Parsed> about_history(std::int32_t history) const override;

  struct Figures {
    std::int64_t histories = 0;       ///< of users about whom there is an answer
    std::int64_t given = 0;           ///< histories that got one
    std::int64_t withheld = 0;        ///< histories that got none: their user's answers had seen more than they hold
    std::int64_t unknown = 0;         ///< of these, all answers had an unknown prompt
  };
  const Figures& figures() const { return figures_; }

  struct Leaks {
    std::int64_t impressions = 0;
    std::int64_t with_answer = 0;     ///< of users about whom there is an answer
    std::int64_t seen_positive = 0;   ///< a prompt of the user had shown what he clicks here
    std::int64_t used = 0;            ///< and the answer to it reaches this impression
  };
  /// Of a split, or of a part of it.
  Leaks leaks(const Impressions& impressions) const;

 private:
  struct Group {
    Seen shown;                       ///< as the prompt had it
    std::vector<ItemId> seen;         ///< sorted, without repeats; empty when not known
    std::vector<Parsed> draws;
  };
  const Corpus& corpus_;
  bool allow_leak_;
  std::optional<Rng> shuffle_;
  std::map<ItemId, std::vector<Parsed>> items_;
  std::map<UserId, std::vector<Group>> users_;
  std::vector<const Group*> of_history_;  ///< one a history; null: none
  Figures figures_;
};

}  // namespace oncekit
