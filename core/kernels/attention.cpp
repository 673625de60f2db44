// Attention along the paths of a tree: our own loops on the CPU, shared out by sequence and key-value head; the plain twin elsewhere.
#include <algorithm>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include "kernels/attention_kernels.h"
#include "kernels/kernels.h"

namespace oncekit::lm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;
using torch::autograd::Variable;

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

// Heads side by side, nodes any distance apart.
Tensor side_by_side(const Tensor& x_NHW) {
  const bool good = x_NHW.stride(2) == 1 && x_NHW.stride(1) == x_NHW.size(2);
  return good ? x_NHW : x_NHW.contiguous();
}

// A tree's paths, and where each task and each sequence writes.
struct Layout {
  std::vector<std::int64_t> path_P, offsets_S1, first_own_S;
  std::vector<std::int64_t> probabilities_at;  ///< by task, and the sum
  std::int64_t products = 0;                   ///< pairs of query and key, all heads
  std::int64_t nodes;

  Layout(const TokenTree& tree, std::int64_t heads, std::int64_t groups)
      : path_P(tree.path_P), offsets_S1(tree.offsets_S1), first_own_S(tree.first_own_S), nodes(tree.nodes()) {
    const std::int64_t sequences = tree.sequences();
    probabilities_at.reserve(index(sequences * groups + 1));
    std::int64_t at = 0;
    for (std::int64_t s = 0; s < sequences; ++s) {
      const std::int64_t length = offsets_S1[index(s + 1)] - offsets_S1[index(s)], queries = length - first_own_S[index(s)];
      for (std::int64_t g = 0; g < groups; ++g) {
        probabilities_at.push_back(at);
        at += queries * (heads / groups) * kernels::row_floats(length);
      }
    }
    probabilities_at.push_back(at);
    products = at;
  }

  std::int64_t tasks() const { return static_cast<std::int64_t>(probabilities_at.size()) - 1; }
  std::int64_t sequences() const { return static_cast<std::int64_t>(first_own_S.size()); }

  // Tasks a thread gets at least, so that it is worth to wake it.
  std::int64_t grain(std::int64_t width) const {
    return std::max<std::int64_t>(1, 32768 * tasks() / std::max<std::int64_t>(1, products * width));
  }
};

kernels::Attention describe(const Layout& layout, const Tensor& q, const Tensor& k, const Tensor& v, bool causal, double scale) {
  kernels::Attention a;
  a.q = q.const_data_ptr(), a.k = k.const_data_ptr(), a.v = v.const_data_ptr();
  a.bf16 = q.scalar_type() == at::kBFloat16;
  a.q_stride = q.stride(0), a.k_stride = k.stride(0), a.v_stride = v.stride(0);
  a.heads = q.size(1), a.groups = k.size(1), a.width = q.size(2);
  a.path = layout.path_P.data(), a.offsets = layout.offsets_S1.data(), a.first_own = layout.first_own_S.data();
  a.causal = causal;
  a.scale = static_cast<float>(scale);
  return a;
}

Tensor run_forward(const Layout& layout, const Tensor& q, const Tensor& k, const Tensor& v, bool causal, double scale, float* probabilities) {
  Tensor out = at::empty(q.sizes(), q.options());
  const kernels::Attention a = describe(layout, q, k, v, causal, scale);
  void* target = out.data_ptr();
  if (out.size(0) > layout.nodes) out.narrow(0, layout.nodes, out.size(0) - layout.nodes).zero_();
  at::parallel_for(0, layout.tasks(), layout.grain(a.width), [&](std::int64_t first, std::int64_t last) {
    kernels::attention_forward(a, layout.probabilities_at.data(), probabilities, target, first, last);
  });
  return out;
}

// What a backward pass needs besides tensors.
struct Saved : torch::CustomClassHolder {
  Layout layout;
  bool causal;
  double scale;
  Saved(Layout paths, bool causal_, double scale_) : layout(std::move(paths)), causal(causal_), scale(scale_) {}
};

