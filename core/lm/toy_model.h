// A tiny model with seeded weights and a tokenizer of its own, as a Hugging Face folder: for --demo and tests. The way from there
// on is the real one.
#pragma once

#include <filesystem>

#include "oncekit/language_model.h"

namespace oncekit::lm {

/// Writes config.json, model.safetensors (bfloat16, normal with deviation 0.02 to 0.1, norms 1, a function of names alone) and the tokenizer,
/// whose vocabulary is learnt from the items' texts, into an empty folder.
void write_toy_model(const std::filesystem::path& folder, const ToyModel& toy, const LanguageModelEncoder::MakeArchitecture& make,
                     const Options& options, const Items& items);

}  // namespace oncekit::lm
