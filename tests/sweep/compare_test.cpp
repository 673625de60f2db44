// The program itself: a demo sweep with differences, then the same runs compared again, in every format.
#include <cstdio>
#include <filesystem>
#include <string>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"

using namespace oncekit;
namespace fs = std::filesystem;

namespace {

struct Ended {
  int exit_code = 0;
  std::string out;  // stdout and stderr
};

Ended oncekit_command(const std::string& arguments) {
  const std::string command = std::string("cd '" ONCEKIT_TREE "' && '" ONCEKIT_BUILD "/bin/oncekit' ") + arguments + " 2>&1";
  Ended ended;
  FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe);
  char buffer[4096];
  for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) ended.out.append(buffer, n);
  ended.exit_code = WEXITSTATUS(::pclose(pipe));
  return ended;
}

struct Folder {
  fs::path path = fs::temp_directory_path() / ("oncekit_compare_test_" + std::to_string(::getpid()));
  Folder() { fs::remove_all(path); }
  ~Folder() { fs::remove_all(path); }
};

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a demo sweep with differences, and its runs compared again", "[recipe]") {
  if (!fs::exists(ONCEKIT_BUILD "/bin/oncekit")) {
    WARN("skipped: oncekit itself was not built");
    return;
  }
  const Folder folder;
  const std::string places = " --out '" + (folder.path / "runs").string() + "'";
  const Ended swept = oncekit_command("sweep recipes/demo.toml --quiet --cache '" + (folder.path / "cache").string() + "'" + places +
                                      " train.max_steps=60 run.seed=1,2 train.lr=1e-3,1e-2 --against train.lr=1e-3 --metrics auc,ndcg@5");
  INFO(swept.out);
  REQUIRE(swept.exit_code == 0);
  CHECK(has(swept.out, "difference to train.lr=1e-3  of"));
  CHECK(has(swept.out, "no star under 5 seeds on both sides"));
  CHECK_FALSE(has(swept.out, "one seed:"));
  fs::path sweep;
  for (const auto& entry : fs::directory_iterator(folder.path / "runs" / "sweeps")) sweep = entry.path();
  const auto table = nlohmann::json::parse(read_file(sweep / "table.json"));
  const auto& row = table["rows"][1];
  CHECK(row["row"] == "train.lr=1e-2");
  for (const std::string slice : {"", "new/", "warm/", "empty/", "seen/", "cold/"})
    for (const std::string metric : {"auc", "ndcg@5"}) {
      INFO(slice << metric);
      const std::string name = "test/" + slice + metric;
      const auto& cell = row["differences"][name];
      // The difference of the means that the table itself shows.
      CHECK(cell["difference"].get<double>() ==
            Approx(row["results"][name]["mean"].get<double>() - table["rows"][0]["results"][name]["mean"].get<double>()).margin(1e-12));
      CHECK(cell["low"].get<double>() <= cell["difference"].get<double>());
      CHECK(cell["high"].get<double>() >= cell["difference"].get<double>());
      CHECK(cell["seeds_paired"] == true);
      CHECK(cell["star"] == false);
    }

  const Ended again = oncekit_command("runs compare '" + sweep.string() + "' --against train.lr=1e-3 --metrics auc,ndcg@5 --json" + places);
  REQUIRE(again.exit_code == 0);
  CHECK(nlohmann::json::parse(again.out)["rows"][1]["differences"] == row["differences"]);
  const std::string named = "runs compare '" + (sweep / "jobs/001").string() + "' '" + (sweep / "jobs/004").string() + "'" + places;
  const Ended text = oncekit_command(named);
  INFO(text.out);
  CHECK(text.exit_code == 0);
  CHECK(has(text.out, "difference to train.lr=0.001  of"));
  CHECK(has(text.out, "one seed: says nothing about seeds"));
  CHECK(has(oncekit_command(named + " --markdown").out, "| difference to train.lr=0.001 | of |"));
  CHECK(has(oncekit_command(named + " --csv").out, ",test/auc diff,"));
  CHECK(has(oncekit_command(named + " --latex").out, "\\toprule"));
  CHECK(oncekit_command(named + " --latex --csv").exit_code == 2);
  CHECK(has(oncekit_command(named + " --against '" + (sweep / "jobs/004").string() + "'").out, "difference to train.lr=0.01  of"));

  const Ended wrong = oncekit_command("sweep recipes/demo.toml --quiet" + places + " train.lr=1e-3,1e-2 --against train.lr=1e-4");
  CHECK(wrong.exit_code == 2);
  CHECK(has(wrong.out, "there is no row 'train.lr=1e-4' to take differences to; did you mean 'train.lr=1e-3'?"));
  CHECK(oncekit_command("runs compare '" + (sweep / "jobs/001").string() + "' '" + (sweep / "jobs/002").string() + "'" + places).exit_code == 2);
}
