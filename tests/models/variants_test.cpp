// The model plugins beyond their defaults: every way to get word vectors, values beside texts, and what their users are told.
#include <filesystem>
#include <fstream>
#include <numeric>

#include <ATen/ATen.h>
#include <unistd.h>

#include "model/build.h"
#include "model/recommender.h"
#include "oncekit/test_kit.h"
#include "plugin/host.h"
#include "run/workspace.h"

#undef CHECK  // c10 has one of its own
#include <catch2/catch.hpp>

using namespace oncekit;
namespace fs = std::filesystem;

namespace {

using Values = std::map<std::string, OptionValue>;

PluginHost& host() {
  static PluginHost host({});
  return host;
}

std::unique_ptr<OptionSet> options_of(const ComponentSpec& spec, const Values& values) {
  auto options = spec.options();
  Fields fields;
  options->describe(fields);
  for (const auto& [name, value] : values) {
    REQUIRE(fields.find(name) != nullptr);
    fields.find(name)->assign(value);
  }
  return options;
}

std::string problems_of(const std::string& name, const Values& values) {
  Problems problems;
  options_of(host().find("content_encoder", name), values)->validate(problems);
  std::string text;
  for (const Error& problem : problems.items()) text += std::string(problem.what()) + "\n";
  return text;
}

struct Folder {
  fs::path path = fs::temp_directory_path() / ("oncekit_models_" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  std::string file(const std::string& name, const std::string& content) const {
    std::ofstream(path / name) << content;
    return path / name;
  }
};

Items items_of(std::initializer_list<const char*> titles) {
  Items items;
  for (const char* title : titles) {
    items.ids.push_back("i" + std::to_string(items.ids.size()));
    items.attributes["title"].push_back(title);
    items.attributes["category"].push_back(items.ids.size() % 2 ? "fiction" : "");
  }
  items.listed = items.size();
  return items;
}

std::shared_ptr<ContentEncoder> encoder(const std::string& name, const Values& values, const Items& items, std::int64_t width = 8) {
  const ComponentSpec& spec = host().find("content_encoder", name);
  Dims dims;
  dims.width = dims.item_width = width;
  at::manual_seed(3);
  auto made = spec.make_content_encoder(*options_of(spec, values), dims);
  WorkspaceOptions options;
  options.cache = fs::temp_directory_path() / ("oncekit_models_" + std::to_string(::getpid())) / "cache";
  HostWorkspace workspace(options);
  made->prepare(items, workspace);
  return made;
}

at::Tensor vectors_of(ContentEncoder& made, std::size_t n) {
  std::vector<ItemId> all(n);
  std::iota(all.begin(), all.end(), 0);
  made.eval();
  return made.encode(*made.gather(all));
}

// Word vectors of width 4 need a number of heads that divides 4.
Values values_of(const std::string& name, Values values) {
  if (name == "nrms") values["heads"] = std::int64_t{2};
  return values;
}

const std::string kGlove = "red 1 0 0 0\nhouse 0 1 0 0\nblue 0 0 1 0\nsea 0 0 0 1\n";

}  // namespace

TEST_CASE("word-level encoders pass the conformance kit with every kind of word vectors", "[unit][conformance]") {
  const std::vector<Values> variants{
      {{"vectors", std::string("{kit}/glove.txt")}},
      {{"vectors", std::string("{kit}/glove.txt")}, {"tune", std::string("frozen")}},
      {{"vectors", std::string("{kit}/glove.txt")}, {"tune", std::string("projected")}, {"word_width", std::int64_t{20}}},
      {{"attributes", std::vector<std::string>{"title", "abstract"}},
       {"max_tokens", std::vector<std::int64_t>{6, 10}},
       {"values", std::vector<std::string>{"category", "subcategory"}},
       {"word_width", std::int64_t{20}},
       {"word_dropout", 0.2}},
      {{"attributes", std::vector<std::string>{}}, {"values", std::vector<std::string>{"category", "subcategory"}}, {"word_width", std::int64_t{20}}},
  };
  for (const std::string name : {"cnn_glove", "nrms"}) {
    int number = 0;
    for (const Values& variant : variants) {
      DYNAMIC_SECTION(name << " " << number++) {
        test_kit::Setup setup;
        setup.options = variant;
        if (name == "nrms") {
          setup.options["heads"] = std::int64_t{5};
          setup.options["separator"] = number % 2 == 0;
        }
        const test_kit::Report report = test_kit::check(host().find("content_encoder", name), setup);
        for (const auto& failure : report.failures) UNSCOPED_INFO(failure.check << ": " << failure.text);
        CHECK(report.good());
      }
    }
  }
}

TEST_CASE("ready-made item vectors pass the conformance kit tuned and scaled", "[unit][conformance]") {
  for (const std::string tune : {"frozen", "tuned"}) {
    test_kit::Setup setup;
    setup.options = {{"path", std::string("{kit}/vectors.npy")}, {"ids", std::string("{kit}/ids.txt")}, {"tune", tune}, {"unit", true}, {"dropout", 0.1}};
    const test_kit::Report report = test_kit::check(host().find("content_encoder", "vectors"), setup);
    for (const auto& failure : report.failures) UNSCOPED_INFO(failure.check << ": " << failure.text);
    CHECK(report.good());
  }
}

TEST_CASE("frozen word vectors take no gradient and are named by digest; tuned ones start as the file has them", "[unit]") {
  Folder folder;
  const Items items = items_of({"Red house", "blue SEA", "green sea"});
  const std::string glove = folder.file("glove.txt", kGlove);
  for (const std::string name : {"cnn_glove", "nrms"}) {
    for (const std::string tune : {"frozen", "projected", "tuned"}) {
      INFO(name << " " << tune);
      const auto made = encoder(name, values_of(name, {{"vectors", glove}, {"tune", tune}}), items);
      const auto parameters = made->named_parameters();
      const at::Tensor table = parameters["words.words"];
      CHECK(table.requires_grad() == (tune == "tuned"));
      CHECK(made->frozen().size() == (tune == "tuned" ? 0 : 1));
      CHECK(made->vocabularies().at("words") == "red\nhouse\nblue\nsea\ngreen\n");
      CHECK(table.narrow(0, 0, 4).equal(at::eye(4)));
      CHECK(table[4].abs().max().item<float>() > 0);  // not in the file: random
      vectors_of(*made, items.size()).sum().backward();
      CHECK(table.grad().defined() == (tune == "tuned"));
    }
  }
}

TEST_CASE("a word's first random vector depends on the word and the seed, not on its neighbours", "[unit]") {
  const auto one = encoder("cnn_glove", {}, items_of({"alpha beta gamma"}))->named_parameters()["words.words"];
  const auto two = encoder("cnn_glove", {}, items_of({"gamma", "delta alpha"}))->named_parameters()["words.words"];
  CHECK(one[2].equal(two[0]));
  CHECK(one[0].equal(two[2]));
  CHECK_FALSE(one[0].equal(one[1]));
}

TEST_CASE("an item's vector does not depend on the items beside it; an item without text is the zero vector", "[unit]") {
  const Items items = items_of({"one two three", "", "two", "one two three four five six seven", "..."});
  for (const std::string name : {"cnn_glove", "nrms"}) {
    INFO(name);
    const auto made = encoder(name, {}, items);
    const at::Tensor all = vectors_of(*made, items.size());
    CHECK(all[1].equal(at::zeros({8})));
    CHECK(all[4].equal(at::zeros({8})));
    for (ItemId id = 0; id < static_cast<ItemId>(items.size()); ++id) {
      const std::vector<ItemId> alone{id};
      CHECK(at::allclose(made->encode(*made->gather(alone))[0], all[id], 1e-5, 1e-6));
    }
  }
}

TEST_CASE("values speak where texts are silent", "[unit]") {
  const Items items = items_of({"", "", ""});  // categories: fiction, none, fiction
  for (const std::string name : {"cnn_glove", "nrms"}) {
    const auto made = encoder(name, {{"values", std::vector<std::string>{"category"}}}, items);
    const at::Tensor all = vectors_of(*made, items.size());
    CHECK(all[0].abs().max().item<float>() > 0);
    CHECK(all[0].equal(all[2]));
    CHECK(all[1].equal(at::zeros({8})));
    CHECK(made->vocabularies().at("values") == "category=fiction\n");
  }
}

TEST_CASE("max_tokens cuts", "[unit]") {
  const Items items = items_of({"one two three four", "one two five"});
  const auto made = encoder("cnn_glove", {{"max_tokens", std::vector<std::int64_t>{2}}}, items);
  const at::Tensor all = vectors_of(*made, 2);
  CHECK(at::allclose(all[0], all[1]));
  CHECK(made->vocabularies().at("words") == "one\ntwo\n");
}

TEST_CASE("items that are never trained on keep their id vectors", "[unit]") {
  const Items items = items_of({"", "", ""});
  const auto made = encoder("id", {}, items);
  const std::vector<ItemId> seen{0, 2};
  made->encode(*made->gather(seen)).sum().backward();
  const at::Tensor grad = made->named_parameters()["items"].grad();
  CHECK(grad[1].abs().max().item<float>() == 0);
  CHECK(grad[0].abs().min().item<float>() == 1);
}

TEST_CASE("wrong options are explained", "[unit][errors]") {
  CHECK(problems_of("cnn_glove", {}) == "");
  CHECK_THAT(problems_of("cnn_glove", {{"kernel", std::int64_t{4}}}), Catch::Contains("kernel is 4, expected an odd number"));
  CHECK_THAT(problems_of("nrms", {{"max_tokens", std::vector<std::int64_t>{3, 4}}}), Catch::Contains("max_tokens has 2 numbers for 1 attributes"));
  CHECK_THAT(problems_of("nrms", {{"tune", std::string("frozen")}}), Catch::Contains("without vectors"));
  CHECK_THAT(problems_of("nrms", {{"attributes", std::vector<std::string>{}}}), Catch::Contains("nothing to encode"));
  CHECK_THAT(problems_of("nrms", {{"values", std::vector<std::string>{"title"}}}), Catch::Contains("'title' is named twice"));
}

TEST_CASE("what the data cannot give is explained", "[unit][errors]") {
  Folder folder;
  const Items items = items_of({"red house", "sea"});
  const std::string glove = folder.file("glove.txt", kGlove);
  CHECK_THROWS_WITH(encoder("cnn_glove", {{"attributes", std::vector<std::string>{"titel"}}}, items), Catch::Contains("titel"));
  CHECK_THROWS_WITH(encoder("nrms", {{"word_width", std::int64_t{10}}}, items), Catch::Contains("word vectors of width 10, which 8 heads do not divide"));
  CHECK_THROWS_WITH(encoder("nrms", {{"vectors", glove}, {"word_width", std::int64_t{16}}}, items), Catch::Contains("has vectors of 4 numbers, but word_width is 16"));
  CHECK_THROWS_WITH(encoder("nrms", {{"vectors", folder.file("x.txt", "un 1 2\n")}}, items), Catch::Contains("knows none of the 3 words"));
  CHECK_THROWS_WITH(encoder("nrms", {{"vectors", std::string("/nowhere.txt")}}, items), Catch::Contains("/nowhere.txt: cannot be opened"));
  const std::string npy = (fs::path(ONCEKIT_TREE) / "tests/weights/fixtures/c_f4.npy").string();
  CHECK_THROWS_WITH(encoder("vectors", {{"path", npy}, {"ids", folder.file("a.txt", "i0\ni9\n")}}, items), Catch::Contains("has 2 ids"));
  CHECK_THROWS_WITH(encoder("vectors", {{"path", npy}, {"ids", folder.file("b.txt", "i0\ni9\ni0\n")}}, items), Catch::Contains("b.txt:3: item 'i0' stands there twice"));
  CHECK_THROWS_WITH(encoder("vectors", {{"path", npy}, {"ids", folder.file("c.txt", "i0\ni9\ni8\n")}}, items), Catch::Contains("lacks 1 of the 2 items, the first is 'i1'"));
  CHECK_NOTHROW(encoder("vectors", {{"path", npy}, {"ids", folder.file("d.txt", "i0\ni9\ni8\n")}, {"missing", std::string("zero")}}, items));
}
