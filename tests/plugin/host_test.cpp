// The plugin host: what is found without loading, what is refused and in which words, what is loaded.
#include <cstdlib>
#include <cstring>
#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

#include "oncekit/dataset.h"
#include "oncekit/rng.h"
#include "plugin/elf.h"
#include "plugin/guard.h"
#include "plugin/host.h"
#include "plugin/places.h"
#include "plugin/stamp.h"
#include "support/gallery.h"

namespace fs = std::filesystem;
using namespace oncekit;

namespace {

const fs::path kFixtures = fs::path(ONCEKIT_BUILD) / "tests" / "plugins";

fs::path fixture(const std::string& name) { return kFixtures / name / ("oncekit_" + name + ".so"); }

std::string content(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

struct Folder {
  fs::path path = fs::temp_directory_path() / ("oncekit_plugin_test_" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  fs::path write(const std::string& name, std::string_view bytes) const {
    std::ofstream(path / name, std::ios::binary) << bytes;
    return path / name;
  }
};

std::string host_value(const std::string& field) {
  for (const auto& [name, value] : host_build())
    if (name == field) return value;
  return {};
}

// Texts as they stand in the gallery: no folders, no hashes of this build.
std::string neutral(std::string text, const fs::path& folder = kFixtures) {
  return test::replaced(std::move(text), {{shown_path(folder) + "/", ""},
                                          {host_value("sdk_hash"), "0123456789abcdef"},
                                          {"| " + host_value("torch"), "| 2.13.0"}});
}

std::string refusal(const fs::path& file) { return inspect_plugin(file, host_build()).refused; }

// The error of loading dataset/good from this fixture alone.
Error load_error(const std::string& name) {
  PluginHost host({fixture(name)});
  try {
    host.find("dataset", "good");
  } catch (const Error& error) {
    return error;
  }
  FAIL("fixture " << name << " was loaded");
  throw;
}

}  // namespace

TEST_CASE("plugins are found and their stamps read without loading", "[unit][abi]") {
  PluginHost host({kFixtures / "good"});
  REQUIRE(!host.found().empty());
  const FoundPlugin& plugin = host.found()[0];
  CHECK(plugin.refused == "");
  CHECK(plugin.stamp.name == "good");
  CHECK(plugin.stamp.components == std::vector<std::string>{"dataset/good", "dataset/fails"});
  CHECK(plugin.stamp.build == host_build());
  CHECK(host.loaded().empty());

  const ComponentSpec& spec = host.find("dataset", "good");
  CHECK(spec.plugin == "good");
  CHECK(spec.doc_text == "three made-up rows");
  CHECK(host.loaded().size() == 1);
  CHECK(&host.find("dataset", "good") == &spec);
  const auto options = spec.options();
  Fields fields;
  options->describe(fields);
  CHECK(fields.names() == std::vector<std::string>{"rows", "share", "order", "columns"});
  CHECK(spec.gives(*options) == std::vector<std::string>{"item:title"});
  CHECK(spec.make_dataset(*options)->describe().bytes == 0);
}

TEST_CASE("a comment in a header changes no stamp", "[abi]") {
  CHECK(refusal(fixture("other_comment")) == "");
}

TEST_CASE("plugins of another build are refused with a table, before they are loaded", "[abi][errors]") {
  for (const std::string name : {"other_sdk", "other_torch", "other_needed", "no_stamp"}) {
    const std::string text = refusal(fixture(name));
    std::string shown = neutral(text);
    if (name == "other_sdk") {  // the hash of the changed headers
      const std::size_t at = shown.find("sdk_hash | ");
      REQUIRE(at != std::string::npos);
      shown.replace(at + 11, 16, "fedcba9876543210");
    }
    test::check_gallery("plugin/" + name, shown);
    if (name == "no_stamp") continue;
    const Error error = load_error(name);
    CHECK(error.exit_code() == 3);
    CHECK(std::string(error.what()) == text);
  }
}

TEST_CASE("plugins that do not keep what their stamp says are refused", "[abi][errors]") {
  for (const std::string name : {"wrong_name", "unstated", "missing", "throws", "twice", "no_entry", "unresolved"}) {
    const Error error = load_error(name);
    CHECK(error.exit_code() == 3);
    test::check_gallery("plugin/" + name, neutral(error.what()));
  }
}

TEST_CASE("a refused plugin stays refused and is told of", "[abi]") {
  PluginHost host({fixture("missing")});
  CHECK(host.found()[0].refused == "");
  CHECK_THROWS_AS(host.find("dataset", "good"), Error);
  CHECK(host.found()[0].refused != "");
  CHECK_THROWS_WITH(host.find("dataset", "good"), host.found()[0].refused);
  CHECK(host.loaded().empty());
}

TEST_CASE("files that are no plugins are refused in plain words", "[abi][errors]") {
  const Folder folder;
  const std::string good = content(fixture("good"));
  std::string other;
  const auto refused = [&](const std::string& name, const std::string& bytes) {
    test::check_gallery("plugin/" + name, neutral(refusal(folder.write("oncekit_" + name + ".so", bytes)), folder.path));
  };
  refused("empty", "");
  refused("not_elf", "#!/bin/sh\necho hello\n");
  refused("cut_in_header", good.substr(0, 40));
  other = good;
  other[4] = 1;  // EI_CLASS
  refused("is_32_bit", other);
  other = good;
  other[5] = 2;  // EI_DATA
  refused("big_endian", other);
  other = good;
  other[16] = 2;  // e_type
  refused("program", other);
  other = good;
  other[18] = static_cast<char>(40);  // e_machine: ARM
  refused("other_machine", other);

  const std::string truncated = refusal(folder.write("oncekit_truncated.so", good.substr(0, good.size() / 2)));
  CHECK_THAT(truncated, Catch::Contains("it is truncated or damaged") && Catch::Contains("the file has " + std::to_string(good.size() / 2)));
}

TEST_CASE("damaged stamps are refused in plain words", "[abi][errors]") {
  const std::string tail = "sdk_version=1\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "its stamp does not begin with 'oncekit-stamp 1'"},
      {"hello", "its stamp does not begin with 'oncekit-stamp 1'"},
      {"oncekit-stamp 2\n" + tail, "its stamp has format '2', this oncekit reads format 1"},
      {"oncekit-stamp 1\nname=x\nname=y\n", "its stamp gives 'name' twice"},
      {"oncekit-stamp 1\nname=x\nnonsense\x1b[2J\n", "its stamp has a line that is not key=value: 'nonsense?[2J'"},
      {"oncekit-stamp 1\ncomponents=dataset/x\n", "its stamp has no name"},
      {"oncekit-stamp 1\nname=x\ncomponents=\n", "its stamp names no components"},
      {"oncekit-stamp 1\nname=x\ncomponents=recipe/x\n", "its stamp names a component 'recipe/x', which is not KIND/NAME"},
      {"oncekit-stamp 1\nname=x\ncomponents=dataset/a,dataset/a\n", "its stamp names component 'dataset/a' twice"},
  };
  for (const auto& [text, expected] : cases) {
    std::string problem;
    CHECK(parse_stamp(text, problem).name == "");
    CHECK(problem == expected);
  }
  std::string problem;
  CHECK(parse_stamp("oncekit-stamp 1\nname=x\ncomponents=dataset/a\nfuture=1\n" + tail, problem).components.size() == 1);
  CHECK(problem == "");
  const auto differences = compare_builds({{"a", "1"}, {"later", "x"}}, {{"a", "1"}, {"b", "2"}});
  REQUIRE(differences.size() == 1);  // a field that this oncekit does not know is ignored, one that lacks is not
  CHECK(differences[0].plugin_has == "(nothing)");
}

TEST_CASE("no truncated or altered file crashes the reader", "[abi][fault]") {
  const Folder folder;
  const std::string good = content(fixture("good"));
  REQUIRE(read_elf(fixture("good")).problem == "");
  std::vector<std::size_t> lengths;
  for (std::size_t n = 0; n <= 128; ++n) lengths.push_back(n);
  for (std::size_t n = 129; n < good.size(); n += good.size() / 100) lengths.push_back(n);
  for (const std::size_t n : lengths) {
    const ElfFile elf = read_elf(folder.write("cut.so", std::string_view(good).substr(0, n)));
    CHECK(elf.problem != "");  // section headers stand at the end of a file: every cut loses some
    CHECK(!elf.stamp);
  }
  // Flip bytes of the header and of the section headers, where offsets and sizes are.
  std::uint64_t headers = 0;
  std::memcpy(&headers, good.data() + 40, 8);
  Rng rng(1);
  int refused = 0;
  for (int i = 0; i < 1500; ++i) {
    std::string bad = good;
    const bool first = i % 3 == 0;
    const std::size_t at = first ? rng.below(64) : headers + rng.below(good.size() - headers);
    bad[at] = static_cast<char>(rng());
    refused += !read_elf(folder.write("flip.so", bad)).problem.empty();
  }
  CHECK(refused > 100);
}

TEST_CASE("the first file of the search order gives the component", "[abi]") {
  PluginHost host({kFixtures / "shadow", kFixtures / "good"});
  CHECK(host.found()[0].stamp.name == "shadow");
  CHECK(host.found()[0].shadowed.empty());
  CHECK(host.found()[1].shadowed == std::vector<std::string>{"dataset/good"});
  CHECK(host.find("dataset", "good").plugin == "shadow");
  CHECK(host.find("dataset", "other").plugin == "shadow");
  CHECK(host.find("dataset", "fails").plugin == "good");

  PluginHost turned({kFixtures / "good", kFixtures / "shadow", kFixtures / "good"});  // the same folder twice is one
  CHECK(turned.find("dataset", "good").plugin == "good");
  CHECK(turned.found()[0].shadowed.empty());

  // A refused file in front is meant, so it is an error and not passed over.
  PluginHost refused({kFixtures / "other_torch", kFixtures / "good"});
  CHECK_THROWS_WITH(refused.find("dataset", "good"), Catch::Contains("torch"));
}

TEST_CASE("ONCEKIT_PLUGIN_PATH is searched after --plugin-path", "[abi]") {
  ::setenv("ONCEKIT_PLUGIN_PATH", ((kFixtures / "good").string() + "::/nowhere/at/all").c_str(), 1);
  PluginHost host({kFixtures / "shadow"});
  ::unsetenv("ONCEKIT_PLUGIN_PATH");
  CHECK(host.find("dataset", "good").plugin == "shadow");
  CHECK(host.find("dataset", "fails").plugin == "good");
  REQUIRE(host.notes().size() == 1);
  CHECK(host.notes()[0] == "ONCEKIT_PLUGIN_PATH names /nowhere/at/all, which does not exist");
  try {
    PluginHost missing({"/nowhere/at/all"});
    FAIL("a missing --plugin-path was accepted");
  } catch (const Error& error) {
    CHECK(error.exit_code() == 2);
  }
}

TEST_CASE("unknown components name the nearest and what there is", "[errors]") {
  PluginHost host({kFixtures / "good", kFixtures / "other_torch"});
  const auto text = [&](const std::string& kind, const std::string& name) -> std::string {
    try {
      host.find(kind, name);
    } catch (const Error& error) {
      CHECK(error.exit_code() == 3);
      return error.what();
    }
    return "";
  };
  CHECK_THAT(text("dataset", "god"), Catch::Contains("no plugin gives dataset/god; did you mean 'good'? there are") && Catch::Contains("fails, good"));
  CHECK_THAT(text("datasets", "good"), Catch::Contains("there is no kind of component 'datasets'; did you mean 'dataset'? kinds are dataset, augmenter, content_encoder, user_encoder, interaction"));
  CHECK_THAT(text("augmenter", "good"), Catch::Contains("'good' is the name of a component of kind dataset"));
  CHECK_THAT(text("augmenter", "good"), Catch::Contains("1 plugin file is refused, see: oncekit plugins doctor"));
}

TEST_CASE("what a plugin throws names plugin, component and call", "[abi][errors]") {
  PluginHost host({kFixtures / "good"});
  const ComponentSpec& spec = host.find("dataset", "fails");
  try {
    spec.make_dataset(*spec.options());
    FAIL("it did not throw");
  } catch (const Error& error) {
    CHECK(error.exit_code() == 3);
    test::check_gallery("plugin/constructor", error.what());
  }
  try {
    call_plugin(spec, "load", []() -> int { throw 7; });
  } catch (const Error& error) {
    test::check_gallery("plugin/unknown_exception", error.what());
  }
  try {
    call_plugin(spec, "load", [] { throw Error(ErrorKind::kData, "empty file", "put something in", "news.tsv:1"); });
  } catch (const Error& error) {
    CHECK(error.exit_code() == 4);
    CHECK(std::string(error.what()) == "news.tsv:1: empty file; put something in");
  }
  try {
    call_plugin(spec, "load", [] { throw Error(ErrorKind::kData, "no files", ""); });
  } catch (const Error& error) {
    CHECK(std::string(error.what()) == "dataset/fails: no files");
  }
  CHECK(call_plugin(spec, "load", [] { return 3; }) == 3);

  // An object of a factory is known by its address; one of nobody's is not, and what it throws stays as it is.
  const ComponentSpec& good = host.find("dataset", "good");
  const auto dataset = good.make_dataset(*good.options());
  CHECK_THROWS_WITH(call_object(*dataset, "load", []() -> int { throw std::runtime_error("no\nstack"); }),
                    "dataset/good (plugin 'good') failed in load(): no; this is an error inside the plugin; check it with: oncekit plugins test good");
  const int stranger = 0;
  CHECK_THROWS_WITH(call_object(stranger, "load", []() -> int { throw std::runtime_error("mine"); }), "mine");
}
