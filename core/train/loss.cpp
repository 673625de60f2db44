#include "train/loss.h"

#include <limits>

#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/masked_fill.h>

namespace oncekit {

Tensor softmax_loss(const Tensor& scores_BC, const Tensor& mask_BC) {
  const Tensor real_BC = scores_BC.masked_fill(mask_BC.logical_not(), -std::numeric_limits<double>::infinity());
  return at::log_softmax(real_BC, -1, at::kFloat).select(1, 0).sum().neg();
}

Tensor bce_loss(const Tensor& scores_BC, const Tensor& labels_BC, const Tensor& mask_BC) {
  const Tensor safe_BC = scores_BC.to(at::kFloat).masked_fill(mask_BC.logical_not(), 0.0);
  return at::binary_cross_entropy_with_logits(safe_BC, labels_BC, mask_BC.to(at::kFloat), {}, at::Reduction::Sum);
}

Tensor batch_loss(Recommender& model, const SampleBatch& batch, const TrainOptions& options, std::int64_t step_samples) {
  const Recommender::Scores scores = model.forward(batch);
  const auto host = [&](const auto& values, at::ScalarType type) {
    // from_blob wants a mutable pointer; nothing writes through it.
    return at::from_blob(const_cast<void*>(static_cast<const void*>(values.data())), {batch.batch(), batch.candidates}, type)
        .to(scores.scores_BC.device());
  };
  const Tensor mask_BC = host(batch.mask_BC, at::kByte).to(at::kBool);
  Tensor loss = options.loss == "softmax" ? softmax_loss(scores.scores_BC, mask_BC)
                                          : bce_loss(scores.scores_BC, host(batch.labels_BC, at::kFloat), mask_BC);
  if (scores.aux_loss.defined() && options.aux_weight != 0) {
    loss = loss + scores.aux_loss.to(at::kFloat) * (options.aux_weight * static_cast<double>(batch.batch()));
  }
  return loss / static_cast<double>(step_samples);
}

}  // namespace oncekit
