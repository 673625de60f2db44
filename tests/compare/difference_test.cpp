// Differences between rows: pairing of groups, what is refused and why, stars, corrections, and how they read in all formats.
#include <algorithm>
#include <cmath>
#include <sstream>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "oncekit/error.h"
#include "oncekit/rng.h"
#include "report/table.h"
#include "support/gallery.h"

using namespace oncekit;
using oncekit::test::check_gallery;

namespace {

// 60 users with two impressions each; every third impression is cold, the last one has one class. Row means differ by `lift`.
GroupTable table_of(double lift, std::uint64_t run) {
  GroupTable t;
  t.metrics = {"auc", "ndcg@5"};
  t.slices = {"new", "cold"};
  Rng users = Rng(77), noise = Rng(78).at(run);
  for (int g = 0; g < 120; ++g) {
    t.ids.push_back(std::to_string(g));
    t.users.push_back("u" + std::to_string(g / 2));
    const double value = g == 119 ? std::nan("") : 0.5 + 0.2 * users.uniform() + lift + 0.02 * noise.normal();
    t.values.insert(t.values.end(), {value, value / 2});
    t.in_slice.insert(t.in_slice.end(), {static_cast<std::uint8_t>(g < 10), static_cast<std::uint8_t>(g % 3 == 0)});
  }
  return t;
}

DifferenceRow row_of(const std::string& label, double lift, std::vector<std::int64_t> seeds, std::function<void(GroupTable&)> change = {}) {
  return {label, seeds, [=](std::size_t run) {
            GroupTable t = table_of(lift, static_cast<std::uint64_t>(seeds[run]) + hash_name(label));
            if (change) change(t);
            return t;
          }};
}

BootstrapOptions quick() {
  BootstrapOptions options;
  options.replicates = 2000;
  return options;
}

const std::vector<std::int64_t> kFive{1, 2, 3, 4, 5};

void swap_groups(GroupTable& t, std::size_t i, std::size_t j) {
  std::swap(t.ids[i], t.ids[j]);
  std::swap(t.users[i], t.users[j]);
  for (std::size_t m = 0; m < 2; ++m) std::swap(t.values[i * 2 + m], t.values[j * 2 + m]);
  for (std::size_t s = 0; s < 2; ++s) std::swap(t.in_slice[i * 2 + s], t.in_slice[j * 2 + s]);
}

}  // namespace

TEST_CASE("differences of means, by metric and slice, against the named row", "[unit]") {
  const Differences d = compare_rows({row_of("A", 0, kFive), row_of("B", 0.05, kFive), row_of("C", 0, kFive)}, 0, {"auc", "ndcg@5"}, quick());
  CHECK(d.against == "A");
  REQUIRE(d.rows.size() == 3);
  CHECK(d.rows[0].cells.empty());
  CHECK(d.rows[1].paired);
  REQUIRE(d.rows[1].cells.size() == 6);
  const Difference &all = d.rows[1].cells[0], &few = d.rows[1].cells[1], &cold = d.rows[1].cells[2], &other = d.rows[1].cells[3];
  CHECK(all.name() == "test/auc");
  double expected = 0;  // group by group, seed by seed
  for (const std::int64_t seed : kFive) {
    const GroupTable a = table_of(0, static_cast<std::uint64_t>(seed) + hash_name("A")), b = table_of(0.05, static_cast<std::uint64_t>(seed) + hash_name("B"));
    for (std::size_t g = 0; g < 119; ++g) expected += (b.values[g * 2] - a.values[g * 2]) / 119 / 5;
  }
  CHECK(all.interval.value == Approx(expected).epsilon(1e-10));
  CHECK(all.groups == 119);
  CHECK(all.users == 60);
  CHECK(all.star);
  CHECK(all.interval.low < 0.05);
  CHECK(all.interval.high > 0.05);
  CHECK(few.name() == "test/new/auc");
  CHECK(few.why == "5 users: too few");
  CHECK_FALSE(few.star);
  CHECK(cold.name() == "test/cold/auc");
  CHECK(cold.groups == 40);
  CHECK(other.interval.value == Approx(expected / 2).epsilon(1e-10));
  CHECK_FALSE(d.rows[2].cells[0].star);
  // Two rows in the family: the smaller p counts twice.
  CHECK(all.holm == Approx(2 * all.interval.p));
}

TEST_CASE("no star under five seeds on both sides; one seed says nothing about seeds", "[unit]") {
  for (const std::size_t seeds : {1, 2, 4, 5}) {
    const std::vector<std::int64_t> some(kFive.begin(), kFive.begin() + static_cast<std::ptrdiff_t>(seeds));
    for (const bool named : {true, false}) {
      const Differences d = compare_rows({row_of("A", 0, named ? some : kFive), row_of("B", 0.1, named ? kFive : some)}, 0, {}, quick());
      INFO(seeds << " seeds");
      CHECK(d.rows[1].cells[0].star == (seeds == 5));
      CHECK(d.rows[1].paired == (seeds == 5));
      const auto notes = difference_notes(d);
      const auto says = [&](const std::string& text) { return std::any_of(notes.begin(), notes.end(), [&](const std::string& n) { return n.find(text) != std::string::npos; }); };
      CHECK(says("one seed: says nothing about seeds") == (seeds == 1));
      CHECK(says("no star under 5 seeds") == (seeds < 5));
    }
  }
}

