// Differences between rows of a table that one can trust: group by group, seed by seed, user by user. Definitions: docs/metrics.md.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "evaluate/evaluate.h"
#include "compare/bootstrap.h"

namespace oncekit {

constexpr std::size_t kSeedsForStars = 5;  ///< on both sides
constexpr std::size_t kUsersForInterval = 20;  ///< in a slice: with fewer, percentiles of resampled users say too little

/// The runs of one row.
struct DifferenceRow {
  std::string label;
  std::vector<std::int64_t> seeds;                       ///< one a run
  std::function<GroupTable(std::size_t run)> load;       ///< its per_group.csv; called once a run. Errors become the row's `why`
};

/// One row against the named one, in one metric and slice.
struct Difference {
  std::string metric, slice;    ///< slice "" = all
  Interval interval;
  double holm = 1;              ///< p corrected over the rows of the table, for this metric and slice
  std::int64_t groups = 0, users = 0;
  bool star = false;            ///< at least kSeedsForStars seeds on both sides and holm < 0.05
  std::string why;              ///< there is no difference to tell, and why; "" = there is
  std::string name() const { return "test/" + (slice.empty() ? "" : slice + "/") + metric; }  ///< as in results.json
};

struct RowDifferences {
  std::string label;
  std::size_t seeds = 0;
  bool paired = false;          ///< by seed: both rows have the same ones, more than one
  std::string why;              ///< nothing can be compared, and why; e.g. other test data
  std::vector<Difference> cells;  ///< by metric, then slice; empty for the named row and where `why` says something
};

struct Differences {
  std::string against;
  std::size_t seeds = 0;        ///< of the named row
  int replicates = 0;
  std::vector<RowDifferences> rows;  ///< parallel to the input
};

/// Each row against rows[against]. Groups are paired by id (by user and id, in the order of equal ones): a row whose groups, users
/// or skipped groups are others is refused, with the reason in its `why`. Metrics: as columns of per_group.csv; empty = the first there is.
/// Throws Error(kUsage) when a metric is in no run's table, naming the nearest.
Differences compare_rows(const std::vector<DifferenceRow>& rows, std::size_t against, const std::vector<std::string>& metrics,
                         const BootstrapOptions& options = {});

/// The differences as lines: row, metric and slice, difference, interval, p, corrected p, smallest detectable, users; header first.
std::vector<std::vector<std::string>> difference_grid(const Differences& differences);
/// What has to be said below them, a sentence each: rows that were refused, one seed, the method.
std::vector<std::string> difference_notes(const Differences& differences);

}  // namespace oncekit
