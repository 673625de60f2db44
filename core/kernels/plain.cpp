// The kernels' plain twins: ATen operations on padded tensors, in float32, on any device. What the fast ones must agree with.
#include <algorithm>
#include <vector>

#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include "kernels/kernels.h"

namespace oncekit::lm::plain {
namespace {

// Queries and keys of each sequence, padded. The queries of a sequence are the nodes that are its own.
struct Padded {
  std::int64_t sequences, queries = 0, keys = 0;  // S, Q, L
  std::vector<std::int64_t> query_SQ, key_SL;     // nodes; 0 where there is none
  std::vector<std::int64_t> slot_N;               // place of each node's result among S * Q
  std::vector<std::uint8_t> seen_SQL;

  Padded(const TokenTree& tree, bool causal) : sequences(tree.sequences()), slot_N(index(tree.nodes())) {
    for (std::int64_t s = 0; s < sequences; ++s) {
      const auto length = static_cast<std::int64_t>(tree.path(s).size());
      keys = std::max(keys, length);
      queries = std::max(queries, length - tree.first_own_S[index(s)]);
    }
    query_SQ.resize(index(sequences * queries));
    key_SL.resize(index(sequences * keys));
    seen_SQL.resize(index(sequences * queries * keys));
    for (std::int64_t s = 0; s < sequences; ++s) {
      const auto path = tree.path(s);
      const std::int64_t own = tree.first_own_S[index(s)], length = static_cast<std::int64_t>(path.size());
      std::copy(path.begin(), path.end(), key_SL.begin() + s * keys);
      for (std::int64_t i = own; i < length; ++i) {
        const std::int64_t slot = s * queries + i - own;
        query_SQ[index(slot)] = path[index(i)];
        slot_N[index(path[index(i)])] = slot;
        std::fill_n(seen_SQL.begin() + slot * keys, causal ? i + 1 : length, std::uint8_t{1});
      }
    }
  }

  static std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }
};

Tensor longs(std::vector<std::int64_t>& values, at::Device device) {
  return at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, at::kLong).to(device, at::kLong, false, true);
}

}  // namespace

Tensor attend(const Tensor& q_NHW, const Tensor& k_NGW, const Tensor& v_NGW, const TokenTree& tree, bool causal, double scale) {
  const std::int64_t heads = q_NHW.size(1), groups = k_NGW.size(1), width = q_NHW.size(2), shared = heads / groups;
  if (q_NHW.size(0) == 0) return q_NHW + k_NGW.sum() + v_NGW.sum();
  Padded padded(tree, causal);
  const std::int64_t s = padded.sequences, queries = padded.queries, keys = padded.keys;
  const at::Device device = q_NHW.device();
  const Tensor key_rows = longs(padded.key_SL, device);
  // [S, G, H / G, Q, W] against [S, G, 1, L, W].
  const Tensor q = q_NHW.to(at::kFloat).index_select(0, longs(padded.query_SQ, device)).view({s, queries, groups, shared, width}).permute({0, 2, 3, 1, 4});
  const Tensor k = k_NGW.to(at::kFloat).index_select(0, key_rows).view({s, keys, groups, 1, width}).permute({0, 2, 3, 1, 4});
  const Tensor v = v_NGW.to(at::kFloat).index_select(0, key_rows).view({s, keys, groups, 1, width}).permute({0, 2, 3, 1, 4});
  const Tensor seen = at::from_blob(padded.seen_SQL.data(), {s, 1, 1, queries, keys}, at::kByte).to(device, at::kBool, false, true);
  // A finite number: rows that see nothing, the padding's, would turn to NaN else.
  const Tensor scores = (at::matmul(q, k.transpose(-1, -2)) * scale).masked_fill(seen.logical_not(), -1e30);
  const Tensor out = at::matmul(at::softmax(scores, -1), v).permute({0, 3, 1, 2, 4}).reshape({s * queries, heads, width});
  const Tensor rows = out.index_select(0, longs(padded.slot_N, device)).to(q_NHW.scalar_type());
  const std::int64_t beyond = q_NHW.size(0) - tree.nodes();
  return beyond > 0 ? at::cat({rows, at::zeros({beyond, heads, width}, rows.options())}, 0) : rows;
}

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  const Tensor wide = x.to(at::kFloat);
  return (wide * at::rsqrt(wide.square().mean(-1, true) + eps) * weight.to(at::kFloat)).to(x.scalar_type());
}

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  const Tensor apart = x.to(at::kFloat) - x.to(at::kFloat).mean(-1, true);
  return (apart * at::rsqrt(apart.square().mean(-1, true) + eps) * weight.to(at::kFloat) + bias.to(at::kFloat)).to(x.scalar_type());
}

Tensor swiglu(const Tensor& gate_NF, const Tensor& up_NF) { return (at::silu(gate_NF.to(at::kFloat)) * up_NF.to(at::kFloat)).to(gate_NF.scalar_type()); }

Tensor gelu(const Tensor& x) { return at::gelu(x.to(at::kDouble)).to(x.scalar_type()); }

Tensor rotate(const Tensor& x_NHW, const Tensor& cos_NW2, const Tensor& sin_NW2) {
  const std::int64_t half = x_NHW.size(2) / 2;
  const Tensor wide = x_NHW.to(at::kFloat), a = wide.narrow(2, 0, half), b = wide.narrow(2, half, half), c = cos_NW2.unsqueeze(1), s = sin_NW2.unsqueeze(1);
  return at::cat({a * c - b * s, b * c + a * s}, 2).to(x_NHW.scalar_type());
}

}  // namespace oncekit::lm::plain
