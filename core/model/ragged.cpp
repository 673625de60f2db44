// Ragged operations with gradients: kernels of our own on the CPU in float32, plain tensor operations elsewhere.
#include <algorithm>
#include <vector>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include "model/interleaved_attention.h"
#include "model/ragged_kernels.h"
#include "oncekit/nn.h"

namespace oncekit::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;
using torch::autograd::Variable;

bool fast(const Tensor& x) { return x.device().is_cpu() && x.scalar_type() == at::kFloat; }

Tensor host_longs(std::span<const std::int64_t> values) {
  Tensor out = at::empty({static_cast<std::int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), out.data_ptr<std::int64_t>());
  return out;
}

const std::int64_t* longs(const Tensor& x) { return x.const_data_ptr<std::int64_t>(); }

// At least so many floats of work a thread.
std::int64_t grain(std::int64_t work_each) { return std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, work_each)); }

std::uint64_t draw_seed() {
  auto generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard lock(generator.mutex());
  return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
}

// Tokens by row: those of row k are by_row[starts[k] .. starts[k + 1]), in the order of the sequence (a counting sort).
struct ByRow {
  std::vector<std::int32_t> by_row;
  std::vector<std::int64_t> starts;
  ByRow(const std::int64_t* rows_T, std::int64_t tokens, std::int64_t rows) : by_row(static_cast<std::size_t>(tokens)), starts(static_cast<std::size_t>(rows) + 1) {
    for (std::int64_t t = 0; t < tokens; ++t) ++starts[static_cast<std::size_t>(rows_T[t]) + 1];
    for (std::size_t k = 1; k < starts.size(); ++k) starts[k] += starts[k - 1];
    std::vector<std::int64_t> next(starts.begin(), starts.end() - 1);
    for (std::int64_t t = 0; t < tokens; ++t) by_row[static_cast<std::size_t>(next[static_cast<std::size_t>(rows_T[t])]++)] = static_cast<std::int32_t>(t);
  }
};

// [K, D]: sums by row of in[segment ? segment[t] : t] * weights[t].
Tensor sum_by_row(const Tensor& in, const ByRow& order, std::int64_t rows, std::int64_t width, const std::int32_t* segment = nullptr, const float* weights = nullptr) {
  Tensor out = at::empty({rows, width}, in.options());
  const float* source = in.const_data_ptr<float>();
  float* target = out.data_ptr<float>();
  const std::int64_t each = rows > 0 ? width * static_cast<std::int64_t>(order.by_row.size()) / rows + width : 1;
  at::parallel_for(0, rows, grain(each), [&](std::int64_t first, std::int64_t last) {
    kernels::sum_by_row(source, order.by_row.data(), order.starts.data(), segment, weights, width, target, first, last);
  });
  return out;
}

// The sequence of each token.
std::vector<std::int32_t> segments(const std::int64_t* offsets, std::int64_t sequences) {
  std::vector<std::int32_t> out(static_cast<std::size_t>(offsets[sequences]));
  for (std::int64_t s = 0; s < sequences; ++s) std::fill(out.begin() + offsets[s], out.begin() + offsets[s + 1], static_cast<std::int32_t>(s));
  return out;
}

template <class Body>
void each_sequence(std::int64_t sequences, std::int64_t work, const Body& body) {
  at::parallel_for(0, sequences, grain(sequences > 0 ? work / sequences : 1), body);
}

struct Gather : Function<Gather> {
  static Tensor forward(AutogradContext* ctx, const Tensor& table_KD, const Tensor& rows_T) {
    ctx->save_for_backward({rows_T});
    ctx->saved_data["rows"] = table_KD.size(0);
    return table_KD.index_select(0, rows_T);
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const Tensor rows_T = ctx->get_saved_variables()[0];
    const std::int64_t rows = ctx->saved_data["rows"].toInt();
    const Tensor grad_TD = grads[0].contiguous();
    return {sum_by_row(grad_TD, ByRow(longs(rows_T), rows_T.size(0), rows), rows, grad_TD.size(1)), Variable()};
  }
};

