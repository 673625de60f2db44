// The two-level bootstrap: against a slow direct implementation and numpy, coverage of its interval, no stars where nothing is, Holm.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "oncekit/rng.h"
#include "compare/bootstrap.h"

using namespace oncekit;

namespace {

// What a study of `seeds` runs a row sees. Every user has 1 to 4 groups; deviations are of the normal distribution.
struct World {
  double truth = 0;      // mean difference
  double of_seed = 0;    // each run, by its seed
  double of_user = 0;    // how much the difference depends on the user
  double of_both = 0;    // each run, each user
  std::size_t seeds = 5, users = 80;
};

struct Study {
  std::vector<double> a, b, groups;
  PairedSums sums(std::size_t seeds, bool paired) const { return {a, b, groups, seeds, seeds, paired}; }
};

Study draw(const World& world, Rng rng) {
  Study study;
  std::vector<double> shared, difference;
  for (std::size_t u = 0; u < world.users; ++u) {
    study.groups.push_back(1.0 + static_cast<double>(rng.below(4)));
    shared.push_back(0.6 + 0.3 * rng.normal());
    difference.push_back(world.truth + world.of_user * rng.normal());
  }
  for (std::size_t k = 0; k < world.seeds; ++k) {
    const double run_a = world.of_seed * rng.normal(), run_b = world.of_seed * rng.normal();
    for (std::size_t u = 0; u < world.users; ++u) {
      study.a.push_back(study.groups[u] * (shared[u] + run_a + world.of_both * rng.normal()));
      study.b.push_back(study.groups[u] * (shared[u] + run_b + difference[u] + world.of_both * rng.normal()));
    }
  }
  return study;
}

double mean(const std::vector<double>& v) { return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size()); }

// One replicate as the documentation says it, group by group, without sharing anything.
double direct_replicate(const Study& study, std::size_t seeds, bool paired, std::uint64_t seed, std::uint64_t r, double keep) {
  const std::size_t n = study.groups.size();
  std::vector<std::uint32_t> times(n);
  draw_users(seed, r, times);
  const auto means = [&](const std::vector<double>& sums, bool drawn) {
    std::vector<double> by_seed;
    for (std::size_t k = 0; k < seeds; ++k) {
      double sum = 0, count = 0;
      for (std::size_t u = 0; u < n; ++u)
        for (std::uint32_t t = 0; t < (drawn ? times[u] : 1); ++t)
          for (int g = 0; g < static_cast<int>(study.groups[u]); ++g) {
            sum += sums[k * n + u] / study.groups[u];
            ++count;
          }
      by_seed.push_back(sum / count);
    }
    return by_seed;
  };
  const std::vector<double> a = means(study.a, false), b = means(study.b, false);
  const double value = mean(b) - mean(a), users = mean(means(study.b, true)) - mean(means(study.a, true)) - value;
  if (paired) {
    std::vector<double> d;
    for (std::size_t k = 0; k < seeds; ++k) d.push_back(b[k] - a[k]);
    const SeedDraw draw = draw_seeds(seed, r, "b", d);
    return value + keep * users + draw.scale * draw.shift;
  }
  const SeedDraw of_a = draw_seeds(seed, r, "a", a), of_b = draw_seeds(seed, r, "b", b);
  return value + keep * users + of_b.scale * of_b.shift - of_a.scale * of_a.shift;
}

// The share of level 2 that stays: 1 - (noise of users x seeds, averaged) / (variance of the user means), by the textbook's sums of squares.
double direct_keep(const Study& study, std::size_t seeds, bool paired) {
  const std::size_t n = study.groups.size();
  const double total = std::accumulate(study.groups.begin(), study.groups.end(), 0.0);
  const auto residuals = [&](const std::vector<double>& sums) {
    std::vector<std::vector<double>> r(seeds, std::vector<double>(n));
    for (std::size_t k = 0; k < seeds; ++k) {
      double m = 0;
      for (std::size_t u = 0; u < n; ++u) m += sums[k * n + u] / total;
      for (std::size_t u = 0; u < n; ++u) r[k][u] = sums[k * n + u] - m * study.groups[u];
    }
    return r;
  };
  const auto a = residuals(study.a), b = residuals(study.b);
  double both = 0, noise = 0;
  for (std::size_t u = 0; u < n; ++u) {
    std::vector<double> ra, rb, rd;
    for (std::size_t k = 0; k < seeds; ++k) {
      ra.push_back(a[k][u]);
      rb.push_back(b[k][u]);
      rd.push_back(b[k][u] - a[k][u]);
    }
    both += mean(rd) * mean(rd);
    const auto spread = [&](const std::vector<double>& v) {
      double s = 0;
      for (double x : v) s += (x - mean(v)) * (x - mean(v));
      return s / static_cast<double>(seeds * (seeds - 1));
    };
    if (seeds > 1) noise += paired ? spread(rd) : spread(ra) + spread(rb);
  }
  return std::sqrt(std::max(0.0, 1 - noise / both));
}

}  // namespace

