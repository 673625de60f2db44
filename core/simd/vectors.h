// Vectors of N floats as GCC and Clang have them, and one copy of a loop for each vector width of this CPU. For kernels' .cpp files alone.
//
// Everything is inlined into functions compiled for an instruction set; no vector crosses a call.
#pragma once

#include <cstdint>
#include <cstring>

#include "simd/kernel_math.h"

#pragma GCC diagnostic ignored "-Wpsabi"
#define ONCEKIT_INLINE inline __attribute__((always_inline))
#if defined(__x86_64__)
#define ONCEKIT_MIDDLE __attribute__((noinline, target("avx2,fma")))
#define ONCEKIT_WIDE __attribute__((noinline, target("avx512f,avx512dq,avx512bw,avx512vl,fma")))
#endif

namespace oncekit::vectors {
namespace {

using Index = std::int64_t;

template <class T, int N>
struct VectorOf {
  typedef T type __attribute__((vector_size(N * sizeof(T)), aligned(sizeof(T)), may_alias));  // unaligned loads and stores
};
template <int N>
using Floats = typename VectorOf<float, N>::type;
template <int N>
using Ints = typename VectorOf<std::int32_t, N>::type;
template <int N>
using Words = typename VectorOf<std::uint32_t, N>::type;
template <int N>
using Halves = typename VectorOf<std::uint16_t, N>::type;

template <int N>
ONCEKIT_INLINE Floats<N> load(const float* p) {
  return *reinterpret_cast<const Floats<N>*>(p);
}
template <int N>
ONCEKIT_INLINE void store(float* p, Floats<N> x) {
  *reinterpret_cast<Floats<N>*>(p) = x;
}

// bfloat16 is the upper half of a float.
template <int N>
ONCEKIT_INLINE Floats<N> load(const std::uint16_t* p) {
  const Words<N> bits = __builtin_convertvector(*reinterpret_cast<const Halves<N>*>(p), Words<N>) << 16;
  return reinterpret_cast<const Floats<N>&>(bits);
}
// Rounds to nearest, ties to even; NaN stays NaN.
template <int N>
ONCEKIT_INLINE void store(std::uint16_t* p, Floats<N> x) {
  const Words<N> bits = reinterpret_cast<const Words<N>&>(x), rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const Words<N> result = (bits & 0x7fffffffu) > 0x7f800000u + Words<N>{} ? 0x7fc0u + Words<N>{} : rounded;
  *reinterpret_cast<Halves<N>*>(p) = __builtin_convertvector(result, Halves<N>);
}

// The first n < N elements; the others read as 0 and are not written.
template <int N, class T>
ONCEKIT_INLINE Floats<N> load_some(const T* p, Index n) {
  T lanes[N] = {};
  std::memcpy(lanes, p, static_cast<std::size_t>(n) * sizeof(T));
  return load<N>(lanes);
}
template <int N, class T>
ONCEKIT_INLINE void store_some(T* p, Floats<N> x, Index n) {
  T lanes[N];
  store<N>(lanes, x);
  std::memcpy(p, lanes, static_cast<std::size_t>(n) * sizeof(T));
}

template <int N>
ONCEKIT_INLINE Floats<N / 2> lower(Floats<N> x) {
  if constexpr (N == 16) return __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7);
  else return __builtin_shufflevector(x, x, 0, 1, 2, 3);
}
template <int N>
ONCEKIT_INLINE Floats<N / 2> upper(Floats<N> x) {
  if constexpr (N == 16) return __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
  else return __builtin_shufflevector(x, x, 4, 5, 6, 7);
}

template <int N>
ONCEKIT_INLINE float sum_of(Floats<N> x) {
  if constexpr (N > 4) return sum_of<N / 2>(lower<N>(x) + upper<N>(x));
  else return (x[0] + x[2]) + (x[1] + x[3]);
}

template <int N>
ONCEKIT_INLINE Floats<N> larger(Floats<N> a, Floats<N> b) {
  return a > b ? a : b;
}
template <int N>
ONCEKIT_INLINE float largest_of(Floats<N> x) {
  if constexpr (N > 4) {
    return largest_of<N / 2>(larger<N / 2>(lower<N>(x), upper<N>(x)));
  } else {
    const float a = x[0] > x[2] ? x[0] : x[2], b = x[1] > x[3] ? x[1] : x[3];
    return a > b ? a : b;
  }
}

// e^x within 2 ulp for x in [-87, 87]: 2^n e^r with |r| <= ln 2 / 2. Its twin in model/ragged_kernels.cpp rounds otherwise: there is no
// floor of vectors, and adding kRound does not survive that file's flags.
template <int N>
ONCEKIT_INLINE Floats<N> exponential_inside(Floats<N> x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  const Floats<N> n = (x * 1.44269504f + kRound) - kRound;
  const Floats<N> r = (x - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  Floats<N> y;
  kernels::taylor_exp(r, y);
  const Ints<N> bits = (__builtin_convertvector(n, Ints<N>) + 127) << 23;
  return y * reinterpret_cast<const Floats<N>&>(bits);
}
// x held to that range.
template <int N>
ONCEKIT_INLINE Floats<N> exponential(Floats<N> x) {
  x = larger<N>(x, -87.0f + Floats<N>{});
  return exponential_inside<N>(x < 87.0f ? x : 87.0f + Floats<N>{});
}

// 2: AVX-512, vectors of 16 floats; 1: AVX2, 8; 0: 4.
inline int vector_level() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) return 2;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
  return 0;
}

#if defined(__x86_64__)
template <class Body>
ONCEKIT_WIDE void run_wide(const Body& body, Index first, Index last) {
  body.template run<16>(first, last);
}
template <class Body>
ONCEKIT_MIDDLE void run_middle(const Body& body, Index first, Index last) {
  body.template run<8>(first, last);
}
#endif

// body.run<N>(first, last), always inlined, with N floats a vector: 16, 8, or else Least.
template <int Least = 4, class Body>
void run_vectorised(const Body& body, Index first, Index last) {
#if defined(__x86_64__)
  if (vector_level() == 2) return run_wide(body, first, last);
  if (vector_level() == 1) return run_middle(body, first, last);
#endif
  body.template run<Least>(first, last);
}

}  // namespace
}  // namespace oncekit::vectors
