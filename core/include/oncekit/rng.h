// Counter-based random numbers: every draw is a pure function of its key, never of time, threads or order of use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace oncekit {

/// SplitMix64's finaliser (Steele, Lea, Flood 2014): a bijective mix of 64 bits.
constexpr std::uint64_t mix64(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

/// FNV-1a over the bytes of a name, mixed: names of streams become keys.
constexpr std::uint64_t hash_name(std::string_view name) noexcept {
  std::uint64_t h = 0xcbf29ce484222325ull;
  for (char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return mix64(h);
}

/// A stream of random numbers. Copyable; two streams with the same key give the same numbers.
class Rng {
 public:
  using result_type = std::uint64_t;

  explicit constexpr Rng(std::uint64_t key) noexcept : key_(mix64(key)) {}

  /// An independent stream for a name or an index, e.g. rng.at("negatives").at(epoch).at(sample).
  constexpr Rng at(std::string_view name) const noexcept { return Rng(key_ ^ hash_name(name)); }
  constexpr Rng at(std::uint64_t index) const noexcept { return Rng(key_ ^ mix64(index + 0x51ed270b0a1f39c1ull)); }

  static constexpr std::uint64_t min() noexcept { return 0; }
  static constexpr std::uint64_t max() noexcept { return ~0ull; }
  constexpr std::uint64_t operator()() noexcept { return mix64(key_ + 0x9e3779b97f4a7c15ull * ++count_); }

  /// Uniform in [0, 1).
  constexpr double uniform() noexcept { return static_cast<double>((*this)() >> 11) * 0x1.0p-53; }
  /// Uniform integer in [0, n), without bias. REQUIRES: n > 0.
  std::uint64_t below(std::uint64_t n) noexcept;
  /// Standard normal (Box-Muller, two draws a call).
  double normal() noexcept;
  /// Fisher-Yates.
  template <class T>
  void shuffle(T* first, std::size_t n) noexcept {
    for (std::size_t i = n; i > 1; --i) std::swap(first[i - 1], first[below(i)]);
  }

 private:
  std::uint64_t key_;
  std::uint64_t count_ = 0;
};

}  // namespace oncekit
