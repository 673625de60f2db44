#include "report/table.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/human.h"
#include "evaluate/metrics.h"

namespace oncekit {
namespace {

constexpr std::string_view kLeaky = "leaky/";

std::string plain_name(const std::string& name) { return name.starts_with(kLeaky) ? name.substr(kLeaky.size()) : name; }

bool is_metric(const std::string& name, const std::string& split) {
  if (!name.starts_with(split)) return false;
  const std::string last = name.substr(name.rfind('/') + 1);
  return !last.starts_with("groups") && !last.starts_with("impressions");
}

void add_unique(std::vector<std::string>& list, const std::string& name) {
  if (std::find(list.begin(), list.end(), name) == list.end()) list.push_back(name);
}

std::vector<std::string> default_columns(const std::vector<RunGroup>& groups) {
  static const std::vector<std::string> slices{"new", "warm", "empty", "seen", "cold"};
  for (const std::string split : {"test/", "dev/"}) {
    std::vector<std::string> whole, found;
    for (const RunGroup& group : groups)
      for (const ResultList& results : group.results)
        for (const auto& [key, value] : results) {
          const std::string name = plain_name(key);
          if (!is_metric(name, split)) continue;
          add_unique(std::count(name.begin(), name.end(), '/') == 1 ? whole : found, name);
        }
    if (whole.empty()) continue;
    std::stable_sort(whole.begin(), whole.end(), metric_before);
    const std::string first = whole[0].substr(split.size());
    for (const std::string& slice : slices)
      if (const std::string name = split + slice + "/" + first; std::find(found.begin(), found.end(), name) != found.end()) whole.push_back(name);
    return whole;
  }
  return {};
}

std::map<std::string, Statistic> statistics(const std::vector<ResultList>& runs) {
  std::map<std::string, std::vector<double>> values;
  for (const ResultList& results : runs)
    for (const auto& [name, value] : results) values[plain_name(name)].push_back(value);
  std::map<std::string, Statistic> cells;
  for (const auto& [name, list] : values)
    if (const Statistic s = statistic(list); s.n > 0) cells[name] = s;
  return cells;
}

// "rankers/item_knn/test/auc" of one group's first run -> {"item_knn": {"test/auc": ...}}.
std::map<std::string, std::map<std::string, double>> rankers_of(const RunGroup& group) {
  std::map<std::string, std::map<std::string, double>> rankers;
  if (group.results.empty()) return rankers;
  for (const auto& [name, value] : group.results[0]) {
    if (!name.starts_with("rankers/") || std::isnan(value)) continue;
    const std::size_t slash = name.find('/', 8);
    if (slash != std::string::npos) rankers[name.substr(8, slash - 8)][name.substr(slash + 1)] = value;
  }
  for (const auto& [name, value] : group.results[0])
    if (name == "data/best_auc") rankers["best possible"]["test/auc"] = value;
  return rankers;
}

void add_rankers(const std::vector<RunGroup>& groups, ResultsTable& table) {
  std::map<std::string, std::vector<std::pair<std::string, std::map<std::string, double>>>> kinds;  // ranker -> (group's label, values)
  std::vector<std::string> order;
  for (const RunGroup& group : groups)
    for (const auto& [ranker, values] : rankers_of(group)) {
      add_unique(order, ranker);
      auto& seen = kinds[ranker];
      if (std::none_of(seen.begin(), seen.end(), [&](const auto& other) { return other.second == values; })) seen.emplace_back(group.label, values);
    }
  std::stable_sort(order.begin(), order.end(), [](const std::string& a, const std::string& b) { return (a == "best possible") < (b == "best possible"); });
  for (const std::string& ranker : order) {
    const auto& seen = kinds[ranker];
    for (const auto& [label, values] : seen) {
      TableRow row;
      row.trained = false;
      row.label = ranker == "best possible" ? "best possible" : ranker + " (untrained)";
      if (seen.size() > 1) row.label += ", data of " + label;
      for (const auto& [name, value] : values) row.cells[name] = {value, 0, 1};
      table.rows.push_back(std::move(row));
    }
  }
}

// Results that were had by a leak say so wherever the row is named.
std::string honest_label(const RunGroup& group) {
  for (const ResultList& results : group.results)
    if (std::any_of(results.begin(), results.end(), [](const auto& r) { return r.first.starts_with(kLeaky); })) return "leaky: " + group.label;
  return group.label;
}

bool shows_time(const ResultsTable& table, const std::string& key) {
  return std::any_of(table.rows.begin(), table.rows.end(), [&](const TableRow& row) { return row.cells.count(key); });
}

struct Extra {
  const char *key, *title;
};
constexpr Extra kExtras[] = {{"time/total_s", "seconds"}, {"memory/peak_mib", "peak MiB"}};

}  // namespace

std::vector<std::vector<std::string>> as_grid(const ResultsTable& table) {
  std::string split;
  for (const std::string& column : table.columns) {
    const std::string own = column.substr(0, column.find('/') + 1);
    if (split.empty()) split = own;
    if (split != own) split = "-";
  }
  std::vector<std::vector<std::string>> grid(1);
  grid[0].push_back("");
  for (const std::string& column : table.columns) {
    std::string title = column.starts_with(split) ? column.substr(split.size()) : column;
    std::replace(title.begin(), title.end(), '/', ' ');
    grid[0].push_back(title);
  }
  for (const Extra& extra : kExtras)
    if (shows_time(table, extra.key)) grid[0].push_back(extra.title);
  grid[0].push_back("seeds");
  for (const TableRow& row : table.rows) {
    std::vector<std::string> line{row.label};
    const bool any = std::any_of(table.columns.begin(), table.columns.end(), [&](const std::string& c) { return row.cells.count(c); });
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
      const auto cell = row.cells.find(table.columns[c]);
      if (cell == row.cells.end()) line.push_back(c == 0 && !any && !row.note.empty() ? row.note : row.note.empty() || any ? "-" : "");
      else line.push_back(cell->second.n > 1 ? fmt::format("{:.4f} ± {:.4f}", cell->second.mean, cell->second.deviation) : fmt::format("{:.4f}", cell->second.mean));
    }
    for (const Extra& extra : kExtras) {
      if (!shows_time(table, extra.key)) continue;
      const auto cell = row.cells.find(extra.key);
      line.push_back(cell == row.cells.end() || !row.trained ? "" : cell->second.mean < 10 ? fmt::format("{:.1f}", cell->second.mean) : human_count(std::llround(cell->second.mean)));
    }
    line.push_back(row.seeds);
    grid.push_back(std::move(line));
  }
  return grid;
}

