// The answer store: every answer of a language model, kept for good in one SQLite file (WAL). What reached it is never asked for again.
// Safe under kill -9 at any moment and with several processes at once; format: docs/formats.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace oncekit {

/// One answer, or one request that came to nothing.
struct StoredAnswer {
  std::string request;                ///< hash of the body: 32 hex digits; of an import, of task, key and source
  std::int64_t draw = 0, attempt = 0; ///< attempt: 0, 1, ... of the same draw, each after a reject
  std::string task, key;              ///< the augmenter's name and the id of the item or user
  std::string model;
  std::string body;                   ///< the request as sent, or "" for an import: "prompt unknown: may leak"
  std::string raw;                    ///< the answer as received
  enum class State { kAccepted, kRepaired, kRejected, kRefused, kGaveUp } state = State::kAccepted;  ///< a giving up is no answer: docs/formats.md
  std::string reason;                 ///< of a reject, refusal or failure
  std::string parsed;                 ///< JSON object of the fields, "" unless accepted
  std::optional<std::vector<std::string>> seen;  ///< ids of the clicks in the prompt; nothing: not known
  std::int64_t prompt_tokens = 0, completion_tokens = 0;
  bool usage_reported = false;
  double cost = 0;                    ///< USD
  double seconds = 0;
  std::int64_t at = 0;                ///< seconds since 1970
  std::string source;                 ///< "endpoint", or "import: FILE"
};

/// A request that a process has taken upon itself.
enum class Claim {
  kTaken,       ///< it is ours now; its price is set aside
  kAnswered,    ///< the store has this attempt already; a giving up does not count
  kElsewhere,   ///< it is being asked, by this process or another that lives; look again later
  kNoRoomYet,   ///< its price would fit, but for what is set aside for requests under way; look again later
  kNoBudget,    ///< its price does not fit into what the budget has left
};

/// Something that was sent and never answered: a kill or a time-out. The provider may have billed it.
struct PossiblyBilled {
  std::string request;
  std::int64_t draw = 0, attempt = 0;
  std::string task, key, why;         ///< "killed", "timed out"
  double price = 0;                   ///< the upper bound that was set aside
  std::int64_t at = 0;
};

struct StoreTotals {
  std::int64_t answers = 0, accepted = 0, repaired = 0, rejected = 0, refused = 0, gave_up = 0, imported = 0;
  std::int64_t prompt_tokens = 0, completion_tokens = 0;
  double cost = 0, set_aside = 0, possibly_billed = 0;  ///< USD; the latter two count against the budget as well
};

struct AnswerFilter {
  std::string task, key, model, state, source;  ///< "" = any; state as printed by `answers ls`
  std::int64_t limit = 0;                       ///< 0 = all
};

/// Thread-safe: no; one object a thread. While one is open, nothing else in this process may open and close the file (a copy, a digest):
/// POSIX would drop SQLite's locks on it.
class AnswerStore {
 public:
  /// Opens or makes the file. What processes that are gone had sent is moved to the possibly billed ones, what they had only set aside
  /// is freed. Throws Error(kData) for a file that is not a store, is damaged or of a newer format; Error(kRun) when it cannot be written.
  static AnswerStore open(const std::filesystem::path& file);
  /// To read alone; throws Error(kData) when there is none.
  static AnswerStore open_read_only(const std::filesystem::path& file);
  AnswerStore(AnswerStore&&) noexcept;
  AnswerStore& operator=(AnswerStore&&) noexcept;
  ~AnswerStore();

  /// Attempts of a draw so far, in order; givings up too.
  std::vector<StoredAnswer> attempts(const std::string& request, std::int64_t draw) const;
  /// Imported answers about a key, in order of draw.
  std::vector<StoredAnswer> imported(const std::string& task, const std::string& key) const;

  /// budget: USD for the whole store, 0 = none. price: upper bound of this request.
  Claim claim(const std::string& request, std::int64_t draw, std::int64_t attempt, const std::string& task, const std::string& key,
              double price, double budget);
  /// The bytes are about to leave: from now on a kill makes it possibly billed.
  void sending(const std::string& request, std::int64_t draw, std::int64_t attempt);
  /// At once, when a try ran into a time-out or a cut connection after it was sent: what was set aside for it counts as billed from now on. The claim
  /// stays.
  void possibly_billed(const std::string& request, std::int64_t draw, std::int64_t attempt, const std::string& why);
  /// A try came to nothing, and another is to follow: until its sending() nothing is under way. Sets the price aside anew when it was taken for
  /// billed; false when the budget has no room for that, and nothing is changed.
  bool again(const std::string& request, std::int64_t draw, std::int64_t attempt, double budget);
  /// Records the outcome and ends the claim, in one transaction. The first answer to an attempt stays: a second one is possibly billed
  /// ("answered twice"). Only a giving up is replaced, and an import by another of the same file name.
  void put(const StoredAnswer& answer);
  /// Ends a claim without an outcome: nothing was sent, or what was sent is with the possibly billed ones. Closing the store does this for
  /// all claims, and takes those that were sent for possibly billed ("stopped").
  void release(const std::string& request, std::int64_t draw, std::int64_t attempt);

  /// In order of task, key, draw, attempt. `visit` may read this store, and must not write to it.
  void each(const AnswerFilter& filter, const std::function<void(const StoredAnswer&)>& visit) const;
  std::vector<PossiblyBilled> possibly_billed() const;
  StoreTotals totals() const;
  /// Every problem found: SQLite's own check, digests, fields out of range, claims of the dead. Empty when all is well.
  std::vector<std::string> verify() const;

  /// One JSON object a line, in a fixed order. Import takes all lines or none, in one transaction; it skips answers that are there, takes the place of
  /// givings up, and returns how many were new.
  void export_lines(const std::filesystem::path& file) const;
  std::int64_t import_lines(const std::filesystem::path& file);

 private:
  class State;
  explicit AnswerStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace oncekit
