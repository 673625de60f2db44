// Frozen products on oneDNN's packed weights, called through LibTorch's dispatcher; at::linear where LibTorch has no oneDNN.
//
// oneDNN makes one kernel for each number of rows (about 5 ms and 1 to 5 MB each, kept in its cache), so rows are handed over
// in pieces of few sizes. No piece has one row: that takes another kernel, which sums in another order. So a row's result depends on that
// row alone, not on its neighbours and not on the threads.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include <ATen/Context.h>
#include <ATen/Version.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/headeronly/version.h>

#include "kernels/kernels.h"

namespace oncekit::lm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;
using torch::autograd::Variable;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t kLargestPiece = 1024, kLeastPiece = 2;

bool cpu_has_avx512_bf16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

bool cpu_has_amx_bf16() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("amx-bf16") != 0;
#else
  return false;
#endif
}

bool cpu_has_avx512() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512dq") != 0;
#else
  return false;
#endif
}

// The dispatcher's entry, or nothing where this LibTorch was built without it.
template <class Signature>
std::optional<c10::TypedOperatorHandle<Signature>> find_operator(const char* name) {
  const auto found = c10::Dispatcher::singleton().findSchema({name, ""});
  if (!found) return std::nullopt;
  return found->typed<Signature>();
}

using Pack = Tensor(const Tensor&, std::optional<std::int64_t>);
using Multiply = Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&, std::string_view, c10::List<std::optional<at::Scalar>>,
                        std::optional<std::string_view>);

const auto& pack_operator() {
  static const auto found = find_operator<Pack>("mkldnn::_reorder_linear_weight");
  return found;
}

const auto& multiply_operator() {
  static const auto found = find_operator<Multiply>("mkldnn::_linear_pointwise");
  return found;
}

bool has_onednn(Compute compute) {
  if (!at::hasMKLDNN() || !at::globalContext().userEnabledMkldnn() || !pack_operator() || !multiply_operator()) return false;
  if (compute == Compute::kFloat32) return true;
  static const auto takes_bf16 = find_operator<bool()>("mkldnn::_is_mkldnn_bf16_supported");
  return takes_bf16 && takes_bf16->call();
}

at::ScalarType type_of(Compute compute) { return compute == Compute::kBfloat16 ? at::kBFloat16 : at::kFloat; }

// A weight [O, I] and a bias as the products want them.
struct Packed {
  Tensor weight, bias;
  bool onednn = false;
  std::int64_t outputs = 0;

  Packed() = default;
  // The weight is read, never written; a copy in `compute`'s type lives while it is packed, unless it has that type already.
  Packed(const Tensor& weight_OI, const Tensor& bias_O, Compute compute) : outputs(weight_OI.size(0)) {
    const c10::NoGradGuard no_grad;
    const Tensor typed = weight_OI.detach().to(type_of(compute));
    onednn = typed.device().is_cpu() && typed.numel() > 0 && has_onednn(compute);
    weight = onednn ? pack_operator()->call(typed, std::nullopt) : typed.contiguous();
    // A mapped file may be unmapped, and is read only: keep what is ours.
    if (!onednn && weight.is_alias_of(weight_OI)) weight = weight.clone();
    if (bias_O.defined()) bias = bias_O.detach().to(onednn ? at::kFloat : weight.scalar_type(), false, true);
  }

  Tensor piece(const Tensor& x_NI, const std::optional<Tensor>& bias_O) const { return multiply_operator()->call(x_NI, weight, bias_O, "none", c10::List<std::optional<at::Scalar>>(), ""); }

