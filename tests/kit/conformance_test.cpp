// Every component of every plugin of this build passes the conformance kit.
#include <catch2/catch.hpp>

#include "oncekit/test_kit.h"
#include "plugin/host.h"

using namespace oncekit;

namespace {

// What a component cannot do without.
test_kit::Setup setup_of(const std::string& component) {
  test_kit::Setup setup;
  if (component == "content_encoder/vectors") {
    setup.options["path"] = std::string("{kit}/vectors.npy");
    setup.options["ids"] = std::string("{kit}/ids.txt");
  }
  return setup;
}

}  // namespace

TEST_CASE("every component passes the conformance kit", "[unit][conformance]") {
  PluginHost host({});
  int components = 0;
  for (const FoundPlugin& plugin : host.found()) {
    INFO(plugin.file);
    REQUIRE(plugin.refused == "");
    for (const std::string& component : plugin.stamp.components) {
      ++components;
      DYNAMIC_SECTION(component) {
        const std::size_t slash = component.find('/');
        const auto report = test_kit::check(host.find(component.substr(0, slash), component.substr(slash + 1)), setup_of(component));
        for (const auto& failure : report.failures) {
          UNSCOPED_INFO(failure.check << ": " << failure.text);
          CHECK(failure.check == "");
        }
        for (const std::string& skipped : report.skipped) {
          UNSCOPED_INFO(skipped);
          CHECK(skipped == "");
        }
        CHECK(report.passed.size() > 5);
      }
    }
  }
  CHECK(components > 0);
}
