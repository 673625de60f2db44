// The loops of normalisation, gates and rotation (kernels.h), without tensors. Data is float32, or bfloat16 as its 16 bits.
#pragma once

#include <cstdint>

namespace oncekit::lm::kernels {

/// Rows [first, last) of `width`. With `inverse` 1 / rms of each row is kept there.
void rms_norm(const float* x, const float* weight, float eps, std::int64_t width, float* out, float* inverse, std::int64_t first, std::int64_t last);
void rms_norm(const std::uint16_t* x, const float* weight, float eps, std::int64_t width, std::uint16_t* out, std::int64_t first, std::int64_t last);
void rms_norm(const float* x, const float* weight, float eps, std::int64_t width, std::uint16_t* out, std::int64_t first, std::int64_t last);
void rms_norm_backward(const float* x, const float* weight, const float* inverse, const float* grad_out, std::int64_t width, float* grad_x, std::int64_t first,
                       std::int64_t last);
/// Adds the gradient of the weight that rows [first, last) give to grad_weight.
void rms_norm_weight(const float* x, const float* inverse, const float* grad_out, std::int64_t width, float* grad_weight, std::int64_t first, std::int64_t last);

/// What a layer norm gives besides its result, each where it is not null: the result in bfloat16, and a row's mean and 1 / deviation.
struct NormExtras {
  std::uint16_t* rounded = nullptr;
  float *mean = nullptr, *inverse = nullptr;
};
/// Rows [first, last) of `width`.
void layer_norm(const float* x, const float* weight, const float* bias, float eps, std::int64_t width, float* out, const NormExtras& extras, std::int64_t first,
                std::int64_t last);

void layer_norm_backward(const float* x, const float* weight, const float* mean, const float* inverse, const float* grad_out, std::int64_t width, float* grad_x,
                         std::int64_t first, std::int64_t last);
/// Adds the gradients of weight and bias that rows [first, last) give to sums[0, width) and sums[width, 2 * width).
void layer_norm_weights(const float* x, const float* mean, const float* inverse, const float* grad_out, std::int64_t width, float* sums, std::int64_t first,
                        std::int64_t last);

/// Elements [first, last).
void add(const float* x, const std::uint16_t* y, float* out, std::int64_t first, std::int64_t last);
void swiglu(const float* gate, const float* up, float* out, std::int64_t first, std::int64_t last);
void swiglu(const std::uint16_t* gate, const std::uint16_t* up, std::uint16_t* out, std::int64_t first, std::int64_t last);
void swiglu_backward(const float* gate, const float* up, const float* grad_out, float* grad_gate, float* grad_up, std::int64_t first, std::int64_t last);
void gelu(const float* x, float* out, std::int64_t first, std::int64_t last);
void gelu(const std::uint16_t* x, std::uint16_t* out, std::int64_t first, std::int64_t last);
void gelu_backward(const float* x, const float* grad_out, float* grad_x, std::int64_t first, std::int64_t last);

/// Nodes [first, last), each of `heads` heads of 2 * half features; `sign` -1 turns the other way.
void rotate(const float* x, const float* cos, const float* sin, float sign, std::int64_t heads, std::int64_t half, float* out, std::int64_t first, std::int64_t last);
void rotate(const std::uint16_t* x, const float* cos, const float* sin, float sign, std::int64_t heads, std::int64_t half, std::uint16_t* out, std::int64_t first,
            std::int64_t last);

}  // namespace oncekit::lm::kernels
