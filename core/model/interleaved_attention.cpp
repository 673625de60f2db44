#include "model/interleaved_attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "simd/vectors.h"

namespace oncekit::kernels {
namespace {

using namespace oncekit::vectors;

// H numbers repeated over W lanes.
template <int W, int H>
ONCEKIT_INLINE Floats<W> repeat(const float* p) {
  if constexpr (H == W) {
    return load<W>(p);
  } else if constexpr (H == 1) {
    return p[0] + Floats<W>{};
  } else {
    const Floats<H> x = load<H>(p);
    if constexpr (W == 16 && H == 8) return __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7);
    if constexpr (W == 16 && H == 4) return __builtin_shufflevector(x, x, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
    if constexpr (W == 16 && H == 2) return __builtin_shufflevector(x, x, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1);
    if constexpr (W == 8 && H == 4) return __builtin_shufflevector(x, x, 0, 1, 2, 3, 0, 1, 2, 3);
    if constexpr (W == 8 && H == 2) return __builtin_shufflevector(x, x, 0, 1, 0, 1, 0, 1, 0, 1);
  }
}

// Sums of the lanes of each head.
template <int W, int H>
ONCEKIT_INLINE void fold(Floats<W> x, float* out) {
  if constexpr (W == H) {
    store<W>(out, x);
  } else if constexpr (W == 2) {
    out[0] = x[0] + x[1];
  } else {
    Floats<W / 2> half;
    if constexpr (W == 16) half = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
    if constexpr (W == 8) half = __builtin_shufflevector(x, x, 0, 1, 2, 3) + __builtin_shufflevector(x, x, 4, 5, 6, 7);
    if constexpr (W == 4) half = __builtin_shufflevector(x, x, 0, 1) + __builtin_shufflevector(x, x, 2, 3);
    fold<W / 2, H>(half, out);
  }
}

// out[r][s] (H sums each, at out + r * stride + s * H) = a[r] . b[s] by head, over `width` features.
template <int W, int H, int R, int S>
ONCEKIT_INLINE void dots(const float* const* a, const float* const* b, Index width, float* out, Index stride) {
  Floats<W> sum[R][S] = {};
  for (Index f = 0; f < width; f += W) {
    Floats<W> x[R];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) x[r] = load<W>(a[r] + f);
#pragma GCC unroll 4
    for (int s = 0; s < S; ++s) {
      const Floats<W> y = load<W>(b[s] + f);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) sum[r][s] += x[r] * y;
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int s = 0; s < S; ++s) fold<W, H>(sum[r][s], out + r * stride + s * H);
}

template <int W, int H, int R>
ONCEKIT_INLINE void dot_rows(const float* const* a, const float* const* b, Index length, Index width, float* out, Index stride) {
  Index j = 0;
  for (; j + 4 <= length; j += 4) dots<W, H, R, 4>(a, b + j, width, out + j * H, stride);
  for (; j < length; ++j) dots<W, H, R, 1>(a, b + j, width, out + j * H, stride);
}

// out[r][f .. f + C vectors] = sum over n of weights[r * by_row + n * by_source] (H numbers) * source[n].
template <int W, int H, int R, int C>
ONCEKIT_INLINE void combine_chunk(const float* weights, Index by_row, Index by_source, const float* const* source, Index length, Index f, float* const* out) {
  Floats<W> sum[R][C] = {};
  for (Index n = 0; n < length; ++n) {
    const float* x = source[n] + f;
    Floats<W> w[R];
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r) w[r] = repeat<W, H>(weights + r * by_row + n * by_source);
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
      const Floats<W> y = load<W>(x + c * W);
#pragma GCC unroll 2
      for (int r = 0; r < R; ++r) sum[r][c] += w[r] * y;
    }
  }
#pragma GCC unroll 2
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) store<W>(out[r] + f + c * W, sum[r][c]);
}

template <int W, int H, int R>
ONCEKIT_INLINE void combine(const float* weights, Index by_row, Index by_source, const float* const* source, Index length, Index width, float* const* out) {
  constexpr int kChunk = W == 16 ? 8 : 4;  // what the registers hold
  Index f = 0;
  for (; f + kChunk * W <= width; f += kChunk * W) combine_chunk<W, H, R, kChunk>(weights, by_row, by_source, source, length, f, out);
  for (; f < width; f += W) combine_chunk<W, H, R, 1>(weights, by_row, by_source, source, length, f, out);
}

// Memory of one call, kept from sequence to sequence. Rows of weights have room for whole vectors.
struct Scratch {
  std::vector<const float*> q, k, v, g;
  std::vector<float> row, scores, kept;
  void prepare(const Attention& a, const float* grad_out, Index begin, Index length) {
    const auto n = static_cast<std::size_t>(length);
    for (auto* list : {&q, &k, &v, &g}) list->resize(n);
    for (std::size_t i = 0; i < n; ++i) {
      const Index t = begin + static_cast<Index>(i);
      q[i] = a.qkv + a.rows[t] * 3 * a.width;
      k[i] = q[i] + a.width;
      v[i] = k[i] + a.width;
      g[i] = grad_out ? grad_out + t * a.width : nullptr;
    }
  }
};

