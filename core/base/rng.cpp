#include "oncekit/rng.h"

#include <cmath>
#include <numbers>

namespace oncekit {

std::uint64_t Rng::below(std::uint64_t n) noexcept {
  // Multiply-shift with rejection (Lemire 2019): unbiased, one multiplication as a rule.
  std::uint64_t low_limit = (0 - n) % n;
  for (;;) {
    const unsigned __int128 product = static_cast<unsigned __int128>((*this)()) * n;
    if (static_cast<std::uint64_t>(product) >= low_limit) return static_cast<std::uint64_t>(product >> 64);
  }
}

double Rng::normal() noexcept {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

}  // namespace oncekit
