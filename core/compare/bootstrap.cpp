#include "compare/bootstrap.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <exception>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>

#include "oncekit/rng.h"

namespace oncekit {
namespace {

constexpr std::size_t kLanes = 8;    // replicates at a time
constexpr std::size_t kTile = 2048;  // users whose weights stay in the cache

// Means over all groups, one a seed.
std::vector<double> seed_means(std::span<const double> sums, std::size_t seeds, std::span<const double> groups) {
  const double total = std::accumulate(groups.begin(), groups.end(), 0.0);
  std::vector<double> means(seeds, 0.0);
  for (std::size_t k = 0; k < seeds; ++k) {
    for (std::size_t u = 0; u < groups.size(); ++u) means[k] += sums[k * groups.size() + u];
    means[k] /= total;
  }
  return means;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// A comparison, ready for level 2: the users that have groups here, and each one's difference averaged over seeds.
struct Column {
  std::vector<std::uint32_t> users;   // ascending
  std::vector<double> sums;           // parallel to users
  std::size_t counts = 0;             // of its slice: an index into the columns, of the one whose sums are counts
  std::vector<double> a, b;           // means by seed; when paired, b holds differences and a is empty
  double value = 0;
  double keep = 1;                    // share of level 2's deviation that level 1 does not hold already
};

// Users x seeds noise is in the spread over seeds already. With variances of means, level 2 sees users + noise / seeds, the spread over
// seeds gives noise / seeds: the difference is what level 2 has to add. First order (delta method), as the mean is a ratio.
double kept_share(const PairedSums& c, const Column& column) {
  const std::size_t n = c.groups.size();
  double both = 0, noise = 0;
  const auto residual = [&](std::span<const double> sums, const std::vector<double>& means, std::size_t k, std::size_t u) {
    return sums[k * n + u] - means[k] * c.groups[u];
  };
  const std::vector<double> means_a = seed_means(c.a, c.seeds_a, c.groups), means_b = seed_means(c.b, c.seeds_b, c.groups);
  const auto add = [&](std::size_t seeds, std::size_t u, const auto& of) {  // returns the mean over seeds
    double sum = 0, square = 0;
    for (std::size_t k = 0; k < seeds; ++k) sum += of(k, u);
    const double m = sum / static_cast<double>(seeds);
    for (std::size_t k = 0; k < seeds; ++k) square += (of(k, u) - m) * (of(k, u) - m);
    if (seeds > 1) noise += square / static_cast<double>(seeds * (seeds - 1));
    return m;
  };
  for (std::uint32_t u : column.users) {
    double m = 0;
    if (c.paired) {
      m = add(c.seeds_b, u, [&](std::size_t k, std::size_t v) { return residual(c.b, means_b, k, v) - residual(c.a, means_a, k, v); });
    } else {
      m = add(c.seeds_b, u, [&](std::size_t k, std::size_t v) { return residual(c.b, means_b, k, v); }) -
          add(c.seeds_a, u, [&](std::size_t k, std::size_t v) { return residual(c.a, means_a, k, v); });
    }
    both += m * m;
  }
  return both > 0 ? std::sqrt(std::max(0.0, 1 - noise / both)) : 0;
}

Column make_column(const PairedSums& c) {
  const std::size_t n = c.groups.size();
  Column column;
  for (std::size_t u = 0; u < n; ++u) {
    if (c.groups[u] == 0) continue;
    double a = 0, b = 0;
    for (std::size_t k = 0; k < c.seeds_a; ++k) a += c.a[k * n + u];
    for (std::size_t k = 0; k < c.seeds_b; ++k) b += c.b[k * n + u];
    column.users.push_back(static_cast<std::uint32_t>(u));
    column.sums.push_back(b / static_cast<double>(c.seeds_b) - a / static_cast<double>(c.seeds_a));
  }
  column.a = seed_means(c.a, c.seeds_a, c.groups);
  column.b = seed_means(c.b, c.seeds_b, c.groups);
  column.value = mean(column.b) - mean(column.a);
  column.keep = kept_share(c, column);
  if (c.paired) {
    for (std::size_t k = 0; k < c.seeds_b; ++k) column.b[k] -= column.a[k];
    column.a.clear();
  }
  return column;
}

// Weighted sums over users for kLanes replicates at once, tile by tile.
using Sums = std::array<double, kLanes>;

void add_tile(const Column& column, std::size_t from, std::size_t to, const double* weights, Sums& out) {
  const auto begin = std::lower_bound(column.users.begin(), column.users.end(), static_cast<std::uint32_t>(from)) - column.users.begin();
  Sums s = out;
  for (auto i = static_cast<std::size_t>(begin); i < column.users.size() && column.users[i] < to; ++i) {
    const double* w = weights + column.users[i] * kLanes;
    const double value = column.sums[i];
    for (std::size_t l = 0; l < kLanes; ++l) s[l] += w[l] * value;
  }
  out = s;
}

// The number of groups as a column of its own, once for all comparisons of a slice.
void add_counts(const std::vector<PairedSums>& comparisons, std::vector<Column>& columns) {
  std::map<const double*, std::size_t> known;
  for (std::size_t c = 0; c < comparisons.size(); ++c) {
    const auto [at, fresh] = known.emplace(comparisons[c].groups.data(), columns.size());
    columns[c].counts = at->second;
    if (!fresh) continue;
    Column counts;
    counts.users = columns[c].users;
    for (std::uint32_t u : counts.users) counts.sums.push_back(comparisons[c].groups[u]);
    columns.push_back(std::move(counts));
  }
}

// Deviations of level 2: one a comparison and replicate, NaN where no user of the slice was drawn.
std::vector<std::vector<double>> user_level(const std::vector<Column>& columns, std::size_t comparisons, std::size_t users,
                                            const BootstrapOptions& options) {
  const auto replicates = static_cast<std::size_t>(options.replicates);
  std::vector<std::vector<double>> deviations(comparisons, std::vector<double>(replicates));
  const std::size_t blocks = (replicates + kLanes - 1) / kLanes;
  std::atomic<std::size_t> next{0};
  std::exception_ptr failure;
  std::mutex guard;
  const auto work = [&] {
    try {
      std::vector<std::uint32_t> times(users);
      std::vector<double> weights(users * kLanes);
      std::vector<Sums> sums(columns.size());
      for (std::size_t block; (block = next++) < blocks;) {
        const std::size_t first = block * kLanes, lanes = std::min(kLanes, replicates - first);
        std::fill(weights.begin(), weights.end(), 0.0);
        std::fill(sums.begin(), sums.end(), Sums{});
        for (std::size_t l = 0; l < lanes; ++l) {
          draw_users(options.seed, first + l, times);
          for (std::size_t u = 0; u < users; ++u) weights[u * kLanes + l] = times[u];
        }
        for (std::size_t from = 0; from < users; from += kTile)
          for (std::size_t c = 0; c < columns.size(); ++c) add_tile(columns[c], from, std::min(users, from + kTile), weights.data(), sums[c]);
        for (std::size_t c = 0; c < comparisons; ++c)
          for (std::size_t l = 0; l < lanes; ++l) deviations[c][first + l] = sums[c][l] / sums[columns[c].counts][l] - columns[c].value;
      }
    } catch (...) {
      const std::lock_guard<std::mutex> lock(guard);
      if (!failure) failure = std::current_exception();
      next = blocks;
    }
  };
  const std::size_t wanted = options.threads > 0 ? static_cast<std::size_t>(options.threads) : std::max(1u, std::thread::hardware_concurrency());
  std::vector<std::thread> threads;
  for (std::size_t t = 1; t < std::min(wanted, blocks); ++t) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
  return deviations;
}

// Linear between the two nearest order statistics (type 7 of Hyndman and Fan 1996). REQUIRES: sorted, not empty.
double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Interval interval_of(const Column& column, const std::vector<double>& deviations, const BootstrapOptions& options) {
  Interval result;
  result.value = column.value;
  const auto unbiased = [](std::size_t n) { return n > 1 ? std::sqrt(static_cast<double>(n) / static_cast<double>(n - 1)) : 0.0; };
  const double plain_b = unbiased(column.b.size()), plain_a = unbiased(column.a.size());
  std::vector<double> replicates;
  double sum = 0, square = 0;
  for (std::size_t r = 0; r < deviations.size(); ++r) {
    if (std::isnan(deviations[r])) continue;
    const double users = column.keep * deviations[r];
    const SeedDraw b = draw_seeds(options.seed, r, "b", column.b), a = draw_seeds(options.seed, r, "a", column.a);
    replicates.push_back(column.value + users + b.scale * b.shift - a.scale * a.shift);
    const double plain = users + plain_b * b.shift - plain_a * a.shift;  // a heavy tail has no deviation worth the name
    sum += plain;
    square += plain * plain;
  }
  if (replicates.empty()) return result;
  const auto n = static_cast<double>(replicates.size());
  result.error = std::sqrt(std::max(0.0, square / n - sum / n * (sum / n)));
  result.detectable = (1.959964 + 0.841621) * result.error;
  std::sort(replicates.begin(), replicates.end());
  result.low = quantile(replicates, 0.025);
  result.high = quantile(replicates, 0.975);
  const auto at_most = static_cast<double>(std::upper_bound(replicates.begin(), replicates.end(), 0.0) - replicates.begin());
  const auto at_least = static_cast<double>(replicates.end() - std::lower_bound(replicates.begin(), replicates.end(), 0.0));
  result.p = std::min(1.0, 2 * (1 + std::min(at_most, at_least)) / (n + 1));
  return result;
}

}  // namespace

void draw_users(std::uint64_t seed, std::uint64_t replicate, std::span<std::uint32_t> times) {
  std::fill(times.begin(), times.end(), 0u);
  Rng rng = Rng(seed).at("users").at(replicate);
  for (std::size_t i = 0; i < times.size(); ++i) ++times[rng.below(times.size())];
}

SeedDraw draw_seeds(std::uint64_t seed, std::uint64_t replicate, std::string_view side, std::span<const double> values) {
  const std::size_t n = values.size();
  if (n < 2) return {};
  Rng rng = Rng(seed).at("seeds").at(side).at(replicate);
  const double centre = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(n);
  SeedDraw draw;
  for (std::size_t i = 0; i < n; ++i) draw.shift += values[rng.below(n)] - centre;
  draw.shift /= static_cast<double>(n);
  double chi2 = 0;
  for (std::size_t i = 1; i < n; ++i) {
    const double z = rng.normal();
    chi2 += z * z;
  }
  draw.scale = std::sqrt(static_cast<double>(n) / chi2);
  return draw;
}

std::vector<Interval> bootstrap(const std::vector<PairedSums>& comparisons, const BootstrapOptions& options) {
  std::vector<Column> columns;
  for (const PairedSums& c : comparisons) columns.push_back(make_column(c));
  if (columns.empty()) return {};
  add_counts(comparisons, columns);
  const auto deviations = user_level(columns, comparisons.size(), comparisons[0].groups.size(), options);
  std::vector<Interval> results;
  for (std::size_t c = 0; c < comparisons.size(); ++c) results.push_back(interval_of(columns[c], deviations[c], options));
  return results;
}

std::vector<double> holm(const std::vector<double>& p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return p[i] < p[j]; });
  std::vector<double> corrected(p.size());
  double highest = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    highest = std::max(highest, std::min(1.0, static_cast<double>(p.size() - i) * p[order[i]]));
    corrected[order[i]] = highest;
  }
  return corrected;
}

}  // namespace oncekit
