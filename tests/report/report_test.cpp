// report.html: whole, self-contained, honest about what is missing.
#include <algorithm>
#include <filesystem>

#include <catch2/catch.hpp>
#include <unistd.h>

#include "base/files.h"
#include "oncekit/error.h"
#include "report/chart.h"
#include "report/report.h"

using namespace oncekit;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path = fs::temp_directory_path() / ("oncekit_report_test_" + std::to_string(::getpid()));
  Folder() {
    fs::remove_all(path);
    fs::create_directories(path);
    write_file(path / "recipe.resolved.toml", "[train]\nlr = 0.001\n");
    write_file(path / "run.json", R"({"title": "A <b>bold</b> title", "recipe": "r.toml", "recipe_hash": "abcd", "seed": 7, "demo": true, "command": ["oncekit", "run", "r.toml"],
      "environment": {"cpu": "some CPU", "features": ["avx2"], "memory_gib": 23.54}, "data_counts": [{"reason": "empty histories", "count": 3, "first": "f.tsv:4"}]})");
    write_file(path / "status.json", R"({"state": "done", "stage": "done"})");
  }
  ~Folder() { fs::remove_all(path); }
};

bool has(const std::string& page, const std::string& text) { return page.find(text) != std::string::npos; }

}  // namespace

TEST_CASE("a finished run's page: metrics, curves, seconds, recipe with origins", "[unit]") {
  Folder folder;
  write_file(folder.path / "results.json", R"({"test/auc": 0.71234, "test/groups": 2000, "test/ndcg@10": 0.4, "test/ndcg@5": 0.3, "test/cold/auc": 0.6, "rankers/item_knn/test/auc": 0.65,
    "rankers/item_knn/test/cold/auc": 0.45, "data/best_auc": 0.8, "data/items": 1600, "time/train_s": 9.5, "time/train_forward_s": 4, "time/total_s": 12, "memory/peak_mib": 150})");
  write_file(folder.path / "curves.csv", "step,epoch,loss,lr,auc,cold/auc\n10,0.5,1.6,0.1,0.6,0.5\n20,1,1.5,0.1,0.7,0.55\n");
  write_file(folder.path / "losses.csv", "step,loss,lr\n1,1.61,0.1\n2,1.60,0.1\n");
  write_file(folder.path / "recipe.json", R"({"train.lr": {"value": 0.001, "origin": "override", "where": "train.lr=1e-3"}, "train.clip": {"value": 0, "origin": "default", "where": ""}})");
  write_report(folder.path);
  const std::string page = read_file(folder.path / "report.html");
  for (const char* text : {"<td>0.7123</td>", "A &lt;b&gt;bold&lt;/b&gt; title", ">demo<", "70.8%", "item_knn (untrained)", "training loss", "dev auc", "override, train.lr=1e-3", "empty histories; first at f.tsv:4", "some CPU",
                           "prefers-color-scheme: dark", "1,600", "12.0 s"}) {
    INFO(text);
    CHECK(has(page, text));
  }
  CHECK(page.find("<th>ndcg@5</th>") < page.find("<th>ndcg@10</th>"));
  for (const char* outside : {"http:", "https:", "<script", "<link", "src=", "@import", "url("}) {
    INFO(outside);
    CHECK_FALSE(has(page, outside));
  }
  for (const char* tag : {"table", "div", "svg", "details", "tr", "td"}) {  // every element is closed
    const auto count = [&](const std::string& text) {
      std::size_t n = 0;
      for (std::size_t at = page.find(text); at != std::string::npos; at = page.find(text, at + 1)) n += page[at + text.size()] == '>' || page[at + text.size()] == ' ';
      return n;
    };
    INFO(tag);
    CHECK(count(std::string("<") + tag) == count(std::string("</") + tag));
  }
}

TEST_CASE("a run that has just begun has a page; a damaged file is named", "[unit][errors]") {
  Folder folder;
  const std::string page = run_report(folder.path);
  CHECK(has(page, "lr = 0.001"));
  CHECK_FALSE(has(page, "Test split"));
  write_file(folder.path / "results.json", "{\"test/auc\": ");
  try {
    run_report(folder.path);
    FAIL("no error");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kData);
    CHECK(e.where() == (folder.path / "results.json").string());
  }
}

TEST_CASE("charts of one point, of equal values, of very many points", "[unit]") {
  for (const std::vector<Point>& line : {std::vector<Point>{{5, 0.5}}, std::vector<Point>{{1, 2}, {2, 2}, {3, 2}}}) {
    const std::string text = svg(LineChart{"t", "step", line, true, 5});
    CHECK_FALSE(has(text, "nan"));
    CHECK_FALSE(has(text, "inf"));
  }
  std::vector<Point> many;
  for (int i = 0; i < 100000; ++i) many.emplace_back(i, i % 7);
  CHECK(svg(LineChart{"t", "step", many, false, -1}).size() < 20000);
  const std::string bars = svg(BarChart{"t", 0.5, 4, "chance", {{"a", 0.4, "model"}, {"b", 0.6, "ranker"}, {"c", 0.5, "ranker"}}});
  CHECK(has(bars, "chance"));
  CHECK_FALSE(has(svg(BarChart{"t", 0, 1, "", {{"a", 0, "model"}}}), "nan"));
}
