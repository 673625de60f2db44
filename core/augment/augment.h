// Augmentation: for each augmenter of a recipe, in order: what to ask, ask for what the store lacks, read the answers, a richer corpus.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "augment/guard.h"
#include "augment/options.h"
#include "endpoint/options.h"
#include "oncekit/corpus.h"
#include "oncekit/registrar.h"
#include "oncekit/workspace.h"

namespace oncekit {

/// An augmenter of a recipe: its name there, its component and options.
struct AugmentStep {
  std::string name;
  const ComponentSpec* spec = nullptr;
  const OptionSet* options = nullptr;
};

struct AugmentSetup {
  std::vector<AugmentStep> steps;
  AnswersOptions answers;
  EndpointOptions endpoint;
  std::uint64_t seed = 0;               ///< of retry jitter and of the bundled mock
  std::filesystem::path store;          ///< the answer store's file
  bool dry_run = false;                 ///< ask nothing, need no coverage: figures alone
  std::int64_t limit = 0;               ///< answers to ask for in all, second attempts included; 0 = as many as are missing. A limited run needs no coverage
  std::string mock_answers = "helpful"; ///< of the bundled mock: see mock_llm/server.h

  /// Whether what the store lacks is asked for (in a dry run: would be).
  bool asks() const { return answers.ask && answers.imports != "only"; }
};

/// What one augmenter asked and got.
struct AugmentFigures {
  std::string name, component;
  std::int64_t prompts = 0, about_users = 0;
  std::int64_t wanted = 0;              ///< answers: prompts times draws
  std::int64_t covered = 0;             ///< of these, accepted in the end
  std::int64_t imported = 0;            ///< of the covered ones
  std::int64_t repaired = 0;            ///< of the covered ones
  std::int64_t missing = 0;             ///< questions without an answer in the store when it began: what was to be asked
  /// Of a dry run: an augmenter before this one lacks answers. With them these questions will be others, so all count as missing.
  bool provisional = false;
  std::int64_t imports_withheld = 0;    ///< wanted answers that were imported, and whose prompts saw too much, or nobody knows what
  std::int64_t asked = 0, answered = 0; ///< requests of this run
  std::int64_t retried = 0, possibly_billed = 0;
  std::map<std::string, std::int64_t> rejects;                  ///< by reason; of all attempts in the store
  std::map<std::string, std::vector<std::string>> examples;     ///< by reason, up to three raw answers, cut
  std::map<std::string, std::int64_t> faults;                   ///< of the network and the server, by reason
  std::int64_t prompt_tokens = 0, completion_tokens = 0;        ///< of this run; in a dry run the bounds of what is missing
  double cost = 0;                                              ///< USD, likewise
  double seconds = 0;
  GuardedAnswers::Figures guard;
  std::map<std::string, GuardedAnswers::Leaks> leaks;           ///< by split; where prompts showed clicks
  bool leaky = false;                                           ///< answers that saw too much were handed on (allow_leak)
  std::string questions;                ///< digest of all requests in their order: prompt files, model, sampling, texts
  std::map<std::string, std::int64_t> models;                   ///< covered answers by the model that gave them

  double coverage() const { return wanted > 0 ? static_cast<double>(covered) / static_cast<double>(wanted) : 1; }
};

struct Augmented {
  Corpus corpus;
  std::vector<AugmentFigures> figures;
  bool leaky() const;
};

/// Throws Error(kRun) when an augmenter's coverage stays below min_coverage, when the budget is spent, or the endpoint refuses all or answers
/// nothing; Error(kUsage) for a missing key, a host outside this machine without a budget, or the bundled mock in another model's name;
/// Error(kInterrupted) when asked to stop. Requests under way are then waited for, so that nothing paid for is lost. What was answered is in the
/// store in any case.
Augmented augment(Corpus&& corpus, const AugmentSetup& setup, Workspace& workspace);

/// For run.json and `augment --json`.
nlohmann::ordered_json augment_record(const std::vector<AugmentFigures>& figures, const AugmentSetup& setup);
/// What the leak guard came to, in one line: "3 of 5 histories get an answer; 2 withheld".
std::string guard_summary(const AugmentFigures& figures);
/// For people: one paragraph an augmenter.
std::string augment_text(const std::vector<AugmentFigures>& figures, const AugmentSetup& setup);

/// "0.0123 USD for a first attempt at each, 0.0369 with all 3 attempts".
std::string price_text(double first_attempts, const AugmentSetup& setup);

/// Of [endpoint] url: whether it leads to this very machine; the host, for messages. Both throw as host_of() does.
bool on_this_machine(const std::string& url);
std::string shown_host(const std::string& url);

}  // namespace oncekit
