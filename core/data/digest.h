// Is this the corpus that it was?
#pragma once

#include <string>

#include "oncekit/corpus.h"

namespace oncekit {

/// 16 hex digits of all that a corpus holds.
std::string corpus_digest(const Corpus& corpus);

}  // namespace oncekit
