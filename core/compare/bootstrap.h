// The two-level bootstrap behind differences between rows: seeds, then users. Numbers in, numbers out; knows no files and no tables.
// Definitions, and why level 1 is scaled and level 2 shrunk: docs/metrics.md, "Differences between rows".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace oncekit {

/// One metric in one slice, of two rows measured on the same groups. A user's groups are summed first: a replicate costs users.
struct PairedSums {
  std::span<const double> a, b;        ///< [seeds x users], row-major: sums of the metric over each user's groups
  std::span<const double> groups;      ///< [users]: how many groups of the slice each user has; comparisons of one slice share it
  std::size_t seeds_a = 0, seeds_b = 0;
  bool paired = false;                 ///< seed k of a and seed k of b belong together. REQUIRES: seeds_a == seeds_b
};

struct BootstrapOptions {
  int replicates = 10000;
  std::uint64_t seed = 2024;  ///< of the draws; the same for every table, so that equal data give equal numbers
  int threads = 0;            ///< 0 = all cores; no result depends on it
};

struct Interval {
  double value = 0;          ///< mean of b minus mean of a, over seeds and groups
  double low = 0, high = 0;  ///< 95%, percentiles of the replicates
  double p = 1;              ///< two-sided; at least 2 / (replicates + 1)
  double error = 0;          ///< standard error: deviation of the replicates
  double detectable = 0;     ///< smallest difference found with 80% power at the 5% level: (1.96 + 0.84) x error
};

/// All comparisons on one draw of users a replicate. REQUIRES: the same number of users in all, each slice with some group.
std::vector<Interval> bootstrap(const std::vector<PairedSums>& comparisons, const BootstrapOptions& options);

/// Holm's step-down correction (Holm 1979), in the order of the input.
std::vector<double> holm(const std::vector<double>& p);

/// How often each of `n` users is drawn in replicate r: n draws with replacement.
void draw_users(std::uint64_t seed, std::uint64_t replicate, std::span<std::uint32_t> times);

/// Level 1 of replicate r for `values`, one a seed: mean of n draws with replacement minus their mean. scale: sqrt(n / chi2) with chi2
/// from the chi-squared distribution of n - 1 degrees of freedom. `side` keeps rows that are not paired apart. n = 1 gives 0.
struct SeedDraw {
  double shift = 0, scale = 0;
};
SeedDraw draw_seeds(std::uint64_t seed, std::uint64_t replicate, std::string_view side, std::span<const double> values);

}  // namespace oncekit
