// Columns of text to packed token ids; vocabularies in order of first appearance, whatever the number of threads.
#include <algorithm>

#include "oncekit/error.h"
#include "oncekit/text.h"
#include "text/words.h"

namespace oncekit {

std::int32_t Vocabulary::add(std::string_view word) {
  if (const auto known = ids_.find(word); known != ids_.end()) return known->second;
  const auto id = static_cast<std::int32_t>(words_.size());
  words_.emplace_back(word);
  ids_.emplace(words_.back(), id);
  return id;
}

std::int32_t Vocabulary::find(std::string_view word) const noexcept {
  const auto known = ids_.find(word);
  return known == ids_.end() ? -1 : known->second;
}

std::string Vocabulary::lines() const {
  std::string text;
  for (const std::string& word : words_) text.append(word).push_back('\n');
  return text;
}

PackedText tokenize_words(const StringColumn& texts, std::int64_t max_tokens, Vocabulary& vocabulary, Workspace& workspace,
                          bool punctuation) {
  // Each chunk numbers its own words; chunks are then joined in order, which gives the numbers of a single pass.
  constexpr std::int64_t kChunk = 2048;
  const auto n = static_cast<std::int64_t>(texts.size());
  struct Chunk {
    Vocabulary words;
    PackedText text;
  };
  std::vector<Chunk> chunks(static_cast<std::size_t>((n + kChunk - 1) / kChunk));
  workspace.parallel_for(n, kChunk, [&](std::int64_t begin, std::int64_t end) {
    Chunk& chunk = chunks[static_cast<std::size_t>(begin / kChunk)];
    for (std::int64_t i = begin; i < end; ++i) {
      std::int64_t left = max_tokens > 0 ? max_tokens : -1;
      for_each_word(texts[static_cast<std::size_t>(i)], punctuation, [&](std::string_view word) {
        chunk.text.ids.push_back(chunk.words.add(word));
        return --left != 0;
      });
      chunk.text.offsets.push_back(static_cast<std::int64_t>(chunk.text.ids.size()));
    }
  });
  PackedText packed;
  packed.offsets.reserve(static_cast<std::size_t>(n) + 1);
  for (Chunk& chunk : chunks) {
    std::vector<std::int32_t> numbers;
    numbers.reserve(chunk.words.size());
    for (const std::string& word : chunk.words.words()) numbers.push_back(vocabulary.add(word));
    const std::int64_t base = packed.offsets.back();
    for (const std::int32_t id : chunk.text.ids) packed.ids.push_back(numbers[static_cast<std::size_t>(id)]);
    for (std::size_t i = 1; i < chunk.text.offsets.size(); ++i) packed.offsets.push_back(base + chunk.text.offsets[i]);
    chunk = Chunk();
  }
  return packed;
}

PackedText tokenize_values(const StringColumn& values, Vocabulary& vocabulary) {
  PackedText packed;
  packed.offsets.reserve(values.size() + 1);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!values[i].empty()) packed.ids.push_back(vocabulary.add(values[i]));
    packed.offsets.push_back(static_cast<std::int64_t>(packed.ids.size()));
  }
  return packed;
}

}  // namespace oncekit
