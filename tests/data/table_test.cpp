// dataset/table, and the example of its documentation.
#include "support.h"

using namespace oncekit;
using namespace oncekit::test;

namespace {

const fs::path kSample = fs::path(ONCEKIT_TREE) / "datasets" / "table" / "sample";

// The indented block of docs/formats.md whose first line begins so.
std::string example(const std::string& begin) {
  std::istringstream page(slurp(fs::path(ONCEKIT_TREE) / "docs" / "formats.md"));
  std::string text;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("    ") && (!text.empty() || line.substr(4).starts_with(begin))) text += line.substr(4) + "\n";
    else if (!text.empty()) break;
  }
  return text;
}

}  // namespace

TEST_CASE("the example of docs/formats.md is the sample, and loads", "[unit]") {
  CHECK(example("id\ttitle") == slurp(kSample / "items.tsv"));
  CHECK(example("id\ttopic") == slurp(kSample / "users.tsv"));
  CHECK(example("user\ttime") == slurp(kSample / "train.tsv"));

  const Corpus corpus = load("table", {{"path", kSample.string()}});
  CHECK(corpus.name == "table");
  REQUIRE(corpus.items.size() == 4);
  CHECK(corpus.items.attribute("title")[0] == "The quiet harbour");
  CHECK(corpus.items.attribute("author")[3].empty());
  REQUIRE(corpus.users.size() == 2);
  const ListAttribute& topic = corpus.users.attributes.at("topic");
  REQUIRE(topic.values.size() == 2);
  REQUIRE(topic.values.length(0) == 2);
  CHECK(topic.vocabulary[static_cast<std::size_t>(topic.values[0][1])] == "boats");
  CHECK(topic.values.length(1) == 0);
  REQUIRE(corpus.train.size() == 2);
  CHECK(corpus.train.times[0] == 1709317800);
  CHECK(corpus.train.labels == std::vector<std::uint8_t>{1, 0, 1, 0});
  CHECK(corpus.dev.ids[0] == "d1");
  CHECK(corpus.test.candidates.length(0) == 3);
  CHECK(corpus.test.times[0] == -1);
}

TEST_CASE("attributes can be chosen; the description knows them without loading", "[unit]") {
  const Corpus corpus = load("table", {{"path", kSample.string()}, {"attributes", std::vector<std::string>{"author", "title"}}});
  CHECK(corpus.items.attributes.size() == 2);
  const Description description = dataset("table", {{"path", kSample.string()}})->describe();
  CHECK(description.item_attributes == std::vector<std::string>{"title", "category", "author"});
  CHECK(description.user_attributes == std::vector<std::string>{"topic", "region"});
  CHECK(description.files.size() == 5);
}

TEST_CASE("gzip in the place of each file", "[unit]") {
  const TempFolder folder;
  for (const char* file : {"items.tsv", "users.tsv", "train.tsv", "dev.tsv", "test.tsv"}) spill_gzip(folder.path / (std::string(file) + ".gz"), slurp(kSample / file));
  Corpus packed = load("table", {{"path", folder.path.string()}}), plain = load("table", {{"path", kSample.string()}});
  packed.counts.clear();
  plain.counts.clear();
  CHECK(dump(packed) == dump(plain));
}

TEST_CASE("the toy reads the same through both layouts", "[unit]") {
  const TempFolder cache;
  Corpus mind = load("mind", {{"toy", true}}, 2, cache.path), table = load("table", {{"toy", true}}, 2, cache.path);
  mind.counts.clear();
  table.counts.clear();
  CHECK(dump(mind) == dump(table));
  CHECK(mind.facts == table.facts);
  CHECK(mind.facts.at("best_auc") > 0.5);
}
