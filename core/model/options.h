// [model]: what user and item vectors have in common.
#pragma once

#include "oncekit/options.h"

namespace oncekit {

struct ModelOptions {
  std::int64_t width = 64;
  std::string profile_fusion = "mlp";

  void describe(Fields& f) {
    f.integer("width", width).range(1, 65536).doc("D, width of item and user vectors").cite("Liu et al. 2024, section 5.1.4 (64)");
    f.choice("profile_fusion", profile_fusion, {"mlp", "linear"})
        .doc("how a user profile joins the user vector: MLP with ReLU (paper) or one linear layer (released code)")
        .under("released", std::string("linear"));
  }
};

}  // namespace oncekit
