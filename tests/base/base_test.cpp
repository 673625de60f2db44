#include <catch2/catch.hpp>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <set>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "oncekit/error.h"
#include "oncekit/options.h"
#include "oncekit/rng.h"

using namespace oncekit;
namespace fs = std::filesystem;

namespace {

struct Inner {
  double rate = 0.5;
  void describe(Fields& f) { f.real("rate", rate).range(0, 1); }
};

struct Sample {
  bool flag = true;
  std::int64_t count = 3;
  std::string name = "x";
  std::vector<std::string> list{"a"};
  Inner inner;
  void describe(Fields& f) {
    f.boolean("flag", flag);
    f.integer("count", count).range(1, 9).under("paper", std::int64_t{7}).demo(std::int64_t{2});
    f.text("name", name);
    f.list("list", list);
    f.nested("inner", inner);
  }
  void validate(Problems& problems) const {
    if (count == 5) problems.add("count may not be 5");
  }
};

fs::path scratch() {
  const fs::path folder = fs::temp_directory_path() / ("oncekit_base_test_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  return folder;
}

}  // namespace

TEST_CASE("an error reads as one paragraph: where, what, what to do", "[unit]") {
  const Error error(ErrorKind::kData, "the file is empty", "download it again", "a/b.tsv:12");
  CHECK(std::string(error.what()) == "a/b.tsv:12: the file is empty; download it again");
  CHECK(error.exit_code() == 4);
  CHECK(std::string(Error(ErrorKind::kRun, "x").what()) == "x");
}

TEST_CASE("problems are shown all at once, up to twenty, then counted", "[unit]") {
  for (int n : {0, 1, 2, 20, 21, 100}) {
    Problems problems;
    for (int i = 0; i < n; ++i) problems.add("problem " + std::to_string(i));
    if (n == 0) {
      CHECK_NOTHROW(problems.raise(ErrorKind::kUsage));
      continue;
    }
    try {
      problems.raise(ErrorKind::kUsage);
      FAIL("nothing thrown");
    } catch (const Error& e) {
      const std::string text = e.what();
      CHECK(text.find("problem 0") != std::string::npos);
      CHECK((text.find("problem 19") != std::string::npos) == (n >= 20));
      CHECK((text.find("and " + std::to_string(n - 20) + " more") != std::string::npos) == (n > 20));
    }
  }
}

TEST_CASE("a near name is found, a far one is not", "[unit]") {
  const std::vector<std::string> names{"tune_layers", "dropout", "heads", "learning_rate"};
  CHECK(nearest_name("tune_layer", names) == "tune_layers");
  CHECK(nearest_name("haeds", names) == "heads");
  CHECK(nearest_name("Dropout", names) == "dropout");
  CHECK(nearest_name("zzzzzz", names).empty());
  CHECK(nearest_name("x", {}).empty());
}

TEST_CASE("options: declared once, read and written through their fields", "[unit]") {
  TypedOptions<Sample> options;
  Fields fields;
  options.describe(fields);
  CHECK(fields.names() == std::vector<std::string>{"flag", "count", "name", "list", "inner"});
  CHECK(std::get<std::int64_t>(fields.find("count")->value()) == 3);
  fields.find("count")->assign(std::int64_t{5});
  CHECK(options.value.count == 5);
  CHECK_THROWS(fields.find("count")->assign(0.5));
  fields.find("inner")->nested->find("rate")->assign(0.25);
  CHECK(options.value.inner.rate == 0.25);
  CHECK(fields.find("nothing") == nullptr);
  Problems problems;
  options.validate(problems);
  CHECK(problems.size() == 1);
  CHECK_THROWS_WITH(fields.boolean("flag", options.value.flag), Catch::Contains("declared twice"));
}

TEST_CASE("random numbers are a function of their key", "[unit]") {
  Rng a(7), b(7), c(8);
  CHECK(a() == b());
  CHECK(a() != c());
  CHECK(Rng(7).at("x").at(3)() == Rng(7).at("x").at(3)());
  std::set<std::uint64_t> firsts;
  for (std::uint64_t i = 0; i < 1000; ++i) firsts.insert(Rng(7).at("x").at(i)());
  CHECK(firsts.size() == 1000);
  double sum = 0, squares = 0;
  const int n = 100000;
  for (int i = 0; i < n; ++i) {
    const double x = a.normal();
    sum += x;
    squares += x * x;
  }
  CHECK(std::abs(sum / n) < 0.02);
  CHECK(std::abs(squares / n - 1) < 0.02);
  for (std::uint64_t bound : {1ull, 2ull, 3ull, 10ull, 1000ull}) {
    std::vector<int> seen(bound);
    for (int i = 0; i < 20000; ++i) ++seen.at(a.below(bound));
    for (int count : seen) CHECK(std::abs(count - 20000.0 / static_cast<double>(bound)) < 6 * std::sqrt(20000.0 / static_cast<double>(bound)) + 1);
  }
}

TEST_CASE("a file is whole or absent, also on a full disk", "[unit][fault]") {
  const fs::path folder = scratch(), file = folder / "x.json";
  write_file(file, "first");
  CHECK(read_file(file) == "first");
  // The limit on file sizes stands in for a full disk; a child, since the limit cannot be raised again.
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    setrlimit(RLIMIT_FSIZE, &limit);
    try {
      write_file(file, std::string(5000, 'x'));
    } catch (const Error& e) {
      _exit(e.kind() == ErrorKind::kRun && std::string(e.what()).find("x.json") != std::string::npos ? 0 : 2);
    }
    _exit(1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(read_file(file) == "first");
  std::size_t entries = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder)) ++entries;
  CHECK(entries == 1);
  CHECK_THROWS_WITH(read_file(folder / "none"), Catch::Contains("none: cannot be read"));
  fs::remove_all(folder);
}
