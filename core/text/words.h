// The word splitter as a stream, for callers that stop early.
#pragma once

#include <functional>
#include <string_view>

namespace oncekit {

/// Calls `use` with each word of a text (the rule stands at split_words) until it returns false. Thread-safe.
void for_each_word(std::string_view text, bool punctuation, const std::function<bool(std::string_view)>& use);

}  // namespace oncekit
