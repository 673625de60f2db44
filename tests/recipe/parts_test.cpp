// Needs of components, the recipes folder, the reference.
#include <catch2/catch.hpp>

#include "recipe/check.h"
#include "recipe/fake.h"
#include "cookbook/listing.h"
#include "toml/node.h"
#include "cookbook/reference.h"

using namespace fake;

namespace {

std::vector<std::string> unmet(const Recipe& recipe, const Description& data, Catalog* catalog = nullptr) {
  std::vector<std::string> texts;
  const Problems problems = unmet_needs(recipe, data, catalog);
  for (const Error& e : problems.items()) texts.emplace_back(e.what());
  return texts;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("needs are met by the dataset, augmenters before, and parts before", "[unit]") {
  Folder folder;
  const fs::path file = folder.write("a.toml", "augment = [\"p\", \"g\"]\n" + kParts +
                                                   "[augmenter.p]\nuse = \"profiler\"\n[augmenter.g]\nuse = \"generator\"\n");
  Description data;
  data.item_attributes = {"title", "category"};
  CHECK(unmet(load(file), data).empty());
  CHECK(unmet(load(file, {"user_encoder.use=poly", "interaction.use=attend"}), data).empty());
  CHECK_NOTHROW(unmet_needs(load(file), data).raise(ErrorKind::kUsage));
  Description absent;  // what files hold that are not there is for loading to say
  absent.known = false;
  CHECK(unmet(load(file), absent).empty());
  CHECK(unmet(load(file, {"interaction.use=attend"}), absent).size() == 1);
}

TEST_CASE("unmet needs name the component, the need and what would give it", "[errors]") {
  Folder folder;
  const fs::path file = folder.write("a.toml", "augment = [\"g\", \"p\"]\n" + kParts +
                                                   "[augmenter.p]\nuse = \"profiler\"\n[augmenter.g]\nuse = \"generator\"\n");
  Description data;
  data.item_attributes = {"title", "category"};
  const Recipe recipe =
      load(file, {"content_encoder.attributes=[\"titel\", \"description\", \"xyz\"]", "interaction.use=attend"});
  FakeCatalog catalog;
  const std::vector<std::string> expected{
      "a.toml: [augmenter.g]: augmenter/generator needs the user attribute 'topic', which nothing before it gives; "
      "[augmenter.p] gives it, but comes later: put it first in `augment`",
      "a.toml: [content_encoder]: content_encoder/words needs the item attribute 'titel', which nothing before it gives; did "
      "you mean 'title'?",
      "a.toml: [content_encoder]: content_encoder/words needs the item attribute 'description', which nothing before it gives; "
      "given by: augmenter/summarizer",
      "a.toml: [content_encoder]: content_encoder/words needs the item attribute 'xyz', which nothing before it gives; with "
      "dataset/fake there are: category, title",
      "a.toml: [interaction]: interaction/attend needs 'multi-vectors', which nothing before it gives; given by: "
      "user_encoder/poly"};
  CHECK(unmet(recipe, data, &catalog) == expected);
  try {
    unmet_needs(recipe, data).raise(ErrorKind::kUsage);
    FAIL("it fits");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kUsage);
    CHECK(has(e.what(), "no component gives it: use another interaction"));
  }
}

TEST_CASE("the list shows recipes with titles and points, not base files", "[unit]") {
  Folder folder;
  folder.write("recipes/base/parts.toml", kParts + "[recipe]\npaper = \"Table 2\"\n");
  folder.write("recipes/mind/a.toml",
               "extends = [\"base/parts.toml\"]\n[recipe]\ntitle = \"A \\\"title\\\"\"\n[point.\"x y\".train]\nlr = "
               "1\n[sweep]\nrun.seed = [1]\n");
  folder.write("recipes/b.toml", "extends = [\"nothing.toml\"]\n");
  const std::vector<RecipeHead> heads = list_recipes("recipes");
  REQUIRE(heads.size() == 2);
  CHECK(heads[0].file == "recipes/b.toml");
  CHECK(has(heads[0].problem, "recipes/b.toml:1:12: there is no file 'nothing.toml' to extend"));
  CHECK(heads[1].title == "A \"title\"");
  CHECK(heads[1].paper == "Table 2");
  CHECK(heads[1].points == std::vector<std::string>{"x y"});
  CHECK(heads[1].sweep == std::vector<std::string>{"run.seed"});
  CHECK(has(listing_text(heads), "recipes/mind/a.toml  A \"title\" [Table 2]\n"));
  CHECK(has(listing_json(heads), "\"points\": [\"x y\"]"));
  CHECK(has(recipe_text("recipes/mind/a.toml", true), "# ==> recipes/base/parts.toml\n[dataset]"));
  CHECK_THROWS_AS(list_recipes("nowhere"), Error);
}

TEST_CASE("a copied recipe still finds what it extends", "[unit]") {
  Folder folder;
  folder.write("recipes/base/pärts.toml", kParts);
  folder.write("recipes/mind/more.toml", "[train]\nlr = 0.5\n");
  const std::string text = "# ä comment stays\nextends = [ \"base/pärts.toml\",   # ö\n  'more.toml' ]\n[train]\nclip = 1\n";
  const fs::path file = folder.write("recipes/mind/r.toml", text);
  const std::string hash = load(file).hash();
  for (const char* to : {"copy.toml", "deep/er/copy.toml", "deep/", "recipes/mind/other.toml", "recipes/copy.toml"}) {
    INFO(to);
    const fs::path copy = copy_recipe(file, to);
    CHECK(load(copy).hash() == hash);
    CHECK(has(read_file(copy), "# ä comment stays\nextends = ["));
    CHECK(has(read_file(copy), ",   # ö\n"));
  }
  CHECK(read_file("recipes/mind/other.toml") == text);
  CHECK(has(read_file("copy.toml"), "\"recipes/mind/more.toml\" ]"));
  CHECK_THROWS_AS(copy_recipe(file, "copy.toml"), Error);
  // Found from elsewhere too: the copy names files, not the working folder's recipes.
  const fs::path copy = fs::absolute("copy.toml");
  fs::create_directories("elsewhere");
  fs::current_path("elsewhere");
  CHECK(load(copy).hash() == hash);
  fs::current_path("..");
}

TEST_CASE("the reference says all that a schema says", "[unit]") {
  FakeCatalog catalog;
  std::vector<CoreTable> all = tables();
  struct Safe final : Catalog {  // without the plugin that cannot be loaded
    FakeCatalog inner;
    const ComponentSpec& find(const std::string& kind, const std::string& name) override { return inner.find(kind, name); }
    std::vector<std::string> names(const std::string& kind) const override {
      std::vector<std::string> names = inner.names(kind);
      std::erase(names, "broken");
      return names;
    }
  } safe;
  const std::string text = recipe_reference(all, safe);
  CHECK(has(text, "### [train]\n\nhow it trains\n\n| key | accepts | default | paper | released | --demo | meaning |\n"));
  CHECK(has(text, "| `batch_size` | a whole number from 1 to 1024 | `64` | `32` | `32` | `8` | in samples |\n"));
  CHECK(has(text, "| `kernel` | a whole number from 1 to 9 | `3` |"));
  CHECK(has(text, "width \\| of the window (Wu et al. 2019) |\n"));
  CHECK(has(text, "| `attention.heads` |"));
  CHECK(has(text, "### interaction/attend\n\nNeeds `multi-vectors`.\n\nNo options.\n"));
  const std::string page = "# Head\n<!-- Made by `oncekit recipes reference` from here on: do not edit. -->\nold\n";
  CHECK(has(with_reference(page, text), "do not edit. -->\n\n## The core's tables\n"));
  CHECK(with_reference(with_reference(page, text), text) == with_reference(page, text));
  CHECK_THROWS_AS(with_reference("no marker", text), Error);
}

TEST_CASE("keys split and join", "[unit]") {
  using Parts = std::vector<std::string>;
  CHECK(split_key("train.lr") == Parts{"train", "lr"});
  CHECK(split_key("a.\"b.c\".d") == Parts{"a", "b.c", "d"});
  CHECK(split_key("expect.test/auc") == Parts{"expect", "test/auc"});
  for (const Parts& parts : {Parts{"a"}, Parts{"a b", "c"}, Parts{"x", "LLaMA-7B 31/1", "y.z"}})
    CHECK(split_key(join_key(parts)) == parts);
  for (const char* bad : {"", ".", "a.", ".a", "a..b", "\"a", "a.\"b", "\"a\"b"}) CHECK_THROWS_AS(split_key(bad), Error);
  for (const double value : {0.0, 1.0, -2.5, 1e-7, 1e300, 0.1, 1.0 / 3, 123456789.0, -0.0}) {
    const Node node = parse_toml_value(toml_text(value));
    REQUIRE(node.is(Node::Type::kReal));
    CHECK(std::get<double>(node.scalar) == value);
  }
  for (const char* raw : {"", "plain", "\"\\\n\t\r", "ümläut 世界", "\x01\x7f"})
    CHECK(parse_toml_value(in_quotes(raw)).text() == raw);
}
