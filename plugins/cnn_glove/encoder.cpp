#include "encoder.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include "oncekit/error.h"

namespace oncekit::cnn_glove {
namespace {

/// U items: words by attribute for the convolution, then all positions by item for the attention.
struct Batch final : ItemBatch {
  std::vector<std::int64_t> words_K, values_J;              ///< distinct ids
  std::vector<std::int64_t> rows_T, segment_offsets_S1;     ///< a segment: one attribute of one item; rows of words_K
  std::vector<std::int64_t> positions_P, item_offsets_U1;   ///< position: t < T a word's output, T + j the value j
};

}  // namespace

void CnnOptions::describe(Fields& f) {
  text.describe(f);
  f.integer("kernel", kernel).range(1, 31).unit("words").doc("window of the convolution, odd").cite("Wu et al. 2019, NAML, section 4.1 (3)");
  f.integer("attention_width", attention_width).range(1, 65536).doc("hidden width of the additive attention").demo(std::int64_t{64});
  f.real("dropout", dropout).range(0, 0.99).doc("on the convolution's output").cite("Wu et al. 2019, NAML, section 4.1 (0.2)");
}

void CnnOptions::validate(Problems& problems) const {
  text.validate(problems);
  if (kernel % 2 == 0) problems.add("kernel is " + std::to_string(kernel) + ", expected an odd number", "3 and 5 are usual");
}

CnnEncoder::CnnEncoder(const Options& options, const Dims& dims) : options_(options), width_(dims.width) {}

void CnnEncoder::prepare(const Items& items, Workspace& workspace) {
  text_ = ItemText(options_.text, items, workspace);
  words_ = register_module("words", std::make_shared<TokenEmbedding>(options_.text, width_));
  words_->prepare(text_, workspace);
  if (!options_.text.attributes.empty())
    convolution_ = register_module("convolution", std::make_shared<nn::Convolution>(words_->width(), width_, options_.kernel));
  if (words_->value_count() > 0) value_ = register_module("value", torch::nn::Linear(words_->width(), width_));
  attention_ = register_module("attention", std::make_shared<nn::AdditiveAttention>(width_, options_.attention_width));
}

std::unique_ptr<ItemBatch> CnnEncoder::gather(std::span<const ItemId> ids_U) const {
  auto batch = std::make_unique<Batch>();
  batch->ids_U.assign(ids_U.begin(), ids_U.end());
  batch->segment_offsets_S1.push_back(0);
  batch->item_offsets_U1.push_back(0);
  DistinctTokens words(text_.word_vocabulary().size()), values(text_.value_vocabulary().size());
  std::vector<std::size_t> value_places;  // in positions_P, moved behind the words once their number is known
  for (const ItemId id : ids_U) {
    for (std::size_t a = 0; a < text_.attributes(); ++a) {
      for (const std::int32_t word : text_.words(a, id)) {
        batch->positions_P.push_back(static_cast<std::int64_t>(batch->rows_T.size()));
        batch->rows_T.push_back(words.row(word));
      }
      batch->segment_offsets_S1.push_back(static_cast<std::int64_t>(batch->rows_T.size()));
    }
    for (const std::int32_t value : text_.values(id)) {
      value_places.push_back(batch->positions_P.size());
      batch->positions_P.push_back(values.row(value));
    }
    batch->item_offsets_U1.push_back(static_cast<std::int64_t>(batch->positions_P.size()));
  }
  for (const std::size_t place : value_places) batch->positions_P[place] += static_cast<std::int64_t>(batch->rows_T.size());
  batch->words_K = words.ids();
  batch->values_J = values.ids();
  return batch;
}

Tensor CnnEncoder::encode(const ItemBatch& items) {
  const auto& batch = static_cast<const Batch&>(items);
  const auto K = static_cast<std::int64_t>(batch.words_K.size()), J = static_cast<std::int64_t>(batch.values_J.size());
  const Tensor tokens = words_->forward(batch.words_K, batch.values_J);
  std::vector<Tensor> positions;
  if (convolution_) {
    const Tensor hidden_TD = convolution_->forward(tokens.narrow(0, 0, K), {batch.rows_T, batch.segment_offsets_S1});
    positions.push_back(nn::dropout(hidden_TD, options_.dropout, is_training()));
  }
  if (J > 0) positions.push_back(value_->forward(tokens.narrow(0, K, J)));
  if (positions.empty()) positions.push_back(at::zeros({0, width_}, tokens.options()));
  return attention_->forward(positions.size() == 1 ? positions[0] : at::cat(positions, 0), {batch.positions_P, batch.item_offsets_U1});
}

}  // namespace oncekit::cnn_glove
