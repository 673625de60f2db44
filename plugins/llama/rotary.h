// Rotary frequencies as a model's config asks for them.
#pragma once

#include <cstdint>
#include <vector>

#include "oncekit/language_model.h"

namespace oncekit::llama {

struct Rotary {
  std::vector<double> frequencies;  ///< width / 2 angles a position
  double scale = 1;                 ///< factor on cosine and sine
};

/// rope_theta and rope_scaling ("default", "linear", "dynamic", "llama3", "yarn"), or rope_parameters as newer configs call both. "dynamic" changes
/// nothing up to the length a model was made for, and longer items are refused. Throws Error(kData) for any other kind.
Rotary rotary(const lm::ModelConfig& config, std::int64_t width);

}  // namespace oncekit::llama
