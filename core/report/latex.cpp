// The results table as LaTeX: booktabs, mean and deviation, differences with interval, notes under the rules.
#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "report/table.h"

namespace oncekit {
namespace {

// Text for LaTeX's text mode. What is not ASCII stays as it is, for utf8 input; but "±", which needs math mode in old fonts.
std::string escaped(const std::string& text) {
  static const std::vector<std::pair<std::string_view, std::string_view>> special{
      {"\\", "\\textbackslash{}"}, {"{", "\\{"}, {"}", "\\}"}, {"$", "\\$"}, {"&", "\\&"}, {"#", "\\#"}, {"%", "\\%"}, {"_", "\\_"},
      {"~", "\\textasciitilde{}"}, {"^", "\\textasciicircum{}"}, {"<", "\\textless{}"}, {">", "\\textgreater{}"}, {"|", "\\textbar{}"},
      {"\"", "\\textquotedbl{}"}, {"±", "$\\pm$"}, {"\n", " "}, {"\r", " "}};
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto found = std::find_if(special.begin(), special.end(), [&](const auto& s) { return text.compare(at, s.first.size(), s.first) == 0; });
    if (found == special.end()) {
      out += text[at++];
    } else {
      out += found->second;
      at += found->first.size();
    }
  }
  return out;
}

// A number with its sign in math mode, so that a minus is a minus and no hyphen.
std::string signed_number(double value) { return fmt::format("${:+.4f}$", value); }

std::string line_of(const std::vector<std::string>& cells) {
  std::string text;
  for (std::size_t c = 0; c < cells.size(); ++c) text += (c ? " & " : "") + cells[c];
  return text + " \\\\\n";
}

// Notes as lettered lines below a table; returns the mark of each.
class Footnotes {
 public:
  std::string mark(const std::string& note) {
    auto at = std::find(notes_.begin(), notes_.end(), note);
    if (at == notes_.end()) at = notes_.insert(notes_.end(), note);
    return "\\textsuperscript{" + letter(static_cast<std::size_t>(at - notes_.begin())) + "}";
  }
  std::string text() const {
    std::string out;
    for (std::size_t i = 0; i < notes_.size(); ++i) out += "\\textsuperscript{" + letter(i) + "}~" + escaped(notes_[i]) + ".\\\\\n";
    return out;
  }

 private:
  static std::string letter(std::size_t i) { return i < 26 ? std::string(1, static_cast<char>('a' + i)) : std::to_string(i + 1); }
  std::vector<std::string> notes_;
};

std::string begin_table(const std::string& caption, const std::string& columns) {
  return "\\begin{table}[t]\n\\centering\n\\caption{" + caption + "}\n\\begin{tabular}{" + columns + "}\n\\toprule\n";
}

std::string end_table(const std::string& notes) {
  std::string text = "\\bottomrule\n\\end{tabular}\n";
  if (!notes.empty()) text += "\n\\smallskip\n\\begin{minipage}{\\linewidth}\\footnotesize\\raggedright\n" + notes + "\\end{minipage}\n";
  return text + "\\end{table}\n";
}

std::string results(const ResultsTable& table) {
  const auto grid = as_grid(table);
  Footnotes footnotes;
  bool ruled = false;  // trained rows from the others
  std::string text = begin_table(escaped(table.title), "l" + std::string(grid[0].size() - 1, 'r'));
  for (std::size_t r = 0; r < grid.size(); ++r) {
    std::vector<std::string> cells;
    for (const std::string& cell : grid[r]) cells.push_back(cell == "-" ? "--" : escaped(cell));
    const bool untrained = r > 0 && !table.rows[r - 1].trained && !table.rows[r - 1].label.starts_with("paper: ");
    if (untrained && !std::exchange(ruled, true)) text += "\\midrule\n";
    if (r > 0 && !table.rows[r - 1].note.empty()) {
      cells[0] += footnotes.mark(table.rows[r - 1].note);
      for (std::size_t c = 1; c + 1 < cells.size(); ++c) cells[c] = "--";
    }
    text += line_of(cells);
    if (r == 0) text += "\\midrule\n";
  }
  return text + end_table("Mean $\\pm$ standard deviation over seeds.\\\\\n" + footnotes.text());
}

// A line a row and slice; what cannot be told has its reason below.
std::string differences(const ResultsTable& table) {
  const Differences& d = *table.differences;
  std::string text = begin_table(escaped(table.title + ": differences to " + d.against), "llrrrrrr") +
                     "Row & of & difference & 95\\% interval & $p$ & $p$ (Holm) & detectable & users \\\\\n\\midrule\n";
  Footnotes footnotes;
  bool any = false;
  for (const RowDifferences& row : d.rows) {
    if (row.cells.empty()) continue;
    if (std::exchange(any, true)) text += "\\addlinespace\n";
    bool first = true;
    for (const Difference& cell : row.cells) {
      std::vector<std::string> cells{std::exchange(first, false) ? escaped(row.label) : "", escaped((cell.slice.empty() ? "" : cell.slice + " ") + cell.metric)};
      const Interval& i = cell.interval;
      if (cell.why.empty()) {
        cells.push_back(signed_number(i.value) + (cell.star ? "\\rlap{$^{*}$}" : ""));
        cells.push_back("[" + signed_number(i.low) + ", " + signed_number(i.high) + "]");
        for (double value : {i.p, cell.holm, i.detectable}) cells.push_back(fmt::format("{:.4f}", value));
      } else {
        cells.push_back("--" + footnotes.mark(cell.why));
        cells.insert(cells.end(), {"--", "--", "--", "--"});
      }
      cells.push_back(std::to_string(cell.users));
      text += line_of(cells);
    }
  }
  std::string notes;
  for (const std::string& note : difference_notes(d)) notes += escaped(note) + ".\\\\\n";
  if (!any) return notes.empty() ? "" : "% " + escaped(d.against) + ": nothing could be compared\n" + notes;
  return text + end_table(footnotes.text() + notes);
}

}  // namespace

std::string as_latex(const ResultsTable& table) {
  std::string text = "% needs \\usepackage{booktabs} and, for <, >, | and quotes, \\usepackage[T1]{fontenc}\n" + results(table);
  if (table.differences) text += "\n" + differences(table);
  return text;
}

}  // namespace oncekit
