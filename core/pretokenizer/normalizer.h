// The "normalizer" of a tokenizer.json: what happens to a text before it is split.
#pragma once

#include <functional>
#include <string>

#include "pretokenizer/json_view.h"

namespace oncekit {

/// Maps a text to its normal form, in place. Thread-safe. REQUIRES: well-formed UTF-8.
using Normalize = std::function<void(std::string& text)>;

/// Known: Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, Prepend, Replace, BertNormalizer. Throws
/// Error(kData).
Normalize make_normalizer(const JsonView& spec);

}  // namespace oncekit
