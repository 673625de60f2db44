#include "report/report.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/human.h"
#include "evaluate/metrics.h"
#include "oncekit/error.h"
#include "report/chart.h"
#include "report/table.h"
#include "run/folder.h"

namespace oncekit {
namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
namespace {

constexpr const char* kStyle = R"css(
:root { color-scheme: light dark; --page: #fbfbf9; --panel: #ffffff; --ink: #1c1e21; --soft: #666c74; --line: #e2e3df; --accent: #1f6feb; --muted: #aab2bd; --bound: #c9a227; --warm: #b35900; }
@media (prefers-color-scheme: dark) { :root { --page: #15171a; --panel: #1d2024; --ink: #e6e7e9; --soft: #9aa1aa; --line: #31353b; --accent: #6aa5ff; --muted: #59616b; --bound: #d8b64a; --warm: #f0a15a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 6px; }
h2 { font-size: 17px; margin: 36px 0 10px; }
p.sub { color: var(--soft); margin: 2px 0; overflow-wrap: anywhere; }
code, pre, td.code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 13px; }
.badge { display: inline-block; border: 1px solid var(--line); border-radius: 10px; padding: 0 9px; font-size: 13px; color: var(--soft); vertical-align: 3px; margin-left: 6px; }
.badge.warn { color: var(--warm); border-color: var(--warm); }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 22px 0 0; }
.tile { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 10px 16px; min-width: 130px; }
.tile b { display: block; font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 8px 16px; overflow-x: auto; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 12px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; font-size: 13px; }
th:first-child, td:first-child, table.words td, table.words th { text-align: left; }
table.words td { white-space: normal; overflow-wrap: anywhere; vertical-align: top; }
table.words td:first-child { white-space: nowrap; }
tr:last-child td { border-bottom: 0; }
tr.slice td:first-child { padding-left: 28px; }
tr.model td { font-weight: 600; }
tr.model td, tr.slice td { color: var(--ink); }
tr.ranker td, tr.default td { color: var(--soft); }
tr.table td { font-weight: 600; padding-top: 14px; }
details { margin-top: 8px; } summary { cursor: pointer; color: var(--soft); }
pre { margin: 0; white-space: pre-wrap; }
svg { width: 100%; height: auto; display: block; margin: 6px 0; }
svg text { fill: var(--ink); font-size: 12.5px; } svg .heading { font-weight: 600; font-size: 13.5px; } svg .tick { fill: var(--soft); font-size: 11.5px; }
svg .grid { stroke: var(--line); } svg .base { stroke: var(--soft); stroke-dasharray: 3 3; }
svg .line { fill: none; stroke: var(--accent); stroke-width: 1.8; stroke-linejoin: round; } svg .dot { fill: var(--accent); } svg .marked { fill: var(--warm); }
svg .model { fill: var(--accent); } svg .ranker { fill: var(--muted); } svg .bound { fill: var(--bound); }
footer { color: var(--soft); margin-top: 40px; font-size: 13px; }
@media print { body { background: #fff; } .panel, .tile { break-inside: avoid; } }
)css";

using Values = std::map<std::string, double>;

std::string cell(const std::string& text, const char* style = nullptr) {
  return style ? fmt::format("<td class=\"{}\">{}</td>", style, escape_html(text)) : "<td>" + escape_html(text) + "</td>";
}

std::string text_of(const Json& json, const char* key) {
  const auto at = json.find(key);
  return at == json.end() ? "" : at->is_string() ? at->get<std::string>() : at->dump();
}

Json read_json(const fs::path& file) {
  if (!fs::exists(file)) return Json::object();
  try {
    return Json::parse(read_file(file));
  } catch (const nlohmann::json::exception& e) {
    throw Error(ErrorKind::kData, std::string("damaged JSON: ") + e.what(), "delete the file, or restore it from a copy", file.string());
  }
}

struct Csv {
  std::vector<std::string> header;
  std::vector<std::vector<double>> rows;
  // Points of two columns; rows without a number in one of them are left out.
  std::vector<Point> points(const std::string& x, const std::string& y) const {
    const auto column = [&](const std::string& name) { return static_cast<std::size_t>(std::find(header.begin(), header.end(), name) - header.begin()); };
    const std::size_t a = column(x), b = column(y);
    std::vector<Point> list;
    for (const auto& row : rows)
      if (a < row.size() && b < row.size() && std::isfinite(row[a]) && std::isfinite(row[b])) list.emplace_back(row[a], row[b]);
    return list;
  }
};

Csv read_csv(const fs::path& file) {
  Csv csv;
  if (!fs::exists(file)) return csv;
  std::istringstream in(read_file(file));
  for (std::string line; std::getline(in, line);) {
    std::vector<std::string> fields;
    std::istringstream parts(line);
    for (std::string field; std::getline(parts, field, ',');) fields.push_back(field);
    if (csv.header.empty()) {
      csv.header = fields;
      continue;
    }
    std::vector<double> row;
    for (const std::string& field : fields) {
      char* end = nullptr;
      const double value = std::strtod(field.c_str(), &end);
      row.push_back(end == field.c_str() ? std::nan("") : value);
    }
    csv.rows.push_back(std::move(row));
  }
  return csv;
}

// One run's page, section by section.
class Page {
 public:
  explicit Page(const fs::path& folder)
      : folder_(folder), run_(read_run(folder)), record_(read_json(folder / "run.json")), values_(run_.results.begin(), run_.results.end()) {
    for (const auto& [name, value] : run_.results)
      if (name.starts_with("leaky/")) {
        leaky_ = "leaky/";
        break;
      }
  }

  std::string html() {
    head();
    tiles();
    metrics();
    curves();
    times();
    recipe();
    augmentation();
    data();
    environment();
    out_ += "<footer>oncekit " + escape_html(text_of(record_, "oncekit")) + ". Metrics, slices and rankers: docs/metrics.md.</footer>\n</main></body></html>\n";
    return std::move(out_);
  }

 private:
  double of(const std::string& name) const {
    const auto at = values_.find(name);
    return at == values_.end() ? std::nan("") : at->second;
  }
  void heading(const char* title) { out_ += fmt::format("<h2>{}</h2>\n", title); }

  std::string title() const { return !run_.title.empty() ? run_.title : !run_.recipe.empty() ? run_.recipe : run_.name; }

  void head() {
    out_ = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>" +
           escape_html(title()) + "</title>\n<style>" + kStyle + "</style></head>\n<body><main>\n<h1>" + escape_html(title());
    if (run_.demo) out_ += "<span class=\"badge warn\">demo</span>";
    if (!leaky_.empty()) out_ += "<span class=\"badge warn\">leaky</span>";
    out_ += fmt::format("<span class=\"badge{}\">{}</span></h1>\n", run_.state == "done" ? "" : " warn", escape_html(run_.state.empty() ? "unknown" : run_.state));
    std::string command;
    if (const auto words = record_.find("command"); words != record_.end() && words->is_array())
      for (const auto& word : *words) command += (command.empty() ? "" : " ") + word.get<std::string>();
    if (!command.empty()) out_ += "<p class=\"sub\"><code>" + escape_html(command) + "</code></p>\n";
    std::string line = "recipe " + run_.recipe;
    if (const std::string point = text_of(record_, "point"); !point.empty()) line += ", point " + point;
    line += fmt::format(", seed {}, hash {}, started {}", run_.seed, run_.hash, run_.started);
    if (const std::string finished = text_of(record_, "finished"); !finished.empty()) line += ", finished " + finished;
    out_ += "<p class=\"sub\">" + escape_html(line) + "</p>\n";
    if (!run_.message.empty()) out_ += "<p class=\"sub\">" + escape_html(run_.message) + "</p>\n";
  }

  void tile(const std::string& value, const std::string& name) { out_ += "<div class=\"tile\"><b>" + escape_html(value) + "</b><span>" + escape_html(name) + "</span></div>\n"; }

  void tiles() {
    if (values_.empty()) return;
    out_ += "<div class=\"tiles\">\n";
    const double auc = of(leaky_ + "test/auc"), best = of("data/best_auc");
    if (!std::isnan(auc)) tile(fmt::format("{:.4f}", auc), leaky_ + "test auc");
    if (!std::isnan(auc) && best > 0.5) tile(fmt::format("{:.1f}%", 100 * (auc - 0.5) / (best - 0.5)), "of the possible gain over chance");
    if (const double cold = of(leaky_ + "test/cold/auc"); !std::isnan(cold)) tile(fmt::format("{:.4f}", cold), "auc on cold items");
    if (const double s = of("time/total_s"); !std::isnan(s)) tile(human_seconds(s), "in all");
    if (const double m = of("memory/peak_mib"); !std::isnan(m)) tile(human_bytes(m * (1 << 20)), "peak memory");
    if (const double n = of("train/parameters"); !std::isnan(n)) tile(human_count(std::llround(n)), "trainable parameters");
    out_ += "</div>\n";
  }

  // Rows of one split: model, slices, rankers.
  void metrics() {
    static const std::vector<std::string> slices{"new", "warm", "empty", "seen", "cold"};
    static const std::map<std::string, std::string> meaning{{"new", "new users, 1 to 5 clicks"}, {"warm", "warm users"}, {"empty", "empty history"}, {"seen", "items seen in training"}, {"cold", "cold items"}};
    for (const std::string split : {"test", "dev"}) {
      const std::string own = leaky_ + split + "/";
      std::vector<std::string> names, rankers;
      for (const auto& [key, value] : run_.results) {
        if (key.starts_with("rankers/") && key.find("/" + split + "/") != std::string::npos) {
          const std::string ranker = key.substr(8, key.find('/', 8) - 8);
          if (std::find(rankers.begin(), rankers.end(), ranker) == rankers.end()) rankers.push_back(ranker);
        }
        if (!key.starts_with(own)) continue;
        const std::string name = key.substr(own.size());
        if (name.find('/') == std::string::npos && !name.starts_with("groups")) names.push_back(name);
      }
      if (names.empty()) continue;
      std::stable_sort(names.begin(), names.end(), metric_before);
      if (split == "dev") out_ += "<details><summary>Dev split</summary>\n";
      else heading("Test split");
      out_ += "<div class=\"panel\"><table><tr><th></th>";
      for (const std::string& name : names) out_ += "<th>" + escape_html(name) + "</th>";
      out_ += "<th>groups</th></tr>\n";
      const auto row = [&](const std::string& style, const std::string& label, const std::string& prefix) {
        if (std::isnan(of(prefix + names[0]))) return;
        out_ += "<tr class=\"" + style + "\">" + cell(label);
        for (const std::string& name : names) out_ += cell(std::isnan(of(prefix + name)) ? "-" : fmt::format("{:.4f}", of(prefix + name)));
        out_ += cell(std::isnan(of(prefix + "groups")) ? "" : human_count(std::llround(of(prefix + "groups")))) + "</tr>\n";
      };
      row("model", leaky_ + "model", own);
      for (const std::string& slice : slices) row("slice", meaning.at(slice), own + slice + "/");
      for (const std::string& ranker : rankers) {
        row("ranker", ranker + " (untrained)", "rankers/" + ranker + "/" + split + "/");
        row("ranker slice", meaning.at("cold"), "rankers/" + ranker + "/" + split + "/cold/");
      }
      out_ += "</table></div>\n";
      if (split == "dev") out_ += "</details>\n";
      else bars(names[0], rankers);
    }
  }

  void bars(const std::string& metric, const std::vector<std::string>& rankers) {
    const bool auc = metric == "auc" || metric == "global_auc";
    const auto chart = [&](const std::string& slice, const std::string& title) {
      BarChart c;
      c.title = title;
      c.baseline = auc ? 0.5 : 0;
      if (auc) c.baseline_name = "chance";
      const auto add = [&](const std::string& label, const std::string& key, const char* style) {
        if (const double v = of(key); !std::isnan(v)) c.bars.push_back({label, v, style});
      };
      add(leaky_ + "model", leaky_ + "test/" + slice + metric, "model");
      for (const std::string& ranker : rankers) add(ranker, "rankers/" + ranker + "/test/" + slice + metric, "ranker");
      if (metric == "auc" && slice.empty()) add("best possible", "data/best_auc", "bound");
      return c.bars.size() > 1 ? "<div class=\"panel\">" + svg(c) + "</div>\n" : std::string();
    };
    const std::string whole = chart("", metric + ", all"), cold = chart("cold/", metric + ", cold items");
    if (!whole.empty() || !cold.empty()) out_ += "<div class=\"pair\" style=\"margin-top:12px\">\n" + whole + cold + "</div>\n";
  }

  void curves() {
    const Csv checks = read_csv(folder_ / "curves.csv"), losses = read_csv(folder_ / "losses.csv");
    std::vector<std::string> panels;
    LineChart loss{"training loss", "step", losses.points("step", "loss"), false, -1};
    if (loss.line.empty()) loss.line = checks.points("step", "loss");
    if (loss.line.size() > 1) panels.push_back(svg(loss));
    // Dev metrics stand behind step, epoch, loss and lr; the first is the one that was watched or the recipe's first.
    for (const std::string& name : checks.header) {
      if (name == "step" || name == "epoch" || name == "loss" || name == "lr") continue;
      LineChart dev{"dev " + name, "step", checks.points("step", name), true, of("train/best_step")};
      if (!dev.line.empty()) panels.push_back(svg(dev));
      break;
    }
    if (panels.empty()) return;
    heading("Training");
    out_ += "<div class=\"pair\">\n";
    for (const std::string& panel : panels) out_ += "<div class=\"panel\">" + panel + "</div>\n";
    out_ += "</div>\n";
  }

  void times() {
    BarChart stages{"seconds by stage", 0, 1, "", {}}, inside{"inside training, seconds", 0, 1, "", {}};
    std::string rates;
    for (const auto& [name, value] : run_.results) {
      if (name.starts_with("time/train_") && name != "time/train_s") inside.bars.push_back({name.substr(11, name.size() - 13), value, "ranker"});
      else if (name.starts_with("time/") && name != "time/total_s") stages.bars.push_back({name.substr(5, name.size() - 7), value, "model"});
      if (name == "train/samples_per_s") rates += fmt::format("<tr><td>training</td>{}</tr>", cell(human_count(std::llround(value)) + " samples/s"));
      if (name == "eval/impressions_per_s") rates += fmt::format("<tr><td>evaluation</td>{}</tr>", cell(human_count(std::llround(value)) + " impressions/s"));
      if (name == "memory/peak_mib") rates += fmt::format("<tr><td>peak memory</td>{}</tr>", cell(human_bytes(value * (1 << 20))));
    }
    if (stages.bars.empty()) return;
    heading("Time and memory");
    out_ += "<div class=\"pair\"><div class=\"panel\">" + svg(stages);
    if (!rates.empty()) out_ += "<table>" + rates + "</table>";
    out_ += "</div>\n";
    if (!inside.bars.empty()) out_ += "<div class=\"panel\">" + svg(inside) + "</div>\n";
    out_ += "</div>\n";
  }

  void recipe() {
    // A sweep's job ran a frozen recipe: where its values came from stands beside that.
    const fs::path frozen = folder_.parent_path() / "recipe.json";
    const Json values = read_json(fs::exists(frozen) ? frozen : folder_ / "recipe.json");
    if (values.empty()) {
      if (!fs::exists(folder_ / "recipe.resolved.toml")) return;
      heading("Recipe");
      out_ += "<div class=\"panel\"><pre>" + escape_html(read_file(folder_ / "recipe.resolved.toml")) + "</pre></div>\n";
      return;
    }
    heading("Recipe");
    std::string set, all, table, set_table;
    for (const auto& [key, entry] : values.items()) {
      const std::size_t dot = key.rfind('.');
      const std::string own = dot == std::string::npos ? "" : key.substr(0, dot), name = dot == std::string::npos ? key : key.substr(dot + 1);
      const std::string origin = text_of(entry, "origin"), where = text_of(entry, "where");
      const std::string value = entry.contains("value") ? entry["value"].dump() : "";
      const bool is_default = origin == "default";
      const std::string row = fmt::format("<tr class=\"{}\">{}{}{}</tr>\n", is_default ? "default" : "", cell(name, "code"), cell(value, "code"), cell(where.empty() ? origin : origin + ", " + where));
      const std::string header = "<tr class=\"table\"><td colspan=\"3\">" + (own.empty() ? "recipe" : "[" + escape_html(own) + "]") + "</td></tr>\n";
      if (own != table || all.empty()) all += header;
      table = own;
      all += row;
      if (is_default) continue;
      if (own != set_table || set.empty()) set += header;
      set_table = own;
      set += row;
    }
    const std::string head = "<div class=\"panel\"><table class=\"words\"><tr><th>key</th><th>value</th><th>origin</th></tr>\n";
    out_ += head + set + "</table></div>\n<details><summary>All values, defaults too</summary>\n" + head + all + "</table></div></details>\n";
  }

  void augmentation() {
    const Json augment = record_.value("augment", Json::object());
    if (augment.empty()) return;
    heading("Augmentation");
    out_ += "<div class=\"panel\"><table><tr><th>augmenter</th><th>answers there</th><th>coverage</th><th>asked</th><th>repaired</th><th>rejected</th><th>imported</th><th>withheld</th><th>tokens</th><th>USD</th></tr>\n";
    std::string rejects;
    for (const Json& step : augment.value("steps", Json::array())) {
      std::int64_t rejected = 0;
      const auto count = [&](const char* key) { return cell(human_count(step.value(key, std::int64_t{0}))); };
      const Json reasons = step.value("rejects", Json::object()), examples = step.value("examples", Json::object());
      for (const auto& [reason, n] : reasons.items()) {
        rejected += n.get<std::int64_t>();
        const Json some = examples.value(reason, Json::array());
        const std::string example = some.empty() ? "" : some.front().get<std::string>();
        rejects += "<tr>" + cell(text_of(step, "name")) + cell(human_count(n.get<std::int64_t>())) + cell(reason) + cell(example) + "</tr>\n";
      }
      const Json guard = step.value("leak_guard", Json::object());
      out_ += "<tr>" + cell(text_of(step, "name")) + cell(human_count(step.value("covered", std::int64_t{0})) + " of " + human_count(step.value("wanted", std::int64_t{0}))) +
              cell(fmt::format("{:.1f}%", 100 * step.value("coverage", 1.0))) + count("asked") + count("repaired") + cell(human_count(rejected)) + count("imported") +
              cell(guard.empty() ? "-" : human_count(guard.value("withheld", std::int64_t{0})) + (guard.value("overridden", false) ? " (overridden)" : "")) +
              cell(human_count(step.value("prompt_tokens", std::int64_t{0}) + step.value("completion_tokens", std::int64_t{0}))) + cell(fmt::format("{:.4f}", step.value("cost_usd", 0.0))) + "</tr>\n";
    }
    out_ += "</table></div>\n<p class=\"sub\">" + escape_html("model " + text_of(augment, "model") + " at " + text_of(augment, "host") +
            "; withheld: histories that do not hold all clicks which the prompt had shown") + "</p>\n";
    if (!rejects.empty())
      out_ += "<details><summary>Rejected answers</summary><div class=\"panel\"><table class=\"words\"><tr><th>augmenter</th><th>answers</th><th>reason</th><th>for example</th></tr>\n" + rejects + "</table></div></details>\n";
  }

  void data() {
    std::string facts;
    for (const auto& [name, value] : run_.results)
      if (name.starts_with("data/"))
        facts += "<tr>" + cell(name.substr(5)) + cell(value == std::floor(value) ? human_count(static_cast<std::int64_t>(value)) : fmt::format("{:.4f}", value)) + "</tr>\n";
    const Json counts = record_.value("data_counts", Json::array()), files = record_.value("data_files", Json::array());
    if (facts.empty() && counts.empty() && files.empty()) return;
    heading("Data");
    out_ += "<div class=\"pair\">\n";
    if (!facts.empty()) out_ += "<div class=\"panel\"><table>" + facts + "</table></div>\n";
    if (!counts.empty() || !files.empty()) {
      out_ += "<div class=\"panel\"><table class=\"words\">";
      for (const Json& count : counts)
        out_ += "<tr>" + cell(human_count(count.value("count", std::int64_t{0}))) + cell(text_of(count, "reason") + (text_of(count, "first").empty() ? "" : "; first at " + text_of(count, "first"))) + "</tr>\n";
      for (const Json& file : files) out_ += "<tr>" + cell(human_bytes(file.value("bytes", 0.0))) + cell(text_of(file, "file") + ", " + text_of(file, "digest")) + "</tr>\n";
      out_ += "</table></div>\n";
    }
    out_ += "</div>\n";
  }

  void environment() {
    const Json machine = record_.value("environment", Json::object()), plugins = record_.value("plugins", Json::array());
    if (machine.empty() && plugins.empty()) return;
    heading("Environment");
    out_ += "<div class=\"panel\"><table class=\"words\">";
    for (const auto& [name, value] : machine.items()) {
      std::string text = value.is_string() ? value.get<std::string>() : value.is_number_float() ? fmt::format("{:.1f}", value.get<double>()) : value.dump();
      if (value.is_array()) {
        text.clear();
        for (const Json& item : value) text += (text.empty() ? "" : ", ") + (item.is_string() ? item.get<std::string>() : item.dump());
      }
      out_ += "<tr>" + cell(name) + cell(text) + "</tr>\n";
    }
    for (const Json& plugin : plugins) {
      std::string components;
      for (const Json& component : plugin.value("components", Json::array())) components += (components.empty() ? "" : ", ") + component.get<std::string>();
      out_ += "<tr>" + cell("plugin " + text_of(plugin, "plugin")) + cell(components) + "</tr>\n";
    }
    for (const Json& resumed : record_.value("resumed", Json::array())) out_ += "<tr>" + cell("continued") + cell(text_of(resumed, "at") + ", " + text_of(resumed, "environment")) + "</tr>\n";
    out_ += "</table></div>\n";
  }

  const fs::path& folder_;
  RunRecord run_;
  Json record_;
  Values values_;
  std::string leaky_, out_;
};

}  // namespace

std::string run_report(const fs::path& folder) { return Page(folder).html(); }

void write_report(const fs::path& folder) { write_file(folder / "report.html", run_report(folder)); }

}  // namespace oncekit
