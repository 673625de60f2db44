// Attention over features in interleaved order: feature f of a head h stands at f * heads + h. The dot products of all heads are then one
// elementwise product summed over vectors, without sums across lanes, without transposing, without padding short sequences.
// float32, contiguous; nothing of torch. Semantics of the calls: ragged_kernels.h; weights are [L, L, heads] a sequence.
#pragma once

#include <cstdint>

#include "model/ragged_kernels.h"

namespace oncekit::kernels {

/// Whether these sizes have a kernel: 1, 2, 4 or 8 heads, a width of whole vectors.
bool can_interleave(std::int64_t width, std::int64_t heads) noexcept;

void interleaved_forward(const Attention& a, float* weights, float* out, std::int64_t first, std::int64_t last);
void interleaved_backward(const Attention& a, const float* weights, const float* grad_out, float* grad_qkv, std::int64_t first, std::int64_t last);

}  // namespace oncekit::kernels