struct Attend : Function<Attend> {
  static kernels::Attention describe(const Tensor& qkv, const Tensor& rows_T, const Tensor& offsets, const Tensor& weights_at, std::int64_t heads, double dropout, std::int64_t seed) {
    return {qkv.const_data_ptr<float>(), longs(rows_T), longs(offsets), longs(weights_at), qkv.size(1) / 3, heads, static_cast<float>(dropout), static_cast<std::uint64_t>(seed)};
  }
  static Tensor forward(AutogradContext* ctx, const Tensor& qkv_K3D, const Tensor& rows_T, const Tensor& offsets_S1, std::int64_t heads, double dropout, bool interleaved) {
    const Tensor qkv = qkv_K3D.contiguous();
    const std::int64_t sequences = offsets_S1.size(0) - 1, tokens = rows_T.size(0), width = qkv.size(1) / 3;
    Tensor weights_at = at::empty({sequences + 1}, at::kLong);
    std::int64_t* at_ = weights_at.data_ptr<std::int64_t>();
    at_[0] = 0;
    for (std::int64_t s = 0; s < sequences; ++s) {
      const std::int64_t length = longs(offsets_S1)[s + 1] - longs(offsets_S1)[s];
      at_[s + 1] = at_[s] + heads * length * length;
    }
    const auto seed = dropout > 0 ? static_cast<std::int64_t>(draw_seed()) : 0;
    Tensor weights = at::empty({at_[sequences]}, qkv.options()), out_TD = at::empty({tokens, width}, qkv.options());
    const kernels::Attention a = describe(qkv, rows_T, offsets_S1, weights_at, heads, dropout, seed);
    float* w = weights.data_ptr<float>();
    float* out = out_TD.data_ptr<float>();
    each_sequence(sequences, 2 * at_[sequences] * width / heads, [&](std::int64_t first, std::int64_t last) { (interleaved ? kernels::interleaved_forward : kernels::attention_forward)(a, w, out, first, last); });
    ctx->save_for_backward({qkv, rows_T, offsets_S1, weights_at, weights});
    ctx->saved_data["heads"] = heads;
    ctx->saved_data["dropout"] = dropout;
    ctx->saved_data["seed"] = seed;
    ctx->saved_data["interleaved"] = interleaved;
    return out_TD;
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &qkv = saved[0], &rows_T = saved[1], &offsets_S1 = saved[2], &weights_at = saved[3], &weights = saved[4];
    const Tensor grad_TD = grads[0].contiguous();
    const std::int64_t sequences = offsets_S1.size(0) - 1, tokens = rows_T.size(0);
    const kernels::Attention a = describe(qkv, rows_T, offsets_S1, weights_at, ctx->saved_data["heads"].toInt(), ctx->saved_data["dropout"].toDouble(), ctx->saved_data["seed"].toInt());
    Tensor grad_T3D = at::empty({tokens, qkv.size(1)}, qkv.options());
    const float *w = weights.const_data_ptr<float>(), *g = grad_TD.const_data_ptr<float>();
    float* out = grad_T3D.data_ptr<float>();
    const auto kernel = ctx->saved_data["interleaved"].toBool() ? kernels::interleaved_backward : kernels::attention_backward;
    each_sequence(sequences, 5 * weights.size(0) * a.width / a.heads, [&](std::int64_t first, std::int64_t last) { kernel(a, w, g, out, first, last); });
    return {sum_by_row(grad_T3D, ByRow(longs(rows_T), tokens, qkv.size(0)), qkv.size(0), qkv.size(1)), Variable(), Variable(), Variable(), Variable(), Variable()};
  }
};

