// Tokenizers learnt on the spot from a few texts, for toy models.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace oncekit {

/// Writes tokenizer.model (kind "sentencepiece": BPE with byte fallback) or vocab.txt and tokenizer_config.json ("wordpiece": whole
/// words and single characters) into `folder`. The same texts give the same file. Returns the number of tokens.
std::int64_t write_toy_tokenizer(const std::string& kind, const std::vector<std::string>& texts, const std::filesystem::path& folder);

}  // namespace oncekit