TEST_CASE("groups are paired by id, wherever they stand, and seeds by their number", "[unit]") {
  const Differences straight = compare_rows({row_of("A", 0, kFive), row_of("B", 0.02, kFive)}, 0, {}, quick());
  const Differences shuffled = compare_rows({row_of("A", 0, {3, 1, 2, 5, 4}), row_of("B", 0.02, {5, 4, 3, 2, 1}, [](GroupTable& t) {
                                               for (std::size_t g = 0; g < 59; ++g) swap_groups(t, g, 118 - g);
                                             })}, 0, {}, quick());
  CHECK(shuffled.rows[1].paired);
  CHECK(shuffled.rows[1].cells[0].interval.value == Approx(straight.rows[1].cells[0].interval.value).epsilon(1e-12));
  CHECK(shuffled.rows[1].cells[0].interval.low == Approx(straight.rows[1].cells[0].interval.low).epsilon(1e-12));
  CHECK(shuffled.rows[1].cells[2].interval.high == Approx(straight.rows[1].cells[2].interval.high).epsilon(1e-12));
}

TEST_CASE("rows measured on other groups are refused, and why", "[unit][errors]") {
  const std::vector<std::pair<std::string, std::function<void(GroupTable&)>>> changes{
      {"fewer groups", [](GroupTable& t) {
         t.ids.pop_back();
         t.users.pop_back();
         t.values.resize(t.values.size() - 2);
         t.in_slice.resize(t.in_slice.size() - 2);
       }},
      {"another group", [](GroupTable& t) { t.ids[5] = "x"; }},
      {"another user", [](GroupTable& t) { t.users[5] = "somebody"; }},
      {"other labels", [](GroupTable& t) { t.values[7 * 2] = t.values[7 * 2 + 1] = std::nan(""); }}};
  std::string texts;
  for (const auto& [name, change] : changes) {
    const Differences d = compare_rows({row_of("A", 0, kFive), row_of(name, 0.1, kFive, change), row_of("C", 0, kFive)}, 0, {}, quick());
    CHECK(d.rows[1].cells.empty());
    CHECK(d.rows[2].cells.size() == 3);  // the others are not held up
    texts += name + ": " + d.rows[1].why + "\n";
    // The same among the seeds of the named row: nothing can be said at all.
    DifferenceRow mixed = row_of("A", 0, kFive);
    const auto load = mixed.load;
    mixed.load = [load, change = change](std::size_t run) {
      GroupTable t = load(run);
      if (run == 3) change(t);
      return t;
    };
    CHECK(compare_rows({mixed, row_of("B", 0, kFive)}, 0, {}, quick()).rows[1].why == "the runs of 'A' differ among themselves: " + d.rows[1].why);
  }
  const Differences slice = compare_rows({row_of("A", 0, kFive), row_of("B", 0.1, kFive, [](GroupTable& t) { t.in_slice[3 * 2 + 1] = 0; })}, 0, {}, quick());
  CHECK(slice.rows[1].cells[0].why.empty());  // all groups can be compared, that slice cannot
  texts += "another slice: " + slice.rows[1].cells[2].why + "\n";
  DifferenceRow gone = row_of("gone", 0, kFive);
  gone.load = [](std::size_t) { return read_groups("runs/x/per_group.csv"); };
  texts += "no file: " + compare_rows({row_of("A", 0, kFive), gone}, 0, {}, quick()).rows[1].why + "\n";
  texts += "named row without a file: " + compare_rows({gone, row_of("B", 0, kFive)}, 0, {}, quick()).rows[1].why + "\n";
  texts += "no run: " + compare_rows({row_of("A", 0, {}), row_of("B", 0, kFive)}, 0, {}, quick()).rows[1].why + "\n";
  const auto asked = [&](const std::string& metric) {
    try {
      compare_rows({row_of("A", 0, kFive), row_of("B", 0, kFive)}, 0, {metric}, quick());
      FAIL("no error");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kUsage);
      texts += metric + ": " + e.what() + "\n";
    }
  };
  asked("ndgc@5");
  asked("global_auc");
  check_gallery("report/pairing", texts);
}

