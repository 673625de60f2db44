#include "compare/difference.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <tuple>
#include <unordered_map>

#include <fmt/format.h>

#include "base/human.h"
#include "oncekit/error.h"
#include "evaluate/metrics.h"

namespace oncekit {
namespace {

// The groups that all runs must share: those of the named row's first run.
class SharedGroups {
 public:
  SharedGroups(GroupTable table, const std::string& label) : table_(std::move(table)), whose_("'" + label + "'") {
    if (table_.metrics.empty()) throw Error(ErrorKind::kData, "no grouped metric was measured", "add e.g. \"auc\" to [evaluate] metrics");
    std::unordered_map<std::string, std::uint32_t> index;
    for (const std::string& user : table_.users) user_of_.push_back(index.emplace(user, static_cast<std::uint32_t>(index.size())).first->second);
    users_ = index.size();
    for (std::size_t s = 0; s <= table_.slices.size(); ++s) {  // the first is all
      std::vector<double> counts(users_, 0.0);
      for (std::size_t g = 0; g < table_.size(); ++g)
        if (!skipped(table_, g) && inside(table_, g, s)) ++counts[user_of_[g]];
      counts_.push_back(std::move(counts));
    }
  }

  std::size_t users() const { return users_; }
  const GroupTable& table() const { return table_; }
  std::size_t slices() const { return counts_.size(); }
  std::string slice(std::size_t s) const { return s == 0 ? "" : table_.slices[s - 1]; }
  const std::vector<double>& counts(std::size_t slice) const { return counts_[slice]; }

