// An augmenter says what to ask a language model about a corpus, reads the answers, and returns a richer corpus. It never opens a
// socket: the core sends, retries, pays and remembers. (DESIGN 6; Liu et al. 2024, section 4, "GENRE".)
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "oncekit/corpus.h"

namespace oncekit {

struct Prompt {
  std::string key;           ///< of the thing asked about: an item's or a user's id
  std::string system, user;  ///< the two messages
  int draws = 1;             ///< how many answers are wanted
  std::vector<ItemId> seen;  ///< items of the user's history that appear in the prompt (leak guard)
};

/// What came of one answer: a value, or the reason why it was rejected.
struct Parsed {
  bool accepted = false;
  bool repaired = false;
  std::map<std::string, std::vector<std::string>> fields;
  std::string reject_reason;
};

using Answers = std::map<std::string, std::vector<Parsed>>;  ///< by Prompt::key

class Augmenter {
 public:
  using Sink = std::function<void(Prompt&&)>;
  virtual ~Augmenter();
  virtual void prompts(const Corpus& corpus, const Sink& sink) const = 0;
  virtual Parsed parse(const Prompt& prompt, std::string_view answer) const = 0;
  virtual Corpus apply(Corpus&& corpus, const Answers& answers) const = 0;
};

}  // namespace oncekit