namespace {

std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

// Results that some row has a difference in, e.g. "test/new/auc".
std::vector<std::string> difference_names(const ResultsTable& table) {
  std::vector<std::string> names;
  if (table.differences)
    for (const RowDifferences& row : table.differences->rows)
      for (const Difference& cell : row.cells) add_unique(names, cell.name());
  return names;
}

// Nothing where there is none to tell.
const Difference* difference_of(const ResultsTable& table, const TableRow& row, const std::string& name) {
  if (!table.differences || row.group < 0) return nullptr;
  for (const Difference& cell : table.differences->rows[static_cast<std::size_t>(row.group)].cells)
    if (cell.name() == name && cell.why.empty()) return &cell;
  return nullptr;
}

std::vector<std::string> all_names(const ResultsTable& table) {
  std::vector<std::string> names = table.columns;
  for (const TableRow& row : table.rows)
    for (const auto& [name, cell] : row.cells)
      if (!name.starts_with("rankers/")) add_unique(names, name);
  return names;
}

}  // namespace

Statistic statistic(const std::vector<double>& values) {
  Statistic s;
  for (double v : values)
    if (std::isfinite(v)) {
      s.mean += v;
      ++s.n;
    }
  if (s.n == 0) return s;
  s.mean /= static_cast<double>(s.n);
  double square = 0;
  for (double v : values)
    if (std::isfinite(v)) square += (v - s.mean) * (v - s.mean);
  if (s.n > 1) s.deviation = std::sqrt(square / static_cast<double>(s.n - 1));
  return s;
}

