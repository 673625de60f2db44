// Vectors of words and values, as word-level content encoders use them. Tier 1 of the SDK.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "oncekit/item_text.h"
#include "oncekit/workspace.h"

namespace oncekit {

/// Rows for the distinct words and values of a batch:
///   e = dropout(E[word]), e = dropout(P E[word] + b) when projected, e = F[value].
/// Tables: words_VW (pretrained and random, or random alone) and values_FW (normal, `word_std`); random rows are a function of the
/// run's seed and the word itself, so neither the order nor the size of a vocabulary changes them. A frozen table takes no gradient.
class TokenEmbedding : public torch::nn::Module {
 public:
  /// `width` is what word_width = 0 means without a file. `extra` trained rows stand behind the values, e.g. one separator.
  TokenEmbedding(ItemTextOptions options, std::int64_t width, std::int64_t extra = 0);
  ~TokenEmbedding() override;

  /// Reads the file, makes the tables. Throws Error(kData) when the file is damaged, has another width than word_width says, or
  /// knows none of the words.
  void prepare(const ItemText& text, Workspace& workspace);
  std::int64_t width() const noexcept { return width_; }  ///< W; known after prepare()
  std::int64_t value_count() const noexcept { return values_count_; }  ///< values alone, without the extra rows

  /// -> [K + J, W]: the words' rows, then the values'. Ids past the values are the extra rows.
  at::Tensor forward(std::span<const std::int64_t> words_K, std::span<const std::int64_t> values_J);

  /// Name -> digest of a file whose vectors stay frozen; empty otherwise.
  const std::map<std::string, std::string>& frozen() const noexcept { return frozen_; }

 private:
  ItemTextOptions options_;
  std::int64_t width_, extra_, values_count_ = 0;
  at::Tensor words_VW_, values_FW_, projection_WS_, projection_bias_W_;
  std::map<std::string, std::string> frozen_;
};

}  // namespace oncekit