  // Which group of `other` each of ours is. Throws Error when they are not the same groups.
  std::vector<std::size_t> match(const GroupTable& other) const {
    std::vector<std::size_t> order(table_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    if (other.ids != table_.ids || other.users != table_.users) {
      std::vector<std::size_t> ours = order, theirs(other.size());
      std::iota(theirs.begin(), theirs.end(), std::size_t{0});
      const auto by_id = [](const GroupTable& t) {
        return [&t](std::size_t i, std::size_t j) { return std::tie(t.ids[i], t.users[i]) < std::tie(t.ids[j], t.users[j]); };
      };
      std::stable_sort(ours.begin(), ours.end(), by_id(table_));
      std::stable_sort(theirs.begin(), theirs.end(), by_id(other));
      for (std::size_t i = 0; i < std::max(ours.size(), theirs.size()); ++i) {
        const bool end = i >= ours.size() || i >= theirs.size();
        if (!end && table_.ids[ours[i]] == other.ids[theirs[i]] && table_.users[ours[i]] == other.users[theirs[i]]) {
          order[ours[i]] = theirs[i];
          continue;
        }
        const std::string counts = fmt::format("other test groups ({}, in {} {})", human_count(static_cast<std::int64_t>(other.size())), whose_,
                                               human_count(static_cast<std::int64_t>(table_.size())));
        if (!end && table_.ids[ours[i]] == other.ids[theirs[i]])
          fail(fmt::format("{}: '{}' is of user '{}', in {} of user '{}'", counts, table_.ids[ours[i]], other.users[theirs[i]], whose_, table_.users[ours[i]]));
        if (i < ours.size() && (i >= theirs.size() || table_.ids[ours[i]] < other.ids[theirs[i]]))
          fail(fmt::format("{}: '{}' is missing", counts, table_.ids[ours[i]]));
        fail(fmt::format("{}: '{}' is not in {}", counts, other.ids[theirs[i]], whose_));
      }
    }
    for (std::size_t g = 0; g < table_.size(); ++g)
      if (!other.metrics.empty() && skipped(table_, g) != skipped(other, order[g]))
        fail(fmt::format("other labels or candidates: group '{}' has clicked and not clicked candidates {}", table_.ids[g],
                         skipped(table_, g) ? "here, not in " + whose_ : "in " + whose_ + ", not here"));
    return order;
  }

  // Sums of a metric over each user's groups, slice by slice. "" when they can be made, else why not.
  std::string sums(const GroupTable& other, const std::vector<std::size_t>& order, const std::string& metric, std::size_t s, std::vector<double>& out) const {
    const auto column = static_cast<std::size_t>(std::find(other.metrics.begin(), other.metrics.end(), metric) - other.metrics.begin());
    if (column == other.metrics.size()) return "it has no '" + metric + "' by group";
    std::size_t theirs = 0;
    if (s > 0) {
      const auto at = std::find(other.slices.begin(), other.slices.end(), slice(s));
      if (at == other.slices.end()) return "it has no slice '" + slice(s) + "'";
      theirs = static_cast<std::size_t>(at - other.slices.begin()) + 1;
    }
    const std::size_t base = out.size();
    out.resize(base + users_, 0.0);
    for (std::size_t g = 0; g < table_.size(); ++g) {
      if (skipped(table_, g)) continue;
      const bool here = inside(other, order[g], theirs);
      if (here != inside(table_, g, s))
        return fmt::format("slice '{}' holds other groups: '{}' is in it {} only", slice(s), table_.ids[g], here ? "here" : "in " + whose_);
      if (here) out[base + user_of_[g]] += other.values[order[g] * other.metrics.size() + column];
    }
    return "";
  }

 private:
  static bool skipped(const GroupTable& t, std::size_t g) { return std::isnan(t.values[g * t.metrics.size()]); }
  static bool inside(const GroupTable& t, std::size_t g, std::size_t s) { return s == 0 || t.in_slice[g * t.slices.size() + s - 1]; }
  [[noreturn]] static void fail(const std::string& what) { throw Error(ErrorKind::kData, what); }

  GroupTable table_;
  std::string whose_;
  std::vector<std::uint32_t> user_of_;
  std::size_t users_ = 0;
  std::vector<std::vector<double>> counts_;
};

// A row's sums: [metric x slice], each [seeds x users].
struct RowSums {
  std::vector<std::int64_t> seeds;
  std::vector<std::vector<double>> sums;
  std::vector<std::string> why;  // of each metric and slice
};

RowSums add_run(const SharedGroups& shared, const GroupTable& table, const std::vector<std::string>& metrics, std::int64_t seed, RowSums row) {
  const std::vector<std::size_t> order = shared.match(table);
  row.seeds.push_back(seed);
  for (std::size_t m = 0; m < metrics.size(); ++m)
    for (std::size_t s = 0; s < shared.slices(); ++s) {
      const std::size_t c = m * shared.slices() + s;
      if (const std::string why = shared.sums(table, order, metrics[m], s, row.sums[c]); !why.empty()) row.why[c] = why;
    }
  return row;
}

// Runs by ascending seed, so that seed k of one row meets seed k of the other.
std::vector<std::size_t> by_seed(const DifferenceRow& row) {
  std::vector<std::size_t> order(row.seeds.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return row.seeds[i] < row.seeds[j]; });
  return order;
}

void check_metrics(const GroupTable& table, const std::vector<std::string>& metrics) {
  for (const std::string& metric : metrics) {
    if (std::find(table.metrics.begin(), table.metrics.end(), metric) != table.metrics.end()) continue;
    std::string known;
    for (const std::string& name : table.metrics) known += (known.empty() ? "" : ", ") + name;
    const std::string near = nearest_name(metric, table.metrics);
    throw Error(ErrorKind::kUsage, "differences in '" + metric + "' were asked for; measured by group were " + known,
                metric == "global_auc" ? "global_auc is one number for all groups: take auc" : near.empty() ? "add it to [evaluate] metrics" : "did you mean '" + near + "'?");
  }
}

struct Wanted {
  std::size_t row, cell;  // where a comparison's result goes
};

}  // namespace

Differences compare_rows(const std::vector<DifferenceRow>& rows, std::size_t against, const std::vector<std::string>& wanted_metrics, const BootstrapOptions& options) {
  Differences result;
  result.against = rows[against].label;
  result.seeds = rows[against].seeds.size();
  result.replicates = options.replicates;
  for (const DifferenceRow& row : rows) result.rows.push_back({row.label, row.seeds.size(), false, "", {}});

  const auto refuse_all = [&](const std::string& why) {
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (i != against) result.rows[i].why = why;
    return result;
  };
  if (rows[against].seeds.empty()) return refuse_all("'" + result.against + "' has no finished run");
  std::unique_ptr<SharedGroups> shared;
  std::vector<std::string> metrics = wanted_metrics;
  std::vector<RowSums> sums(rows.size());
  const auto read_row = [&](std::size_t i) {
    sums[i].sums.resize(metrics.size() * shared->slices());
    sums[i].why.resize(sums[i].sums.size());
    const std::vector<std::size_t> order = by_seed(rows[i]);
    for (std::size_t run : order) {
      const bool read = i == against && run == order[0];  // the shared groups come from it
      sums[i] = add_run(*shared, read ? shared->table() : rows[i].load(run), metrics, rows[i].seeds[run], std::move(sums[i]));
    }
  };
  try {
    shared = std::make_unique<SharedGroups>(rows[against].load(by_seed(rows[against])[0]), result.against);
  } catch (const Error& e) {
    return refuse_all(std::string("'" + result.against + "': ") + e.what());
  }
  if (metrics.empty()) metrics = {*std::min_element(shared->table().metrics.begin(), shared->table().metrics.end(), metric_before)};
  check_metrics(shared->table(), metrics);
  try {
    read_row(against);
  } catch (const Error& e) {
    return refuse_all(std::string("the runs of '" + result.against + "' differ among themselves: ") + e.what());
  }

  std::vector<PairedSums> comparisons;
  std::vector<Wanted> places;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    RowDifferences& row = result.rows[i];
    if (i == against) continue;
    if (rows[i].seeds.empty()) {
      row.why = "no finished run";
      continue;
    }
    try {
      read_row(i);
    } catch (const Error& e) {
      row.why = e.what();
      continue;
    }
    row.paired = sums[i].seeds == sums[against].seeds && row.seeds > 1;
    for (std::size_t m = 0; m < metrics.size(); ++m)
      for (std::size_t s = 0; s < shared->slices(); ++s) {
        const std::size_t c = m * shared->slices() + s;
        const std::vector<double>& counts = shared->counts(s);
        Difference cell;
        cell.metric = metrics[m];
        cell.slice = shared->slice(s);
        cell.groups = static_cast<std::int64_t>(std::accumulate(counts.begin(), counts.end(), 0.0));
        cell.users = static_cast<std::int64_t>(std::count_if(counts.begin(), counts.end(), [](double n) { return n > 0; }));
        cell.why = !sums[i].why[c].empty() ? sums[i].why[c] : !sums[against].why[c].empty() ? "in '" + result.against + "': " + sums[against].why[c]
                   : cell.groups == 0 ? "no group" : static_cast<std::size_t>(cell.users) < kUsersForInterval ? fmt::format("{} users: too few", cell.users) : "";
        row.cells.push_back(cell);
        if (!cell.why.empty()) continue;
        comparisons.push_back({sums[against].sums[c], sums[i].sums[c], counts, sums[against].seeds.size(), sums[i].seeds.size(), row.paired});
        places.push_back({i, row.cells.size() - 1});
      }
  }

