// The modules of oncekit/nn.h.
#include <cmath>
#include <numeric>
#include <vector>

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mv.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/init.h>

#include "model/interleaved_attention.h"
#include "oncekit/error.h"
#include "oncekit/nn.h"

namespace oncekit::nn {
namespace {

// 1 for each sequence with tokens, 0 for an empty one: [S, 1].
Tensor filled(const Sequences& sequences, const Tensor& like) {
  std::vector<float> flags;
  bool all = true;
  for (std::size_t s = 0; s + 1 < sequences.offsets_S1.size(); ++s) {
    flags.push_back(sequences.offsets_S1[s + 1] > sequences.offsets_S1[s] ? 1.0f : 0.0f);
    all = all && flags.back() > 0;
  }
  return all ? Tensor() : at::tensor(flags, at::kFloat).to(like.options()).unsqueeze(1);
}

}  // namespace

AdditiveAttention::AdditiveAttention(std::int64_t width, std::int64_t attention_width)
    : hidden(register_module("hidden", torch::nn::Linear(width, attention_width))),
      score(register_module("score", torch::nn::Linear(torch::nn::LinearOptions(attention_width, 1).bias(false)))) {}

AdditiveAttention::~AdditiveAttention() = default;

Tensor AdditiveAttention::forward(const Tensor& values_KD, const Sequences& sequences) {
  return pool(at::mv(at::tanh(hidden->forward(values_KD)), score->weight.view(-1)), values_KD, sequences);
}

SelfAttentionPooling::SelfAttentionPooling(std::int64_t in_width, std::int64_t width, std::int64_t heads, std::int64_t attention_width, double dropout)
    : in_width_(in_width), width_(width), heads_(heads), dropout_(dropout) {
  if (in_width % heads != 0)
    throw Error(ErrorKind::kUsage, std::to_string(heads) + " heads do not divide the width " + std::to_string(in_width), "choose `heads` so that they do");
  in_proj_weight = register_parameter("in_proj_weight", torch::nn::init::xavier_uniform_(at::empty({3 * in_width, in_width})));
  in_proj_bias = register_parameter("in_proj_bias", at::zeros({3 * in_width}));
  out_proj = register_module("out_proj", torch::nn::Linear(in_width, in_width));
  linear = register_module("linear", torch::nn::Linear(in_width, width));
  pooling = register_module("pooling", std::make_shared<AdditiveAttention>(width, attention_width));
  torch::nn::init::zeros_(out_proj->bias);
}

SelfAttentionPooling::~SelfAttentionPooling() = default;

Tensor SelfAttentionPooling::forward(const Tensor& rows_KI, const Sequences& sequences) {
  // The faster order of features costs a transposition of the weights: rows of the input projection, columns of the output's.
  const std::int64_t head_width = in_width_ / heads_;
  const bool interleave = kernels::can_interleave(in_width_, heads_);
  Tensor in_weight = in_proj_weight, in_bias = in_proj_bias, out_weight_II = out_proj->weight;
  if (interleave) {
    in_weight = in_weight.view({3, heads_, head_width, in_width_}).transpose(1, 2).reshape({3 * in_width_, in_width_});
    in_bias = in_bias.view({3, heads_, head_width}).transpose(1, 2).reshape({3 * in_width_});
    out_weight_II = out_weight_II.view({in_width_, heads_, head_width}).transpose(1, 2).reshape({in_width_, in_width_});
  }
  const Tensor qkv_K3I = at::linear(rows_KI, in_weight, in_bias);
  const Tensor heads_TI = attend(qkv_K3I, sequences, heads_, dropout_, is_training(), interleave ? HeadOrder::kInterleaved : HeadOrder::kBlocks);
  const Tensor folded_DI = at::matmul(linear->weight, out_weight_II);
  const Tensor shift_D = at::addmv(linear->bias, linear->weight, out_proj->bias);
  const Tensor hidden_AI = at::matmul(pooling->hidden->weight, folded_DI);
  const Tensor hidden_A = at::addmv(pooling->hidden->bias, pooling->hidden->weight, shift_D);
  const Tensor scores_T = at::mv(at::tanh(at::linear(heads_TI, hidden_AI, hidden_A)), pooling->score->weight.view(-1));
  std::vector<std::int64_t> all(static_cast<std::size_t>(sequences.tokens()));
  std::iota(all.begin(), all.end(), std::int64_t{0});
  const Tensor pooled_SI = pool(scores_T, heads_TI, {all, sequences.offsets_S1});
  const Tensor out_SD = at::linear(pooled_SI, folded_DI, shift_D);
  const Tensor real_S1 = filled(sequences, out_SD);
  return real_S1.defined() ? out_SD * real_S1 : out_SD;
}

Convolution::Convolution(std::int64_t in_width, std::int64_t width, std::int64_t kernel) : kernel_(kernel) {
  if (kernel % 2 == 0) throw Error(ErrorKind::kUsage, "a kernel of " + std::to_string(kernel) + " has no middle", "choose an odd `kernel`");
  const double bound = 1 / std::sqrt(static_cast<double>(in_width * kernel));
  weight_wDI = register_parameter("weight", at::empty({kernel, width, in_width}).uniform_(-bound, bound));
  bias_D = register_parameter("bias", at::empty({width}).uniform_(-bound, bound));
}

Convolution::~Convolution() = default;

Tensor Convolution::forward(const Tensor& rows_KI, const Sequences& sequences) {
  const std::int64_t width = bias_D.size(0);
  const Tensor taps_KwD = at::linear(rows_KI, weight_wDI.view({kernel_ * width, rows_KI.size(1)})).view({rows_KI.size(0), kernel_, width});
  return convolve(taps_KwD, bias_D, sequences);
}

}  // namespace oncekit::nn
