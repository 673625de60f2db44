#include "kernels/elementwise_kernels.h"

#include <cmath>

#include "simd/vectors.h"

namespace oncekit::lm::kernels {
namespace {

using namespace oncekit::vectors;

// How many elements of a vector that begins at i are before `end`.
template <int N>
ONCEKIT_INLINE Index room(Index i, Index end) {
  return end - i < N ? end - i : N;
}

template <int N, class T>
ONCEKIT_INLINE Floats<N> get(const T* p, Index n) {
  return n == N ? load<N>(p) : load_some<N>(p, n);
}
template <int N, class T>
ONCEKIT_INLINE void put(T* p, Floats<N> x, Index n) {
  if (n == N) store<N>(p, x);
  else store_some<N>(p, x, n);
}

template <int N>
ONCEKIT_INLINE Floats<N> sigmoid(Floats<N> x) {
  return 1 / (1 + exponential<N>(-x));
}

template <class T, class To>
struct Norm {
  const T* x;
  const float* weight;
  float eps;
  Index width;
  To* out;
  float* inverse;
  template <int N>
  ONCEKIT_INLINE void run(Index first, Index last) const {
    for (Index n = first; n < last; ++n) {
      const T* from = x + n * width;
      Floats<N> sum{};
      for (Index i = 0; i < width; i += N) {
        const Floats<N> y = get<N>(from + i, room<N>(i, width));
        sum += y * y;
      }
      const float scale = 1 / std::sqrt(sum_of<N>(sum) / static_cast<float>(width) + eps);
      if (inverse) inverse[n] = scale;
      To* to = out + n * width;
      for (Index i = 0; i < width; i += N) {
        const Index count = room<N>(i, width);
        put<N>(to + i, get<N>(from + i, count) * scale * get<N>(weight + i, count), count);
      }
    }
  }
};

struct LayerNorm {
  const float *x, *weight, *bias;
  float eps;
  Index width;
  float* out;
  NormExtras extras;
  template <int N>
  ONCEKIT_INLINE void run(Index first, Index last) const {
    for (Index n = first; n < last; ++n) {
      const float* from = x + n * width;
      Floats<N> sum{}, squares{};
      for (Index i = 0; i < width; i += N) sum += get<N>(from + i, room<N>(i, width));
      const float mean = sum_of<N>(sum) / static_cast<float>(width);
      Index i = 0;
      for (; i + N <= width; i += N) {
        const Floats<N> y = load<N>(from + i) - mean;
        squares += y * y;
      }
      float square = sum_of<N>(squares);
      for (; i < width; ++i) square += (from[i] - mean) * (from[i] - mean);
      const float scale = 1 / std::sqrt(square / static_cast<float>(width) + eps);
      if (extras.mean) extras.mean[n] = mean, extras.inverse[n] = scale;
      for (Index j = 0; j < width; j += N) {
        const Index count = room<N>(j, width);
        const Floats<N> y = (get<N>(from + j, count) - mean) * scale * get<N>(weight + j, count) + get<N>(bias + j, count);
        put<N>(out + n * width + j, y, count);
        if (extras.rounded) put<N>(extras.rounded + n * width + j, y, count);
      }
    }
  }
};

// With h = (x - mean) r, y = h w + b: dx = r (g w - mean(g w) - h mean(g w h)).
struct LayerNormBackward {
  const float *x, *weight, *mean, *inverse, *grad_out;
  Index width;
  float* grad_x;
  template <int N>
  ONCEKIT_INLINE void run(Index first, Index last) const {
    for (Index n = first; n < last; ++n) {
      const float *from = x + n * width, *g = grad_out + n * width, m = mean[n], r = inverse[n];
      Floats<N> sum{}, product{};
      for (Index i = 0; i < width; i += N) {
        const Index count = room<N>(i, width);
        const Floats<N> back = get<N>(g + i, count) * get<N>(weight + i, count);
        sum += back;
        product += back * (get<N>(from + i, count) - m);
      }
      const float level = sum_of<N>(sum) / static_cast<float>(width), slope = sum_of<N>(product) * r * r / static_cast<float>(width);
      for (Index i = 0; i < width; i += N) {
        const Index count = room<N>(i, width);
        put<N>(grad_x + n * width + i, r * (get<N>(g + i, count) * get<N>(weight + i, count) - level - (get<N>(from + i, count) - m) * slope), count);
      }
    }
  }
};

struct LayerNormWeights {
  const float *x, *mean, *inverse, *grad_out;
  Index width;
  float* sums;
  template <int N>
  ONCEKIT_INLINE void run(Index first, Index last) const {
    for (Index n = first; n < last; ++n) {
      const float *from = x + n * width, *g = grad_out + n * width, m = mean[n], r = inverse[n];
      for (Index i = 0; i < width; i += N) {
        const Index count = room<N>(i, width);
        const Floats<N> back = get<N>(g + i, count);
        put<N>(sums + i, get<N>(sums + i, count) + back * (get<N>(from + i, count) - m) * r, count);
        put<N>(sums + width + i, get<N>(sums + width + i, count) + back, count);
      }
    }
  }
};

struct Sum {
  const float* x;
  const std::uint16_t* y;
  float* out;
  template <int N>
  ONCEKIT_INLINE void run(Index first, Index last) const {
    for (Index i = first; i < last; i += N) {
      const Index count = room<N>(i, last);
      put<N>(out + i, get<N>(x + i, count) + get<N>(y + i, count), count);
    }
  }
};

// With y = x r w, r = (mean(x^2) + eps)^-1/2: dx = r (g w) - x r^3 mean(g w x).
struct NormBackward {
  const float *x, *weight, *inverse, *grad_out;
  Index width;
  float* grad_x;
  template <int N>
  ONCEKIT_INLINE void run(Index first, Index last) const {
    for (Index n = first; n < last; ++n) {
      const float *from = x + n * width, *g = grad_out + n * width, r = inverse[n];
      Floats<N> sum{};
      for (Index i = 0; i < width; i += N) {
        const Index count = room<N>(i, width);
        sum += get<N>(g + i, count) * get<N>(weight + i, count) * get<N>(from + i, count);
      }
      const float back = r * r * r * sum_of<N>(sum) / static_cast<float>(width);
      for (Index i = 0; i < width; i += N) {
        const Index count = room<N>(i, width);
        put<N>(grad_x + n * width + i, r * get<N>(g + i, count) * get<N>(weight + i, count) - get<N>(from + i, count) * back, count);
      }
    }
  }
};

struct NormWeight {
  const float *x, *inverse, *grad_out;
  Index width;
  float* grad_weight;
  template <int N>
  ONCEKIT_INLINE void run(Index first, Index last) const {
    for (Index n = first; n < last; ++n) {
      const float *from = x + n * width, *g = grad_out + n * width, r = inverse[n];
      for (Index i = 0; i < width; i += N) {
        const Index count = room<N>(i, width);
        put<N>(grad_weight + i, get<N>(grad_weight + i, count) + get<N>(g + i, count) * get<N>(from + i, count) * r, count);
      }
    }
  }
};

template <class T>
struct Gate {
  const T *gate, *up;
  T* out;
  template <int N>
  ONCEKIT_INLINE void run(Index first, Index last) const {
    for (Index i = first; i < last; i += N) {
      const Index count = room<N>(i, last);
      const Floats<N> g = get<N>(gate + i, count);
      put<N>(out + i, g * sigmoid<N>(g) * get<N>(up + i, count), count);
    }
  }
};

struct GateBackward {
  const float *gate, *up, *grad_out;
  float *grad_gate, *grad_up;
  template <int N>
  ONCEKIT_INLINE void run(Index first, Index last) const {
    for (Index i = first; i < last; i += N) {
      const Index count = room<N>(i, last);
      const Floats<N> x = get<N>(gate + i, count), g = get<N>(grad_out + i, count), s = sigmoid<N>(x), silu = x * s;
      put<N>(grad_gate + i, g * get<N>(up + i, count) * (s + silu * (1 - s)), count);
      put<N>(grad_up + i, g * silu, count);
    }
  }
};

// The normal distribution at x in [-13, 13], P within 1e-7, and e^(-x^2 / 2). Near 0 P = 1/2 + x S(x^2); the tail beyond 1 is e^(-x^2 / 2) t Q(t),
// t = 1 / (1 + 0.4 |x|), with few wrong bits however small. S and Q are least squares fits, of relative error 8e-10 and 9e-8.
template <int N>
ONCEKIT_INLINE Floats<N> normal(Floats<N> x, Floats<N>& density) {
  const Floats<N> square = x * x, size = larger<N>(x, -x), t = 1 / (1 + 0.4f * size);
  density = exponential_inside<N>(-0.5f * square);
  Floats<N> s = square * -7.6626084e-06f + 1.1350748e-04f;
  s = s * square - 1.1863485e-03f;
  s = s * square + 9.9733304e-03f;
  s = s * square - 6.6490360e-02f;
  s = s * square + 3.9894229e-01f;
  Floats<N> q = t * 6.8124793e-02f - 1.8643700e-01f;
  q = q * t + 1.0537255e-01f;
  q = q * t + 5.5535622e-02f;
  q = q * t + 1.3900366e-01f;
  q = q * t + 1.5909980e-01f;
  q = q * t + 1.5959579e-01f;
  const Floats<N> tail = density * t * q, far = x < 0 ? tail : 1 - tail;
  return size < 1 ? 0.5f + x * s : far;
}

// x held to [-13, 13], where both have reached their ends in float32; NaN stays.
template <int N>
ONCEKIT_INLINE Floats<N> held(Floats<N> x) {
  const Floats<N> low = x < -13 ? -13 + Floats<N>{} : x;
  return low > 13 ? 13 + Floats<N>{} : low;
}

template <class T>
struct Smooth {
  const T* x;
  T* out;
  template <int N>
  ONCEKIT_INLINE void run(Index first, Index last) const {
    for (Index i = first; i < last; i += N) {
      const Index count = room<N>(i, last);
      const Floats<N> y = get<N>(x + i, count);
      Floats<N> density;
      const Floats<N> value = y * normal<N>(held<N>(y), density);
      put<N>(out + i, y < -13 ? Floats<N>{} : value, count);
    }
  }
};

struct SmoothBackward {
  const float *x, *grad_out;
  float* grad_x;
  template <int N>
  ONCEKIT_INLINE void run(Index first, Index last) const {
    for (Index i = first; i < last; i += N) {
      const Index count = room<N>(i, last);
      const Floats<N> y = held<N>(get<N>(x + i, count));
      Floats<N> density;
      const Floats<N> below = normal<N>(y, density);
      put<N>(grad_x + i, get<N>(grad_out + i, count) * (below + 0.398942280f * y * density), count);
    }
  }
};

template <class T>
struct Rotation {
  const T* x;
  const float *cos, *sin;
  float sign;
  Index heads, half;
  T* out;
  template <int N>
  ONCEKIT_INLINE void run(Index first, Index last) const {
    for (Index n = first; n < last; ++n)
      for (Index h = 0; h < heads; ++h) {
        const Index low = (n * heads + h) * 2 * half, high = low + half;
        for (Index i = 0; i < half; i += N) {
          const Index count = room<N>(i, half);
          const Floats<N> a = get<N>(x + low + i, count), b = get<N>(x + high + i, count), c = get<N>(cos + n * half + i, count),
                          s = sign * get<N>(sin + n * half + i, count);
          put<N>(out + low + i, a * c - b * s, count);
          put<N>(out + high + i, b * c + a * s, count);
        }
      }
  }
};

}  // namespace

void rms_norm(const float* x, const float* weight, float eps, std::int64_t width, float* out, float* inverse, std::int64_t first, std::int64_t last) {
  run_vectorised(Norm<float, float>{x, weight, eps, width, out, inverse}, first, last);
}

void rms_norm(const std::uint16_t* x, const float* weight, float eps, std::int64_t width, std::uint16_t* out, std::int64_t first, std::int64_t last) {
  run_vectorised(Norm<std::uint16_t, std::uint16_t>{x, weight, eps, width, out, nullptr}, first, last);
}

void rms_norm(const float* x, const float* weight, float eps, std::int64_t width, std::uint16_t* out, std::int64_t first, std::int64_t last) {
  run_vectorised(Norm<float, std::uint16_t>{x, weight, eps, width, out, nullptr}, first, last);
}

void rms_norm_backward(const float* x, const float* weight, const float* inverse, const float* grad_out, std::int64_t width, float* grad_x, std::int64_t first,
                       std::int64_t last) {
  run_vectorised(NormBackward{x, weight, inverse, grad_out, width, grad_x}, first, last);
}

void rms_norm_weight(const float* x, const float* inverse, const float* grad_out, std::int64_t width, float* grad_weight, std::int64_t first, std::int64_t last) {
  run_vectorised(NormWeight{x, inverse, grad_out, width, grad_weight}, first, last);
}

void layer_norm(const float* x, const float* weight, const float* bias, float eps, std::int64_t width, float* out, const NormExtras& extras, std::int64_t first,
                std::int64_t last) {
  run_vectorised(LayerNorm{x, weight, bias, eps, width, out, extras}, first, last);
}

void layer_norm_backward(const float* x, const float* weight, const float* mean, const float* inverse, const float* grad_out, std::int64_t width, float* grad_x,
                         std::int64_t first, std::int64_t last) {
  run_vectorised(LayerNormBackward{x, weight, mean, inverse, grad_out, width, grad_x}, first, last);
}

void layer_norm_weights(const float* x, const float* mean, const float* inverse, const float* grad_out, std::int64_t width, float* sums, std::int64_t first,
                        std::int64_t last) {
  run_vectorised(LayerNormWeights{x, mean, inverse, grad_out, width, sums}, first, last);
}

void add(const float* x, const std::uint16_t* y, float* out, std::int64_t first, std::int64_t last) { run_vectorised(Sum{x, y, out}, first, last); }

void swiglu(const float* gate, const float* up, float* out, std::int64_t first, std::int64_t last) { run_vectorised(Gate<float>{gate, up, out}, first, last); }

void swiglu(const std::uint16_t* gate, const std::uint16_t* up, std::uint16_t* out, std::int64_t first, std::int64_t last) {
  run_vectorised(Gate<std::uint16_t>{gate, up, out}, first, last);
}

void swiglu_backward(const float* gate, const float* up, const float* grad_out, float* grad_gate, float* grad_up, std::int64_t first, std::int64_t last) {
  run_vectorised(GateBackward{gate, up, grad_out, grad_gate, grad_up}, first, last);
}

void gelu(const float* x, float* out, std::int64_t first, std::int64_t last) { run_vectorised(Smooth<float>{x, out}, first, last); }

void gelu(const std::uint16_t* x, std::uint16_t* out, std::int64_t first, std::int64_t last) { run_vectorised(Smooth<std::uint16_t>{x, out}, first, last); }

void gelu_backward(const float* x, const float* grad_out, float* grad_x, std::int64_t first, std::int64_t last) {
  run_vectorised(SmoothBackward{x, grad_out, grad_x}, first, last);
}

void rotate(const float* x, const float* cos, const float* sin, float sign, std::int64_t heads, std::int64_t half, float* out, std::int64_t first, std::int64_t last) {
  run_vectorised(Rotation<float>{x, cos, sin, sign, heads, half, out}, first, last);
}

void rotate(const std::uint16_t* x, const float* cos, const float* sin, float sign, std::int64_t heads, std::int64_t half, std::uint16_t* out, std::int64_t first,
            std::int64_t last) {
  run_vectorised(Rotation<std::uint16_t>{x, cos, sin, sign, heads, half, out}, first, last);
}

}  // namespace oncekit::lm::kernels
