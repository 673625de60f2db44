// Losses over a batch's scores.
#pragma once

#include <cstdint>

#include "model/recommender.h"
#include "train/options.h"

namespace oncekit {

/// The batch's share of its step's loss: the sum over its samples divided by step_samples, so that the gradients of several batches
/// add up to those of one large batch. The auxiliary loss, a mean over the batch, is weighted by the batch's share of samples.
///   softmax: -log(exp s_0 / sum over real c of exp s_c)      bce: -y log sigmoid(s) - (1 - y) log(1 - sigmoid(s)), real c only
/// Returns a float scalar.
Tensor batch_loss(Recommender& model, const SampleBatch& batch, const TrainOptions& options, std::int64_t step_samples);

/// The same for given scores. labels_BC: float; mask_BC: bool, true = real.
Tensor softmax_loss(const Tensor& scores_BC, const Tensor& mask_BC);
Tensor bce_loss(const Tensor& scores_BC, const Tensor& labels_BC, const Tensor& mask_BC);

}  // namespace oncekit
