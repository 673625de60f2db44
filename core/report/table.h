// Results of many runs as one table: a row a variant, mean and standard deviation over its seeds; Markdown, CSV, LaTeX,
// text, JSON.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "compare/difference.h"
#include "run/folder.h"

namespace oncekit {

/// Runs that differ in nothing but the seed.
struct RunGroup {
  std::string label;                                         ///< e.g. "train.lr=0.001"
  std::vector<std::pair<std::string, std::string>> values;   ///< what tells it from the others, e.g. {"point", "NRMS"}
  std::vector<ResultList> results;                           ///< one a finished run
  std::vector<std::filesystem::path> folders;                ///< parallel to results; per_group.csv there feeds the differences
  std::vector<std::int64_t> seeds;                           ///< parallel to results
  std::string paper;                                         ///< the paper's table and row, "" when it reproduces none
  std::map<std::string, double> paper_numbers;               ///< result name -> the paper's value
  std::string not_comparable;                                ///< why the paper's numbers must not stand beside ours; "" = they may
  std::size_t wanted = 0;                                    ///< runs asked for, failed ones included
};

struct Statistic {
  double mean = 0, deviation = 0;  ///< deviation: of the sample (n - 1); 0 when n = 1
  std::size_t n = 0;
};

/// Mean and deviation of the finite values.
Statistic statistic(const std::vector<double>& values);

struct TableRow {
  std::string label;
  std::map<std::string, Statistic> cells;   ///< by result name, without the prefix "leaky/"
  std::vector<std::pair<std::string, std::string>> values;
  std::string seeds;                        ///< "3", "2 of 3", "" for rows that are no runs
  std::string note;                         ///< shown in place of numbers: "not comparable: demo data"
  bool trained = true;                      ///< false: an untrained ranker, a bound, a paper's row
  std::ptrdiff_t group = -1;                ///< of the input; -1 for rows that are no runs
};

struct ResultsTable {
  std::string title;
  std::vector<std::string> columns;         ///< result names that are shown, e.g. "test/auc", "test/new/auc"
  std::vector<TableRow> rows;
  std::optional<Differences> differences;   ///< rows parallel to the groups that the table was made from
};

/// `columns` empty: all test metrics, then the first of them for each slice. Rankers stand once where they are the same for all groups.
ResultsTable make_table(const std::string& title, const std::vector<RunGroup>& groups, const std::vector<std::string>& columns = {});

/// Differences of each group to groups[against], from the runs' per_group.csv; see compare_rows(). Metrics: as results have them, e.g. "auc".
Differences compare_groups(const std::vector<RunGroup>& groups, std::size_t against, const std::vector<std::string>& metrics,
                           const BootstrapOptions& options = {});

/// The table as strings, header first; titles drop the split when all columns share it. A row with a note has it in its second cell.
std::vector<std::vector<std::string>> as_grid(const ResultsTable& table);

std::string as_markdown(const ResultsTable& table);
std::string as_text(const ResultsTable& table, bool color);
/// For \input: tables with booktabs, results and differences, notes below.
std::string as_latex(const ResultsTable& table);
/// All results of every row, not only the columns shown: mean, deviation ("... sd"); then differences, where there are any.
std::string as_csv(const ResultsTable& table);
std::string as_json(const ResultsTable& table);

}  // namespace oncekit
