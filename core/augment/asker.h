// Asks for what the store lacks of one augmenter's answers, and says what the store has.
#pragma once

#include <exception>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "answers/store.h"
#include "augment/augment.h"
#include "augment/imports.h"
#include "endpoint/client.h"
#include "oncekit/augmenter.h"
#include "oncekit/error.h"

namespace oncekit {

class Asker;
class MockServer;

/// The way to the language model, shared by all augmenters of a recipe: made when the first question is asked.
class Endpoint {
 public:
  Endpoint(const AugmentSetup& setup, Workspace& workspace);
  ~Endpoint();
  /// The client, speaking for `asker` from now on. Throws Error(kUsage) when it may not be asked: no key, no budget.
  ChatClient& speak_for(Asker& asker);
  /// True once nothing more is to be asked: the user asked to stop, the limit is reached, or stop() was called.
  bool stopped();
  /// Ends asking, tries again included. What is under way is waited for: it is paid for.
  void stop();
  std::int64_t left() const { return left_; }  ///< of setup.limit
  void took_one() { --left_; }

 private:
  const AugmentSetup& setup_;
  Workspace& workspace_;
  std::unique_ptr<MockServer> mock_;
  std::unique_ptr<ChatClient> client_;
  Asker* asker_ = nullptr;
  bool stopped_ = false;
  std::int64_t left_;
};

/// What is said when the bundled mock is asked in the name of another model.
Error mock_in_the_name_of(const std::string& model);

class Asker {
 public:
  Asker(const AugmentStep& step, const Augmenter& augmenter, const Corpus& corpus, const AugmentSetup& setup, AnswerStore& store,
        Workspace& workspace, AugmentFigures& figures);
  ~Asker();

  /// Goes over all prompts and counts what is there and what is missing, with its highest price. figures.provisional: all is missing, for
  /// the prompts will be others.
  void plan();
  /// USD: the upper bound of a first attempt at all that is missing. After plan().
  double missing_price() const { return missing_price_; }
  /// Asks for what is missing. Throws Error.
  void ask(Endpoint& endpoint);
  /// Gives every accepted answer to `answers`, and counts.
  void collect(GuardedAnswers& answers);

 private:
  friend class Endpoint;
  struct Question {
    Prompt prompt;
    std::string request;
    std::int64_t draw = 0, attempt = 0, rejects = 0;
    double price = 0;
  };
  enum class Offer { kSettled, kLater, kNoRoomYet, kNoBudget };

  ChatRequest chat(const Prompt& prompt, std::int64_t draw) const;
  std::string request_of(const Prompt& prompt, std::int64_t draw) const;  ///< the store's name of a question
  static std::int64_t prompt_bound(const Prompt& prompt);                 ///< tokens
  double price(const Prompt& prompt) const;
  Parsed parse(const Prompt& prompt, const StoredAnswer& stored) const;
  void count_reject(const std::string& reason, const std::string& raw);
  /// What the store has of this draw: accepted, or the next attempt to make (-1: none, it is final).
  struct Found {
    bool accepted = false;
    std::int64_t next = 0, rejects = 0;
  };
  Found look(const Prompt& prompt, const std::string& request, std::int64_t draw) const;
  Offer offer(Question& question, bool inside_done);
  void offer_or_wait(Question&& question);
  void settle_waiting();
  void sending(std::int64_t id);
  void unanswered(std::int64_t id, const std::string& reason);
  bool again(std::int64_t id);
  void done(std::int64_t id, ChatReply&& reply);
  StoredAnswer row(const Question& question, const ChatReply& reply) const;
  bool read(const Question& question, StoredAnswer& stored);  ///< whether it is to be asked again
  void watch(const ChatReply& reply);
  void fail(std::exception_ptr failure);
  Error ended(const std::string& what, const ChatReply& reply, const std::string& hint) const;
  void note_progress();

  const AugmentStep& step_;
  const Augmenter& augmenter_;
  const Corpus& corpus_;
  const AugmentSetup& setup_;
  AnswerStore& store_;
  Workspace& workspace_;
  AugmentFigures& figures_;
  Imports imports_;
  Endpoint* endpoint_ = nullptr;
  ChatClient* client_ = nullptr;
  std::unique_ptr<Progress> progress_;
  std::unordered_map<std::int64_t, Question> under_way_;
  std::vector<Question> waiting_;                 ///< being asked, here for another prompt or by another process, or without room in the budget
  std::unordered_set<std::string> came_to_nothing_;  ///< requests of this run: a later one may ask again
  std::int64_t next_id_ = 0;
  std::int64_t replies_ = 0, refusals_ = 0, in_vain_ = 0;  ///< all; refused alike from the first on; given up since the last answer
  std::string refusal_;                           ///< the reason of the first reply, when it was refused
  bool no_budget_ = false;
  double last_price_ = 0, missing_price_ = 0;
  std::exception_ptr failure_;                    ///< ends the run, once what is under way has come in
};

}  // namespace oncekit
