// Normalisation, gates and rotation as one pass over memory each, with gradients in float32.
#include <algorithm>

#include <ATen/Parallel.h>
#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/elementwise_kernels.h"
#include "kernels/kernels.h"

namespace oncekit::lm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;
using torch::autograd::Variable;

constexpr std::int64_t kGrain = 16384;  // elements a thread gets at least

std::int64_t rows_each(std::int64_t width) { return std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, width)); }

const float* floats(const Tensor& x) { return x.const_data_ptr<float>(); }
const std::uint16_t* halves(const Tensor& x) { return static_cast<const std::uint16_t*>(x.const_data_ptr()); }
std::uint16_t* halves(Tensor& x) { return static_cast<std::uint16_t*>(x.data_ptr()); }

bool needs_gradients(std::initializer_list<Tensor> tensors) {
  return c10::GradMode::is_enabled() && std::any_of(tensors.begin(), tensors.end(), [](const Tensor& x) { return x.requires_grad(); });
}

// Float32, or bfloat16 of which nobody wants gradients.
bool fast(const Tensor& x, bool gradients) {
  return x.device().is_cpu() && (x.scalar_type() == at::kFloat || (x.scalar_type() == at::kBFloat16 && !gradients));
}

Tensor norm(const Tensor& x, const Tensor& weight, double eps, at::ScalarType type, float* inverse) {
  const std::int64_t width = x.size(-1), rows = width > 0 ? x.numel() / width : 0;
  Tensor out = at::empty(x.sizes(), type);
  const float* w = floats(weight);
  const auto e = static_cast<float>(eps);
  at::parallel_for(0, rows, rows_each(width), [&](std::int64_t first, std::int64_t last) {
    if (type == at::kFloat) kernels::rms_norm(floats(x), w, e, width, out.data_ptr<float>(), inverse, first, last);
    else if (x.scalar_type() == at::kFloat) kernels::rms_norm(floats(x), w, e, width, halves(out), first, last);
    else kernels::rms_norm(halves(x), w, e, width, halves(out), first, last);
  });
  return out;
}

// [width]: sums of so many rows each, then the sum of those, so the same on any number of threads. add(sums, first, last) adds rows to sums.
template <class Add>
Tensor sum_of_rows(std::int64_t rows, std::int64_t width, const Add& add) {
  const std::int64_t block = 64, blocks = (rows + block - 1) / block;
  Tensor parts = at::zeros({blocks, width}, at::kFloat), sum = at::zeros({width}, at::kFloat);
  float *part = parts.data_ptr<float>(), *target = sum.data_ptr<float>();
  at::parallel_for(0, blocks, std::max<std::int64_t>(1, rows_each(width) / block), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t b = first; b < last; ++b) add(part + b * width, b * block, std::min(rows, (b + 1) * block));
  });
  for (std::int64_t b = 0; b < blocks; ++b)
    for (std::int64_t i = 0; i < width; ++i) target[i] += part[b * width + i];
  return sum;
}

struct RmsNorm : Function<RmsNorm> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x_, const Tensor& weight_, double eps) {
    const Tensor x = x_.contiguous(), weight = weight_.contiguous();
    Tensor inverse = at::empty({x.numel() / std::max<std::int64_t>(1, x.size(-1))}, x.options());
    Tensor out = norm(x, weight, eps, at::kFloat, inverse.data_ptr<float>());
    ctx->save_for_backward({x, weight, inverse});
    return out;
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &inverse = saved[2];
    const Tensor grad_out = grads[0].contiguous();
    const std::int64_t width = weight.size(0), rows = inverse.size(0);
    Tensor grad_x, grad_weight;
    if (ctx->needs_input_grad(0)) {
      grad_x = at::empty(x.sizes(), x.options());
      float* target = grad_x.data_ptr<float>();
      at::parallel_for(0, rows, rows_each(width), [&](std::int64_t first, std::int64_t last) {
        kernels::rms_norm_backward(floats(x), floats(weight), floats(inverse), floats(grad_out), width, target, first, last);
      });
    }
    if (ctx->needs_input_grad(1)) {
      grad_weight = sum_of_rows(rows, width, [&](float* sums, std::int64_t first, std::int64_t last) {
        kernels::rms_norm_weight(floats(x), floats(inverse), floats(grad_out), width, sums, first, last);
      });
    }
    return {grad_x, grad_weight, Variable()};
  }
};

