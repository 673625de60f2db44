// A corpus and a model of toy size, and a Workspace without a host: what the tests of the training room share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "model/recommender.h"
#include "oncekit/corpus.h"
#include "oncekit/workspace.h"

namespace tiny {

using namespace oncekit;

class TestWorkspace final : public Workspace {
 public:
  std::filesystem::path cache(const CacheKey&, const std::function<void(const std::filesystem::path&)>&, CacheBuild, const std::function<BuildEstimate()>&) override { return {}; }
  std::optional<std::filesystem::path> find_cache(const CacheKey&) const override { return std::nullopt; }
  std::filesystem::path model(std::string_view) const override { return {}; }
  void parallel_for(std::int64_t n, std::int64_t, const std::function<void(std::int64_t, std::int64_t)>& body) override { body(0, n); }
  std::unique_ptr<Progress> progress(std::string_view, std::int64_t, std::string_view, std::int64_t = 0) override;
  void check_cancelled() const override;
  std::int64_t memory_budget() const override { return 1ll << 30; }
  std::string device() const override { return "cpu"; }
  Rng rng(std::string_view name) const override { return Rng(1).at(name); }
  void count(std::string_view reason, std::string_view, std::int64_t n) override { counts[std::string(reason)] += n; }

  std::map<std::string, std::int64_t> counts;
  mutable std::int64_t cancel_after = -1;  ///< checks until the user "asks to stop"; -1 = never
};

struct World {
  int items = 60, users = 40, topics = 4;
  int train_rows = 3, shown = 5;       ///< impressions a user, candidates an impression
  int empty_every = 7;                 ///< every so many-th user has no history
  std::uint64_t seed = 5;
  std::string group = "impression";
};
/// Users click items of their topic: anything that learns items' topics ranks test impressions well.
Corpus corpus(const World& world = {});

struct Shape {
  std::int64_t width = 8;
  double dropout = 0.2;
  bool frozen = false;  ///< adds a frozen table that checkpoints must not hold
  double aux = 0;       ///< the user encoder gives an auxiliary loss of this much
  std::string vocabulary = "one\ntwo\n";
};
std::shared_ptr<Recommender> model(const Corpus& corpus, const Shape& shape = {}, std::uint64_t seed = 11);

/// All parameters and buffers, name -> copy.
std::map<std::string, Tensor> snapshot(const torch::nn::Module& module);
bool same_bits(const std::map<std::string, Tensor>& a, const std::map<std::string, Tensor>& b);

/// Mean AUC of impressions with both classes.
double auc(const Impressions& impressions, const std::vector<float>& scores);

/// An empty folder that is removed at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace tiny