ResultsTable make_table(const std::string& title, const std::vector<RunGroup>& groups, const std::vector<std::string>& columns) {
  ResultsTable table;
  table.title = title;
  table.columns = columns.empty() ? default_columns(groups) : columns;
  for (const RunGroup& group : groups) {
    TableRow row;
    row.group = &group - groups.data();
    row.label = group.label;
    row.values = group.values;
    row.cells = statistics(group.results);
    row.seeds = group.results.size() == group.wanted ? std::to_string(group.wanted) : fmt::format("{} of {}", group.results.size(), group.wanted);
    if (group.results.empty()) row.note = "no finished run";
    row.label = honest_label(group);
    table.rows.push_back(std::move(row));
    if (group.paper.empty() || group.paper_numbers.empty()) continue;
    TableRow paper;
    paper.trained = false;
    paper.label = "paper: " + group.paper;
    if (!group.not_comparable.empty()) paper.note = "not comparable: " + group.not_comparable;
    else
      for (const auto& [name, value] : group.paper_numbers) paper.cells[name] = {value, 0, 1};
    table.rows.push_back(std::move(paper));
  }
  add_rankers(groups, table);
  return table;
}

Differences compare_groups(const std::vector<RunGroup>& groups, std::size_t against, const std::vector<std::string>& metrics, const BootstrapOptions& options) {
  std::vector<DifferenceRow> rows;
  for (const RunGroup& group : groups)
    rows.push_back({honest_label(group), group.seeds, [&group](std::size_t run) { return read_groups(group.folders[run] / "per_group.csv"); }});
  return compare_rows(rows, against, metrics, options);
}

std::string as_markdown(const ResultsTable& table) {
  const auto escaped = [](const std::string& text) {
    std::string out;
    for (char c : text) out += c == '|' || c == '*' ? std::string("\\") + c : std::string(1, c);
    return out;
  };
  std::string text = table.title.empty() ? "" : "# " + table.title + "\n\n";
  const auto add = [&](const std::vector<std::vector<std::string>>& grid) {
    for (std::size_t r = 0; r < grid.size(); ++r) {
      text += "|";
      for (const std::string& cell : grid[r]) text += " " + escaped(cell) + " |";
      text += "\n";
      if (r > 0) continue;
      text += "|---|";
      for (std::size_t c = 1; c < grid[0].size(); ++c) text += "---:|";
      text += "\n";
    }
  };
  add(as_grid(table));
  text += "\nMean ± standard deviation over seeds. Definitions: docs/metrics.md.\n";
  if (!table.differences) return text;
  const auto grid = difference_grid(*table.differences);
  if (grid.size() > 1) {
    text += "\n";
    add(grid);
  }
  text += "\n";
  for (const std::string& note : difference_notes(*table.differences)) text += "- " + escaped(note) + "\n";
  return text;
}

std::string as_text(const ResultsTable& table, bool color) {
  // The first `left` columns stand to the left, the others to the right; a note runs over the columns behind it.
  const auto aligned = [&](const std::vector<std::vector<std::string>>& grid, const std::function<bool(std::size_t r)>& note, std::size_t left) {
    std::vector<std::size_t> widths(grid[0].size(), 0);
    for (std::size_t r = 0; r < grid.size(); ++r)
      for (std::size_t c = 0; c < grid[r].size(); ++c)
        if (!note(r) || c < left) widths[c] = std::max(widths[c], width(grid[r][c]));
    std::string text;
    for (std::size_t r = 0; r < grid.size(); ++r) {
      std::string line;
      for (std::size_t c = 0; c < grid[r].size(); ++c) {
        const std::string gap(widths[c] - std::min(widths[c], width(grid[r][c])), ' ');
        if (c > 0) line += "  ";
        line += c < left ? grid[r][c] + gap : note(r) ? grid[r][c] : gap + grid[r][c];
      }
      line.erase(line.find_last_not_of(' ') + 1);
      text += color && r == 0 ? "\033[1m" + line + "\033[0m\n" : line + "\n";
    }
    return text;
  };
  auto grid = as_grid(table);
  const auto note = [&](std::size_t r) { return r > 0 && !table.rows[r - 1].note.empty(); };
  for (std::size_t r = 1; r < grid.size(); ++r)
    if (note(r)) grid[r] = {grid[r][0], table.rows[r - 1].note + (table.rows[r - 1].seeds.empty() ? "" : ", seeds " + table.rows[r - 1].seeds)};
  std::string text = aligned(grid, note, 1);
  if (!table.differences) return text;
  const auto differences = difference_grid(*table.differences);
  if (differences.size() > 1) text += "\n" + aligned(differences, [&](std::size_t r) { return r > 0 && differences[r][2] == "-"; }, 2);
  text += "\n";
  for (const std::string& line : difference_notes(*table.differences)) text += line + "\n";
  return text;
}

