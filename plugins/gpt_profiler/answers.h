// What answers about a reader hold: lists of words, as a section, as JSON, or written in a line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "oncekit/augmenter.h"

namespace oncekit::gpt_profiler {

/// What may be named.
struct Limits {
  std::vector<std::string> topics, regions;  ///< no topics: any words
  std::int64_t most = 5, most_words = 3;     ///< interests, and words of each
};

/// News: fields "topic" and, where regions are asked for, "region", out of the fixed lists, in the order of the answer.
Parsed read_sections(std::string_view answer, const Limits& limits);
/// Books: field "topic", in lower case.
Parsed read_interests(std::string_view answer, const Limits& limits);

}  // namespace oncekit::gpt_profiler
