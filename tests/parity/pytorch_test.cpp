// The same training in plain PyTorch (docs/pytorch): from the same weights and batches, at dropout 0, 200 steps of Adam give the same
// losses and item vectors. Runs where the Python that LibTorch came from is there; says so where it is not.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>

#include <ATen/ops/from_blob.h>
#include <nlohmann/json.hpp>

#include "model/build.h"
#include "model/recommender.h"
#include "oncekit/item_text.h"
#include "plugin/host.h"
#include "run/workspace.h"
#include "train/batcher.h"
#include "train/trainer.h"
#include "weights/safetensors.h"

#undef CHECK  // c10 has one of its own
#include <catch2/catch.hpp>

#include "support/temp_folder.h"

using namespace oncekit;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kSteps = 200;

// The interpreter of the virtual environment that holds LibTorch's wheel, or "".
std::string find_python() {
  std::ifstream cache(fs::path(ONCEKIT_BUILD) / "CMakeCache.txt");
  for (std::string line; std::getline(cache, line);) {
    if (!line.starts_with("ONCEKIT_TORCH_DIR:PATH=")) continue;
    const fs::path python = fs::path(line.substr(line.find('=') + 1)).parent_path().parent_path().parent_path().parent_path() / "bin/python3";
    if (fs::exists(python) && std::system((python.string() + " -c 'import torch' 2>/dev/null").c_str()) == 0) return python;
  }
  return {};
}
const std::string& python_with_torch() {
  static const std::string python = find_python();
  return python;
}

// Items of 0 to 12 words, users of 0 to 9 clicks, impressions of 2 to 7 candidates: every edge that padding has. Users click what holds
// "word0" most often.
Corpus made_up() {
  Corpus corpus;
  corpus.name = "made-up";
  Rng rng(3);
  StringColumn titles;
  for (int i = 0; i < 150; ++i) {
    corpus.items.ids.push_back("i" + std::to_string(i));
    std::string title;
    for (std::uint64_t w = i % 29 == 0 ? 0 : rng.below(13); w > 0; --w) title += "word" + std::to_string(rng.below(80) * rng.below(10)) + " ";
    titles.push_back(title);
  }
  corpus.items.attributes["title"] = titles;
  corpus.items.listed = corpus.items.size();
  corpus.histories.push_back({});
  corpus.clicks_before.push_back(0);
  for (int u = 0; u < 60; ++u) {
    corpus.users.ids.push_back("u" + std::to_string(u));
    std::vector<ItemId> clicks(u % 11 == 0 ? 0 : rng.below(10));
    for (ItemId& id : clicks) id = static_cast<ItemId>(rng.below(150));
    if (!clicks.empty()) {
      corpus.histories.push_back(clicks);
      corpus.clicks_before.push_back(static_cast<std::int32_t>(clicks.size()));
    }
    for (int row = 0; row < 4; ++row) {
      Impressions& split = row < 3 ? corpus.train : corpus.dev;
      split.ids.push_back(std::to_string(4 * u + row));
      split.users.push_back(u);
      split.histories.push_back(clicks.empty() ? 0 : static_cast<std::int32_t>(corpus.histories.size()) - 1);
      split.times.push_back(-1);
      std::vector<ItemId> shown(2 + rng.below(6));
      std::iota(shown.begin(), shown.end(), static_cast<ItemId>(rng.below(140)));
      split.candidates.push_back(shown);
      const auto score = [&](ItemId id) { return std::ranges::count(split_words(titles[static_cast<std::size_t>(id)]), "word0"); };
      const auto best = std::max_element(shown.begin(), shown.end(), [&](ItemId a, ItemId b) { return score(a) < score(b); }) - shown.begin();
      for (std::ptrdiff_t c = 0; c < std::ssize(shown); ++c) split.labels.push_back(c == best);
    }
  }
  return corpus;
}

// A component of a plugin with some options set.
struct Component {
  const ComponentSpec* spec;
  std::unique_ptr<OptionSet> options;
  Component(PluginHost& host, const std::string& kind, const std::string& name, const std::map<std::string, OptionValue>& values = {})
      : spec(&host.find(kind, name)), options(spec->options()) {
    Fields fields;
    options->describe(fields);
    for (const auto& [option, value] : values) fields.find(option)->assign(value);
  }
  ComponentChoice choice() const { return {spec, options.get()}; }
};

std::vector<double> losses_of(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  std::vector<double> losses;
  while (std::getline(in, line)) losses.push_back(std::stod(line.substr(line.find(',') + 1)));
  return losses;
}