std::string as_csv(const ResultsTable& table) {
  std::vector<std::string> keys;
  for (const TableRow& row : table.rows)
    for (const auto& [key, value] : row.values) add_unique(keys, key);
  const std::vector<std::string> names = all_names(table);
  std::string text = "row";
  for (const std::string& key : keys) text += "," + csv_field(key);
  text += ",seeds";
  for (const std::string& name : names) text += "," + csv_field(name) + "," + csv_field(name + " sd");
  const std::vector<std::string> differences = difference_names(table);
  for (const std::string& name : differences)
    for (const char* column : {"diff", "diff low", "diff high", "diff p", "diff p holm", "diff detectable", "diff star"}) text += "," + csv_field(name + " " + column);
  text += "\n";
  for (const TableRow& row : table.rows) {
    text += csv_field(row.note.empty() ? row.label : row.label + " (" + row.note + ")");
    for (const std::string& key : keys) {
      const auto at = std::find_if(row.values.begin(), row.values.end(), [&](const auto& v) { return v.first == key; });
      text += "," + (at == row.values.end() ? std::string() : csv_field(at->second));
    }
    text += "," + row.seeds;
    for (const std::string& name : names) {
      const auto cell = row.cells.find(name);
      text += cell == row.cells.end() ? std::string(",,") : cell->second.n > 1 ? fmt::format(",{},{}", cell->second.mean, cell->second.deviation) : fmt::format(",{},", cell->second.mean);
    }
    for (const std::string& name : differences) {
      const Difference* d = difference_of(table, row, name);
      text += d ? fmt::format(",{},{},{},{},{},{},{}", d->interval.value, d->interval.low, d->interval.high, d->interval.p, d->holm, d->interval.detectable, d->star ? 1 : 0) : ",,,,,,,";
    }
    text += "\n";
  }
  return text;
}

namespace {

nlohmann::ordered_json difference_json(const Difference& d, bool paired) {
  if (!d.why.empty()) return {{"not_compared", d.why}, {"groups", d.groups}, {"users", d.users}};
  const Interval& i = d.interval;
  return {{"difference", i.value}, {"low", i.low}, {"high", i.high}, {"p", i.p}, {"p_holm", d.holm}, {"standard_error", i.error}, {"detectable", i.detectable},
          {"star", d.star}, {"seeds_paired", paired}, {"groups", d.groups}, {"users", d.users}};
}

}  // namespace

std::string as_json(const ResultsTable& table) {
  nlohmann::ordered_json json{{"title", table.title}, {"columns", table.columns}, {"rows", nlohmann::ordered_json::array()}};
  if (table.differences)
    json["differences"] = {{"against", table.differences->against}, {"seeds", table.differences->seeds}, {"replicates", table.differences->replicates},
                           {"notes", difference_notes(*table.differences)}};
  for (const TableRow& row : table.rows) {
    nlohmann::ordered_json one{{"row", row.label}, {"trained", row.trained}, {"seeds", row.seeds}};
    if (!row.note.empty()) one["note"] = row.note;
    for (const auto& [key, value] : row.values) one["values"][key] = value;
    for (const auto& [name, cell] : row.cells)
      if (!name.starts_with("rankers/")) one["results"][name] = {{"mean", cell.mean}, {"sd", cell.n > 1 ? nlohmann::ordered_json(cell.deviation) : nlohmann::ordered_json(nullptr)}, {"n", cell.n}};
    if (table.differences && row.group >= 0) {
      const RowDifferences& differences = table.differences->rows[static_cast<std::size_t>(row.group)];
      if (!differences.why.empty()) one["not_compared"] = differences.why;
      for (const Difference& cell : differences.cells) one["differences"][cell.name()] = difference_json(cell, differences.paired);
    }
    json["rows"].push_back(std::move(one));
  }
  return json.dump(2) + "\n";
}

}  // namespace oncekit
