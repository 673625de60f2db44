#include <catch2/catch.hpp>

#include <cmath>
#include <filesystem>

#include "base/files.h"
#include "base/human.h"
#include "oncekit/error.h"
#include "report/results_table.h"
#include "run/folder.h"
#include "run/pipeline.h"
#include "run/workspace.h"
#include "support/temp_folder.h"

using namespace oncekit;
namespace fs = std::filesystem;

TEST_CASE("a run folder is made, locked, read back and found", "[unit]") {
  test::TempFolder scratch;
  const fs::path out = scratch.path / "runs";
  fs::path first;
  {
    RunFolder run = RunFolder::create(out, "nrms", 7, "abcd1234abcd1234");
    first = run.path();
    CHECK(first.filename().string().find("_nrms_s7_abcd") != std::string::npos);
    write_file(run.file("recipe.resolved.toml"), "x = 1\n");
    write_file(run.file("run.json"), R"({"title": "T", "recipe": "r.toml", "recipe_hash": "abcd1234abcd1234", "seed": 7})");
    run.status("running", "train");
    CHECK(read_run(first).state == "running");
    CHECK_THROWS_WITH(RunFolder::open(first), Catch::Contains("another process"));
  }
  // Nobody holds the lock any more: what says "running" was killed.
  CHECK(read_run(first).state == "killed");
  RunFolder again = RunFolder::open(first);
  again.results({{"test/auc", 0.625}, {"test/none", std::nan("")}});
  again.status("done", "done");
  const RunRecord record = read_run(first);
  CHECK(record.state == "done");
  CHECK(record.seed == 7);
  REQUIRE(record.results.size() == 2);
  CHECK(record.results[0] == std::pair<std::string, double>("test/auc", 0.625));
  CHECK(std::isnan(record.results[1].second));

  RunFolder second = RunFolder::create(out, "nrms", 7, "abcd1234abcd1234");
  CHECK(second.path() != first);
  write_file(second.file("recipe.resolved.toml"), "x = 1\n");
  CHECK(list_runs(out).size() == 2);
  CHECK(find_run(out, "last") == second.path());
  CHECK(find_run(out, first.filename().string()) == first);
  CHECK_THROWS_WITH(find_run(out, "nrms"), Catch::Contains("fits 2 runs"));
  CHECK_THROWS_WITH(find_run(out, "nothing"), Catch::Contains("no run is called 'nothing'"));
  CHECK_THROWS_WITH(RunFolder::open(scratch.path), Catch::Contains("no run folder"));

  write_file(second.file("run.json"), R"({"seed": "seven"})");
  write_file(second.file("status.json"), "{");
  const std::vector<RunRecord> runs = list_runs(out);  // one that is damaged hides no other
  REQUIRE(runs.size() == 2);
  CHECK(runs[0].state == "done");
  CHECK(runs[1].state == "damaged");
  CHECK_FALSE(runs[1].message.empty());
}

TEST_CASE("damaged results are named", "[unit][errors]") {
  test::TempFolder scratch;
  write_file(scratch.path / "results.json", "{\"test/auc\": 0.5");
  try {
    read_results(scratch.path / "results.json");
    FAIL("nothing thrown");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kData);
    CHECK(std::string(e.what()).find("results.json: damaged JSON") != std::string::npos);
  }
}

TEST_CASE("parallel_for covers every index once and rethrows the first error in order", "[unit]") {
  test::TempFolder scratch;
  for (int threads : {1, 2, 5}) {
    WorkspaceOptions options;
    options.cache = scratch.path / "cache";
    options.threads = threads;
    HostWorkspace workspace(options);
    for (std::int64_t n : {0, 1, 7, 100, 1001})
      for (std::int64_t grain : {1, 3, 64, 5000}) {
        std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
        workspace.parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
        });
        for (const auto& count : seen) CHECK(count == 1);
      }
    CHECK_THROWS_WITH(workspace.parallel_for(100, 10,
                                             [](std::int64_t begin, std::int64_t) {
                                               if (begin >= 30) throw Error(ErrorKind::kRun, "chunk " + std::to_string(begin));
                                             }),
                      "chunk 30");
  }
}

TEST_CASE("what a workspace counts is summed by reason, with the first place", "[unit]") {
  HostWorkspace workspace(WorkspaceOptions{});
  workspace.count("b", "f:2");
  workspace.count("a", "f:1");
  workspace.count("b", "f:9", 3);
  workspace.count("c", "f:1", 0);
  const auto counts = workspace.counts();
  REQUIRE(counts.size() == 2);
  CHECK(counts[0].reason == "a");
  CHECK(counts[1].count == 4);
  CHECK(counts[1].first == "f:2");
}

TEST_CASE("a stop asked for is met at the next check", "[unit]") {
  HostWorkspace workspace(WorkspaceOptions{});
  CHECK_NOTHROW(workspace.check_cancelled());
  cancel_requested() = true;
  CHECK_THROWS_AS(workspace.check_cancelled(), Error);
  cancel_requested() = false;
}

TEST_CASE("results become a table with the rankers beside the model", "[unit]") {
  const ResultList results{{"test/auc", 0.7}, {"test/ndcg@5", 0.41}, {"test/groups", 1200}, {"test/new/auc", 0.61}, {"test/new/ndcg@5", 0.3},
                           {"test/new/groups", 90}, {"rankers/popularity/test/auc", 0.5}, {"rankers/popularity/test/ndcg@5", 0.2},
                           {"rankers/popularity/test/groups", 1200}, {"data/best_auc", 0.8},
                           {"augment/profile/coverage", 1}, {"augment/chain/coverage", 0.975}, {"augment/cost_usd", 0.01234}, {"time/augment_s", 3.5}, {"time/train_s", 65.2}, {"memory/peak_mib", 312.4}};
  const std::string text = results_table(results, false);
  CHECK(text.find("model                   0.7000  0.4100   1,200") != std::string::npos);
  CHECK(text.find("  new ") != std::string::npos);
  CHECK(text.find("popularity (untrained)  0.5000") != std::string::npos);
  CHECK(text.find("66.7% of the possible gain") != std::string::npos);
  CHECK(text.find("answers: 100.0% of profile, 97.5% of chain, 0.0123 USD\naugment 3.5 s, train 1 min 05 s") != std::string::npos);
  CHECK(results_table({{"leaky/test/auc", 0.9}, {"leaky/test/groups", 3}}, false).find("leaky/model") != std::string::npos);
  CHECK(results_table({}, false).empty());
}

TEST_CASE("numbers are written for people", "[unit]") {
  CHECK(human_seconds(0.0123) == "12 ms");
  CHECK(human_seconds(3.14) == "3.1 s");
  CHECK(human_seconds(245) == "4 min 05 s");
  CHECK(human_seconds(7800) == "2 h 10 min");
  CHECK(human_count(0) == "0");
  CHECK(human_count(1234567) == "1,234,567");
  CHECK(human_count(-1234) == "-1,234");
  CHECK(human_bytes(512) == "512 B");
  CHECK(human_bytes(1536) == "1.5 KiB");
}
