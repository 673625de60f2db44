// The gallery of what people write by mistake: tests/errors/recipe/NAME.toml (or NAME/*.toml), and in NAME.txt the exact
// message. Lines at the top of a recipe such as "# override: train.lrr=1", "# point: A", "# demo" say how it is asked for. Set
// ONCEKIT_WRITE_GALLERY=1 to write the messages anew, then read the difference.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <sstream>

#include "recipe/fake.h"

using namespace fake;

namespace {

RecipeRequest request_of(const fs::path& file) {
  RecipeRequest request;
  request.file = file;
  std::istringstream lines(read_file(file));
  for (std::string line; std::getline(lines, line) && line.starts_with("# ");) {
    if (line.starts_with("# override: ")) request.overrides.push_back(line.substr(12));
    if (line.starts_with("# point: ")) request.point = line.substr(9);
    if (line == "# demo") request.demo = true;
  }
  return request;
}

struct InTree {
  fs::path before = fs::current_path();
  InTree() { fs::current_path(ONCEKIT_TREE); }
  ~InTree() { fs::current_path(before); }
};

}  // namespace

TEST_CASE("each mistake of the gallery gets its message", "[errors]") {
  InTree tree;
  const bool write = std::getenv("ONCEKIT_WRITE_GALLERY") != nullptr;
  int seen = 0;
  for (const auto& entry : fs::directory_iterator("tests/errors/recipe")) {
    if (entry.path().extension() != ".toml") continue;
    const fs::path expected = fs::path(entry.path()).replace_extension(".txt");
    const std::string message = error_of(request_of(entry.path())) + "\n";
    if (write) write_file(expected, message);
    INFO(entry.path());
    REQUIRE(fs::exists(expected));
    CHECK(message == read_file(expected));
    CHECK(message != "\n");
    ++seen;
  }
  CHECK(seen >= 20);
}

TEST_CASE("three mistakes give three located problems and exit code 2", "[errors]") {
  InTree tree;
  try {
    (void)load(fs::path("tests/errors/recipe/three_mistakes.toml"));
    FAIL("it loaded");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kUsage);
    CHECK(e.exit_code() == 2);
    std::istringstream lines(e.what());
    int located = 0;
    for (std::string line; std::getline(lines, line);) located += line.starts_with("tests/errors/recipe/three_mistakes.toml:");
    CHECK(located == 3);
  }
}

TEST_CASE("twenty problems are shown, the rest counted", "[errors]") {
  Folder folder;
  for (const int wrong : {1, 19, 20, 21, 50}) {
    std::string text = kParts + "[train]\n";
    for (int i = 0; i < wrong; ++i) text += "zzz" + std::to_string(1000 + i) + " = 1\n";
    const std::string message = error_of(folder.write("a.toml", text));
    CHECK(std::count(message.begin(), message.end(), '\n') == std::min(wrong, 20) - 1 + (wrong > 20 ? 1 : 0));
    CHECK((message.find("and " + std::to_string(wrong - 20) + " more") != std::string::npos) == (wrong > 20));
  }
}

TEST_CASE("a plugin that cannot be loaded is an error of its own, unless another row uses it", "[errors]") {
  Folder folder;
  const fs::path file = folder.write("a.toml", kParts + "[point.B.user_encoder]\nuse = \"broken\"\n");
  CHECK(error_of(file).empty());
  try {
    (void)load(file, {}, "B");
    FAIL("it loaded");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kPlugin);
  }
  // Problems of the recipe come first.
  CHECK(error_of(file, {"train.lrr=1"}, "B") == "override 'train.lrr=1': unknown key 'lrr' in [train]; did you mean 'lr'?");
}

TEST_CASE("ranges hold at their ends", "[unit]") {
  Folder folder;
  const fs::path file = folder.write("a.toml", kParts);
  for (const char* good : {"train.lr=0", "train.lr=10", "train.batch_size=1", "train.batch_size=1024", "train.steps=[0, 9]",
                           "train.steps=[]", "run.seed=0"})
    CHECK(error_of(file, {good}).empty());
  for (const char* bad : {"train.lr=-1e-9", "train.lr=10.001", "train.lr=nan", "train.lr=inf", "train.batch_size=0",
                          "train.batch_size=1025", "train.steps=[10]", "train.steps=[-1]", "run.seed=-1",
                          "train.batch_size=1.0", "train.shuffle=1", "train.loss=1", "train.steps=3", "dataset.path=true"})
    CHECK_FALSE(error_of(file, {bad}).empty());
}

TEST_CASE("malformed overrides are refused one by one", "[errors]") {
  Folder folder;
  const fs::path file = folder.write("a.toml", kParts);
  for (const char* bad : {"train.lr",
                          "=1",
                          "train..lr=1",
                          ".lr=1",
                          "train.=1",
                          "train.\"lr=1",
                          "~train.clip",
                          "~train.clip=1",
                          "+user_encoder.use=mean",
                          "train.steps=[1",
                          "recipe.title=\"x",
                          "expect.items=1",
                          "sweep.run.seed=[1]",
                          "augmenter.x.use=profiler",
                          "extends=[]",
                          "point.A.train.lr=1",
                          "train=3",
                          "a b=1",
                          "+=1",
                          "~"}) {
    INFO(bad);
    CHECK(error_of(file, {bad}).starts_with(std::string("override '") + bad + "': "));
  }
}
