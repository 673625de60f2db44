// Natural concat: an item's attributes as one sequence of tokens (Liu et al. 2024, section 3.2).
#pragma once

#include "oncekit/language_model.h"
#include "oncekit/text.h"
#include "tokenizer/tokenizer.h"
#include "weights/model_source.h"

namespace oncekit::lm {

/// The model's own: of its folder, or out of its GGUF file. Throws Error(kData).
std::unique_ptr<Tokenizer> model_tokenizer(const ModelSource& source);

/// lead, then for each attribute its tag and the first max_tokens tokens of its text; each piece is tokenised alone, without special
/// tokens. A tag stands there also before an empty text. One row an item, on the workspace's threads.
PackedText item_tokens(const Options& options, const Items& items, const Tokenizer& tokenizer, Workspace& workspace);

}  // namespace oncekit::lm