Tensor norm_of_layer(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, const kernels::NormExtras& extras) {
  const std::int64_t width = x.size(-1), rows = width > 0 ? x.numel() / width : 0;
  Tensor out = at::empty(x.sizes(), x.options());
  const float *w = floats(weight), *b = floats(bias);
  at::parallel_for(0, rows, rows_each(width), [&](std::int64_t first, std::int64_t last) {
    kernels::layer_norm(floats(x), w, b, static_cast<float>(eps), width, out.data_ptr<float>(), extras, first, last);
  });
  return out;
}

// ATen's gives weight and bias other sums on other numbers of threads.
struct LayerNorm : Function<LayerNorm> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x_, const Tensor& weight_, const Tensor& bias_, double eps) {
    const Tensor x = x_.contiguous(), weight = weight_.contiguous(), bias = bias_.contiguous();
    const std::int64_t rows = x.numel() / std::max<std::int64_t>(1, x.size(-1));
    Tensor mean = at::empty({rows}, x.options()), inverse = at::empty({rows}, x.options());
    Tensor out = norm_of_layer(x, weight, bias, eps, {nullptr, mean.data_ptr<float>(), inverse.data_ptr<float>()});
    ctx->save_for_backward({x, weight, mean, inverse});
    return out;
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], &mean = saved[2], &inverse = saved[3];
    const Tensor grad_out = grads[0].contiguous();
    const std::int64_t width = weight.size(0), rows = mean.size(0);
    Tensor grad_x, grad_weight, grad_bias;
    if (ctx->needs_input_grad(0)) {
      grad_x = at::empty(x.sizes(), x.options());
      float* target = grad_x.data_ptr<float>();
      at::parallel_for(0, rows, rows_each(width), [&](std::int64_t first, std::int64_t last) {
        kernels::layer_norm_backward(floats(x), floats(weight), floats(mean), floats(inverse), floats(grad_out), width, target, first, last);
      });
    }
    if (ctx->needs_input_grad(1) || ctx->needs_input_grad(2)) {
      const Tensor both = sum_of_rows(rows, 2 * width, [&](float* sums, std::int64_t first, std::int64_t last) {
        kernels::layer_norm_weights(floats(x), floats(mean), floats(inverse), floats(grad_out), width, sums, first, last);
      });
      grad_weight = both.narrow(0, 0, width);
      grad_bias = both.narrow(0, width, width);
    }
    return {grad_x, grad_weight, grad_bias, Variable()};
  }
};

Tensor gate(const Tensor& gate_NF, const Tensor& up_NF) {
  Tensor out = at::empty(gate_NF.sizes(), gate_NF.options());
  at::parallel_for(0, out.numel(), kGrain, [&](std::int64_t first, std::int64_t last) {
    if (out.scalar_type() == at::kFloat) kernels::swiglu(floats(gate_NF), floats(up_NF), out.data_ptr<float>(), first, last);
    else kernels::swiglu(halves(gate_NF), halves(up_NF), halves(out), first, last);
  });
  return out;
}

struct Swiglu : Function<Swiglu> {
  static Tensor forward(AutogradContext* ctx, const Tensor& gate_NF, const Tensor& up_NF) {
    const Tensor g = gate_NF.contiguous(), up = up_NF.contiguous();
    ctx->save_for_backward({g, up});
    return gate(g, up);
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor grad_out = grads[0].contiguous();
    Tensor grad_gate = at::empty(saved[0].sizes(), saved[0].options()), grad_up = at::empty(saved[1].sizes(), saved[1].options());
    float *gate_target = grad_gate.data_ptr<float>(), *up_target = grad_up.data_ptr<float>();
    at::parallel_for(0, grad_out.numel(), kGrain, [&](std::int64_t first, std::int64_t last) {
      kernels::swiglu_backward(floats(saved[0]), floats(saved[1]), floats(grad_out), gate_target, up_target, first, last);
    });
    return {grad_gate, grad_up};
  }
};

Tensor smooth(const Tensor& x) {
  Tensor out = at::empty(x.sizes(), x.options());
  at::parallel_for(0, out.numel(), kGrain, [&](std::int64_t first, std::int64_t last) {
    if (out.scalar_type() == at::kFloat) kernels::gelu(floats(x), out.data_ptr<float>(), first, last);
    else kernels::gelu(halves(x), halves(out), first, last);
  });
  return out;
}

struct Gelu : Function<Gelu> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x_) {
    const Tensor x = x_.contiguous();
    ctx->save_for_backward({x});
    return smooth(x);
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const Tensor x = ctx->get_saved_variables()[0], grad_out = grads[0].contiguous();
    Tensor grad_x = at::empty(x.sizes(), x.options());
    float* target = grad_x.data_ptr<float>();
    at::parallel_for(0, x.numel(), kGrain, [&](std::int64_t first, std::int64_t last) {
      kernels::gelu_backward(floats(x), floats(grad_out), target, first, last);
    });
    return {grad_x};
  }
};

