// Recipes: merging, origins, fidelity, demo, overrides, points, sweeps, printing, hashes.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "recipe/fake.h"
#include "recipe/layers.h"

using namespace fake;

namespace {

nlohmann::json printed(const Recipe& recipe) { return nlohmann::json::parse(recipe.print(true)); }
std::string origin(const Recipe& recipe, const std::string& key) { return printed(recipe).at(key).at("origin"); }
std::string where(const Recipe& recipe, const std::string& key) { return printed(recipe).at(key).at("where"); }
bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a recipe that says little has its defaults", "[unit]") {
  Folder folder;
  const Recipe recipe = load(folder.write("a.toml", kParts));
  CHECK(train(recipe).lr == 1e-3);
  CHECK(recipe.component("content_encoder").spec->name == "words");
  CHECK(options<Words>(recipe.component("content_encoder")).attention.heads == 8);
  CHECK(origin(recipe, "train.lr") == "default");
  CHECK(origin(recipe, "dataset.use") == "recipe");
  CHECK(where(recipe, "dataset.use") == "a.toml:2:1");
  CHECK(recipe.augmenters().empty());
  CHECK(recipe.source() == kParts);
}

TEST_CASE("values of every type arrive", "[unit]") {
  Folder folder;
  const Recipe recipe = load(folder.write("a.toml", kParts + R"(
[content_encoder.attention]
heads = 16
[train]
lr = 1              # a whole number where a real is wanted
loss = "bce"
shuffle = false
steps = [3, 4, 5]
[recipe]
title = "Größe, \"quoted\", tab\t"
)"));
  CHECK(train(recipe).lr == 1.0);
  CHECK(train(recipe).loss == "bce");
  CHECK_FALSE(train(recipe).shuffle);
  CHECK(train(recipe).steps == std::vector<std::int64_t>{3, 4, 5});
  CHECK(options<Words>(recipe.component("content_encoder")).attention.heads == 16);
  CHECK(origin(recipe, "content_encoder.attention.heads") == "recipe");
  CHECK(recipe.table<RecipeTable>("recipe").title == "Größe, \"quoted\", tab\t");
}

TEST_CASE("later files win, the recipe over all, arrays are replaced", "[unit]") {
  Folder folder;
  folder.write("recipes/base/a.toml", kParts + "[train]\nlr = 0.5\nclip = 1\nsteps = [7, 8, 9]\n");
  folder.write("recipes/base/b.toml", "[train]\nlr = 0.25\nnegatives = 9\n");
  const fs::path file = folder.write("recipes/mind/r.toml",
                                     "extends = [\"base/a.toml\", \"../base/b.toml\"]\n[train]\nsteps = [1]\nnegatives = 2\n");
  const Recipe recipe = load(file);
  CHECK(train(recipe).lr == 0.25);
  CHECK(train(recipe).clip == 1);
  CHECK(train(recipe).steps == std::vector<std::int64_t>{1});
  CHECK(train(recipe).negatives == 2);
  CHECK(origin(recipe, "train.lr") == "base file");
  CHECK(where(recipe, "train.lr") == "recipes/base/b.toml:2:1");
  CHECK(where(recipe, "train.negatives") == "recipes/mind/r.toml:4:1");
}

TEST_CASE("a base file of a base file counts less; a diamond is no circle", "[unit]") {
  Folder folder;
  folder.write("root.toml", kParts + "[train]\nlr = 1\nclip = 1\n");
  folder.write("left.toml", "extends = [\"root.toml\"]\n[train]\nlr = 2\n");
  folder.write("right.toml", "extends = [\"root.toml\"]\n");
  const Recipe recipe = load(folder.write("r.toml", "extends = [\"right.toml\", \"left.toml\"]\n"));
  CHECK(train(recipe).lr == 2);
  CHECK(train(recipe).clip == 1);
}

TEST_CASE("another `use` drops the old component's options and says so", "[unit]") {
  Folder folder;
  folder.write("base.toml", kParts + "[content_encoder.attention]\nheads = 2\n");
  const fs::path file =
      folder.write("r.toml", "extends = [\"base.toml\"]\n[content_encoder]\nuse = \"llama\"\ntune_layers = 2\n");
  const Recipe recipe = load(file);
  CHECK(options<Llama>(recipe.component("content_encoder")).tune_layers == 2);
  REQUIRE(recipe.notes().size() == 1);
  CHECK(recipe.notes()[0] ==
        "r.toml:3:1: use = \"llama\" replaces \"words\" in [content_encoder] and drops its options: attention");
  CHECK(has(recipe.print(false), "# note: r.toml:3:1: use"));
  // Back again: the first component's options stay dropped. On the command line the order does not matter.
  const Recipe back = load(file, {"content_encoder.kernel=5", "content_encoder.use=words"});
  CHECK(options<Words>(back.component("content_encoder")).attention.heads == 8);
  CHECK(options<Words>(back.component("content_encoder")).kernel == 5);
  // The same `use` drops nothing.
  const Recipe same = load(folder.write("s.toml", "extends = [\"base.toml\"]\n[content_encoder]\nuse = \"words\"\n"));
  CHECK(options<Words>(same.component("content_encoder")).attention.heads == 2);
  CHECK(same.notes().empty());
}

TEST_CASE("fidelity sets defaults of all tables; explicit values win", "[unit]") {
  Folder folder;
  const fs::path file = folder.write("a.toml", kParts + "[recipe]\nfidelity = \"paper\"\n[train]\nnegatives = 7\n");
  const Recipe paper = load(file);
  CHECK(train(paper).batch_size == 32);
  CHECK(train(paper).lr == 1e-3);
  CHECK(options<FakeData>(paper.component("dataset")).newest == 30);
  CHECK(origin(paper, "train.batch_size") == "fidelity paper");
  const Recipe released = load(file, {"recipe.fidelity=released", "train.batch_size=64"});
  CHECK(train(released).lr == 1e-4);
  CHECK(train(released).batch_size == 64);
  CHECK(origin(released, "train.batch_size") == "override");
  CHECK(options<Words>(released.component("content_encoder")).attention.dropout == 0);
  CHECK(options<FakeData>(released.component("dataset")).newest == 50);
}

TEST_CASE("--demo puts small values in the place of any other", "[unit]") {
  Folder folder;
  const fs::path file = folder.write("a.toml", kParts + "[train]\nbatch_size = 512\nlr = 0.1\n");
  const Recipe recipe = load(file, {"train.batch_size=256", "train.negatives=1"}, "", true);
  CHECK(recipe.demo());
  CHECK(train(recipe).batch_size == 8);
  CHECK(train(recipe).lr == 0.1);
  CHECK(train(recipe).negatives == 1);
  CHECK(options<FakeData>(recipe.component("dataset")).toy);
  CHECK(origin(recipe, "train.batch_size") == "demo");
  REQUIRE(recipe.notes().size() == 1);
  CHECK(recipe.notes()[0] == "override 'train.batch_size=256' has no effect: --demo puts 8 in its place");
  CHECK(load(file).hash() != recipe.hash());
}

TEST_CASE("overrides are TOML values, bare words are strings", "[unit]") {
  Folder folder;
  const fs::path file = folder.write("a.toml", kParts + "[train]\nclip = 3\n[expect]\nitems = 5\n");
  const Recipe recipe =
      load(file, {"train.lr=1e-2", "train.loss=bce", "dataset.path=../shared/data", "train.steps=[4]", "recipe.title=two words",
                  "train.shuffle=false", "user_encoder={use=\"mean\"}", "expect.items=6", "+expect.users=7", "~train.clip"});
  CHECK(train(recipe).lr == 1e-2);
  CHECK(train(recipe).loss == "bce");
  CHECK(options<FakeData>(recipe.component("dataset")).path == "../shared/data");
  CHECK(train(recipe).steps == std::vector<std::int64_t>{4});
  CHECK(recipe.table<RecipeTable>("recipe").title == "two words");
  CHECK_FALSE(train(recipe).shuffle);
  CHECK(recipe.component("user_encoder").spec->name == "mean");
  CHECK(recipe.expect() == std::map<std::string, double>{{"items", 6}, {"users", 7}});
  CHECK(train(recipe).clip == 0);
  CHECK(origin(recipe, "train.clip") == "default");
  CHECK(where(recipe, "train.lr") == "train.lr=1e-2");
}

TEST_CASE("values with '=' and quotes survive", "[unit]") {
  Folder folder;
  const fs::path file = folder.write("a.toml", kParts);
  CHECK(load(file, {"recipe.title=a=b"}).table<RecipeTable>("recipe").title == "a=b");
  CHECK(load(file, {"recipe.title='1'"}).table<RecipeTable>("recipe").title == "1");
  CHECK(load(file, {"dataset.path=2026-01-02"}).print(false).find("2026-01-02") != std::string::npos);
  CHECK(load(file, {"recipe.title="}).table<RecipeTable>("recipe").title.empty());
  CHECK(split_values("1,[2,3],\"a,b\",c") == std::vector<std::string>{"1", "[2,3]", "\"a,b\"", "c"});
}

TEST_CASE("augmenters run in the order of `augment`", "[unit]") {
  Folder folder;
  folder.write("base.toml", kParts + "");
  const fs::path file = folder.write("a.toml", R"(extends = ["base.toml"]
augment = ["chain", "short"]
[augmenter.short]
use = "summarizer"
tokens = 9
[augmenter.chain]
use = "generator"
)");
  const Recipe recipe = load(file);
  REQUIRE(recipe.augmenters().size() == 2);
  CHECK(recipe.augment() == std::vector<std::string>{"chain", "short"});
  CHECK(recipe.augmenters()[0].spec->name == "generator");
  CHECK(options<Summary>(recipe.augmenters()[1]).tokens == 9);
  // A list that is made shorter leaves tables over: no error, a note.
  const Recipe shorter = load(file, {"augment=[\"short\"]"});
  CHECK(shorter.augmenters().size() == 1);
  REQUIRE(shorter.notes().size() == 1);
  CHECK(shorter.notes()[0] == "[augmenter.chain] is left out: `augment` does not name it here");
  // A new one from the command line.
  const Recipe more =
      load(file, {"augment=[\"short\", \"again\"]", "+augmenter.again.use=profiler", "augmenter.again.tokens=3"});
  CHECK(options<Summary>(more.augmenters()[1]).tokens == 3);
}

TEST_CASE("a point is put over the recipe; names may hold anything", "[unit]") {
  Folder folder;
  const fs::path file = folder.write("a.toml", kParts + R"(
[train]
lr = 0.5
[point."LLaMA-7B 31/1 NRMS"]
augment = ["s"]
[point."LLaMA-7B 31/1 NRMS".content_encoder]
use = "llama"
weights = "x"
[point.B.train]
lr = 0.25
[point.B.expect]
items = 3
[augmenter.s]
use = "summarizer"
)");
  const Recipe plain = load(file);
  CHECK(plain.points() == std::vector<std::string>{"LLaMA-7B 31/1 NRMS", "B"});
  CHECK(train(plain).lr == 0.5);
  CHECK(plain.augmenters().empty());
  const Recipe llama = load(file, {}, "LLaMA-7B 31/1 NRMS");
  CHECK(llama.component("content_encoder").spec->name == "llama");
  CHECK(llama.augmenters().size() == 1);
  CHECK(origin(llama, "content_encoder.weights") == "point");
  CHECK(where(llama, "content_encoder.weights") == "a.toml:16:1");
  const Recipe b = load(file, {"train.clip=2"}, "B");
  CHECK(train(b).lr == 0.25);
  CHECK(train(b).clip == 2);
  CHECK(b.expect().at("items") == 3);
}

TEST_CASE("parts may come from points alone", "[unit]") {
  Folder folder;
  const fs::path file = folder.write("a.toml",
                                     "[dataset]\nuse = \"fake\"\n[user_encoder]\nuse = \"mean\"\n[interaction]\nuse = \"dot\"\n"
                                     "[point.A.content_encoder]\nuse = \"words\"\n");
  CHECK(load(file, {}, "A").component("content_encoder").spec->name == "words");
  CHECK(error_of(file) ==
        "a.toml: there is no [content_encoder]; choose one of its points, e.g. --point \"A\", or run all with `oncekit sweep`");
}

TEST_CASE("a sweep keeps the order of the file and TOML values", "[unit]") {
  Folder folder;
  const Recipe recipe = load(folder.write("a.toml", kParts + R"(
[sweep]
"train.lr" = [1e-3, 1, 0.25]
run.seed = [1, 2]
user_encoder.use = ["mean", "poly"]
content_encoder.attributes = [["title"], ["title", "abstract"]]
)"));
  const std::vector<std::pair<std::string, std::vector<std::string>>> expected{
      {"train.lr", {"0.001", "1", "0.25"}},
      {"run.seed", {"1", "2"}},
      {"user_encoder.use", {"\"mean\"", "\"poly\""}},
      {"content_encoder.attributes", {"[\"title\"]", "[\"title\", \"abstract\"]"}}};
  CHECK(recipe.sweep() == expected);
  const Recipe more = load(fs::path("a.toml"), {"sweep.run.seed=[3]", "+sweep.train.clip=[1, 2]"});
  REQUIRE(more.sweep().size() == 5);
  CHECK(more.sweep()[1].second == std::vector<std::string>{"3"});
  CHECK(more.sweep()[4].first == "train.clip");
}

TEST_CASE("the resolved recipe resolves to the same", "[unit]") {
  Folder folder;
  const std::string text = "augment = [\"s\"]\n" + kParts + R"([augmenter.s]
use = "summarizer"
[recipe]
fidelity = "released"
title = "quotes \" and \\ and ü"
[train]
lr = 1e-7
steps = []
[expect]
"test/auc" = 0.7
[sweep]
run.seed = [1, 2]
[point."x y".train]
clip = 2
)";
  for (const char* point : {"", "x y"})
    for (const bool demo : {false, true}) {
      const Recipe recipe = load(folder.write("b.toml", text), {"train.negatives=3", "+expect.\"a b\"=1"}, point, demo);
      const Recipe again = load(folder.write("c.toml", recipe.resolved()));
      CHECK(again.hash() == recipe.hash());
      CHECK(again.expect() == recipe.expect());
      CHECK(train(again).lr == train(recipe).lr);
      CHECK(again.sweep().empty());
      CHECK(again.points().empty());
      // What --print shows is TOML too.
      CHECK(load(folder.write("d.toml", recipe.print(false))).hash() == recipe.hash());
    }
}

TEST_CASE("the hash sees values, not how they are written", "[unit]") {
  Folder folder;
  const std::string hash = load(folder.write("a.toml", "[train]\nlr = 0.5\nclip = 1\n" + kParts)).hash();
  CHECK(hash.size() == 16);
  CHECK(hash.find_first_not_of("0123456789abcdef") == std::string::npos);
  CHECK(load(folder.write("b.toml", "# a comment\n" + kParts + "\n[train]   # another\nclip = 1.0\nlr = 5e-1\nnegatives = 4\n"))
            .hash() == hash);
  CHECK(load(fs::path("a.toml"),
             {"recipe.title=x", "recipe.paper=y", "recipe.paper_gap=z", "run.memory_gib=9", "+expect.items=1"})
            .hash() == hash);
  for (const char* change : {"train.lr=0.25", "run.seed=1", "dataset.path=x", "user_encoder.use=mean",
                             "content_encoder.attention.heads=4", "dataset.use=table"})
    CHECK(load(fs::path("a.toml"), {change}).hash() != hash);
}

TEST_CASE("printing shows each value with its origin", "[unit]") {
  Folder folder;
  const std::string text = load(folder.write("a.toml", kParts + "[train]\nlr = 0.5\n"), {"run.seed=7"}).print(false);
  for (const char* line :
       {"lr                = 0.5", "# a.toml:10:1", "# override run.seed=7", "attention.heads   = 8", "# default"}) {
    INFO(text);
    CHECK(has(text, line));
  }
}