// x[i] *= 0 or 1 / (1 - p) for n numbers that stand at `at` among all weights.
ONCEKIT_INLINE void drop(float* x, Index n, std::uint64_t seed, std::uint64_t at, std::uint32_t threshold, float scale) {
  for (Index i = 0; i < n; ++i) x[i] *= kept(seed, at + static_cast<std::uint64_t>(i), threshold, scale);
}

// Softmax over j of x[j * H + h], for all h at once; x has room for a multiple of W. `scale` multiplies the scores first.
template <int W, int H>
ONCEKIT_INLINE void softmax(float* x, Index length, float scale) {
  const Index n = length * H, padded = (n + W - 1) / W * W;
  for (Index i = n; i < padded; ++i) x[i] = -1e30f;  // their share is e^-87
  Floats<W> top = load<W>(x);
  for (Index i = W; i < padded; i += W) top = larger<W>(top, load<W>(x + i));
  // Lanes of the same head among themselves.
  float lanes[W];
  store<W>(lanes, top);
  for (int l = H; l < W; ++l) lanes[l % H] = std::max(lanes[l % H], lanes[l]);
  top = repeat<W, H>(lanes) * scale;
  Floats<W> sum{};
  for (Index i = 0; i < padded; i += W) {
    const Floats<W> e = exponential_inside<W>(larger<W>(load<W>(x + i) * scale - top, -87.0f + Floats<W>{}));
    store<W>(x + i, e);
    sum += e;
  }
  float sums[W];
  fold<W, H>(sum, sums);
  for (int h = 0; h < H; ++h) sums[h] = 1 / sums[h];
  const Floats<W> inverse = repeat<W, H>(sums);
  for (Index i = 0; i < padded; i += W) store<W>(x + i, load<W>(x + i) * inverse);
}

struct Plan {
  float scale, keep_scale;
  std::uint32_t threshold;
  explicit Plan(const Attention& a)
      : scale(1 / std::sqrt(static_cast<float>(a.width / a.heads))), keep_scale(1 / (1 - a.dropout)),
        threshold(drop_threshold(a.dropout)) {}
};

// R rows of queries from i on.
template <int W, int H, int R>
ONCEKIT_INLINE void forward_rows(const Attention& a, const Plan& plan, Scratch& m, Index begin, Index length, Index i, float* weights, std::uint64_t at, float* out) {
  const Index n = length * H, stride = n + W;
  m.row.resize(static_cast<std::size_t>(R * stride));
  float* x = m.row.data();
  dot_rows<W, H, R>(m.q.data() + i, m.k.data(), length, a.width, x, stride);
  float* rows[R];
  for (int r = 0; r < R; ++r) {
    softmax<W, H>(x + r * stride, length, plan.scale);
    std::copy(x + r * stride, x + r * stride + n, weights + (i + r) * n);
    if (plan.threshold) drop(x + r * stride, n, a.seed, at + static_cast<std::uint64_t>((i + r) * n), plan.threshold, plan.keep_scale);
    rows[r] = out + (begin + i + r) * a.width;
  }
  combine<W, H, R>(x, stride, H, m.v.data(), length, a.width, rows);
}

template <int W, int H>
ONCEKIT_INLINE void forward(const Attention& a, float* weights, float* out, Index first, Index last) {
  const Plan plan(a);
  Scratch m;
  for (Index s = first; s < last; ++s) {
    const Index begin = a.offsets[s], length = a.offsets[s + 1] - begin;
    m.prepare(a, nullptr, begin, length);
    const auto at = static_cast<std::uint64_t>(a.weights_at[s]);
    Index i = 0;
    for (; i + 2 <= length; i += 2) forward_rows<W, H, 2>(a, plan, m, begin, length, i, weights + a.weights_at[s], at, out);
    if (i < length) forward_rows<W, H, 1>(a, plan, m, begin, length, i, weights + a.weights_at[s], at, out);
  }
}