Tensor turn(const Tensor& x, const Tensor& cos, const Tensor& sin, float sign) {
  const std::int64_t heads = x.size(1), half = x.size(2) / 2;
  Tensor out = at::empty(x.sizes(), x.options());
  at::parallel_for(0, x.size(0), rows_each(2 * heads * half), [&](std::int64_t first, std::int64_t last) {
    if (x.scalar_type() == at::kFloat) kernels::rotate(floats(x), floats(cos), floats(sin), sign, heads, half, out.data_ptr<float>(), first, last);
    else kernels::rotate(halves(x), floats(cos), floats(sin), sign, heads, half, halves(out), first, last);
  });
  return out;
}

struct Rotate : Function<Rotate> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x_NHW, const Tensor& cos, const Tensor& sin) {
    ctx->save_for_backward({cos, sin});
    return turn(x_NHW.contiguous(), cos, sin, 1);
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto saved = ctx->get_saved_variables();
    return {turn(grads[0].contiguous(), saved[0], saved[1], -1), Variable(), Variable()};
  }
};

}  // namespace

Tensor add(const Tensor& x, const Tensor& y) {
  if (!fast(x, false) || x.scalar_type() != at::kFloat || y.scalar_type() != at::kBFloat16 || !x.sizes().equals(y.sizes()) || needs_gradients({x, y}))
    return at::add(x.to(at::kFloat), y.to(at::kFloat));
  const Tensor a = x.contiguous(), b = y.contiguous();
  Tensor out = at::empty(a.sizes(), a.options());
  at::parallel_for(0, out.numel(), kGrain, [&](std::int64_t first, std::int64_t last) { kernels::add(floats(a), halves(b), out.data_ptr<float>(), first, last); });
  return out;
}

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps, bool rounded) {
  const bool gradients = needs_gradients({x, weight});
  const at::ScalarType type = rounded ? at::kBFloat16 : x.scalar_type();
  if (!fast(x, gradients) || (gradients && weight.scalar_type() != at::kFloat)) return plain::rms_norm(x, weight, eps).to(type);
  if (gradients) return RmsNorm::apply(x, weight, eps);
  return norm(x.contiguous(), weight.to(at::kFloat).contiguous(), eps, type, nullptr);
}

Tensor layer_norm(const Tensor& x_, const Tensor& weight_, const Tensor& bias_, double eps, Tensor* rounded) {
  const bool narrow = weight_.scalar_type() != at::kFloat || bias_.scalar_type() != at::kFloat;
  if (!x_.device().is_cpu() || x_.scalar_type() != at::kFloat || narrow) {
    Tensor out = at::layer_norm(x_, {x_.size(-1)}, weight_, bias_, eps);
    if (rounded) *rounded = out.to(at::kBFloat16);
    return out;
  }
  if (needs_gradients({x_, weight_, bias_})) return LayerNorm::apply(x_, weight_, bias_, eps);
  const Tensor x = x_.contiguous();
  kernels::NormExtras extras;
  if (rounded) {
    *rounded = at::empty(x.sizes(), at::kBFloat16);
    extras.rounded = halves(*rounded);
  }
  return norm_of_layer(x, weight_.contiguous(), bias_.contiguous(), eps, extras);
}

Tensor swiglu(const Tensor& gate_NF, const Tensor& up_NF) {
  const bool gradients = needs_gradients({gate_NF, up_NF});
  if (!fast(gate_NF, gradients) || gate_NF.scalar_type() != up_NF.scalar_type()) return plain::swiglu(gate_NF, up_NF);
  if (gradients) return Swiglu::apply(gate_NF, up_NF);
  return gate(gate_NF.contiguous(), up_NF.contiguous());
}

Tensor gelu(const Tensor& x) {
  const bool gradients = needs_gradients({x});
  if (!fast(x, gradients)) return at::gelu(x);
  return gradients ? Gelu::apply(x) : smooth(x.contiguous());
}

Tensor rotate(const Tensor& x_NHW, const Tensor& cos_NW2, const Tensor& sin_NW2) {
  const bool gradients = needs_gradients({x_NHW});
  if (!fast(x_NHW, gradients)) return plain::rotate(x_NHW, cos_NW2, sin_NW2);
  const Tensor cos = cos_NW2.contiguous(), sin = sin_NW2.contiguous();
  if (gradients) return Rotate::apply(x_NHW, cos, sin);
  return turn(x_NHW.contiguous(), cos, sin, 1);
}

}  // namespace oncekit::lm
