#include "content_encoder.h"

#include "oncekit/error.h"

namespace oncekit::nrms {
namespace {

/// U items as sequences of tokens; rows point into the distinct words and, behind them, the distinct values and separators.
struct Batch final : ItemBatch {
  std::vector<std::int64_t> words_K, values_J, rows_T, offsets_U1;
};

}  // namespace

void ContentOptions::describe(Fields& f) {
  text.describe(f);
  f.boolean("separator", separator).doc("a trained token behind each attribute").under("paper", true).under("released", true);
  f.integer("heads", heads).range(1, 1024).doc("attention heads; must divide the words' width").cite("Liu et al. 2024, section 5.1.4").demo(std::int64_t{4});
  f.integer("attention_width", attention_width).range(1, 65536).doc("hidden width of the additive attention").demo(std::int64_t{64});
  f.real("dropout", dropout).range(0, 0.99).doc("on the attention weights");
}

ContentNrms::ContentNrms(const Options& options, const Dims& dims) : options_(options), width_(dims.width) {}

void ContentNrms::prepare(const Items& items, Workspace& workspace) {
  text_ = ItemText(options_.text, items, workspace);
  words_ = register_module("words", std::make_shared<TokenEmbedding>(options_.text, width_, options_.separator ? 1 : 0));
  words_->prepare(text_, workspace);
  if (words_->width() % options_.heads != 0) {
    throw Error(ErrorKind::kUsage,
                "content_encoder/nrms has word vectors of width " + std::to_string(words_->width()) + ", which " + std::to_string(options_.heads) +
                    " heads do not divide",
                "choose another number of heads, or tune = \"projected\" with a word_width that they divide", "content_encoder.heads");
  }
  encoder_ = register_module("encoder", std::make_shared<nn::SelfAttentionPooling>(words_->width(), width_, options_.heads, options_.attention_width,
                                                                                  options_.dropout));
}

std::unique_ptr<ItemBatch> ContentNrms::gather(std::span<const ItemId> ids_U) const {
  auto batch = std::make_unique<Batch>();
  batch->ids_U.assign(ids_U.begin(), ids_U.end());
  batch->offsets_U1.push_back(0);
  const auto separator = static_cast<std::int32_t>(text_.value_vocabulary().size());  // the row behind the values
  DistinctTokens words(text_.word_vocabulary().size()), values(text_.value_vocabulary().size() + 1);
  const auto add_value = [&](std::int32_t value) { batch->rows_T.push_back(-1 - values.row(value)); };  // counted from the end of the words, below
  for (const ItemId id : ids_U) {
    for (std::size_t a = 0; a < text_.attributes(); ++a) {
      for (const std::int32_t word : text_.words(a, id)) batch->rows_T.push_back(words.row(word));
      if (options_.separator && !text_.words(a, id).empty()) add_value(separator);
    }
    for (const std::int32_t value : text_.values(id)) {
      add_value(value);
      if (options_.separator) add_value(separator);
    }
    batch->offsets_U1.push_back(static_cast<std::int64_t>(batch->rows_T.size()));
  }
  batch->words_K = words.ids();
  batch->values_J = values.ids();
  const auto K = static_cast<std::int64_t>(batch->words_K.size());
  for (std::int64_t& row : batch->rows_T) {
    if (row < 0) row = K + (-1 - row);
  }
  return batch;
}

Tensor ContentNrms::encode(const ItemBatch& items) {
  const auto& batch = static_cast<const Batch&>(items);
  return encoder_->forward(words_->forward(batch.words_K, batch.values_J), {batch.rows_T, batch.offsets_U1});
}

}  // namespace oncekit::nrms