// Gradients of R rows: of the scores (into m.scores) and of the queries; what dropout kept of the weights goes into m.kept.
template <int W, int H, int R>
ONCEKIT_INLINE void backward_rows(const Attention& a, const Plan& plan, Scratch& m, Index begin, Index length, Index i, const float* weights, std::uint64_t at, float* grad_qkv) {
  const Index n = length * H, stride = n + W;
  m.row.resize(static_cast<std::size_t>(R * stride));
  float* x = m.row.data();
  dot_rows<W, H, R>(m.g.data() + i, m.v.data(), length, a.width, x, stride);
  float* rows[R];
  for (int r = 0; r < R; ++r) {
    const float* w = weights + (i + r) * n;
    float *gw = x + r * stride, *kept = m.kept.data() + (i + r) * n, *ds = m.scores.data() + (i + r) * n;
    std::copy(w, w + n, kept);
    if (plan.threshold) {
      const std::uint64_t place = at + static_cast<std::uint64_t>((i + r) * n);
      drop(kept, n, a.seed, place, plan.threshold, plan.keep_scale);
      drop(gw, n, a.seed, place, plan.threshold, plan.keep_scale);
    }
    float inner[H] = {};
    for (Index j = 0; j < n; j += H)
      for (int h = 0; h < H; ++h) inner[h] += w[j + h] * gw[j + h];
    for (Index j = 0; j < n; j += H)
      for (int h = 0; h < H; ++h) ds[j + h] = plan.scale * w[j + h] * (gw[j + h] - inner[h]);
    rows[r] = grad_qkv + (begin + i + r) * 3 * a.width;
  }
  combine<W, H, R>(m.scores.data() + i * n, n, H, m.k.data(), length, a.width, rows);
}

// Gradients of the keys and values of R tokens.
template <int W, int H, int R>
ONCEKIT_INLINE void backward_columns(const Attention& a, Scratch& m, Index begin, Index length, Index j, float* grad_qkv) {
  const Index n = length * H;
  float *keys[R], *values[R];
  for (int r = 0; r < R; ++r) {
    keys[r] = grad_qkv + (begin + j + r) * 3 * a.width + a.width;
    values[r] = keys[r] + a.width;
  }
  combine<W, H, R>(m.scores.data() + j * H, H, n, m.q.data(), length, a.width, keys);
  combine<W, H, R>(m.kept.data() + j * H, H, n, m.g.data(), length, a.width, values);
}

template <int W, int H>
ONCEKIT_INLINE void backward(const Attention& a, const float* weights, const float* grad_out, float* grad_qkv, Index first, Index last) {
  const Plan plan(a);
  Scratch m;
  for (Index s = first; s < last; ++s) {
    const Index begin = a.offsets[s], length = a.offsets[s + 1] - begin;
    m.prepare(a, grad_out, begin, length);
    m.scores.resize(static_cast<std::size_t>(length * length * H));
    m.kept.resize(m.scores.size());
    const auto at = static_cast<std::uint64_t>(a.weights_at[s]);
    Index i = 0;
    for (; i + 2 <= length; i += 2) backward_rows<W, H, 2>(a, plan, m, begin, length, i, weights + a.weights_at[s], at, grad_qkv);
    if (i < length) backward_rows<W, H, 1>(a, plan, m, begin, length, i, weights + a.weights_at[s], at, grad_qkv);
    Index j = 0;
    for (; j + 2 <= length; j += 2) backward_columns<W, H, 2>(a, m, begin, length, j, grad_qkv);
    if (j < length) backward_columns<W, H, 1>(a, m, begin, length, j, grad_qkv);
  }
}

template <int W>
ONCEKIT_INLINE void forward_any(const Attention& a, float* weights, float* out, Index first, Index last) {
  switch (a.heads) {
    case 1: return forward<W, 1>(a, weights, out, first, last);
    case 2: return forward<W, 2>(a, weights, out, first, last);
    case 4: return forward<W, 4>(a, weights, out, first, last);
    default: return forward<W, 8>(a, weights, out, first, last);
  }
}
template <int W>
ONCEKIT_INLINE void backward_any(const Attention& a, const float* weights, const float* grad_out, float* grad_qkv, Index first, Index last) {
  switch (a.heads) {
    case 1: return backward<W, 1>(a, weights, grad_out, grad_qkv, first, last);
    case 2: return backward<W, 2>(a, weights, grad_out, grad_qkv, first, last);
    case 4: return backward<W, 4>(a, weights, grad_out, grad_qkv, first, last);
    default: return backward<W, 8>(a, weights, grad_out, grad_qkv, first, last);
  }
}

struct Forward {
  const Attention& a;
  float *weights, *out;
  template <int W>
  ONCEKIT_INLINE void run(Index first, Index last) const { forward_any<W>(a, weights, out, first, last); }
};
struct Backward {
  const Attention& a;
  const float *weights, *grad_out;
  float* grad_qkv;
  template <int W>
  ONCEKIT_INLINE void run(Index first, Index last) const { backward_any<W>(a, weights, grad_out, grad_qkv, first, last); }
};

}  // namespace

bool can_interleave(std::int64_t width, std::int64_t heads) noexcept {
  return (heads == 1 || heads == 2 || heads == 4 || heads == 8) && width % 16 == 0;
}

void interleaved_forward(const Attention& a, float* weights, float* out, std::int64_t first, std::int64_t last) {
  run_vectorised<8>(Forward{a, weights, out}, first, last);
}

void interleaved_backward(const Attention& a, const float* weights, const float* grad_out, float* grad_qkv, std::int64_t first, std::int64_t last) {
  run_vectorised<8>(Backward{a, weights, grad_out, grad_qkv}, first, last);
}

}  // namespace oncekit::kernels
