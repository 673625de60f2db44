// content_encoder/nrms: self-attention over the words of an item, additive attention over its positions.
#pragma once

#include <memory>

#include "oncekit/item_text.h"
#include "oncekit/model.h"
#include "oncekit/nn.h"
#include "oncekit/word_embedding.h"

namespace oncekit::nrms {

struct ContentOptions {
  ItemTextOptions text;
  bool separator = false;
  std::int64_t heads = 8;
  std::int64_t attention_width = 256;
  double dropout = 0.1;
  void describe(Fields& f);
  void validate(Problems& problems) const { text.validate(problems); }
};

/// Wu et al., "NRMS", EMNLP 2019, section 3.1. All attributes of an item make one sequence: words of texts, values as one token each,
/// with `separator` a trained token behind each attribute. Without positions, as in the paper: what a word passes on depends on
/// the item's other words, not on their order. An item without any token gets the zero vector.
class ContentNrms final : public ContentEncoder {
 public:
  using Options = ContentOptions;
  ContentNrms(const Options& options, const Dims& dims);

  std::int64_t width() const override { return width_; }
  /// Throws Error(kUsage) when the words' width is no multiple of `heads`.
  void prepare(const Items& items, Workspace& workspace) override;
  std::unique_ptr<ItemBatch> gather(std::span<const ItemId> ids_U) const override;
  Tensor encode(const ItemBatch& batch) override;
  std::map<std::string, std::string> vocabularies() const override { return text_.vocabularies(); }
  std::map<std::string, std::string> frozen() const override { return words_->frozen(); }
  static std::vector<std::string> needs(const Options& options) { return options.text.needs(); }

 private:
  Options options_;
  std::int64_t width_;
  ItemText text_;
  std::shared_ptr<TokenEmbedding> words_;
  std::shared_ptr<nn::SelfAttentionPooling> encoder_;
};

}  // namespace oncekit::nrms
