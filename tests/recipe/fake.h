// Components and tables made up for tests of recipes, and a folder to write recipes into.
#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <unistd.h>

#include "base/files.h"
#include "oncekit/error.h"
#include "recipe/recipe.h"

namespace fake {

using namespace oncekit;
namespace fs = std::filesystem;

struct RecipeTable {
  std::string title, paper, paper_gap, fidelity = "corrected";
  void describe(Fields& f) {
    f.text("title", title);
    f.text("paper", paper);
    f.text("paper_gap", paper_gap);
    f.choice("fidelity", fidelity, {"paper", "released", "corrected"});
  }
};

struct TrainTable {
  double lr = 1e-3, clip = 0;
  std::int64_t batch_size = 64, negatives = 4;
  std::string loss = "softmax";
  std::vector<std::int64_t> steps{1, 2};
  bool shuffle = true, allow_leak = false;
  std::string pool = "impression";
  void describe(Fields& f) {
    f.real("lr", lr).range(0, 10).doc("learning rate").under("released", 1e-4);
    f.real("clip", clip).range(0, 100);
    f.integer("batch_size", batch_size)
        .range(1, 1024)
        .under("paper", std::int64_t{32})
        .under("released", std::int64_t{32})
        .demo(std::int64_t{8})
        .unit("samples");
    f.integer("negatives", negatives).range(1, 100);
    f.choice("loss", loss, {"softmax", "bce"});
    f.list("steps", steps).range(0, 9);
    f.boolean("shuffle", shuffle);
    f.boolean("allow_leak", allow_leak);
    f.choice("pool", pool, {"impression", "user", "user_released"}).under("released", std::string("impression"));
  }
  void validate(Problems& problems) const {
    if (pool == "user_released" && !allow_leak)
      problems.add("pool = \"user_released\" holds test negatives", "set allow_leak = true to go on");
  }
};

struct RunTable {
  std::int64_t seed = 2023, memory_gib = 0;
  void describe(Fields& f) {
    f.integer("seed", seed).at_least(0);
    f.integer("memory_gib", memory_gib).at_least(0);
  }
};

struct FakeData {
  std::string path;
  std::int64_t newest = 50;
  bool toy = false;
  void describe(Fields& f) {
    f.path("path", path);
    f.integer("newest", newest).at_least(1).under("paper", std::int64_t{30});
    f.boolean("toy", toy).demo(true);
  }
};

struct Attention {
  std::int64_t heads = 8;
  double dropout = 0.1;
  void describe(Fields& f) {
    f.integer("heads", heads).range(1, 64);
    f.real("dropout", dropout).range(0, 1).under("released", 0.0);
  }
};

struct Words {
  std::vector<std::string> attributes{"title"};
  std::int64_t kernel = 3;
  Attention attention;
  void describe(Fields& f) {
    f.list("attributes", attributes);
    f.integer("kernel", kernel).range(1, 9).doc("width | of the window").cite("Wu et al. 2019");
    f.nested("attention", attention);
  }
};

struct Llama {
  std::string weights;
  std::int64_t tune_layers = 0;
  void describe(Fields& f) {
    f.path("weights", weights).demo(std::string("tiny"));
    f.integer("tune_layers", tune_layers).at_least(0);
  }
};

struct Summary {
  std::int64_t tokens = 25;
  void describe(Fields& f) { f.integer("tokens", tokens).at_least(1); }
};

class FakeCatalog final : public Catalog {
 public:
  FakeCatalog() {
    add<FakeData>("dataset", "fake");
    add<FakeData>("dataset", "table");
    add<Summary>("augmenter", "summarizer").gives = [](const OptionSet&) {
      return std::vector<std::string>{"item:description"};
    };
    add<Summary>("augmenter", "profiler").gives = [](const OptionSet&) { return std::vector<std::string>{"user:topic"}; };
    add<Summary>("augmenter", "generator").needs = [](const OptionSet&) { return std::vector<std::string>{"user:topic"}; };
    add<Words>("content_encoder", "words").needs = [](const OptionSet& o) {
      std::vector<std::string> needs;
      for (const std::string& name : static_cast<const TypedOptions<Words>&>(o).value.attributes)
        needs.push_back("item:" + name);
      return needs;
    };
    add<Llama>("content_encoder", "llama");
    add<Attention>("user_encoder", "nrms").doc("multi-head self-attention");
    add<NoOptions>("user_encoder", "mean");
    add<NoOptions>("user_encoder", "poly").gives = [](const OptionSet&) { return std::vector<std::string>{"multi-vectors"}; };
    add<NoOptions>("user_encoder", "broken");
    add<NoOptions>("interaction", "dot");
    add<NoOptions>("interaction", "attend").needs = [](const OptionSet&) { return std::vector<std::string>{"multi-vectors"}; };
  }
  const ComponentSpec& find(const std::string& kind, const std::string& name) override {
    if (name == "broken")
      throw Error(ErrorKind::kPlugin, "the plugin of user_encoder/broken was built against another LibTorch", "rebuild it");
    const auto found = specs_.find({kind, name});
    if (found == specs_.end()) throw Error(ErrorKind::kPlugin, "no " + kind + "/" + name);
    return found->second;
  }
  std::vector<std::string> names(const std::string& kind) const override {
    std::vector<std::string> names;
    for (const auto& [key, spec] : specs_)
      if (key.first == kind) names.push_back(key.second);
    return names;
  }

