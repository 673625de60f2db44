// Loops over ragged sequences, on raw memory; nothing of torch. float32, contiguous. Each function handles sequences [first, last).
#pragma once

#include <cstdint>

namespace oncekit::kernels {

/// Queries, keys and values of token t are at qkv + rows[t] * 3 D (+ 0, D, 2 D).
struct Attention {
  const float* qkv;
  const std::int64_t* rows;     ///< [T]
  const std::int64_t* offsets;  ///< [S + 1]
  const std::int64_t* weights_at;  ///< [S + 1]: where a sequence's attention weights begin, heads * L * L each
  std::int64_t width, heads;
  float dropout;                ///< 0: none
  std::uint64_t seed;
};

/// weights: as given by weights_at, after the softmax and before dropout. out: [T, D].
void attention_forward(const Attention& a, float* weights, float* out, std::int64_t first, std::int64_t last);
/// grad_out: [T, D]; grad_qkv: [T, 3 D], written, not added.
void attention_backward(const Attention& a, const float* weights, const float* grad_out, float* grad_qkv, std::int64_t first, std::int64_t last);

/// out [S, D] = sum_t a_t values[rows[t]], a = softmax of scores[rows[t]]; alphas: [T].
void pool_forward(const float* scores, const float* values, const std::int64_t* rows, const std::int64_t* offsets, std::int64_t width,
                  float* alphas, float* out, std::int64_t first, std::int64_t last);
/// grad_scores [T]: of each token. (Values' gradient of token t is alphas[t] * grad_out[s].)
void pool_backward(const float* values, const float* alphas, const float* grad_out, const float* out, const std::int64_t* rows,
                   const std::int64_t* offsets, std::int64_t width, float* grad_scores, std::int64_t first, std::int64_t last);

/// out [T, D] = relu(bias + sum_j taps[row of t + j - w/2, j, :]).
void convolution_forward(const float* taps, const float* bias, const std::int64_t* rows, const std::int64_t* offsets, std::int64_t width,
                         std::int64_t kernel, float* out, std::int64_t first, std::int64_t last);

/// Sums of rows by owner: out[k, :] = sum over tokens t in by_row[starts[k], starts[k + 1]) of weight_t * in[source(t), :].
/// source(t) = segment ? segment[t] : t; weight_t = weights ? weights[t] : 1. Rows [first, last) of out are written.
void sum_by_row(const float* in, const std::int32_t* by_row, const std::int64_t* starts, const std::int32_t* segment, const float* weights,
                std::int64_t width, float* out, std::int64_t first, std::int64_t last);

/// The gradient of convolution_forward's taps: grad_out is that of the ReLU's input, [T, D]; out [K, w, D] rows [first, last).
/// begin_of and end_of: [T], the bounds of each token's sequence.
void convolution_backward(const float* grad_out, const std::int32_t* by_row, const std::int64_t* starts, const std::int64_t* begin_of,
                          const std::int64_t* end_of, std::int64_t width, std::int64_t kernel, float* out, std::int64_t first, std::int64_t last);

/// out[i] = x[i] / (1 - p), or 0 with probability p, for i in [first, last): a function of seed and i alone.
void dropout(const float* x, float p, std::uint64_t seed, float* out, std::int64_t first, std::int64_t last);

}  // namespace oncekit::kernels
