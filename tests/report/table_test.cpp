// Tables over seeds: means, deviations, rankers, the paper's rows, four formats.
#include <cmath>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "report/table.h"

using namespace oncekit;

namespace {

RunGroup group(const std::string& label, const std::vector<double>& aucs, double knn = 0.7) {
  RunGroup g;
  g.label = label;
  g.values = {{"train.lr", label}};
  for (double auc : aucs) {
    g.results.push_back({{"test/auc", auc}, {"test/groups", 100}, {"test/ndcg@10", auc / 2}, {"test/ndcg@5", auc / 2}, {"test/cold/auc", auc - 0.1}, {"test/cold/ndcg@5", 0.2},
                         {"rankers/item_knn/test/auc", knn}, {"rankers/item_knn/test/cold/auc", 0.46}, {"time/total_s", 30 * auc}, {"memory/peak_mib", 512}});
    g.folders.emplace_back("somewhere");
  }
  g.wanted = aucs.size();
  return g;
}

}  // namespace

TEST_CASE("mean and deviation over seeds", "[unit]") {
  const Statistic s = statistic({1, 2, 3, 4, std::nan("")});
  CHECK(s.n == 4);
  CHECK(s.mean == Approx(2.5));
  CHECK(s.deviation == Approx(std::sqrt(5.0 / 3)));
  CHECK(statistic({0.5}).deviation == 0);
  CHECK(statistic({}).n == 0);
}

TEST_CASE("a table: metrics first, then the first metric by slice, rankers once", "[unit]") {
  const ResultsTable table = make_table("T", {group("0.1", {0.7, 0.8}), group("0.2", {0.6})});
  CHECK(table.columns == std::vector<std::string>{"test/auc", "test/ndcg@5", "test/ndcg@10", "test/cold/auc"});
  REQUIRE(table.rows.size() == 3);
  CHECK(table.rows[0].seeds == "2");
  CHECK(table.rows[0].cells.at("test/auc").mean == Approx(0.75));
  CHECK(table.rows[2].label == "item_knn (untrained)");
  CHECK(as_text(table, false) ==
        "                                  auc           ndcg@5          ndcg@10         cold auc  seconds  peak MiB  seeds\n"
        "0.1                   0.7500 ± 0.0707  0.3750 ± 0.0354  0.3750 ± 0.0354  0.6500 ± 0.0707       23       512      2\n"
        "0.2                            0.6000           0.3000           0.3000           0.5000       18       512      1\n"
        "item_knn (untrained)           0.7000                -                -           0.4600\n");
  const std::string markdown = as_markdown(table);
  CHECK(markdown.find("# T\n\n|  | auc | ndcg@5 | ndcg@10 | cold auc | seconds | peak MiB | seeds |\n|---|---:|") == 0);
  CHECK(markdown.find("| 0.1 | 0.7500 ± 0.0707 |") != std::string::npos);
}

TEST_CASE("CSV and JSON hold every result at full precision", "[unit]") {
  const ResultsTable table = make_table("T", {group("0.1", {0.7, 0.8})});
  const std::string csv = as_csv(table);
  CHECK(csv.substr(0, csv.find('\n')) ==
        "row,train.lr,seeds,test/auc,test/auc sd,test/ndcg@5,test/ndcg@5 sd,test/ndcg@10,test/ndcg@10 sd,test/cold/auc,test/cold/auc sd,"
        "memory/peak_mib,memory/peak_mib sd,test/cold/ndcg@5,test/cold/ndcg@5 sd,test/groups,test/groups sd,time/total_s,time/total_s sd");
  CHECK(csv.find("\n0.1,0.1,2,0.75,0.07071067811865") != std::string::npos);
  const auto json = nlohmann::json::parse(as_json(table));
  CHECK(json["rows"][0]["results"]["test/cold/ndcg@5"]["mean"].get<double>() == Approx(0.2));
  CHECK(json["rows"][0]["results"]["test/auc"]["n"] == 2);
  CHECK(json["rows"][1]["trained"] == false);
}

TEST_CASE("rankers that differ between rows say whose data they saw", "[unit]") {
  const ResultsTable table = make_table("T", {group("A", {0.7}, 0.7), group("B", {0.7}, 0.6)});
  REQUIRE(table.rows.size() == 4);
  CHECK(table.rows[2].label == "item_knn (untrained), data of A");
  CHECK(table.rows[3].label == "item_knn (untrained), data of B");
}

TEST_CASE("the paper's numbers stand beside ours only where they are comparable", "[unit]") {
  RunGroup g = group("NRMS", {0.7});
  g.paper = "Table 2, MIND, NRMS";
  g.paper_numbers = {{"test/auc", 0.6171}};
  ResultsTable table = make_table("T", {g});
  CHECK(table.rows[1].label == "paper: Table 2, MIND, NRMS");
  CHECK(table.rows[1].cells.at("test/auc").mean == 0.6171);
  g.not_comparable = "demo data";
  table = make_table("T", {g});
  CHECK(table.rows[1].cells.empty());
  CHECK(as_text(table, false).find("paper: Table 2, MIND, NRMS  not comparable: demo data\n") != std::string::npos);
  CHECK(as_markdown(table).find("| not comparable: demo data |") != std::string::npos);
}

TEST_CASE("failed runs, leaky runs, other splits, chosen columns", "[unit]") {
  RunGroup none = group("broken", {});
  none.wanted = 3;
  RunGroup part = group("half", {0.7});
  part.wanted = 2;
  RunGroup leaky = group("released", {0.9});
  for (auto& [name, value] : leaky.results[0])
    if (name.starts_with("test/")) name = "leaky/" + name;
  const ResultsTable table = make_table("T", {none, part, leaky}, {"test/auc", "test/cold/auc"});
  CHECK(table.rows[0].note == "no finished run");
  CHECK(table.rows[0].seeds == "0 of 3");
  CHECK(table.rows[1].seeds == "1 of 2");
  CHECK(table.rows[2].label == "leaky: released");
  CHECK(table.rows[2].cells.at("test/auc").mean == 0.9);
  RunGroup dev;
  dev.label = "dev only";
  dev.results = {{{"dev/auc", 0.6}}};
  CHECK(make_table("T", {dev}).columns == std::vector<std::string>{"dev/auc"});
}
