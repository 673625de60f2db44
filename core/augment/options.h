// [answers]: where answers are kept, how often a reject is asked again, what may be used.
#pragma once

#include "oncekit/options.h"

namespace oncekit {

struct AnswersOptions {
  std::string store = "answers/answers.db", imports = "use", imports_saw = "unknown";
  std::int64_t attempts = 3;
  double min_coverage = 0.9;
  bool ask = true, allow_leak = false, shuffle_users = false;

  void describe(Fields& f) {
    f.path("store", store).doc("the answer store (docs/formats.md); $ONCEKIT_ANSWERS has precedence over the default").demo(std::string("demo"));
    f.boolean("ask", ask).doc("false: use what the store has and ask nothing");
    f.integer("attempts", attempts).range(1, 20).doc("at one answer, before its rejects are taken for final");
    f.real("min_coverage", min_coverage).range(0, 1).doc("share of the wanted answers of each augmenter that must be there, else the run fails");
    f.choice("imports", imports, {"use", "only", "ignore"}).doc("answers imported under this augmenter's name: in place of asking; alone; not at all").demo(std::string("ignore"));
    f.choice("imports_saw", imports_saw, {"unknown", "history", "everything"})
        .doc("what the prompts of imported answers about users had shown: not known (then no sample may use them), the user's first history, or all "
             "his clicks, held-out ones included");
    f.boolean("allow_leak", allow_leak).doc("hands answers also to samples whose history does not hold all that the prompt showed; results get the prefix leaky/");
    f.boolean("shuffle_users", shuffle_users).doc("negative control: what was said of one history goes to another's");
  }
};

}  // namespace oncekit
