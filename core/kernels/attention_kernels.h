// The loops of attention along the paths of a tree (kernels.h), without tensors: what at::parallel_for hands to each thread.
//
// A task is one sequence and one key-value head: task = s * G + g. It computes the results of the nodes that the sequence owns, for
// the H / G heads that share the key-value head.
#pragma once

#include <cstdint>
#include <vector>

namespace oncekit::lm::kernels {

/// Rows of q, k and v: the heads of a node side by side, nodes `*_stride` elements apart; float32, or bfloat16 as its 16 bits.
struct Attention {
  const void *q = nullptr, *k = nullptr, *v = nullptr;
  bool bf16 = false;
  std::int64_t q_stride = 0, k_stride = 0, v_stride = 0;
  std::int64_t heads = 0, groups = 0, width = 0;
  const std::int64_t *path = nullptr, *offsets = nullptr, *first_own = nullptr;
  bool causal = false;
  float scale = 1;
};

/// Floats of a row of probabilities over `length` places.
inline std::int64_t row_floats(std::int64_t length) { return (length + 15) / 16 * 16; }

/// Tasks [first, last). out [N, H, W] in q's type. With `probabilities` the rows of task t are written to probabilities +
/// probabilities_at[t]: own nodes * H / G rows of row_floats(length).
void attention_forward(const Attention& a, const std::int64_t* probabilities_at, float* probabilities, void* out, std::int64_t first, std::int64_t last);

/// Tasks [first, last), float32. Gradients of own nodes go to grad_q [N, H, W], grad_k and grad_v [N, G, W]; those of the nodes
/// shared with earlier sequences, one row for each place before first_own, to shared_k and shared_v [places, G, W] from row shared_at[s] on.
void attention_backward(const Attention& a, const std::int64_t* probabilities_at, const float* probabilities, const float* grad_out, float* grad_q, float* grad_k,
                        float* grad_v, const std::int64_t* shared_at, float* shared_k, float* shared_v, std::int64_t first, std::int64_t last);

}  // namespace oncekit::lm::kernels
