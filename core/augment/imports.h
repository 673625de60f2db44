// Imported answers: what they say, what their prompts had shown, and which prompts they stand in for.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "answers/store.h"
#include "augment/guard.h"
#include "augment/options.h"
#include "oncekit/augmenter.h"

namespace oncekit {

/// Those of one augmenter. Corpus, options and store outlive it.
class Imports {
 public:
  /// parse: reads an answer again, and counts it when it is a reject.
  using Parse = std::function<Parsed(const Prompt& prompt, const StoredAnswer& stored)>;
  Imports(std::string task, const Corpus& corpus, const AnswersOptions& options, const AnswerStore& store, Parse parse);

  struct About {
    std::vector<Parsed> accepted;   ///< in the order of draws
    std::string model;
    Seen seen;                      ///< of a user, by answers.imports_saw; nothing: not known
  };
  /// All about the prompt's key; read once.
  const About& about(const Prompt& prompt);

  enum class Cover {
    kNone,      ///< fewer than the prompt wants
    kWithheld,  ///< the leak guard would not hand them to the history that the prompt shows
    kFull,      ///< they are used in place of asking
  };
  Cover cover(const Prompt& prompt);

 private:
  void index();
  bool fits(const Prompt& prompt, const Seen& seen) const;

  const std::string task_;
  const Corpus& corpus_;
  const AnswersOptions& options_;
  const AnswerStore& store_;
  const Parse parse_;
  bool any_ = false;
  std::unordered_map<std::string, About> about_;
  std::unordered_map<std::string_view, std::vector<std::int32_t>> rows_;    ///< histories by user
  std::unordered_map<std::string_view, std::vector<ItemId>> shown_;         ///< to the prompts of imports, by user
};

}  // namespace oncekit
