// Natural concat: an item's attributes as one sequence of tokens (Liu et al. 2024, section 3.2).
#pragma once

#include "oncekit/language_model.h"
#include "oncekit/text.h"
#include "tokenizer/tokenizer.h"

namespace oncekit::lm {

/// lead, then for each attribute its tag and the first max_tokens tokens of its text; each piece is tokenised alone, without special
/// tokens. A tag stands there also before an empty text. One row an item, on the workspace's threads.
PackedText item_tokens(const Options& options, const Items& items, const Tokenizer& tokenizer, Workspace& workspace);

}  // namespace oncekit::lm
