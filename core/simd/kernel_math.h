// What the attention kernels have in common, inlined into each and compiled with its flags: the mask of dropout and the exponential.
#pragma once

#include <cstdint>

#include "oncekit/rng.h"

namespace oncekit::kernels {

/// Below this a draw of 32 bits drops its number, for dropout with probability p.
inline std::uint32_t drop_threshold(float p) { return static_cast<std::uint32_t>(static_cast<double>(p) * 4294967295.0); }

/// What dropout multiplies a number with: 0, or scale = 1 / (1 - p); from (seed, place) alone.
inline __attribute__((always_inline)) float kept(std::uint64_t seed, std::uint64_t place, std::uint32_t threshold, float scale) {
  return static_cast<std::uint32_t>(mix64(seed ^ place) >> 32) < threshold ? 0.0f : scale;
}

/// e^r for |r| <= ln 2 / 2, the Taylor polynomial of degree 7: within 2 ulp. R is float or a vector of floats.
template <class R>
inline __attribute__((always_inline)) void taylor_exp(const R& r, R& y) {
  y = r * (1.0f / 5040) + 1.0f / 720;
  y = y * r + 1.0f / 120;
  y = y * r + 1.0f / 24;
  y = y * r + 1.0f / 6;
  y = y * r + 0.5f;
  y = y * r + 1.0f;
  y = y * r + 1.0f;
}

}  // namespace oncekit::kernels
