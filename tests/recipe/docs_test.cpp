// The committed page says what the schemas say.
#include <catch2/catch.hpp>

#include "base/files.h"
#include "plugin/host.h"
#include "cookbook/reference.h"
#include "run/pipeline.h"

using namespace oncekit;

TEST_CASE("docs/recipes.md is up to date", "[docs]") {
  PluginHost host({ONCEKIT_BUILD "/plugins"});
  for (const FoundPlugin& plugin : host.found()) REQUIRE(plugin.refused == "");
  const std::string page = read_file(ONCEKIT_TREE "/docs/recipes.md");
  const bool same = with_reference(page, recipe_reference(core_tables(), host)) == page;
  INFO("run `oncekit recipes reference --update docs/recipes.md`");
  CHECK(same);
}