struct Pool : Function<Pool> {
  static Tensor forward(AutogradContext* ctx, const Tensor& scores_K, const Tensor& values_KD, const Tensor& rows_T, const Tensor& offsets_S1) {
    const Tensor scores = scores_K.contiguous(), values = values_KD.contiguous();
    const std::int64_t sequences = offsets_S1.size(0) - 1, tokens = rows_T.size(0), width = values.size(1);
    Tensor alphas_T = at::empty({tokens}, values.options()), out_SD = at::empty({sequences, width}, values.options());
    const float *sp = scores.const_data_ptr<float>(), *vp = values.const_data_ptr<float>();
    float *ap = alphas_T.data_ptr<float>(), *op = out_SD.data_ptr<float>();
    each_sequence(sequences, tokens * width, [&](std::int64_t first, std::int64_t last) {
      kernels::pool_forward(sp, vp, longs(rows_T), longs(offsets_S1), width, ap, op, first, last);
    });
    ctx->save_for_backward({values, rows_T, offsets_S1, alphas_T, out_SD});
    return out_SD;
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &values = saved[0], &rows_T = saved[1], &offsets_S1 = saved[2], &alphas_T = saved[3], &out_SD = saved[4];
    const Tensor grad_SD = grads[0].contiguous();
    const std::int64_t sequences = offsets_S1.size(0) - 1, tokens = rows_T.size(0), rows = values.size(0), width = values.size(1);
    Tensor grad_scores_T = at::empty({tokens, 1}, values.options());
    const float *vp = values.const_data_ptr<float>(), *ap = alphas_T.const_data_ptr<float>(), *gp = grad_SD.const_data_ptr<float>(), *op = out_SD.const_data_ptr<float>();
    float* sp = grad_scores_T.data_ptr<float>();
    each_sequence(sequences, tokens * width, [&](std::int64_t first, std::int64_t last) {
      kernels::pool_backward(vp, ap, gp, op, longs(rows_T), longs(offsets_S1), width, sp, first, last);
    });
    const ByRow order(longs(rows_T), tokens, rows);
    const std::vector<std::int32_t> segment = segments(longs(offsets_S1), sequences);
    return {sum_by_row(grad_scores_T, order, rows, 1).view({rows}), sum_by_row(grad_SD, order, rows, width, segment.data(), ap), Variable(), Variable()};
  }
};

struct Convolve : Function<Convolve> {
  static Tensor forward(AutogradContext* ctx, const Tensor& taps_KwD, const Tensor& bias_D, const Tensor& rows_T, const Tensor& offsets_S1) {
    const Tensor taps = taps_KwD.contiguous(), bias = bias_D.contiguous();
    const std::int64_t sequences = offsets_S1.size(0) - 1, tokens = rows_T.size(0), kernel = taps.size(1), width = taps.size(2);
    Tensor out_TD = at::empty({tokens, width}, taps.options());
    const float *tp = taps.const_data_ptr<float>(), *bp = bias.const_data_ptr<float>();
    float* op = out_TD.data_ptr<float>();
    each_sequence(sequences, tokens * width * kernel, [&](std::int64_t first, std::int64_t last) {
      kernels::convolution_forward(tp, bp, longs(rows_T), longs(offsets_S1), width, kernel, op, first, last);
    });
    ctx->save_for_backward({rows_T, offsets_S1, out_TD});
    ctx->saved_data["rows"] = taps.size(0);
    ctx->saved_data["kernel"] = kernel;
    return out_TD;
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &rows_T = saved[0], &offsets_S1 = saved[1], &out_TD = saved[2];
    const std::int64_t rows = ctx->saved_data["rows"].toInt(), kernel = ctx->saved_data["kernel"].toInt();
    const std::int64_t sequences = offsets_S1.size(0) - 1, tokens = rows_T.size(0), width = out_TD.size(1);
    const Tensor grad_TD = (grads[0] * out_TD.gt(0)).contiguous();
    std::vector<std::int64_t> begin_of(static_cast<std::size_t>(tokens)), end_of(static_cast<std::size_t>(tokens));
    const std::int64_t* offsets = longs(offsets_S1);
    for (std::int64_t s = 0; s < sequences; ++s)
      for (std::int64_t t = offsets[s]; t < offsets[s + 1]; ++t) begin_of[static_cast<std::size_t>(t)] = offsets[s], end_of[static_cast<std::size_t>(t)] = offsets[s + 1];
    const ByRow order(longs(rows_T), tokens, rows);
    Tensor grad_taps = at::empty({rows, kernel, width}, out_TD.options());
    const float* gp = grad_TD.const_data_ptr<float>();
    float* tp = grad_taps.data_ptr<float>();
    at::parallel_for(0, rows, grain(kernel * width * (rows > 0 ? tokens / rows + 1 : 1)), [&](std::int64_t first, std::int64_t last) {
      kernels::convolution_backward(gp, order.by_row.data(), order.starts.data(), begin_of.data(), end_of.data(), width, kernel, tp, first, last);
    });
    return {grad_taps, grad_TD.sum(0), Variable(), Variable()};
  }
};