 private:
  template <class T>
  ComponentSpec& add(const std::string& kind, const std::string& name) {
    ComponentSpec spec;
    spec.kind = kind;
    spec.name = name;
    spec.options = [] { return std::make_unique<TypedOptions<T>>(); };
    spec.needs = spec.gives = [](const OptionSet&) { return std::vector<std::string>(); };
    return specs_[{kind, name}] = std::move(spec);
  }
  std::map<std::pair<std::string, std::string>, ComponentSpec> specs_;
};

inline const std::vector<CoreTable>& tables() {
  static const std::vector<CoreTable> all{core_table<RecipeTable>("recipe", "what the recipe says about itself"),
                                          core_table<TrainTable>("train", "how it trains"),
                                          core_table<RunTable>("run", "how it runs")};
  return all;
}

/// A fresh folder that is the working folder while it lives, so that messages name files by short paths.
class Folder {
 public:
  Folder() : before_(fs::current_path()) {
    static int count = 0;
    path_ = fs::temp_directory_path() / ("oncekit_recipe_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
    fs::create_directories(path_);
    fs::current_path(path_);
  }
  ~Folder() {
    fs::current_path(before_);
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path write(const std::string& name, const std::string& text) const {
    const fs::path file(name);
    if (file.has_parent_path()) fs::create_directories(file.parent_path());
    write_file(file, text);
    return file;
  }

 private:
  fs::path before_, path_;
};

/// What every recipe here begins with.
inline const std::string kParts = R"([dataset]
use = "fake"
[content_encoder]
use = "words"
[user_encoder]
use = "nrms"
[interaction]
use = "dot"
)";

inline Recipe load(const RecipeRequest& request) {
  static FakeCatalog catalog;
  return Recipe::load(request, tables(), catalog);
}

inline Recipe load(const fs::path& file, std::vector<std::string> overrides = {}, std::string point = {}, bool demo = false) {
  return load(RecipeRequest{file, std::move(overrides), std::move(point), demo});
}

/// The text of the error, or "" when there is none.
inline std::string error_of(const RecipeRequest& request) {
  try {
    (void)load(request);
  } catch (const Error& e) {
    return e.what();
  }
  return {};
}

inline std::string error_of(const fs::path& file, std::vector<std::string> overrides = {}, std::string point = {},
                            bool demo = false) {
  return error_of(RecipeRequest{file, std::move(overrides), std::move(point), demo});
}

inline const TrainTable& train(const Recipe& recipe) { return recipe.table<TrainTable>("train"); }

template <class T>
const T& options(const UsedComponent& used) {
  return static_cast<const TypedOptions<T>&>(*used.options).value;
}

}  // namespace fake
