// What `plugins ls`, `info` and `doctor` print: text for people, JSON for programs, TOML to paste.
#include <filesystem>

#include <unistd.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "plugin/describe.h"
#include "plugin/scaffold.h"
#include "toml/node.h"
#include "recipe/values.h"

using namespace oncekit;

namespace {
const std::filesystem::path kFixtures = std::filesystem::path(ONCEKIT_BUILD) / "tests" / "plugins";
}

TEST_CASE("a component's options are described in text, JSON and TOML", "[unit]") {
  PluginHost host({kFixtures / "good"});
  const std::string text = component_text(host, "good");
  CHECK_THAT(text, Catch::StartsWith("dataset/good: three made-up rows\n\nsource  nobody, 1900\nplugin  good, "));
  CHECK_THAT(text, Catch::Contains("gives   item:title\n"));
  CHECK_THAT(text, Catch::Contains("\nrows     integer          3          a whole number from 1 to 100  how many rows; in rows\n"));
  CHECK_THAT(text, Catch::Contains("share of the rows that is kept (nobody, 1900); paper: 0.25\n"));

  const auto json = nlohmann::json::parse(component_json(host, "dataset/good"));
  CHECK(json["kind"] == "dataset");
  CHECK(json["gives"] == nlohmann::json{"item:title"});
  REQUIRE(json["options"].size() == 4);
  CHECK(json["options"][0]["name"] == "rows");
  CHECK(json["options"][0]["default"] == 3);
  CHECK(json["options"][0]["low"] == 1);
  CHECK(json["options"][0]["demo"] == 2);
  CHECK(json["options"][1]["under_paper"] == 0.25);
  CHECK(json["options"][2]["choices"] == nlohmann::json({"time", "id"}));

  // What is pasted reads back as the defaults.
  const ComponentSpec& spec = host.find("dataset", "good");
  const Node root = parse_toml(paste_ready_toml(spec), "pasted", {});
  const Node* table = root.find("dataset");
  REQUIRE(table);
  CHECK(table->text_at("use") == "good");
  const auto options = spec.options();
  Fields fields;
  options->describe(fields);
  Problems problems;
  each_field(fields, [&](const std::string& key, const Field& field) {
    const Node* node = table->find(key);
    REQUIRE(node);
    const auto value = read_option(field, *node, "dataset", problems);
    REQUIRE(value);
    CHECK(*value == field.value());
  });
  CHECK(problems.empty());
}

TEST_CASE("every component of this build can be pasted into a recipe", "[unit]") {
  PluginHost host({});
  int components = 0;
  for (const FoundPlugin& plugin : host.found())
    for (const std::string& component : plugin.stamp.components) {
      INFO(component);
      ++components;
      const std::size_t slash = component.find('/');
      const Node root = parse_toml(paste_ready_toml(host.find(component.substr(0, slash), component.substr(slash + 1))), "pasted", {});
      REQUIRE(root.entries.size() == 1);
      CHECK_THAT(component_text(host, component), Catch::StartsWith(component + ": "));
      CHECK(nlohmann::json::parse(component_json(host, component))["name"] == component.substr(slash + 1));
    }
  CHECK(components > 5);
}

TEST_CASE("a name that several kinds share must be told apart", "[unit][errors]") {
  PluginHost host({});
  try {
    component_of(host, "nrms");
    FAIL("an ambiguous name was taken");
  } catch (const Error& error) {
    CHECK(error.exit_code() == 2);
    CHECK_THAT(error.what(), Catch::Contains("content_encoder/nrms or user_encoder/nrms"));
  }
  try {
    component_of(host, "nmrs");
    FAIL("an unknown name was taken");
  } catch (const Error& error) {
    CHECK(error.exit_code() == 3);
    CHECK_THAT(error.what(), Catch::Contains("did you mean 'nrms'?"));
  }
}

TEST_CASE("ls and doctor name refused files and why", "[unit]") {
  PluginHost host({kFixtures / "other_torch", kFixtures / "shadow", kFixtures / "missing"});
  const std::string text = plugins_text(host);
  CHECK_THAT(text, Catch::StartsWith("component "));
  CHECK_THAT(text, Catch::Contains("dataset/other") && Catch::Contains("torch | 1.13.1"));
  CHECK_THAT(text, Catch::Contains("dataset/good not used, an earlier file has it"));
  const auto json = nlohmann::json::parse(plugins_json(host));
  CHECK(json["plugins"][0]["refused"].get<std::string>().find("1.13.1") != std::string::npos);
  CHECK(json["plugins"][1]["components"] == nlohmann::json({"dataset/good", "dataset/other"}));
  CHECK(host.loaded().empty());

  bool healthy = true;
  const std::string said = doctor_text(host, healthy);
  CHECK(!healthy);
  CHECK_THAT(said, Catch::Contains("searched, in this order") && Catch::Contains("dataset/absent, which its stamp names"));

  PluginHost good({kFixtures / "good"});
  doctor_text(good, healthy);
  CHECK(healthy);
}

TEST_CASE("a new plugin is written whole or not at all", "[unit][errors]") {
  const auto folder = std::filesystem::temp_directory_path() / ("oncekit_new_plugin_" + std::to_string(::getpid()));
  for (const std::string kind : {"dataset", "augmenter", "content_encoder", "user_encoder", "interaction"}) {
    const auto files = new_plugin("last_click", kind, folder / kind);
    REQUIRE(files.size() == 3);
    for (const auto& file : files) CHECK(std::filesystem::file_size(file) > 100);
  }
  for (const std::string name : {"", "Last", "1st", "a-b", "../x", "a b"}) CHECK_THROWS_AS(new_plugin(name, "dataset", folder / "x"), Error);
  CHECK(!std::filesystem::exists(folder / "x"));
  CHECK_THROWS_WITH(new_plugin("x", "interactions", folder / "x"), Catch::Contains("did you mean 'interaction'?"));
  CHECK_THROWS_WITH(new_plugin("x", "dataset", folder / "dataset"), Catch::Contains("is there already and not empty"));
  CHECK_THROWS_WITH(build_plugin(folder), Catch::Contains("there is no CMakeLists.txt"));
  std::filesystem::remove_all(folder);
}
