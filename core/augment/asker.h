// Asks for what the store lacks of one augmenter's answers, and says what the store has.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "answers/store.h"
#include "augment/augment.h"
#include "endpoint/client.h"
#include "oncekit/augmenter.h"

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
  /// True once the user asked to stop, or an answer said that nothing will work.
  bool stopped() const;
  std::int64_t left() const { return left_; }  ///< of setup.limit
  void took_one() { --left_; }

 private:
  const AugmentSetup& setup_;
  Workspace& workspace_;
  std::unique_ptr<MockServer> mock_;
  std::unique_ptr<ChatClient> client_;
  Asker* asker_ = nullptr;
  bool cancelled_ = false;
  std::int64_t left_;
};

class Asker {
 public:
  Asker(const AugmentStep& step, const Augmenter& augmenter, const Corpus& corpus, const AugmentSetup& setup, AnswerStore& store,
        Workspace& workspace, AugmentFigures& figures);
  ~Asker();

  /// Goes over all prompts and counts what is there and what is missing, with its highest price.
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
  enum class Offer { kSettled, kElsewhere, kNoBudget };

  ChatRequest chat(const Prompt& prompt, std::int64_t draw) const;
  std::string request_of(const Prompt& prompt, std::int64_t draw) const;  ///< the store's name of a question
  static std::int64_t prompt_bound(const Prompt& prompt);                 ///< tokens
  double price(const Prompt& prompt) const;
  Parsed parse(const Prompt& prompt, const StoredAnswer& stored) const;
  bool covered_by_imports(const Prompt& prompt);
  /// The accepted ones, read once; rejects are counted then.
  const std::vector<Parsed>& imports(const std::string& key);
  void count_reject(const std::string& reason, const std::string& raw);
  /// What the store has of this draw: accepted, or the next attempt to make (-1: none, it is final).
  struct Found {
    bool accepted = false;
    std::int64_t next = 0, rejects = 0;
  };
  Found look(const Prompt& prompt, const std::string& request, std::int64_t draw) const;
  Offer offer(Question& question, bool inside_done);
  void offer_or_wait(Question&& question, Endpoint& endpoint);
  void settle_waiting(Endpoint& endpoint);
  void sending(std::int64_t id);
  void done(std::int64_t id, ChatReply&& reply);
  void note_progress();

  const AugmentStep& step_;
  const Augmenter& augmenter_;
  const Corpus& corpus_;
  const AugmentSetup& setup_;
  AnswerStore& store_;
  Workspace& workspace_;
  AugmentFigures& figures_;
  Endpoint* endpoint_ = nullptr;
  ChatClient* client_ = nullptr;
  std::unique_ptr<Progress> progress_;
  std::unordered_map<std::int64_t, Question> under_way_;
  std::vector<Question> waiting_;           ///< asked by another process right now
  std::unordered_map<std::string, std::vector<Parsed>> imports_;
  std::unordered_map<std::string, std::string> import_models_;
  bool has_imports_ = false;
  std::int64_t next_id_ = 0;
  bool no_budget_ = false;
  double last_price_ = 0, missing_price_ = 0;
  std::string fatal_, fatal_detail_;
};

}  // namespace oncekit
