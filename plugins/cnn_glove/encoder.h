// content_encoder/cnn_glove: a word-level convolution over each text of an item, additive attention over all positions.
#pragma once

#include <memory>

#include <torch/nn/modules/linear.h>

#include "oncekit/item_text.h"
#include "oncekit/model.h"
#include "oncekit/nn.h"
#include "oncekit/word_embedding.h"

namespace oncekit::cnn_glove {

struct CnnOptions {
  ItemTextOptions text;
  std::int64_t kernel = 3;
  std::int64_t attention_width = 256;
  double dropout = 0.1;
  void describe(Fields& f);
  void validate(Problems& problems) const;
};

/// Wu et al., "NAML", IJCAI 2019, section 3.1, as Legommenders builds it (one attention over the positions of all attributes):
///   h = dropout(relu(conv(e)))   words of an attribute, e = word vectors, one convolution for all attributes, edges are zeros
///   h = W e + b                  attributes that are one value (category)
///   y = additive attention over the h of all positions
/// An item without any token gets the zero vector.
class CnnEncoder final : public ContentEncoder {
 public:
  using Options = CnnOptions;
  CnnEncoder(const Options& options, const Dims& dims);

  std::int64_t width() const override { return width_; }
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
  std::shared_ptr<nn::Convolution> convolution_;
  torch::nn::Linear value_{nullptr};
  std::shared_ptr<nn::AdditiveAttention> attention_;
};

}  // namespace oncekit::cnn_glove
