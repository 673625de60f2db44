// Inline SVG: lines over steps, bars from a baseline. Colours come from the page's CSS classes.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace oncekit {

using Point = std::pair<double, double>;

struct LineChart {
  std::string title, x_title;
  std::vector<Point> line;         ///< x ascending; thinned to what a screen shows by averaging
  bool dots = false;               ///< a dot a point, with its value as a tooltip
  double marked_x = -1;            ///< this point stands out, e.g. the best check; -1 = none
};
std::string svg(const LineChart& chart);

struct Bar {
  std::string label;
  double value = 0;
  std::string style;               ///< CSS class: "model", "ranker", "bound"
};
/// Horizontal bars from `baseline`; `format`: digits behind the point.
struct BarChart {
  std::string title;
  double baseline = 0;
  int digits = 4;
  std::string baseline_name;       ///< said at the baseline, e.g. "chance"
  std::vector<Bar> bars;
};
std::string svg(const BarChart& chart);

/// Text in HTML: <, >, &, quotes.
std::string escape_html(const std::string& text);

}  // namespace oncekit
