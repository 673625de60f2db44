// Building blocks over ragged sequences: packed tokens, no padding. Tier 1 of the SDK.
//
// Shapes: S sequences, T packed tokens of all sequences, K rows of a table that tokens point into, D width, A attention width.
// Tokens of sequence s are t in [offsets_S1[s], offsets_S1[s + 1]). A token is row rows_T[t] of a table: what is computed for a
// row is computed once however many tokens share it. An empty sequence is allowed everywhere; its result is the zero vector.
//
// On the CPU in float32 these run as kernels of our own; elsewhere as plain padded tensor operations (plain::...), which are also
// what the kernels are tested against. Gradients flow to every floating-point argument; both ways are deterministic.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>

namespace oncekit::nn {

using at::Tensor;

/// Which rows make up which sequences, on the host. The vectors must outlive the call, not the backward pass: they are copied.
struct Sequences {
  std::span<const std::int64_t> rows_T;      ///< rows of the table
  std::span<const std::int64_t> offsets_S1;  ///< from 0, never decreasing
  std::int64_t tokens() const noexcept { return offsets_S1.empty() ? 0 : offsets_S1.back(); }
  std::int64_t sequences() const noexcept { return static_cast<std::int64_t>(offsets_S1.size()) - 1; }
};

/// table_KD, rows -> [T, D]. The backward pass adds up by row, in the order of tokens.
Tensor gather(const Tensor& table_KD, std::span<const std::int64_t> rows_T);

/// Where feature f of head h stands among the D features of queries, keys, values and results: at h * (D / heads) + f, as torch's
/// MultiheadAttention has it, or at f * heads + h, which the kernel computes several times faster.
enum class HeadOrder { kBlocks, kInterleaved };

/// Multi-head scaled dot-product self-attention inside each sequence (Vaswani et al. 2017, section 3.2).
/// qkv_K3D: queries, keys and values of every row side by side. -> [T, D]. Dropout on the attention weights (when training), from
/// one seed drawn from the default generator. REQUIRES: D divisible by heads.
Tensor attend(const Tensor& qkv_K3D, const Sequences& sequences, std::int64_t heads, double dropout, bool training,
              HeadOrder order = HeadOrder::kBlocks);

/// Softmax-weighted mean: y_s = sum_t a_t x_t, a = softmax over the sequence of scores. scores_K, values_KD -> [S, D].
Tensor pool(const Tensor& scores_K, const Tensor& values_KD, const Sequences& sequences);

/// Mean of each sequence. values_KD -> [S, D].
Tensor mean(const Tensor& values_KD, const Sequences& sequences);

/// ReLU of a "same" 1-D convolution with an odd kernel w, from taps: taps_KwD[k, j] = W_j x_k, so that
/// y_t = relu(bias + sum_j taps[row of token t + j - w/2, j]), the sum over positions of the same sequence only. -> [T, D].
Tensor convolve(const Tensor& taps_KwD, const Tensor& bias_D, const Sequences& sequences);

/// The same functions from padded tensor operations.
namespace plain {
Tensor gather(const Tensor& table_KD, std::span<const std::int64_t> rows_T);
Tensor attend(const Tensor& qkv_K3D, const Sequences& sequences, std::int64_t heads, double dropout, bool training,
              HeadOrder order = HeadOrder::kBlocks);
Tensor pool(const Tensor& scores_K, const Tensor& values_KD, const Sequences& sequences);
Tensor mean(const Tensor& values_KD, const Sequences& sequences);
Tensor convolve(const Tensor& taps_KwD, const Tensor& bias_D, const Sequences& sequences);
}  // namespace plain

/// Dropout with a mask drawn by one generator call and counted out in parallel: the same distribution as at::dropout, faster.
Tensor dropout(const Tensor& x, double p, bool training);

/// Additive attention (Bahdanau et al. 2015; Wu et al. 2019): a = softmax(w2 . tanh(W1 x + b1)), y = sum a x.
/// Parameters: hidden.weight [A, D], hidden.bias [A], score.weight [1, A]; torch's default initialisation.
class AdditiveAttention : public torch::nn::Module {
 public:
  AdditiveAttention(std::int64_t width, std::int64_t attention_width);
  ~AdditiveAttention() override;
  /// values_KD -> [S, D]. Scores are computed once a row.
  Tensor forward(const Tensor& values_KD, const Sequences& sequences);

  torch::nn::Linear hidden{nullptr}, score{nullptr};
};

/// The NRMS encoder of words or clicks: multi-head self-attention (projections in_width -> in_width, as torch's MultiheadAttention),
/// a linear layer in_width -> width, additive attention pooling (Wu et al., EMNLP 2019, section 3.1; no residual, no norm).
/// Nothing stands between output projection, linear layer and pooling, so the three are folded:
///   V = W_linear W_out, c = W_linear b_out + b_linear;  scores = w2 . tanh(W1 V h + W1 c + b1);  y = V (sum a h) + c.
/// Parameters: in_proj_weight [3 in, in] (Xavier uniform), in_proj_bias [3 in] (zero), out_proj, linear, pooling.hidden, pooling.score.
class SelfAttentionPooling : public torch::nn::Module {
 public:
  SelfAttentionPooling(std::int64_t in_width, std::int64_t width, std::int64_t heads, std::int64_t attention_width, double dropout);
  ~SelfAttentionPooling() override;
  /// rows_KI [K, in_width] -> [S, width].
  Tensor forward(const Tensor& rows_KI, const Sequences& sequences);

  Tensor in_proj_weight, in_proj_bias;
  torch::nn::Linear out_proj{nullptr}, linear{nullptr};
  std::shared_ptr<AdditiveAttention> pooling;

 private:
  std::int64_t in_width_, width_, heads_;
  double dropout_;
};

/// "Same" 1-D convolution with ReLU over tokens: weight [w, D, I] (tap j, output, input), bias [D]; torch's Conv1d initialisation.
class Convolution : public torch::nn::Module {
 public:
  Convolution(std::int64_t in_width, std::int64_t width, std::int64_t kernel);
  ~Convolution() override;
  /// rows_KI -> [T, D].
  Tensor forward(const Tensor& rows_KI, const Sequences& sequences);

  Tensor weight_wDI, bias_D;

 private:
  std::int64_t kernel_;
};

}  // namespace oncekit::nn
