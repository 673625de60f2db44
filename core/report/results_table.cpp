#include "report/results_table.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/human.h"

namespace oncekit {
namespace {

const std::vector<std::string> kSlices{"new", "warm", "empty", "seen", "cold"};
const std::vector<std::pair<std::string, std::string>> kCalls{{"new_item", "encode a new item"}, {"user", "encode a user"}, {"score", "score 100 candidates"}};

// Lines up columns: the first to the left, the others to the right.
std::string align(const std::vector<std::vector<std::string>>& rows, bool color) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (widths.size() <= c) widths.push_back(0);
      widths[c] = std::max(widths[c], row[c].size());
    }
  std::string text;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    std::string line;
    for (std::size_t c = 0; c < rows[r].size(); ++c)
      line += c == 0 ? fmt::format("{:<{}}", rows[r][c], widths[c]) : fmt::format("  {:>{}}", rows[r][c], widths[c]);
    line.erase(line.find_last_not_of(' ') + 1);
    text += color && r == 0 ? "\033[1m" + line + "\033[0m\n" : line + "\n";
  }
  return text;
}

// "ndcg@5" before "ndcg@10".
bool reads_before(const std::string& a, const std::string& b) {
  const auto parts = [](const std::string& name) {
    const auto at = name.find('@');
    return std::pair(name.substr(0, at), at == std::string::npos ? 0 : std::atoi(name.c_str() + at + 1));
  };
  return parts(a) < parts(b);
}

std::string number(const std::map<std::string, double>& values, const std::string& key) {
  const auto at = values.find(key);
  if (at == values.end() || std::isnan(at->second)) return "-";
  return fmt::format("{:.4f}", at->second);
}

}  // namespace

std::string results_table(const ResultList& results, bool color) {
  const std::map<std::string, double> values(results.begin(), results.end());
  std::string text;
  for (const std::string split : {"test/", "dev/"}) {
    std::vector<std::string> metrics, rankers;
    std::string prefix;
    for (const auto& [key, value] : results) {
      if (key.starts_with("rankers/") && key.find("/" + split) != std::string::npos) {
        const std::string ranker = key.substr(8, key.find('/', 8) - 8);
        if (std::find(rankers.begin(), rankers.end(), ranker) == rankers.end()) rankers.push_back(ranker);
      }
      const std::string whole = key.starts_with("leaky/") ? key.substr(6) : key;
      if (!whole.starts_with(split)) continue;
      if (key != whole) prefix = "leaky/";
      const std::string name = whole.substr(split.size());
      if (name.find('/') == std::string::npos && !name.starts_with("groups") && !name.starts_with("impressions")) metrics.push_back(name);
    }
    if (metrics.empty()) continue;
    std::sort(metrics.begin(), metrics.end(), reads_before);
    std::vector<std::vector<std::string>> rows(1, {split.substr(0, split.size() - 1)});
    rows[0].insert(rows[0].end(), metrics.begin(), metrics.end());
    rows[0].push_back("groups");
    const auto row = [&](const std::string& title, const std::string& key) {
      if (!values.count(key + metrics[0])) return;
      std::vector<std::string> cells{title};
      for (const std::string& metric : metrics) cells.push_back(number(values, key + metric));
      const auto groups = values.find(key + "groups");
      cells.push_back(groups == values.end() ? "" : human_count(static_cast<std::int64_t>(groups->second)));
      rows.push_back(std::move(cells));
    };
    row(prefix + "model", prefix + split);
    for (const std::string& slice : kSlices) row("  " + slice, prefix + split + slice + "/");
    for (const std::string& ranker : rankers) row(ranker + " (untrained)", "rankers/" + ranker + "/" + split);
    for (const std::string& ranker : rankers)
      if (values.count("rankers/" + ranker + "/" + split + "cold/" + metrics[0])) row("  " + ranker + " cold", "rankers/" + ranker + "/" + split + "cold/");
    if (!text.empty()) text += "\n";
    text += align(rows, color);
  }
  std::vector<std::vector<std::string>> latency{{"one call", "p50 ms", "p99 ms", "calls"}};
  for (const auto& [call, title] : kCalls)
    if (const auto p50 = values.find("latency/" + call + "_p50_ms"); p50 != values.end())
      latency.push_back({title, fmt::format("{:.3f}", p50->second), fmt::format("{:.3f}", values.at("latency/" + call + "_p99_ms")),
                         human_count(static_cast<std::int64_t>(values.at("latency/" + call + "_calls")))});
  if (latency.size() > 1) text += (text.empty() ? "" : "\n") + align(latency, color);
  const auto of = [&](const std::string& key) { const auto at = values.find(key); return at == values.end() ? std::nan("") : at->second; };
  std::vector<std::string> parts;
  if (const double best = of("data/best_auc"); !std::isnan(best)) {
    const double auc = of("test/auc");
    parts.push_back(fmt::format("best possible auc {:.4f}", best));
    if (!std::isnan(auc) && best > 0.5) parts.push_back(fmt::format("{:.1f}% of the possible gain", 100 * (auc - 0.5) / (best - 0.5)));
  }
  if (const double n = of("train/parameters"); !std::isnan(n)) parts.push_back(human_count(static_cast<std::int64_t>(n)) + " trainable parameters");
  const auto seconds = [&](const char* title, const char* key) {
    if (const double s = of(key); !std::isnan(s)) parts.push_back(std::string(title) + " " + human_seconds(s));
  };
  std::string footer;
  const auto flush = [&] {
    std::string line;
    for (const std::string& part : parts) line += (line.empty() ? "" : ", ") + part;
    if (!line.empty()) footer += line + "\n";
    parts.clear();
  };
  flush();
  for (const auto& [name, value] : results)
    if (name.starts_with("augment/") && name.ends_with("/coverage")) parts.push_back(fmt::format("{:.1f}% of {}", 100 * value, name.substr(8, name.size() - 17)));
  if (!parts.empty()) parts.front().insert(0, "answers: ");
  if (const double usd = of("augment/cost_usd"); !std::isnan(usd)) parts.push_back(fmt::format("{:.4f} USD", usd));
  flush();
  seconds("data", "time/data_s");
  seconds("augment", "time/augment_s");
  seconds("prepare", "time/prepare_s");
  seconds("train", "time/train_s");
  seconds("evaluate", "time/evaluate_s");
  seconds("rankers", "time/rankers_s");
  seconds("all", "time/total_s");
  flush();
  if (const double s = of("train/samples_per_s"); !std::isnan(s)) parts.push_back(human_count(static_cast<std::int64_t>(s)) + " training samples/s");
  if (const double s = of("eval/impressions_per_s"); !std::isnan(s)) parts.push_back(human_count(static_cast<std::int64_t>(s)) + " evaluated impressions/s");
  if (const double m = of("memory/peak_mib"); !std::isnan(m)) parts.push_back(fmt::format("peak memory {:.0f} MiB", m));
  flush();
  if (footer.empty()) return text;
  return text.empty() ? footer : text + "\n" + footer;
}

}  // namespace oncekit