TEST_CASE("the bootstrap equals a slow direct one", "[unit]") {
  for (const bool paired : {true, false})
    for (const std::size_t seeds : {std::size_t{1}, std::size_t{2}, std::size_t{5}}) {
      if (paired && seeds == 1) continue;
      INFO("paired " << paired << ", seeds " << seeds);
      World world{0.02, 0.01, 0.1, 0.05, seeds, 37};
      const Study study = draw(world, Rng(5).at(seeds));
      BootstrapOptions options;
      options.replicates = 399;
      options.threads = 2;
      const Interval fast = bootstrap({study.sums(seeds, paired)}, options)[0];
      const double keep = direct_keep(study, seeds, paired);
      if (seeds > 1) CHECK((keep > 0.3 && keep < 0.999));  // it does something here
      else CHECK(keep == 1);
      std::vector<double> slow;
      for (std::uint64_t r = 0; r < 399; ++r) slow.push_back(direct_replicate(study, seeds, paired, options.seed, r, keep));
      std::sort(slow.begin(), slow.end());
      // Of 399 values, the 2.5% quantile lies at place 9.95 from 0.
      CHECK(fast.low == Approx(slow[9] + 0.95 * (slow[10] - slow[9])).epsilon(1e-9));
      CHECK(fast.high == Approx(slow[388] + 0.05 * (slow[389] - slow[388])).epsilon(1e-9));
      const auto below = static_cast<double>(std::count_if(slow.begin(), slow.end(), [](double v) { return v <= 0; }));
      CHECK(fast.p == Approx(std::min(1.0, 2 * (1 + std::min(below, 399 - below)) / 400)));
    }
}

TEST_CASE("the same numbers on any number of threads, and beside any other comparison", "[unit]") {
  const Study one = draw({0.01, 0.01, 0.1, 0.1, 5, 300}, Rng(1)), two = draw({0, 0, 0.1, 0.1, 5, 300}, Rng(2));
  BootstrapOptions options;
  options.replicates = 1001;  // no multiple of what is done at a time
  options.threads = 1;
  const auto alone = bootstrap({one.sums(5, true)}, options);
  for (const int threads : {2, 3, 7}) {
    options.threads = threads;
    const auto beside = bootstrap({two.sums(5, false), one.sums(5, true)}, options);
    CHECK(beside[1].low == alone[0].low);
    CHECK(beside[1].high == alone[0].high);
    CHECK(beside[1].p == alone[0].p);
    CHECK(beside[1].error == alone[0].error);
  }
}

TEST_CASE("the interval holds the true difference in 95 of 100 studies, whatever makes the noise", "[unit]") {
  struct Case {
    World world;
    bool paired;
    bool exact;  // else at least as much: independent seeds are compared cautiously
  };
  const std::vector<Case> cases{{{0.01, 0.02, 0, 0, 5}, true, true},     {{0.01, 0, 0.2, 0, 5}, true, true},        {{0.01, 0, 0, 0.2, 5}, true, true},
                                {{0.01, 0.01, 0.1, 0.1, 5}, true, true}, {{0.01, 0.01, 0.1, 0.1, 3}, true, false},  {{0.01, 0.01, 0.1, 0.1, 5}, false, false},
                                {{0.01, 0, 0.2, 0, 1}, false, true}};
  constexpr int kStudies = 600;
  const double margin = 3 * std::sqrt(0.95 * 0.05 / kStudies);
  for (std::size_t c = 0; c < cases.size(); ++c) {
    int held = 0;
    double square = 0, error = 0;
    for (int study = 0; study < kStudies; ++study) {
      const Study drawn = draw(cases[c].world, Rng(11).at(c).at(static_cast<std::uint64_t>(study)));
      BootstrapOptions options;
      options.replicates = 600;
      options.seed = static_cast<std::uint64_t>(study);
      options.threads = 1;
      const Interval i = bootstrap({drawn.sums(cases[c].world.seeds, cases[c].paired)}, options)[0];
      held += i.low <= cases[c].world.truth && cases[c].world.truth <= i.high;
      square += (i.value - cases[c].world.truth) * (i.value - cases[c].world.truth);
      error += i.error * i.error;
    }
    INFO("case " << c << ": " << held << " of " << kStudies);
    CHECK(held >= (0.95 - margin) * kStudies);
    CHECK(held <= (cases[c].exact ? 0.95 + margin : 1.0) * kStudies);
    CHECK(std::sqrt(error / square) == Approx(1).margin(0.12));  // the standard error is the deviation over studies
  }
}

TEST_CASE("where nothing differs, five rows get a star in no more than 5 of 100 tables", "[unit]") {
  int tables = 0;
  for (int t = 0; t < 300; ++t) {
    std::vector<Study> rows;
    std::vector<PairedSums> sums;
    for (int row = 0; row < 5; ++row) rows.push_back(draw({0, 0.01, 0.05, 0.1, 5, 60}, Rng(21).at(static_cast<std::uint64_t>(t)).at(static_cast<std::uint64_t>(row))));
    for (const Study& study : rows) sums.push_back(study.sums(5, true));
    BootstrapOptions options;
    options.replicates = 1000;
    options.seed = static_cast<std::uint64_t>(t);
    options.threads = 1;
    std::vector<double> p;
    for (const Interval& i : bootstrap(sums, options)) p.push_back(i.p);
    const std::vector<double> corrected = holm(p);
    tables += *std::min_element(corrected.begin(), corrected.end()) < 0.05;
  }
  CHECK(tables <= 300 * (0.05 + 3 * std::sqrt(0.05 * 0.95 / 300)));
}