struct Dropout : Function<Dropout> {
  static Tensor apply_mask(const Tensor& x, double p, std::uint64_t seed) {
    const Tensor in = x.contiguous();
    Tensor out = at::empty_like(in);
    const float* source = in.const_data_ptr<float>();
    float* target = out.data_ptr<float>();
    at::parallel_for(0, in.numel(), 1 << 15, [&](std::int64_t first, std::int64_t last) { kernels::dropout(source, static_cast<float>(p), seed, target, first, last); });
    return out;
  }
  static Tensor forward(AutogradContext* ctx, const Tensor& x, double p, std::int64_t seed) {
    ctx->saved_data["p"] = p;
    ctx->saved_data["seed"] = seed;
    return apply_mask(x, p, static_cast<std::uint64_t>(seed));
  }
  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    return {apply_mask(grads[0], ctx->saved_data["p"].toDouble(), static_cast<std::uint64_t>(ctx->saved_data["seed"].toInt())), Variable(), Variable()};
  }
};

}  // namespace

Tensor gather(const Tensor& table_KD, std::span<const std::int64_t> rows_T) {
  if (!fast(table_KD)) return plain::gather(table_KD, rows_T);
  return Gather::apply(table_KD, host_longs(rows_T));
}

Tensor attend(const Tensor& qkv_K3D, const Sequences& sequences, std::int64_t heads, double dropout, bool training, HeadOrder order) {
  const bool interleaved = order == HeadOrder::kInterleaved;
  if (!fast(qkv_K3D) || (interleaved && !kernels::can_interleave(qkv_K3D.size(1) / 3, heads)))
    return plain::attend(qkv_K3D, sequences, heads, dropout, training, order);
  return Attend::apply(qkv_K3D, host_longs(sequences.rows_T), host_longs(sequences.offsets_S1), heads, training ? dropout : 0.0, interleaved);
}

Tensor pool(const Tensor& scores_K, const Tensor& values_KD, const Sequences& sequences) {
  if (!fast(values_KD)) return plain::pool(scores_K, values_KD, sequences);
  return Pool::apply(scores_K, values_KD, host_longs(sequences.rows_T), host_longs(sequences.offsets_S1));
}

Tensor mean(const Tensor& values_KD, const Sequences& sequences) {
  // Equal scores make the weighted mean the mean.
  return pool(values_KD.detach().select(1, 0).mul(0), values_KD, sequences);
}

Tensor convolve(const Tensor& taps_KwD, const Tensor& bias_D, const Sequences& sequences) {
  if (!fast(taps_KwD)) return plain::convolve(taps_KwD, bias_D, sequences);
  return Convolve::apply(taps_KwD, bias_D, host_longs(sequences.rows_T), host_longs(sequences.offsets_S1));
}

Tensor dropout(const Tensor& x, double p, bool training) {
  if (!training || p <= 0) return x;
  if (!fast(x)) return at::dropout(x, p, true);
  return Dropout::apply(x, p, static_cast<std::int64_t>(draw_seed()));
}

}  // namespace oncekit::nn
