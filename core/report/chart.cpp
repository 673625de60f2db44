#include "report/chart.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace oncekit {
namespace {

constexpr double kWidth = 520, kHeight = 240, kLeft = 58, kRight = 14, kTop = 30, kBottom = 38;
constexpr std::size_t kMostPoints = 400;

std::vector<Point> thinned(const std::vector<Point>& line) {
  if (line.size() <= kMostPoints) return line;
  std::vector<Point> out;
  for (std::size_t b = 0; b < kMostPoints; ++b) {
    const std::size_t from = b * line.size() / kMostPoints, to = (b + 1) * line.size() / kMostPoints;
    double x = 0, y = 0;
    for (std::size_t i = from; i < to; ++i) {
      x += line[i].first;
      y += line[i].second;
    }
    out.emplace_back(x / static_cast<double>(to - from), y / static_cast<double>(to - from));
  }
  return out;
}

// Round numbers that span [low, high]: about `wanted` of them.
std::vector<double> ticks(double low, double high, int wanted) {
  const double raw = (high - low) / wanted, power = std::pow(10, std::floor(std::log10(raw)));
  double step = power;
  for (double factor : {1.0, 2.0, 5.0, 10.0}) {
    step = factor * power;
    if (step >= 0.7 * raw) break;
  }
  std::vector<double> values;
  for (double v = std::ceil(low / step - 1e-9) * step; v <= high + 1e-9 * step; v += step) values.push_back(std::abs(v) < step * 1e-6 ? 0 : v);
  return values;
}

std::string tick_text(double value) { return std::abs(value) >= 1e6 ? fmt::format("{:g}M", value / 1e6) : std::abs(value) >= 1e4 ? fmt::format("{:g}k", value / 1e3) : fmt::format("{:g}", std::round(value * 1e6) / 1e6); }

}  // namespace

std::string escape_html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string svg(const LineChart& chart) {
  const std::vector<Point> line = thinned(chart.line);
  double x0 = line.front().first, x1 = line.back().first, y0 = line[0].second, y1 = y0;
  for (const Point& p : line) {
    y0 = std::min(y0, p.second);
    y1 = std::max(y1, p.second);
  }
  if (x1 <= x0) {
    x0 -= 0.5;
    x1 = x0 + 1;
  }
  const double room = y1 > y0 ? 0.06 * (y1 - y0) : std::max(1e-3, 0.01 * std::abs(y0));
  y0 -= room;
  y1 += room;
  const auto x = [&](double v) { return kLeft + (v - x0) / (x1 - x0) * (kWidth - kLeft - kRight); };
  const auto y = [&](double v) { return kTop + (y1 - v) / (y1 - y0) * (kHeight - kTop - kBottom); };
  std::string out = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", kWidth, kHeight, escape_html(chart.title));
  out += fmt::format("<text class=\"heading\" x=\"{}\" y=\"16\">{}</text>\n", kLeft, escape_html(chart.title));
  for (double v : ticks(y0, y1, 4)) {
    out += fmt::format("<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", kLeft, kWidth - kRight, y(v), y(v));
    out += fmt::format("<text class=\"tick\" text-anchor=\"end\" x=\"{}\" y=\"{:.1f}\">{}</text>\n", kLeft - 8, y(v) + 4, tick_text(v));
  }
  for (double v : ticks(x0, x1, 5))
    out += fmt::format("<text class=\"tick\" text-anchor=\"middle\" x=\"{:.1f}\" y=\"{}\">{}</text>\n", x(v), kHeight - kBottom + 17, tick_text(v));
  out += fmt::format("<text class=\"tick\" text-anchor=\"middle\" x=\"{}\" y=\"{}\">{}</text>\n", (kLeft + kWidth - kRight) / 2, kHeight - 5, escape_html(chart.x_title));
  std::string points;
  for (const Point& p : line) points += fmt::format("{:.1f},{:.1f} ", x(p.first), y(p.second));
  out += "<polyline class=\"line\" points=\"" + points + "\"/>\n";
  if (chart.dots) {
    for (const Point& p : chart.line) {
      const bool marked = p.first == chart.marked_x;
      out += fmt::format("<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"><title>{} {:g}: {:.4f}{}</title></circle>\n", marked ? "dot marked" : "dot", x(p.first), y(p.second),
                         marked ? 5 : 3, escape_html(chart.x_title), p.first, p.second, marked ? " (kept)" : "");
      if (marked) out += fmt::format("<text class=\"value\" text-anchor=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\">{:.4f}</text>\n", x(p.first) > kWidth * 0.8 ? "end" : "middle", x(p.first), y(p.second) + (y(p.second) < kTop + 24 ? 20 : -10), p.second);
    }
  }
  return out + "</svg>\n";
}

std::string svg(const BarChart& chart) {
  constexpr double kRow = 26, kLabel = 150, kValue = 64;
  double low = chart.baseline, high = chart.baseline;
  for (const Bar& bar : chart.bars) {
    low = std::min(low, bar.value);
    high = std::max(high, bar.value);
  }
  if (high <= low) high = low + 1;
  const double height = kTop + kRow * static_cast<double>(chart.bars.size()) + (chart.baseline_name.empty() ? 6 : 22);
  // Room for values on both sides when some bars go left.
  const double left = kLabel + (low < chart.baseline ? kValue : 8), right = kWidth - kValue;
  const auto x = [&](double v) { return left + (v - low) / (high - low) * (right - left); };
  std::string out = fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", kWidth, height, escape_html(chart.title));
  out += fmt::format("<text class=\"heading\" x=\"0\" y=\"16\">{}</text>\n", escape_html(chart.title));
  for (std::size_t i = 0; i < chart.bars.size(); ++i) {
    const Bar& bar = chart.bars[i];
    const double top = kTop + kRow * static_cast<double>(i), from = x(std::min(bar.value, chart.baseline)), to = x(std::max(bar.value, chart.baseline));
    out += fmt::format("<text class=\"label\" x=\"0\" y=\"{:.1f}\">{}</text>", top + 16, escape_html(bar.label));
    out += fmt::format("<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"16\" rx=\"2\"/>", bar.style, from, top + 4, std::max(1.0, to - from));
    const bool leftward = bar.value < chart.baseline;
    out += fmt::format("<text class=\"value\" text-anchor=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\">{:.{}f}</text>\n", leftward ? "end" : "start", leftward ? from - 6 : to + 6, top + 16, bar.value, chart.digits);
  }
  if (!chart.baseline_name.empty()) {
    const double at = x(chart.baseline), bottom = height - 18;
    out += fmt::format("<line class=\"base\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2:.1f}\"/><text class=\"tick\" text-anchor=\"middle\" x=\"{0:.1f}\" y=\"{3:.1f}\">{4}</text>\n", at, kTop - 2,
                       bottom, height - 4, escape_html(chart.baseline_name));
  }
  return out + "</svg>\n";
}

}  // namespace oncekit