  const std::vector<Interval> intervals = bootstrap(comparisons, options);
  std::map<std::size_t, std::vector<std::size_t>> families;  // cell -> comparisons of all rows
  for (std::size_t c = 0; c < places.size(); ++c) families[places[c].cell].push_back(c);
  for (const auto& [cell, members] : families) {
    std::vector<double> p;
    for (std::size_t c : members) p.push_back(intervals[c].p);
    const std::vector<double> corrected = holm(p);
    for (std::size_t j = 0; j < members.size(); ++j) {
      RowDifferences& row = result.rows[places[members[j]].row];
      Difference& difference = row.cells[cell];
      difference.interval = intervals[members[j]];
      difference.holm = corrected[j];
      difference.star = corrected[j] < 0.05 && std::min(row.seeds, result.seeds) >= kSeedsForStars;
    }
  }
  return result;
}

std::vector<std::vector<std::string>> difference_grid(const Differences& d) {
  std::vector<std::vector<std::string>> grid{{"difference to " + d.against, "of", "difference", "95% interval", "p", "p (Holm)", "detectable", "users"}};
  for (const RowDifferences& row : d.rows) {
    bool first = true;
    for (const Difference& cell : row.cells) {
      std::vector<std::string> line{first ? row.label : "", (cell.slice.empty() ? "" : cell.slice + " ") + cell.metric};
      first = false;
      if (cell.why.empty()) {
        const Interval& i = cell.interval;
        for (const std::string& text : {fmt::format("{:+.4f}{}", i.value, cell.star ? " *" : ""), fmt::format("[{:+.4f}, {:+.4f}]", i.low, i.high), fmt::format("{:.4f}", i.p),
                                        fmt::format("{:.4f}", cell.holm), fmt::format("{:.4f}", i.detectable), human_count(cell.users)})
          line.push_back(text);
      } else {
        for (const std::string& text : {std::string("-"), cell.why, std::string(), std::string(), std::string(), std::string()}) line.push_back(text);
      }
      grid.push_back(std::move(line));
    }
  }
  return grid;
}

std::vector<std::string> difference_notes(const Differences& d) {
  std::vector<std::string> notes;
  bool one = false, few = false, unpaired = false, any = false;
  for (const RowDifferences& row : d.rows) {
    if (!row.why.empty()) notes.push_back("not compared: " + row.label + ": " + row.why);
    if (row.cells.empty()) continue;
    const std::size_t least = std::min(row.seeds, d.seeds);
    any = true;
    one = one || least == 1;
    few = few || (least > 1 && least < kSeedsForStars);
    unpaired = unpaired || (!row.paired && least > 1);
  }
  if (!any) return notes;
  if (one) notes.push_back("one seed: says nothing about seeds");
  if (few || one) notes.push_back(fmt::format("no star under {} seeds on both sides", kSeedsForStars));
  if (unpaired) notes.push_back("rows with other seeds than the named one's are compared without pairing seeds");
  notes.push_back(fmt::format("95% interval and p: bootstrap of seeds and users, {} replicates; p (Holm): corrected over the rows; detectable: found with 80% power; "
                              "* p (Holm) < 0.05", human_count(d.replicates)));
  return notes;
}

}  // namespace oncekit
