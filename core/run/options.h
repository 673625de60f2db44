// [recipe] and [run]: what a recipe says about itself, and how a run goes.
#pragma once

#include "oncekit/options.h"

namespace oncekit {

struct RecipeOptions {
  std::string title, paper, paper_gap;
  std::string fidelity = "corrected";

  void describe(Fields& f) {
    f.text("title", title).doc("one line for tables and reports");
    f.text("paper", paper).doc("the table and row of a paper that this reproduces");
    f.text("paper_gap", paper_gap).doc("what the paper leaves open and how it was filled");
    f.choice("fidelity", fidelity, {"paper", "released", "corrected"}).doc("sets the defaults of all switches where paper, released code and correct practice differ");
  }
};

struct RunOptions {
  std::int64_t seed = 2023;
  std::int64_t memory_gib = 0;
  bool train = true;
  bool shuffle_histories = false;

  void describe(Fields& f) {
    f.integer("seed", seed).at_least(0).doc("of initial weights, sampling and dropout");
    f.integer("memory_gib", memory_gib).at_least(0).unit("GiB").doc("memory budget; 0 = three quarters of what is available");
    f.boolean("shuffle_histories", shuffle_histories).doc("negative control: every history goes to somebody else, in all splits");
    f.boolean("train", train).doc("false: evaluate the untrained model");
  }
};

}  // namespace oncekit
