// What a language model's layers are made of, fast on this CPU, each with a plain twin made of tensor operations.
//
// Shapes: N nodes (tokens, see text/token_tree.h), D model width, I and O inputs and outputs of a linear layer, H heads, G key-value heads (H divisible by
// G), W head width, F width of the feed-forward layer. Inputs are float32 or bfloat16; sums are kept in float32. On the CPU these run as
// kernels of our own, on another device as the plain twins. Gradients flow in float32; all are deterministic on any number of
// threads. Nothing here draws random numbers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include "text/token_tree.h"

namespace oncekit::lm {

using at::Tensor;

/// Scaled dot-product attention along the paths of a tree: node n, at place j of the path of the sequence that owns it, looks at
/// the nodes at places 0..j of that path (causal), or at all of them. q_NHW, k_NGW, v_NGW -> [N, H, W]. Rows beyond the tree's nodes give zeros.
Tensor attend(const Tensor& q_NHW, const Tensor& k_NGW, const Tensor& v_NGW, const TokenTree& tree, bool causal, double scale);

/// x + y in float32, without a wide copy of either.
Tensor add(const Tensor& x, const Tensor& y);

/// x / sqrt(mean(x^2) + eps) * weight over the last dimension (Zhang and Sennrich 2019). The result has x's type; `rounded` = bfloat16, without gradients.
Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps, bool rounded = false);

/// (x - mean) / sqrt(variance + eps) * weight + bias over the last dimension (Ba et al. 2016). Without gradients the
/// result rounded to bfloat16 goes to `rounded` in the same pass.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, Tensor* rounded = nullptr);

/// silu(gate) * up, silu(x) = x / (1 + exp(-x)) (Shazeer 2020). [N, F] each.
Tensor swiglu(const Tensor& gate_NF, const Tensor& up_NF);

/// x (1 + erf(x / sqrt 2)) / 2 (Hendrycks and Gimpel 2016), of any shape. ATen's goes to oneDNN, which keeps a program for every number of rows.
Tensor gelu(const Tensor& x);

/// Rotary positions (Su et al. 2021) in Hugging Face's order: feature f is paired with f + W/2. cos_NW2 and sin_NW2 are float32 [N, W/2].
Tensor rotate(const Tensor& x_NHW, const Tensor& cos_NW2, const Tensor& sin_NW2);

namespace plain {
Tensor attend(const Tensor& q_NHW, const Tensor& k_NGW, const Tensor& v_NGW, const TokenTree& tree, bool causal, double scale);
Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps);
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps);
Tensor swiglu(const Tensor& gate_NF, const Tensor& up_NF);
Tensor gelu(const Tensor& x);
Tensor rotate(const Tensor& x_NHW, const Tensor& cos_NW2, const Tensor& sin_NW2);
}  // namespace plain

/// How frozen products are computed on a device: a pure function of the CPU's features, or of the GPU.
enum class Compute { kFloat32, kBfloat16 };
/// bf16 on a GPU, and where the CPU has avx512_bf16 or amx_bf16; f32 else.
Compute fastest_compute(const at::Device& device = at::kCPU);
/// "bf16 onednn 3.12.0 avx512_bf16, libtorch 2.13.0", "bf16 cuda NVIDIA H200, libtorch 2.13.0": goes into cache keys and run records.
std::string kernel_name(Compute compute, const at::Device& device = at::kCPU);

/// A frozen linear layer y = x W^T + b, its weight packed once for the matrix product. On a CPU with AVX-512 a row of the result depends on that
/// row of x alone (the tests hold it to that): neither on the other rows nor on the number of threads. Copies share the packed weight, and the last one
/// frees it. With `backward` a second packed copy, W^T in float32, serves the gradient.
class FrozenLinear {
 public:
  FrozenLinear() = default;
  /// weight_OI of any floating type, bias_O may be undefined. With `backward` gradients reach x (never the weight).
  FrozenLinear(const Tensor& weight_OI, const Tensor& bias_O, Compute compute, bool backward = false);
  /// [N, I] -> [N, O]; the result is bfloat16 with Compute::kBfloat16 and no backward, float32 else.
  Tensor forward(const Tensor& x_NI) const;
  std::int64_t bytes() const;  ///< memory that the packed weight takes

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// The rows to bring so many in, so that a product takes them as one piece: more where a few more fill it, else as many. A product of other sizes is cut
/// into pieces and its result copied together.
std::int64_t full_rows(std::int64_t rows);

/// GFLOP/s of the fastest product of this CPU with packed weights, [m, k] x [k, n], measured now (best of some repetitions in
/// about `seconds`): what benchmarks report their share of, and what estimates are made from.
double gemm_peak(Compute compute, std::int64_t m, std::int64_t k, std::int64_t n, double seconds = 0.3);

}  // namespace oncekit::lm