  // x in the weight's type -> [N, O] in the same type.
  Tensor multiply(const Tensor& x) const {
    const c10::NoGradGuard no_grad;
    if (!onednn) return at::linear(x, weight, bias);
    const std::optional<Tensor> bias_O = bias.defined() ? std::optional(bias) : std::nullopt;
    const Tensor x_NI = x.contiguous();
    const std::int64_t rows = x_NI.size(0), inputs = x_NI.size(1);
    if (rows == 0) return at::empty({0, outputs}, x_NI.options());
    std::int64_t size = kLargestPiece;
    while (size / 2 >= rows && size > kLeastPiece) size /= 2;
    if (size == rows) return piece(x_NI, bias_O);
    if (rows < size && size <= 64) {
      Tensor padded = at::zeros({size, inputs}, x_NI.options());
      padded.narrow(0, 0, rows).copy_(x_NI);
      return piece(padded, bias_O).narrow(0, 0, rows);
    }
    Tensor out_NO = at::empty({rows, outputs}, x_NI.options());
    for (std::int64_t at = 0; at < rows;) {
      size = kLargestPiece;
      while (size > 64 && size > rows - at) size /= 2;
      at = std::min(at, rows - size);  // the last piece goes over some rows again
      out_NO.narrow(0, at, size).copy_(piece(x_NI.narrow(0, at, size), bias_O));
      at += size;
    }
    return out_NO;
  }

  std::int64_t bytes() const {
    if (!weight.defined()) return 0;
    if (!onednn) return static_cast<std::int64_t>(weight.nbytes());
    static const auto size = find_operator<std::int64_t(const Tensor&)>("mkldnn::_nbytes");
    return size ? size->call(weight) : weight.numel() * static_cast<std::int64_t>(weight.element_size());
  }
};

}  // namespace

// Large weights that gradients pass through are not kept packed, once for each direction: they are packed anew from the mapped file for every
// product, which costs a few percent of it (0.3 s of 13 for a layer of LLaMA-13B and 5,000 tokens), and dropped. The bits are the same.
constexpr std::int64_t kKeptPacked = 1 << 24;  // elements

struct FrozenLinear::State {
  Packed packed, transposed;
  Tensor weight, bias;  ///< of a weight that is not kept packed
  Compute compute = Compute::kFloat32;
  bool backward = false;
};

namespace {

// A weight that may be undefined, which a Function's argument may not.
struct Loose {
  Tensor weight_OI;
};

struct Product : Function<Product> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x_NI, const Packed& packed, const Packed& transposed, const Loose& loose) {
    ctx->saved_data["weight"] = loose.weight_OI.defined() ? loose.weight_OI : transposed.weight;
    ctx->saved_data["kept"] = !loose.weight_OI.defined();
    ctx->saved_data["onednn"] = transposed.onednn;
    ctx->saved_data["outputs"] = transposed.outputs;
    return packed.multiply(x_NI.to(packed.weight.scalar_type())).to(at::kFloat);
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    Packed transposed;
    const Tensor weight = ctx->saved_data["weight"].toTensor();
    if (ctx->saved_data["kept"].toBool()) {
      transposed.weight = weight;
      transposed.onednn = ctx->saved_data["onednn"].toBool();
      transposed.outputs = ctx->saved_data["outputs"].toInt();
    } else {
      transposed = Packed(weight.t(), {}, Compute::kFloat32);
    }
    return {transposed.multiply(grads[0].to(at::kFloat)), Variable(), Variable(), Variable()};
  }
};

std::string onednn_version() {
  // "Intel(R) MKL-DNN v3.12.0 (Git Hash ...)"
  const std::string text = at::get_mkldnn_version();
  const std::size_t at = text.find(" v");
  return at == std::string::npos ? "" : text.substr(at + 2, text.find(' ', at + 2) - at - 2);
}

// "NVIDIA H200", from the driver: oncekit is built without CUDA's headers. Empty where there is none that answers.
std::string gpu_name(int index) {
  void* driver = ::dlopen("libcuda.so.1", RTLD_LAZY);  // LibTorch's own; it stays loaded
  if (driver == nullptr) return "";
  const auto start = reinterpret_cast<int (*)(unsigned)>(::dlsym(driver, "cuInit"));
  const auto find = reinterpret_cast<int (*)(int*, int)>(::dlsym(driver, "cuDeviceGet"));
  const auto ask = reinterpret_cast<int (*)(char*, int, int)>(::dlsym(driver, "cuDeviceGetName"));
  int gpu = 0;
  char name[128] = {};
  const bool known = start && find && ask && start(0) == 0 && find(&gpu, index) == 0 && ask(name, sizeof name - 1, gpu) == 0;
  return known ? name : "";
}

}  // namespace