TEST_CASE("differences read well as text, Markdown, CSV, JSON and LaTeX", "[unit]") {
  std::vector<RunGroup> groups;
  for (const char* label : {"base_1 & 100%", "new|one"}) {
    RunGroup group;
    group.label = label;
    group.seeds = kFive;
    group.wanted = 5;
    for (int i = 0; i < 5; ++i) group.results.push_back({{"test/auc", 0.6 + 0.01 * i}, {"test/cold/auc", 0.5}});
    groups.push_back(group);
  }
  groups[1].paper = "Table 2";
  groups[1].paper_numbers = {{"test/auc", 0.6171}};
  groups[1].not_comparable = "other split_1";
  ResultsTable table = make_table("A sweep", groups);
  table.differences = compare_rows({row_of(groups[0].label, 0, kFive), row_of(groups[1].label, 0.05, kFive)}, 0, {}, quick());
  const Interval& all = table.differences->rows[1].cells[0].interval;
  CHECK(all.value == Approx(0.05).margin(0.005));

  const std::string text = as_text(table, false);
  INFO(text);
  CHECK(text.find("difference to base_1 & 100%  of        difference        95% interval       p  p (Holm)  detectable  users\n") != std::string::npos);
  CHECK(text.find(fmt::format("new|one                      auc        {:+.4f} *  [{:+.4f}, {:+.4f}]  0.0010    0.0010      {:.4f}     60\n", all.value, all.low, all.high, all.detectable)) != std::string::npos);
  CHECK(text.find("                             new auc   -  5 users: too few\n") != std::string::npos);
  const std::string markdown = as_markdown(table);
  CHECK(markdown.find(fmt::format("| new\\|one | auc | {:+.4f} \\* |", all.value)) != std::string::npos);
  CHECK(markdown.find("- 95% interval and p: bootstrap of seeds and users, 2,000 replicates") != std::string::npos);

  const std::string csv = as_csv(table);
  CHECK(csv.find(",test/auc diff,test/auc diff low,test/auc diff high,test/auc diff p,test/auc diff p holm,test/auc diff detectable,test/auc diff star,") != std::string::npos);
  CHECK(csv.find(fmt::format(",{},{},{},{},", all.value, all.low, all.high, all.p)) != std::string::npos);
  const auto commas = [](const std::string& line) { return std::count(line.begin(), line.end(), ','); };
  std::string line;
  std::size_t lines = 0;
  for (std::istringstream in(csv); std::getline(in, line); ++lines) CHECK(commas(line) == commas(csv.substr(0, csv.find('\n'))));
  CHECK(lines == 4);

  const auto json = nlohmann::json::parse(as_json(table));
  CHECK(json["differences"]["against"] == "base_1 & 100%");
  CHECK(json["rows"][1]["differences"]["test/auc"]["difference"].get<double>() == all.value);
  CHECK(json["rows"][1]["differences"]["test/auc"]["star"] == true);
  CHECK(json["rows"][1]["differences"]["test/new/auc"]["not_compared"] == "5 users: too few");
  CHECK_FALSE(json["rows"][0].contains("differences"));

  const std::string latex = as_latex(table);
  INFO(latex);
  CHECK(latex.find("base\\_1 \\& 100\\% & 0.6200 $\\pm$ 0.0158 &") != std::string::npos);
  CHECK(latex.find("new\\textbar{}one & auc & " + fmt::format("${:+.4f}$\\rlap{{$^{{*}}$}} & [${:+.4f}$, ${:+.4f}$] &", all.value, all.low, all.high)) != std::string::npos);
  CHECK(latex.find("paper: Table 2\\textsuperscript{a} & -- & -- &") != std::string::npos);
  CHECK(latex.find("\\textsuperscript{a}~not comparable: other split\\_1.") != std::string::npos);
  CHECK(latex.find("--\\textsuperscript{a}") != std::string::npos);
  int depth = 0;  // braces match, and each line of a table has as many cells as the table has columns
  std::ptrdiff_t columns = 0, checked = 0;
  for (std::istringstream in(latex); std::getline(in, line);) {
    if (line.starts_with("%")) continue;
    for (std::size_t i = 0; i < line.size(); ++i) {
      const bool plain = i == 0 || line[i - 1] != '\\';
      depth += plain && line[i] == '{' ? 1 : plain && line[i] == '}' ? -1 : 0;
      CHECK(depth >= 0);
    }
    if (line.starts_with("\\begin{tabular}{")) columns = static_cast<std::ptrdiff_t>(line.size()) - 17;
    if (columns > 0 && line.ends_with("\\\\") && line.find(" & ") != std::string::npos) {
      std::ptrdiff_t cells = 1;
      for (std::size_t at = 0; (at = line.find(" & ", at)) != std::string::npos; at += 3) ++cells;
      CHECK(cells == columns);
      ++checked;
    }
  }
  CHECK(depth == 0);
  CHECK(checked == 8);
}

TEST_CASE("a table without differences has none in any format", "[unit]") {
  RunGroup group;
  group.label = "A";
  group.results = {{{"test/auc", 0.6}}};
  group.wanted = 1;
  const ResultsTable table = make_table("T", {group});
  for (const std::string& text : {as_text(table, false), as_markdown(table), as_csv(table), as_json(table), as_latex(table)}) CHECK(text.find("diff") == std::string::npos);
}
