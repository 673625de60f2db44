#include "model/ragged_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "simd/kernel_math.h"

// One version of each loop for each vector width; the loader picks by what this CPU has.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ONCEKIT_VECTORISED __attribute__((target_clones("default", "arch=haswell", "arch=skylake-avx512")))
#else
#define ONCEKIT_VECTORISED
#endif
#define ONCEKIT_INLINE inline __attribute__((always_inline))

namespace oncekit::kernels {
namespace {

ONCEKIT_INLINE float dot(const float* __restrict a, const float* __restrict b, std::int64_t n) {
  float sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

ONCEKIT_INLINE void add_scaled(float* __restrict y, const float* __restrict x, float w, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += w * x[i];
}

// e^x for x <= 0, to 2 ulp: 2^n e^r with |r| <= ln 2 / 2; the compiler vectorises it, expf it does not.
ONCEKIT_INLINE float exp_below(float x) {
  x = x < -87.0f ? -87.0f : x;
  const float n = std::floor(x * 1.44269504f + 0.5f);
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  float e;
  taylor_exp(r, e);
  return e * std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
}

// Softmax of n numbers in place.
ONCEKIT_INLINE void softmax(float* x, std::int64_t n) {
  float top = x[0];
  for (std::int64_t i = 1; i < n; ++i) top = std::max(top, x[i]);
  float sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += x[i] = exp_below(x[i] - top);
  const float inverse = 1 / sum;
  for (std::int64_t i = 0; i < n; ++i) x[i] *= inverse;
}

}  // namespace

ONCEKIT_VECTORISED
void attention_forward(const Attention& a, float* weights, float* out, std::int64_t first, std::int64_t last) {
  const std::int64_t head_width = a.width / a.heads;
  const float scale = 1 / std::sqrt(static_cast<float>(head_width));
  const std::uint32_t threshold = drop_threshold(a.dropout);
  const float keep_scale = 1 / (1 - a.dropout);
  for (std::int64_t s = first; s < last; ++s) {
    const std::int64_t begin = a.offsets[s], length = a.offsets[s + 1] - begin;
    float* w = weights + a.weights_at[s];
    for (std::int64_t h = 0; h < a.heads; ++h) {
      for (std::int64_t i = 0; i < length; ++i, w += length) {
        const float* q = a.qkv + a.rows[begin + i] * 3 * a.width + h * head_width;
        for (std::int64_t j = 0; j < length; ++j)
          w[j] = scale * dot(q, a.qkv + a.rows[begin + j] * 3 * a.width + a.width + h * head_width, head_width);
        softmax(w, length);
        float* o = out + (begin + i) * a.width + h * head_width;
        std::memset(o, 0, static_cast<std::size_t>(head_width) * sizeof(float));
        const std::uint64_t at = static_cast<std::uint64_t>(w - weights);
        for (std::int64_t j = 0; j < length; ++j) {
          const float weight = threshold ? w[j] * kept(a.seed, at + static_cast<std::uint64_t>(j), threshold, keep_scale) : w[j];
          add_scaled(o, a.qkv + a.rows[begin + j] * 3 * a.width + 2 * a.width + h * head_width, weight, head_width);
        }
      }
    }
  }
}

ONCEKIT_VECTORISED
void attention_backward(const Attention& a, const float* weights, const float* grad_out, float* grad_qkv, std::int64_t first, std::int64_t last) {
  const std::int64_t head_width = a.width / a.heads;
  const float scale = 1 / std::sqrt(static_cast<float>(head_width));
  const std::uint32_t threshold = drop_threshold(a.dropout);
  const float keep_scale = 1 / (1 - a.dropout);
  std::vector<float> grad_weights;
  for (std::int64_t s = first; s < last; ++s) {
    const std::int64_t begin = a.offsets[s], length = a.offsets[s + 1] - begin;
    if (length == 0) continue;
    grad_weights.resize(static_cast<std::size_t>(length));
    std::memset(grad_qkv + begin * 3 * a.width, 0, static_cast<std::size_t>(length * 3 * a.width) * sizeof(float));
    const float* w = weights + a.weights_at[s];
    for (std::int64_t h = 0; h < a.heads; ++h) {
      for (std::int64_t i = 0; i < length; ++i, w += length) {
        const float* go = grad_out + (begin + i) * a.width + h * head_width;
        const std::uint64_t at = static_cast<std::uint64_t>(w - weights);
        float inner = 0;
        for (std::int64_t j = 0; j < length; ++j) {
          const float keep = threshold ? kept(a.seed, at + static_cast<std::uint64_t>(j), threshold, keep_scale) : 1.0f;
          const float* v = a.qkv + a.rows[begin + j] * 3 * a.width + 2 * a.width + h * head_width;
          add_scaled(grad_qkv + (begin + j) * 3 * a.width + 2 * a.width + h * head_width, go, w[j] * keep, head_width);
          const float g = keep * dot(go, v, head_width);
          grad_weights[static_cast<std::size_t>(j)] = g;
          inner += w[j] * g;
        }
        const float* q = a.qkv + a.rows[begin + i] * 3 * a.width + h * head_width;
        float* gq = grad_qkv + (begin + i) * 3 * a.width + h * head_width;
        for (std::int64_t j = 0; j < length; ++j) {
          const float g = scale * w[j] * (grad_weights[static_cast<std::size_t>(j)] - inner);
          add_scaled(gq, a.qkv + a.rows[begin + j] * 3 * a.width + a.width + h * head_width, g, head_width);
          add_scaled(grad_qkv + (begin + j) * 3 * a.width + a.width + h * head_width, q, g, head_width);
        }
      }
    }
  }
}

ONCEKIT_VECTORISED
void pool_forward(const float* scores, const float* values, const std::int64_t* rows, const std::int64_t* offsets, std::int64_t width,
                  float* alphas, float* out, std::int64_t first, std::int64_t last) {
  for (std::int64_t s = first; s < last; ++s) {
    const std::int64_t begin = offsets[s], length = offsets[s + 1] - begin;
    float* o = out + s * width;
    std::memset(o, 0, static_cast<std::size_t>(width) * sizeof(float));
    if (length == 0) continue;
    float* alpha = alphas + begin;
    for (std::int64_t i = 0; i < length; ++i) alpha[i] = scores[rows[begin + i]];
    softmax(alpha, length);
    for (std::int64_t i = 0; i < length; ++i) add_scaled(o, values + rows[begin + i] * width, alpha[i], width);
  }
}

ONCEKIT_VECTORISED
void pool_backward(const float* values, const float* alphas, const float* grad_out, const float* out, const std::int64_t* rows,
                   const std::int64_t* offsets, std::int64_t width, float* grad_scores, std::int64_t first, std::int64_t last) {
  for (std::int64_t s = first; s < last; ++s) {
    const float* g = grad_out + s * width;
    const float inner = dot(g, out + s * width, width);
    for (std::int64_t t = offsets[s]; t < offsets[s + 1]; ++t) grad_scores[t] = alphas[t] * (dot(g, values + rows[t] * width, width) - inner);
  }
}

ONCEKIT_VECTORISED
void convolution_forward(const float* taps, const float* bias, const std::int64_t* rows, const std::int64_t* offsets, std::int64_t width,
                         std::int64_t kernel, float* out, std::int64_t first, std::int64_t last) {
  const std::int64_t half = kernel / 2;
  for (std::int64_t s = first; s < last; ++s) {
    for (std::int64_t t = offsets[s]; t < offsets[s + 1]; ++t) {
      float* o = out + t * width;
      std::memcpy(o, bias, static_cast<std::size_t>(width) * sizeof(float));
      for (std::int64_t j = 0; j < kernel; ++j) {
        const std::int64_t at = t + j - half;
        if (at < offsets[s] || at >= offsets[s + 1]) continue;
        const float* tap = taps + (rows[at] * kernel + j) * width;
        for (std::int64_t i = 0; i < width; ++i) o[i] += tap[i];
      }
      for (std::int64_t i = 0; i < width; ++i) o[i] = o[i] > 0 ? o[i] : 0;
    }
  }
}

ONCEKIT_VECTORISED
void sum_by_row(const float* in, const std::int32_t* by_row, const std::int64_t* starts, const std::int32_t* segment, const float* weights,
                std::int64_t width, float* out, std::int64_t first, std::int64_t last) {
  for (std::int64_t k = first; k < last; ++k) {
    float* o = out + k * width;
    std::memset(o, 0, static_cast<std::size_t>(width) * sizeof(float));
    for (std::int64_t n = starts[k]; n < starts[k + 1]; ++n) {
      const std::int32_t t = by_row[n];
      add_scaled(o, in + static_cast<std::int64_t>(segment ? segment[t] : t) * width, weights ? weights[t] : 1.0f, width);
    }
  }
}

ONCEKIT_VECTORISED
void convolution_backward(const float* grad_out, const std::int32_t* by_row, const std::int64_t* starts, const std::int64_t* begin_of,
                          const std::int64_t* end_of, std::int64_t width, std::int64_t kernel, float* out, std::int64_t first, std::int64_t last) {
  const std::int64_t half = kernel / 2;
  for (std::int64_t k = first; k < last; ++k) {
    float* o = out + k * kernel * width;
    std::memset(o, 0, static_cast<std::size_t>(kernel * width) * sizeof(float));
    for (std::int64_t n = starts[k]; n < starts[k + 1]; ++n) {
      const std::int64_t u = by_row[n];  // tap j of this token went to position u - j + half
      for (std::int64_t j = 0; j < kernel; ++j) {
        const std::int64_t t = u - j + half;
        if (t < begin_of[u] || t >= end_of[u]) continue;
        const float* g = grad_out + t * width;
        for (std::int64_t i = 0; i < width; ++i) o[j * width + i] += g[i];
      }
    }
  }
}

ONCEKIT_VECTORISED
void dropout(const float* x, float p, std::uint64_t seed, float* out, std::int64_t first, std::int64_t last) {
  const std::uint32_t threshold = drop_threshold(p);
  const float scale = 1 / (1 - p);
  for (std::int64_t i = first; i < last; ++i) out[i] = x[i] * kept(seed, static_cast<std::uint64_t>(i), threshold, scale);
}

}  // namespace oncekit::kernels
