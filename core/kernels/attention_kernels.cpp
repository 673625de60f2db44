#include "kernels/attention_kernels.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "simd/vectors.h"

namespace oncekit::lm::kernels {
namespace {

using namespace oncekit::vectors;

std::size_t index(Index i) { return static_cast<std::size_t>(i); }

// A product out[r][c] = sum over k of a[r][k * a_step] * b[k][c].
struct Product {
  const float* const* a;
  Index a_step;
  const float* const* b;
  float* const* out;
};

// R rows and C vectors of columns from column c on.
template <int N, int R, int C>
ONCEKIT_INLINE void tile(const Product& p, Index row, Index c, Index first, Index last) {
  Floats<N> sum[R][C] = {};
  const float* a[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) a[r] = p.a[row + r];
  for (Index k = first; k < last; ++k) {
    const float* b = p.b[k] + c;
    Floats<N> y[C];
#pragma GCC unroll 4
    for (int v = 0; v < C; ++v) y[v] = load<N>(b + v * N);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const float x = a[r][k * p.a_step];
#pragma GCC unroll 4
      for (int v = 0; v < C; ++v) sum[r][v] += x * y[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < C; ++v) store<N>(p.out[row + r] + c + v * N, sum[r][v]);
}

template <int N, int R>
ONCEKIT_INLINE void row_block(const Product& p, Index row, Index columns, Index first, Index last) {
  constexpr int kMost = N == 16 ? 4 : 2;  // what the registers hold
  Index c = 0;
  for (; c + kMost * N <= columns; c += kMost * N) tile<N, R, kMost>(p, row, c, first, last);
  if constexpr (kMost == 4)
    for (; c + 2 * N <= columns; c += 2 * N) tile<N, R, 2>(p, row, c, first, last);
  for (; c < columns; c += N) tile<N, R, 1>(p, row, c, first, last);
}

template <int N>
constexpr int kRowBlock = N == 16 ? 6 : 4;

// `rows` rows (at most kRowBlock) of a product.
template <int N>
ONCEKIT_INLINE void rows_of(const Product& p, Index row, Index rows, Index columns, Index first, Index last) {
  switch (rows) {
    case 1: return row_block<N, 1>(p, row, columns, first, last);
    case 2: return row_block<N, 2>(p, row, columns, first, last);
    case 3: return row_block<N, 3>(p, row, columns, first, last);
    case 5: if constexpr (N == 16) return row_block<N, 5>(p, row, columns, first, last); [[fallthrough]];
    case 6: if constexpr (N == 16) return row_block<N, 6>(p, row, columns, first, last); [[fallthrough]];
    default: return row_block<N, 4>(p, row, columns, first, last);
  }
}

// Two rows that lie B apart: blocks of B lanes above and below the diagonal change places.
template <int N, int B, int... Lanes>
ONCEKIT_INLINE void exchange(Floats<N>& above, Floats<N>& below, std::integer_sequence<int, Lanes...>) {
  const Floats<N> a = above, b = below;
  above = __builtin_shufflevector(a, b, (Lanes & B ? N + Lanes - B : Lanes)...);
  below = __builtin_shufflevector(a, b, (Lanes & B ? N + Lanes : Lanes + B)...);
}

// x as a matrix [N, N], transposed by blocks of B lanes, then of 2 B, and so on.
template <int N, int B = 1>
ONCEKIT_INLINE void transpose_square(Floats<N> (&x)[N]) {
#pragma GCC unroll 16
  for (int l = 0; l < N; ++l)
    if (!(l & B)) exchange<N, B>(x[l], x[l + B], std::make_integer_sequence<int, N>());
  if constexpr (2 * B < N) transpose_square<N, 2 * B>(x);
}

// out[f][j] = rows[j][f], f < features, j < length; both are rounded up to whole vectors.
template <int N>
ONCEKIT_INLINE void transpose(const float* const* rows, Index length, Index features, float* out, Index stride) {
  for (Index j = 0; j < length; j += N) {
    for (Index f = 0; f < features; f += N) {
      Floats<N> x[N];
#pragma GCC unroll 16
      for (int l = 0; l < N; ++l) x[l] = j + l < length ? load<N>(rows[j + l] + f) : Floats<N>{};
      transpose_square<N>(x);
#pragma GCC unroll 16
      for (int l = 0; l < N; ++l) store<N>(out + (f + l) * stride + j, x[l]);
    }
  }
}

// Floats that begin at a cache line.
class Buffer {
 public:
  float* take(Index floats) {
    if (static_cast<Index>(memory_.size()) < floats + 16) memory_.resize(index(floats + 16));
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
    return memory_.data() + (64 - address % 64) % 64 / sizeof(float);
  }

 private:
  std::vector<float> memory_;
};

struct Task {
  Index s, g, begin, length, own, queries, shared, rows, stride, padded;  // rows = queries * shared: query i, head r at i * shared + r
  Task(const Attention& a, Index task, int lanes)
      : s(task / a.groups), g(task % a.groups), begin(a.offsets[s]), length(a.offsets[s + 1] - begin), own(a.first_own[s]), queries(length - own),
        shared(a.heads / a.groups), rows(queries * shared), stride(row_floats(length)), padded((a.width + lanes - 1) / lanes * lanes) {}
  // What row m sees: places before this one.
  Index limit(const Attention& a, Index m) const { return a.causal ? own + m / shared + 1 : length; }
};

// Memory of one call, kept from task to task.
struct Scratch {
  std::vector<const float*> q, k, v, g, transposed, weights;
  std::vector<float*> score_rows, out;
  Buffer q_copy, k_copy, v_copy, g_copy, across, rows, gradients, out_copy;
};

// to[i] = from[i], between float32 and bfloat16.
template <int N, class To, class From>
ONCEKIT_INLINE void convert(To* to, const From* from, Index n) {
  Index i = 0;
  for (; i + N <= n; i += N) store<N>(to + i, load<N>(from + i));
  if (i < n) store_some<N>(to + i, load_some<N>(from + i, n - i), n - i);
}

// Rows of a matrix as float32, readable for t.padded floats: where they are, or copies.
template <int N>
struct Source {
  const void* data;
  Index stride;  // elements from node to node
  bool bf16;
  Index width, padded;
  float* copies;

  Source(const void* data_, Index stride_, bool bf16_, const Attention& a, const Task& t, Index rows, Buffer& buffer)
      : data(data_), stride(stride_), bf16(bf16_), width(a.width), padded(t.padded), copies(bf16 || width != padded ? buffer.take(rows * padded) : nullptr) {}

  // Row i of the task: a head of a node.
  ONCEKIT_INLINE const float* row(Index node, Index head, Index i) const {
    const Index offset = node * stride + head * width;
    if (!copies) return static_cast<const float*>(data) + offset;
    float* copy = copies + i * padded;
    if (bf16) convert<N>(copy, static_cast<const std::uint16_t*>(data) + offset, width);
    else std::memcpy(copy, static_cast<const float*>(data) + offset, index(width) * sizeof(float));
    for (Index f = width; f < padded; ++f) copy[f] = 0;
    return copy;
  }
};

// Rows of the queries, or of their gradients.
template <int N>
ONCEKIT_INLINE void query_rows(const Attention& a, const Task& t, const Source<N>& from, std::vector<const float*>& rows) {
  rows.resize(index(t.rows));
  for (Index i = 0; i < t.queries; ++i)
    for (Index r = 0; r < t.shared; ++r) rows[index(i * t.shared + r)] = from.row(a.path[t.begin + t.own + i], t.g * t.shared + r, i * t.shared + r);
}

template <int N>
ONCEKIT_INLINE void key_rows(const Attention& a, const Task& t, const Source<N>& from, std::vector<const float*>& rows) {
  rows.resize(index(t.length));
  for (Index j = 0; j < t.length; ++j) rows[index(j)] = from.row(a.path[t.begin + j], t.g, j);
}

template <class T>
ONCEKIT_INLINE void every(std::vector<T>& rows, T base, Index count, Index stride) {
  rows.resize(index(count));
  for (Index i = 0; i < count; ++i) rows[index(i)] = base + i * stride;
}

// out[m][j] = rows[m] . keys[j] for what each row sees, and more up to whole vectors.
template <class Level>
ONCEKIT_INLINE void against_keys(const Attention& a, const Task& t, Scratch& m, const std::vector<const float*>& rows, const std::vector<const float*>& keys, float* out) {
  float* across = m.across.take(t.padded * t.stride);
  Level::transpose(keys.data(), t.length, t.padded, across, t.stride);
  every<const float*>(m.transposed, across, t.padded, t.stride);
  every<float*>(m.score_rows, out, t.rows, t.stride);
  const Product p{rows.data(), 1, m.transposed.data(), m.score_rows.data()};
  for (Index row = 0; row < t.rows; row += Level::kRows) {
    const Index count = std::min<Index>(Level::kRows, t.rows - row), limit = t.limit(a, row + count - 1);
    Level::rows_of(p, row, count, (limit + Level::kLanes - 1) / Level::kLanes * Level::kLanes, 0, a.width);
  }
}

// out[m] = sum over what row m sees of weights[m][j] * values[j]. Weights are 0 beyond that.
template <class Level>
ONCEKIT_INLINE void combine(const Attention& a, const Task& t, Scratch& m, const float* weights, const std::vector<const float*>& values) {
  every<const float*>(m.weights, weights, t.rows, t.stride);
  const Product p{m.weights.data(), 1, values.data(), m.out.data()};
  for (Index row = 0; row < t.rows; row += Level::kRows) {
    const Index count = std::min<Index>(Level::kRows, t.rows - row);
    Level::rows_of(p, row, count, t.padded, 0, t.limit(a, row + count - 1));
  }
}

// out[j] = sum over the rows m that see j of weights[m][j] * queries[m].
template <class Level>
ONCEKIT_INLINE void combine_across(const Attention& a, const Task& t, Scratch& m, const float* weights, const std::vector<const float*>& queries) {
  every<const float*>(m.weights, weights, t.length, 1);
  const Product p{m.weights.data(), t.stride, queries.data(), m.out.data()};
  for (Index j = 0; j < t.length; j += Level::kRows) {
    const Index count = std::min<Index>(Level::kRows, t.length - j);
    Level::rows_of(p, j, count, t.padded, a.causal ? std::max<Index>(0, j - t.own) * t.shared : 0, t.rows);
  }
}

template <class Level>
ONCEKIT_INLINE void softmax(float* x, Index length, Index stride, float scale) {
  constexpr int N = Level::kLanes;
  const Index whole = (length + N - 1) / N * N;
  for (Index j = length; j < whole; ++j) x[j] = -1e30f;
  Floats<N> top = load<N>(x);
  for (Index j = N; j < whole; j += N) top = larger<N>(top, load<N>(x + j));
  const float most = largest_of<N>(top) * scale;
  Floats<N> sum{};
  for (Index j = 0; j < whole; j += N) {
    const Floats<N> y = exponential<N>(load<N>(x + j) * scale - most);
    store<N>(x + j, y);
    sum += y;
  }
  const Floats<N> inverse = 1 / sum_of<N>(sum) + Floats<N>{};
  for (Index j = 0; j < whole; j += N) store<N>(x + j, load<N>(x + j) * inverse);
  for (Index j = length; j < stride; ++j) x[j] = 0;
}

template <class Level>
ONCEKIT_INLINE void forward(const Attention& a, const Index* at, float* probabilities, void* out, Index first, Index last) {
  constexpr int N = Level::kLanes;
  Scratch m;
  for (Index task = first; task < last; ++task) {
    const Task t(a, task, Level::kLanes);
    if (t.queries == 0) continue;
    query_rows<N>(a, t, {a.q, a.q_stride, a.bf16, a, t, t.rows, m.q_copy}, m.q);
    key_rows<N>(a, t, {a.k, a.k_stride, a.bf16, a, t, t.length, m.k_copy}, m.k);
    key_rows<N>(a, t, {a.v, a.v_stride, a.bf16, a, t, t.length, m.v_copy}, m.v);
    float* weights = probabilities ? probabilities + at[task] : m.rows.take(t.rows * t.stride);
    against_keys<Level>(a, t, m, m.q, m.k, weights);
    for (Index row = 0; row < t.rows; ++row) softmax<Level>(weights + row * t.stride, t.limit(a, row), t.stride, a.scale);
    const bool direct = !a.bf16 && a.width == t.padded;
    m.out.resize(index(t.rows));
    float* copy = direct ? nullptr : m.out_copy.take(t.rows * t.padded);
    const auto place = [&](Index row) { return a.path[t.begin + t.own + row / t.shared] * a.heads * a.width + (t.g * t.shared + row % t.shared) * a.width; };
    for (Index row = 0; row < t.rows; ++row) m.out[index(row)] = direct ? static_cast<float*>(out) + place(row) : copy + row * t.padded;
    combine<Level>(a, t, m, weights, m.v);
    if (direct) continue;
    for (Index row = 0; row < t.rows; ++row) {
      const float* from = copy + row * t.padded;
      if (a.bf16) convert<N>(static_cast<std::uint16_t*>(out) + place(row), from, a.width);
      else std::memcpy(static_cast<float*>(out) + place(row), from, index(a.width) * sizeof(float));
    }
  }
}

// Points m.out at rows of `padded` floats, their own ones or copies; finish() brings copies home.
struct Landing {
  std::vector<float*> home;
  Index width, padded;
  float* copy = nullptr;
  ONCEKIT_INLINE void start(Scratch& m, Index rows) {
    if (width != padded) copy = m.out_copy.take(rows * padded);
    m.out.resize(index(rows));
    for (Index i = 0; i < rows; ++i) m.out[index(i)] = copy ? copy + i * padded : home[index(i)];
  }
  ONCEKIT_INLINE void finish() {
    for (std::size_t i = 0; copy && i < home.size(); ++i) std::memcpy(home[i], copy + static_cast<Index>(i) * padded, index(width) * sizeof(float));
  }
};

template <class Level>
ONCEKIT_INLINE void backward(const Attention& a, const Index* at, const float* probabilities, const float* grad_out, float* grad_q, float* grad_k, float* grad_v,
                             const Index* shared_at, float* shared_k, float* shared_v, Index first, Index last) {
  constexpr int N = Level::kLanes;
  Scratch m;
  for (Index task = first; task < last; ++task) {
    const Task t(a, task, N);
    if (t.queries == 0) {
      // Everything is shared, and nothing is computed for it: no gradient comes from here.
      for (Index j = 0; j < t.own; ++j) {
        const Index place = ((shared_at[t.s] + j) * a.groups + t.g) * a.width;
        std::memset(shared_k + place, 0, index(a.width) * sizeof(float));
        std::memset(shared_v + place, 0, index(a.width) * sizeof(float));
      }
      continue;
    }
    query_rows<N>(a, t, {a.q, a.q_stride, false, a, t, t.rows, m.q_copy}, m.q);
    query_rows<N>(a, t, {grad_out, a.heads * a.width, false, a, t, t.rows, m.g_copy}, m.g);
    key_rows<N>(a, t, {a.k, a.k_stride, false, a, t, t.length, m.k_copy}, m.k);
    key_rows<N>(a, t, {a.v, a.v_stride, false, a, t, t.length, m.v_copy}, m.v);
    const float* weights = probabilities + at[task];
    float* ds = m.gradients.take(t.rows * t.stride);
    against_keys<Level>(a, t, m, m.g, m.v, ds);
    for (Index row = 0; row < t.rows; ++row) {
      const Index limit = t.limit(a, row), whole = (limit + N - 1) / N * N;
      const float* w = weights + row * t.stride;
      float* d = ds + row * t.stride;
      Floats<N> inner{};  // weights are 0 beyond the limit, and products up to whole vectors are finite
      for (Index j = 0; j < whole; j += N) inner += load<N>(w + j) * load<N>(d + j);
      const float mean = sum_of<N>(inner);
      for (Index j = 0; j < whole; j += N) store<N>(d + j, a.scale * load<N>(w + j) * (load<N>(d + j) - mean));
      for (Index j = whole; j < t.stride; ++j) d[j] = 0;
    }
    Landing landing{{}, a.width, t.padded};
    landing.home.resize(index(t.rows));
    for (Index i = 0; i < t.queries; ++i)
      for (Index r = 0; r < t.shared; ++r)
        landing.home[index(i * t.shared + r)] = grad_q + (a.path[t.begin + t.own + i] * a.heads + t.g * t.shared + r) * a.width;
    landing.start(m, t.rows);
    combine<Level>(a, t, m, ds, m.k);
    landing.finish();
    for (const bool keys : {true, false}) {
      float *own = keys ? grad_k : grad_v, *shared = keys ? shared_k : shared_v;
      landing.home.resize(index(t.length));
      for (Index j = 0; j < t.length; ++j)
        landing.home[index(j)] = j < t.own ? shared + ((shared_at[t.s] + j) * a.groups + t.g) * a.width : own + (a.path[t.begin + j] * a.groups + t.g) * a.width;
      landing.start(m, t.length);
      combine_across<Level>(a, t, m, keys ? ds : weights, keys ? m.q : m.g);
      landing.finish();
    }
  }
}

// The parts that are too large to be inlined everywhere.
#define ONCEKIT_LEVEL(Name, N, attribute)                                                                                         \
  struct Name {                                                                                                                   \
    static constexpr int kLanes = N, kRows = kRowBlock<N>;                                                                        \
    attribute static void rows_of(const Product& p, Index row, Index rows, Index columns, Index first, Index last) {              \
      kernels::rows_of<N>(p, row, rows, columns, first, last);                                                                    \
    }                                                                                                                             \
    attribute static void transpose(const float* const* rows, Index length, Index features, float* out, Index stride) {           \
      kernels::transpose<N>(rows, length, features, out, stride);                                                                 \
    }                                                                                                                             \
    attribute static void forward(const Attention& a, const Index* at, float* p, void* out, Index first, Index last) {            \
      kernels::forward<Name>(a, at, p, out, first, last);                                                                         \
    }                                                                                                                             \
    attribute static void backward(const Attention& a, const Index* at, const float* p, const float* g, float* grad_q, float* grad_k, float* grad_v, \
                                   const Index* shared_at, float* shared_k, float* shared_v, Index first, Index last) {           \
      kernels::backward<Name>(a, at, p, g, grad_q, grad_k, grad_v, shared_at, shared_k, shared_v, first, last);                   \
    }                                                                                                                             \
  };
ONCEKIT_LEVEL(Narrow, 4, )
#if defined(__x86_64__)
ONCEKIT_LEVEL(Middle, 8, ONCEKIT_MIDDLE)
ONCEKIT_LEVEL(Wide, 16, ONCEKIT_WIDE)
#endif
#undef ONCEKIT_LEVEL

}  // namespace

void attention_forward(const Attention& a, const std::int64_t* at, float* probabilities, void* out, std::int64_t first, std::int64_t last) {
#if defined(__x86_64__)
  const int level = vector_level();
  if (level == 2) return Wide::forward(a, at, probabilities, out, first, last);
  if (level == 1) return Middle::forward(a, at, probabilities, out, first, last);
#endif
  Narrow::forward(a, at, probabilities, out, first, last);
}

void attention_backward(const Attention& a, const std::int64_t* at, const float* probabilities, const float* grad_out, float* grad_q, float* grad_k, float* grad_v,
                        const std::int64_t* shared_at, float* shared_k, float* shared_v, std::int64_t first, std::int64_t last) {
#if defined(__x86_64__)
  const int level = vector_level();
  if (level == 2) return Wide::backward(a, at, probabilities, grad_out, grad_q, grad_k, grad_v, shared_at, shared_k, shared_v, first, last);
  if (level == 1) return Middle::backward(a, at, probabilities, grad_out, grad_q, grad_k, grad_v, shared_at, shared_k, shared_v, first, last);
#endif
  Narrow::backward(a, at, probabilities, grad_out, grad_q, grad_k, grad_v, shared_at, shared_k, shared_v, first, last);
}

}  // namespace oncekit::lm::kernels