FrozenLinear::FrozenLinear(const Tensor& weight_OI, const Tensor& bias_O, Compute compute, bool backward) : state_(std::make_shared<State>()) {
  state_->backward = backward;
  state_->compute = compute;
  if (backward && weight_OI.device().is_cpu() && weight_OI.numel() >= kKeptPacked) {
    state_->weight = weight_OI.detach();
    state_->bias = bias_O;
    return;
  }
  state_->packed = Packed(weight_OI, bias_O, compute);
  if (backward) state_->transposed = Packed(weight_OI.t(), {}, Compute::kFloat32);
}

Tensor FrozenLinear::forward(const Tensor& x_NI) const {
  if (state_->weight.defined()) return Product::apply(x_NI, Packed(state_->weight, state_->bias, state_->compute), Packed(), Loose{state_->weight});
  const Packed& packed = state_->packed;
  if (state_->backward) return Product::apply(x_NI, packed, state_->transposed, Loose{});
  return packed.multiply(x_NI.detach().to(packed.weight.scalar_type()));
}

std::int64_t FrozenLinear::bytes() const { return state_ ? state_->packed.bytes() + state_->transposed.bytes() : 0; }

std::int64_t full_rows(std::int64_t rows) {
  const std::int64_t last = rows % kLargestPiece;
  std::int64_t size = kLargestPiece;
  while (size / 2 >= last && size > kLeastPiece) size /= 2;
  return last > 0 && size - last <= size / 8 ? rows - last + size : rows;
}

Compute fastest_compute(const at::Device& device) {
  return !device.is_cpu() || cpu_has_avx512_bf16() || cpu_has_amx_bf16() ? Compute::kBfloat16 : Compute::kFloat32;
}

std::string kernel_name(Compute compute, const at::Device& device) {
  const bool bf16 = compute == Compute::kBfloat16;
  std::string name = bf16 ? "bf16 " : "f32 ";
  if (!device.is_cpu()) {
    const std::string gpu = gpu_name(device.has_index() ? device.index() : 0);
    return name + "cuda" + (gpu.empty() ? "" : " " + gpu) + ", libtorch " TORCH_VERSION;
  }
  if (!has_onednn(compute)) return name + "libtorch " TORCH_VERSION;
  name += "onednn " + onednn_version();
  if (bf16 && cpu_has_amx_bf16()) return name + " amx_bf16, libtorch " TORCH_VERSION;
  if (bf16 && cpu_has_avx512_bf16()) return name + " avx512_bf16, libtorch " TORCH_VERSION;
  return name + (cpu_has_avx512() ? " avx512" : " avx2 or less") + ", libtorch " TORCH_VERSION;
}

double gemm_peak(Compute compute, std::int64_t m, std::int64_t k, std::int64_t n, double seconds) {
  const c10::NoGradGuard no_grad;
  // Not random numbers: a run's own must not depend on whether this was measured.
  const Packed packed(at::linspace(-1, 1, n * k).view({n, k}), {}, compute);
  const Tensor x = at::linspace(-1, 1, m * k).view({m, k}).to(type_of(compute));
  const auto once = [&] {
    const auto begin = Clock::now();
    packed.onednn ? packed.piece(x, std::nullopt) : at::linear(x, packed.weight);
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  once();  // makes the kernel
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  double best = once();
  while (Clock::now() < end) best = std::min(best, once());
  return 2.0 * static_cast<double>(m) * static_cast<double>(k) * static_cast<double>(n) / best * 1e-9;
}

}  // namespace oncekit::lm