TEST_CASE("a difference of the smallest detectable size is found four times in five", "[unit]") {
  // Users make the noise: with few seeds a t distribution asks for more than (1.96 + 0.84) errors.
  World world{0, 0, 0.2, 0, 5, 200};
  double detectable = 0;
  for (int i = 0; i < 50; ++i) {
    BootstrapOptions options;
    options.replicates = 400;
    const Study study = draw(world, Rng(31).at(static_cast<std::uint64_t>(i)));
    detectable += bootstrap({study.sums(5, true)}, options)[0].detectable / 50;
  }
  world.truth = detectable;
  int found = 0;
  for (int i = 0; i < 400; ++i) {
    BootstrapOptions options;
    options.replicates = 400;
    options.seed = static_cast<std::uint64_t>(i);
    const Study study = draw(world, Rng(32).at(static_cast<std::uint64_t>(i)));
    found += bootstrap({study.sums(5, true)}, options)[0].p < 0.05;
  }
  CHECK(found / 400.0 == Approx(0.8).margin(3 * std::sqrt(0.8 * 0.2 / 400)));
}

TEST_CASE("equal rows: no difference, p = 1; a sure difference: the smallest p there is", "[unit]") {
  const Study study = draw({0, 0.01, 0, 0.1, 5, 50}, Rng(3));
  const Interval same = bootstrap({{study.a, study.a, study.groups, 5, 5, true}}, {})[0];
  CHECK(same.value == 0);
  CHECK(same.low == 0);
  CHECK(same.high == 0);
  CHECK(same.p == 1);
  std::vector<double> more = study.a;
  for (std::size_t i = 0; i < more.size(); ++i) more[i] += study.groups[i % 50] * 0.1;
  const Interval sure = bootstrap({{study.a, more, study.groups, 5, 5, true}}, {})[0];
  CHECK(sure.value == Approx(0.1));
  CHECK(sure.low == Approx(0.1));
  CHECK(sure.p == Approx(2.0 / 10001));
}

TEST_CASE("Holm's correction by hand", "[unit]") {
  // Sorted 0.01 0.02 0.03 0.04 times 4 3 2 1: 0.04 0.06 0.06 0.04, then never falling.
  CHECK(holm({0.03, 0.01, 0.04, 0.02})[1] == Approx(0.04));
  CHECK(holm({0.03, 0.01, 0.04, 0.02})[3] == Approx(0.06));
  CHECK(holm({0.03, 0.01, 0.04, 0.02})[0] == Approx(0.06));
  CHECK(holm({0.03, 0.01, 0.04, 0.02})[2] == Approx(0.06));
  CHECK(holm({0.4, 0.6}) == std::vector<double>{0.8, 0.8});
  CHECK(holm({0.9, 0.7, 0.6}) == std::vector<double>{1, 1, 1});
  CHECK(holm({0.02}) == std::vector<double>{0.02});
  CHECK(holm({}).empty());
}

TEST_CASE("numpy finds the same", "[parity]") {
  std::ifstream in(ONCEKIT_TREE "/tests/compare/data/bootstrap.json");
  const auto cases = nlohmann::json::parse(in);
  for (const auto& one : cases["studies"]) {
    const auto a = one["a"].get<std::vector<double>>(), b = one["b"].get<std::vector<double>>(), groups = one["groups"].get<std::vector<double>>();
    const auto seeds_a = one["seeds_a"].get<std::size_t>(), seeds_b = one["seeds_b"].get<std::size_t>();
    const Interval i = bootstrap({{a, b, groups, seeds_a, seeds_b, one["paired"].get<bool>()}}, {})[0];
    INFO(one["name"].get<std::string>());
    CHECK(i.value == Approx(one["value"].get<double>()).epsilon(1e-12));
    // Other random numbers: within what 10,000 against 200,000 draws leave open.
    const double error = one["error"].get<double>();
    CHECK(i.error == Approx(error).epsilon(0.04));
    CHECK(std::abs(i.low - one["low"].get<double>()) < 0.15 * error);
    CHECK(std::abs(i.high - one["high"].get<double>()) < 0.15 * error);
    CHECK(i.p == Approx(one["p"].get<double>()).epsilon(0.25).margin(0.002));
  }
  for (const auto& one : cases["holm"]) {
    const std::vector<double> corrected = holm(one["p"].get<std::vector<double>>());
    for (std::size_t i = 0; i < corrected.size(); ++i) CHECK(corrected[i] == Approx(one["corrected"][i].get<double>()).epsilon(1e-12));
  }
}