// grad[node] += rows, for the nodes that later sequences share, in the order of the sequences.
void add_shared(const Layout& layout, const std::vector<std::int64_t>& shared_at, const Tensor& rows, Tensor& grad) {
  const std::int64_t places = rows.size(0), nodes = grad.size(0), width = grad.size(1) * grad.size(2);
  if (places == 0) return;
  // A counting sort of the places by node.
  std::vector<std::int64_t> starts(index(nodes + 1)), places_by_node(index(places));
  const auto each = [&](const auto& body) {
    for (std::int64_t s = 0; s < layout.sequences(); ++s)
      for (std::int64_t j = 0; j < layout.first_own_S[index(s)]; ++j) body(layout.path_P[index(layout.offsets_S1[index(s)] + j)], shared_at[index(s)] + j);
  };
  each([&](std::int64_t node, std::int64_t) { ++starts[index(node) + 1]; });
  for (std::size_t n = 1; n < starts.size(); ++n) starts[n] += starts[n - 1];
  std::vector<std::int64_t> next(starts.begin(), starts.end() - 1);
  each([&](std::int64_t node, std::int64_t place) { places_by_node[index(next[index(node)]++)] = place; });
  const float* source = rows.const_data_ptr<float>();
  float* target = grad.data_ptr<float>();
  // By columns: one root may have all the places.
  at::parallel_for(0, width, std::max<std::int64_t>(64, 32768 / places), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t node = 0; node < nodes; ++node)
      for (std::int64_t n = starts[index(node)]; n < starts[index(node) + 1]; ++n) {
        const float* from = source + places_by_node[index(n)] * width;
        float* to = target + node * width;
        for (std::int64_t f = first; f < last; ++f) to[f] += from[f];
      }
  });
}

struct Attend : Function<Attend> {
  static Tensor forward(AutogradContext* ctx, const Tensor& q_NHW, const Tensor& k_NGW, const Tensor& v_NGW, const c10::intrusive_ptr<Saved>& saved) {
    const Tensor q = side_by_side(q_NHW), k = side_by_side(k_NGW), v = side_by_side(v_NGW);
    // Kept: computing them again costs 15 to 30% of both passes, measured for lengths of 12 to 90.
    Tensor probabilities = at::empty({saved->layout.products}, q.options());
    Tensor out = run_forward(saved->layout, q, k, v, saved->causal, saved->scale, probabilities.data_ptr<float>());
    ctx->save_for_backward({q, k, v, probabilities});
    ctx->saved_data["saved"] = c10::IValue::make_capsule(saved);
    return out;
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list grads) {
    const auto tensors = ctx->get_saved_variables();
    const Tensor &q = tensors[0], &k = tensors[1], &v = tensors[2], &probabilities = tensors[3];
    const auto saved = c10::static_intrusive_pointer_cast<Saved>(ctx->saved_data["saved"].toCapsule());
    const Layout& layout = saved->layout;
    const Tensor grad_out = grads[0].contiguous();
    std::vector<std::int64_t> shared_at{0};
    for (const std::int64_t own : layout.first_own_S) shared_at.push_back(shared_at.back() + own);
    const auto gradient = [&](const Tensor& x) { return x.size(0) > layout.nodes ? at::zeros(x.sizes(), grad_out.options()) : at::empty(x.sizes(), grad_out.options()); };
    Tensor grad_q = gradient(q), grad_k = gradient(k), grad_v = gradient(v);
    Tensor shared_k = at::empty({shared_at.back(), k.size(1), k.size(2)}, grad_out.options()), shared_v = at::empty_like(shared_k);
    const kernels::Attention a = describe(layout, q, k, v, saved->causal, saved->scale);
    const float *p = probabilities.const_data_ptr<float>(), *g = grad_out.const_data_ptr<float>();
    float *gq = grad_q.data_ptr<float>(), *gk = grad_k.data_ptr<float>(), *gv = grad_v.data_ptr<float>(), *sk = shared_k.data_ptr<float>(), *sv = shared_v.data_ptr<float>();
    at::parallel_for(0, layout.tasks(), layout.grain(2 * a.width), [&](std::int64_t first, std::int64_t last) {
      kernels::attention_backward(a, layout.probabilities_at.data(), p, g, gq, gk, gv, shared_at.data(), sk, sv, first, last);
    });
    add_shared(layout, shared_at, shared_k, grad_k);
    add_shared(layout, shared_at, shared_v, grad_v);
    return {grad_q, grad_k, grad_v, Variable()};
  }
};

}  // namespace

Tensor attend(const Tensor& q_NHW, const Tensor& k_NGW, const Tensor& v_NGW, const TokenTree& tree, bool causal, double scale) {
  const auto type = q_NHW.scalar_type();
  const bool gradients = at::GradMode::is_enabled() && (q_NHW.requires_grad() || k_NGW.requires_grad() || v_NGW.requires_grad());
  const bool alike = type == k_NGW.scalar_type() && type == v_NGW.scalar_type() && (type == at::kFloat || (type == at::kBFloat16 && !gradients));
  if (!q_NHW.device().is_cpu() || !alike) return plain::attend(q_NHW, k_NGW, v_NGW, tree, causal, scale);
  Layout layout(tree, q_NHW.size(1), k_NGW.size(1));
  if (!gradients) return run_forward(layout, side_by_side(q_NHW), side_by_side(k_NGW), side_by_side(v_NGW), causal, scale, nullptr);
  return Attend::apply(q_NHW, k_NGW, v_NGW, c10::make_intrusive<Saved>(std::move(layout), causal, scale));
}

}  // namespace oncekit::lm