void compare(const std::string& script, const std::string& content_name, const std::string& user_name,
             const std::map<std::string, OptionValue>& content_options, const std::map<std::string, OptionValue>& user_options) {
  const std::string python = python_with_torch();
  if (python.empty()) {
    WARN("no Python with torch beside LibTorch: the comparison with " << script << " is skipped");
    return;
  }
  test::TempFolder folder;
  const Corpus corpus = made_up();
  WorkspaceOptions workspace_options;
  workspace_options.cache = folder.path / "cache";
  HostWorkspace workspace(workspace_options);
  PluginHost host({fs::path(ONCEKIT_BUILD) / "plugins"});
  const Component content(host, "content_encoder", content_name, content_options), user(host, "user_encoder", user_name, user_options),
      interaction(host, "interaction", "dot");
  ModelOptions width;
  width.width = 24;
  const auto model = build_recommender(content.choice(), user.choice(), interaction.choice(), width, 5, corpus, workspace);

  TrainSetup setup;
  setup.seed = 5;
  setup.folder = folder.path;
  setup.options.batch_size = 16;
  setup.options.epochs = 1000;
  setup.options.check_every = 1000;
  setup.options.max_steps = kSteps;
  setup.options.schedule = "constant";
  setup.options.patience = 0;

  std::vector<std::pair<std::string, at::Tensor>> weights;
  for (const auto& parameter : model->named_parameters()) weights.emplace_back(parameter.key(), parameter.value().clone());
  write_safetensors(folder.path / "initial.safetensors", weights);
  write_batches(corpus, setup.options, setup.seed, kSteps, folder.path / "batches.safetensors");
  ItemTextOptions text;
  const ItemText tokens(text, corpus.items, workspace);
  std::vector<std::int64_t> ids, offsets{0};
  for (std::size_t i = 0; i < corpus.items.size(); ++i) {
    for (const std::int32_t id : tokens.words(0, static_cast<ItemId>(i))) ids.push_back(id);
    offsets.push_back(static_cast<std::int64_t>(ids.size()));
  }
  const auto vector_of = [](auto& values, at::ScalarType type) {
    return at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, type);
  };
  write_safetensors(folder.path / "items.safetensors", {{"tokens", vector_of(ids, at::kLong)}, {"offsets", vector_of(offsets, at::kLong)}});

  train(*model, corpus, setup, [](std::int64_t) { return std::map<std::string, double>{{"auc", 0.5}}; }, workspace);

  std::vector<double> losses = losses_of(folder.path / "losses.csv");
  REQUIRE(losses.size() == kSteps);
  write_safetensors(folder.path / "losses.safetensors", {{"losses", vector_of(losses, at::kDouble)}});
  std::vector<ItemId> all(corpus.items.size());
  std::iota(all.begin(), all.end(), 0);
  model->eval();
  write_safetensors(folder.path / "final.safetensors", {{"items", model->encode_items(all, 64, workspace)}});

  const fs::path out = folder.path / "out.json";
  const std::string command = python + " " + (fs::path(ONCEKIT_TREE) / "docs/pytorch" / script).string() + " " + folder.path.string() + " > " + out.string();
  const int status = std::system(command.c_str());
  std::ifstream in(out);
  const nlohmann::json report = nlohmann::json::parse(in);
  CHECK(status == 0);
  CHECK(report["steps"] == kSteps);
  CHECK(report["last_20"].get<double>() < 0.8 * report["first_20"].get<double>());  // it did train
  CHECK(report["loss_gap"].get<double>() <= 1e-4);
  CHECK(report["vector_gap"].get<double>() <= 1e-4);
}

}  // namespace

TEST_CASE("NRMS trains as in plain PyTorch", "[parity]") {
  compare("nrms.py", "nrms", "nrms", {{"word_width", std::int64_t{20}}, {"heads", std::int64_t{4}}, {"attention_width", std::int64_t{16}}, {"dropout", 0.0}},
          {{"heads", std::int64_t{4}}, {"attention_width", std::int64_t{16}}, {"dropout", 0.0}});
}

TEST_CASE("The word CNN with NAML's users trains as in plain PyTorch", "[parity]") {
  compare("cnn_naml.py", "cnn_glove", "naml", {{"word_width", std::int64_t{20}}, {"attention_width", std::int64_t{16}}, {"dropout", 0.0}},
          {{"attention_width", std::int64_t{16}}});
}
