// The ragged operations from padded tensor operations: for any device and dtype, and what the kernels are tested against.
#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "oncekit/nn.h"

namespace oncekit::nn::plain {
namespace {

Tensor longs(const std::vector<std::int64_t>& values, const Tensor& like) { return at::tensor(values, at::kLong).to(like.device()); }

// Sequences laid out [S, L]: which row stands where, which places are real, and where each token stands in [S * L].
struct Layout {
  std::int64_t sequences, length = 1;
  Tensor rows_SL, mask_SL, places_T;
  Layout(const Sequences& in, const Tensor& like) : sequences(in.sequences()) {
    for (std::int64_t s = 0; s < sequences; ++s) length = std::max(length, in.offsets_S1[static_cast<std::size_t>(s) + 1] - in.offsets_S1[static_cast<std::size_t>(s)]);
    std::vector<std::int64_t> rows(static_cast<std::size_t>(sequences * length), 0), mask(rows), places;
    for (std::int64_t s = 0; s < sequences; ++s)
      for (std::int64_t t = in.offsets_S1[static_cast<std::size_t>(s)]; t < in.offsets_S1[static_cast<std::size_t>(s) + 1]; ++t) {
        const auto place = static_cast<std::size_t>(s * length + t - in.offsets_S1[static_cast<std::size_t>(s)]);
        rows[place] = in.rows_T[static_cast<std::size_t>(t)];
        mask[place] = 1;
        places.push_back(static_cast<std::int64_t>(place));
      }
    rows_SL = longs(rows, like).view({sequences, length});
    mask_SL = longs(mask, like).view({sequences, length}).to(at::kBool);
    places_T = longs(places, like);
  }
  // table [K, ...] -> [S, L, ...], zeros where masked.
  Tensor spread(const Tensor& table) const {
    std::vector<std::int64_t> shape{sequences, length}, ones{sequences, length};
    for (std::int64_t d = 1; d < table.dim(); ++d) shape.push_back(table.size(d)), ones.push_back(1);
    if (table.size(0) == 0) return at::zeros(shape, table.options());
    return table.index_select(0, rows_SL.view(-1)).view(shape).masked_fill(mask_SL.logical_not().view(ones), 0);
  }
  // [S, L, D] -> [T, D].
  Tensor pack(const Tensor& x_SLD) const { return x_SLD.reshape({sequences * length, x_SLD.size(-1)}).index_select(0, places_T); }
};

}  // namespace

Tensor gather(const Tensor& table_KD, std::span<const std::int64_t> rows_T) {
  return table_KD.index_select(0, longs({rows_T.begin(), rows_T.end()}, table_KD));
}

Tensor attend(const Tensor& qkv_K3D, const Sequences& sequences, std::int64_t heads, double dropout, bool training, HeadOrder order) {
  if (order == HeadOrder::kInterleaved) {
    const std::int64_t rows = qkv_K3D.size(0), width = qkv_K3D.size(1) / 3;
    const Tensor blocks = qkv_K3D.view({rows, 3, width / heads, heads}).transpose(2, 3).reshape({rows, 3 * width});
    const Tensor out_TD = plain::attend(blocks, sequences, heads, dropout, training, HeadOrder::kBlocks);
    return out_TD.view({out_TD.size(0), heads, width / heads}).transpose(1, 2).reshape({out_TD.size(0), width});
  }
  const Layout layout(sequences, qkv_K3D);
  const std::int64_t width = qkv_K3D.size(1) / 3, s = layout.sequences, l = layout.length;
  const Tensor qkv = layout.spread(qkv_K3D).view({s, l, 3, heads, width / heads}).permute({2, 0, 3, 1, 4});
  Tensor scores_SHLL = at::matmul(qkv[0], qkv[1].transpose(-1, -2)) / std::sqrt(static_cast<double>(width / heads));
  scores_SHLL = scores_SHLL.masked_fill(layout.mask_SL.logical_not().view({s, 1, 1, l}), -1e30);
  const Tensor weights_SHLL = at::dropout(at::softmax(scores_SHLL, -1), dropout, training);
  return layout.pack(at::matmul(weights_SHLL, qkv[2]).transpose(1, 2).reshape({s, l, width}));
}

Tensor pool(const Tensor& scores_K, const Tensor& values_KD, const Sequences& sequences) {
  const Layout layout(sequences, values_KD);
  const Tensor scores_SL = layout.spread(scores_K).masked_fill(layout.mask_SL.logical_not(), -1e30);
  // An empty sequence has equal weights on zeros.
  return at::matmul(at::softmax(scores_SL, -1).unsqueeze(1), layout.spread(values_KD)).squeeze(1);
}

Tensor mean(const Tensor& values_KD, const Sequences& sequences) {
  const Layout layout(sequences, values_KD);
  return layout.spread(values_KD).sum(1) / layout.mask_SL.sum(1, true).clamp_min(1).to(values_KD.scalar_type());
}

Tensor convolve(const Tensor& taps_KwD, const Tensor& bias_D, const Sequences& sequences) {
  const Layout layout(sequences, taps_KwD);
  const std::int64_t kernel = taps_KwD.size(1), half = kernel / 2, width = taps_KwD.size(2), l = layout.length;
  const Tensor taps_SLwD = layout.spread(taps_KwD);
  const Tensor edge = at::zeros({layout.sequences, half, kernel, width}, taps_KwD.options());
  const Tensor wide = at::cat({edge, taps_SLwD, edge}, 1);
  Tensor sum_SLD = bias_D.expand({layout.sequences, l, width});
  for (std::int64_t j = 0; j < kernel; ++j) sum_SLD = sum_SLD + wide.narrow(1, j, l).select(2, j);
  return layout.pack(sum_SLD.relu());
}

}  // namespace oncekit::nn::plain
