#include "train/tiny.h"

#include <atomic>
#include <string>

#include <unistd.h>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "base/log_sink.h"
#include "oncekit/error.h"

namespace tiny {
namespace fs = std::filesystem;

namespace {

const bool quiet = [] {
  log::set_level(log::Level::kOff);
  at::set_num_threads(1);  // tensors this small gain nothing from more, and a busy machine makes threads wait for each other
  return true;
}();

class Silent final : public Progress {
  void advance(std::int64_t) override {}
  void note(std::string_view) override {}
};

/// Items are rows of a table, squashed by one layer, with dropout.
class TinyContent final : public ContentEncoder {
 public:
  explicit TinyContent(Shape shape) : shape_(std::move(shape)) {}
  std::int64_t width() const override { return shape_.width; }
  void prepare(const Items& items, Workspace&) override {
    table_ = register_parameter("table", at::randn({static_cast<std::int64_t>(items.size()), shape_.width}) * 0.3);
    weight_ = register_parameter("weight", at::randn({shape_.width, shape_.width}) * 0.3);
    bias_ = register_parameter("bias", at::zeros({shape_.width}));
    scale_ = register_buffer("scale", at::tensor(1.5f));
    if (shape_.frozen) register_parameter("pretrained", at::randn({100, 100}), /*requires_grad=*/false);
  }
  std::unique_ptr<ItemBatch> gather(std::span<const ItemId> ids) const override {
    auto batch = std::make_unique<ItemBatch>();
    batch->ids_U.assign(ids.begin(), ids.end());
    return batch;
  }
  Tensor encode(const ItemBatch& batch) override {
    std::vector<std::int64_t> ids(batch.ids_U.begin(), batch.ids_U.end());
    const Tensor rows = at::embedding(table_, at::tensor(ids, at::kLong));
    return at::dropout(at::linear(rows, weight_, bias_).tanh() * scale_, shape_.dropout, is_training());
  }
  std::map<std::string, std::string> vocabularies() const override { return {{"words", shape_.vocabulary}}; }
  std::map<std::string, std::string> frozen() const override {
    return shape_.frozen ? std::map<std::string, std::string>{{"pretrained", "00ff"}} : std::map<std::string, std::string>{};
  }

 private:
  Shape shape_;
  Tensor table_, weight_, bias_, scale_;
};

/// Mean of clicks through one layer; a learned vector for users without clicks.
class TinyUser final : public UserEncoder {
 public:
  explicit TinyUser(const Shape& shape) : shape_(shape) {
    weight_ = register_parameter("weight", at::randn({shape.width, shape.width}) * 0.3);
    nobody_ = register_parameter("nobody", at::randn({shape.width}) * 0.1);
  }
  std::int64_t width() const override { return shape_.width; }
  UserState encode(const Clicks& clicks) override {
    const Clicks::Padded padded = clicks.padded();
    const Tensor mask = padded.mask_BH.unsqueeze(2).to(at::kFloat);
    const Tensor count = mask.sum(1);
    const Tensor mean = (padded.clicks_BHD * mask).sum(1) / count.clamp_min(1);
    const Tensor user = at::linear(mean, weight_) + (count == 0).to(at::kFloat) * nobody_;
    UserState state;
    state.users_BMD = at::dropout(user, shape_.dropout, is_training()).unsqueeze(1);
    if (shape_.aux != 0) state.aux_loss = weight_.square().sum() * shape_.aux;
    return state;
  }

 private:
  Shape shape_;
  Tensor weight_, nobody_;
};

class TinyDot final : public Interaction {
 public:
  Tensor score(const UserState& user, const Candidates& candidates) override {
    const auto b = candidates.rows_BC.size(0), c = candidates.rows_BC.size(1);
    const Tensor items = at::embedding(candidates.items_UD, candidates.rows_BC.reshape({-1})).view({b, c, -1});
    return (items * user.users_BMD).sum(-1);
  }
};

}  // namespace

std::unique_ptr<Progress> TestWorkspace::progress(std::string_view, std::int64_t, std::string_view, std::int64_t) { return std::make_unique<Silent>(); }

void TestWorkspace::check_cancelled() const {
  if (cancel_after >= 0 && cancel_after-- == 0) throw Error(ErrorKind::kInterrupted, "stopped by the user");
}

Corpus corpus(const World& world) {
  Corpus corpus;
  corpus.name = "tiny";
  corpus.group = world.group;
  for (int i = 0; i < world.items; ++i) corpus.items.ids.push_back("N" + std::to_string(i));
  corpus.items.listed = static_cast<std::size_t>(world.items);
  const auto item_of = [&](int topic, Rng& rng) {
    return static_cast<ItemId>(topic + world.topics * static_cast<int>(rng.below(static_cast<std::uint64_t>(world.items / world.topics))));
  };
  for (int user = 0; user < world.users; ++user) {
    Rng rng = Rng(world.seed).at(static_cast<std::uint64_t>(user));
    corpus.users.ids.push_back("U" + std::to_string(user));
    const int topic = user % world.topics;
    std::vector<ItemId> history;
    if (user % world.empty_every != world.empty_every - 1) {
      for (int i = 0; i < 2 + user % 5; ++i) history.push_back(item_of(topic, rng));
    }
    corpus.histories.push_back(history);
    corpus.clicks_before.push_back(static_cast<std::int32_t>(history.size()));
    for (Impressions* split : {&corpus.train, &corpus.dev, &corpus.test}) {
      for (int row = 0; row < (split == &corpus.train ? world.train_rows : 1); ++row) {
        split->ids.push_back(std::to_string(split->size() + 1));
        split->users.push_back(user);
        split->histories.push_back(user);
        split->times.push_back(-1);
        std::vector<ItemId> shown;
        const int clicked = static_cast<int>(rng.below(static_cast<std::uint64_t>(world.shown)));
        for (int c = 0; c < world.shown; ++c) {
          const int other = (topic + 1 + static_cast<int>(rng.below(static_cast<std::uint64_t>(world.topics - 1)))) % world.topics;
          shown.push_back(item_of(c == clicked ? topic : other, rng));
          split->labels.push_back(c == clicked);
        }
        split->candidates.push_back(shown);
      }
    }
  }
  return corpus;
}

std::shared_ptr<Recommender> model(const Corpus& corpus, const Shape& shape, std::uint64_t seed) {
  at::manual_seed(seed);
  ModelOptions options;
  options.width = shape.width;
  auto model = std::make_shared<Recommender>(std::make_shared<TinyContent>(shape), std::make_shared<TinyUser>(shape),
                                             std::make_shared<TinyDot>(), options);
  TestWorkspace workspace;
  model->prepare(corpus, workspace);
  return model;
}

std::map<std::string, Tensor> snapshot(const torch::nn::Module& module) {
  std::map<std::string, Tensor> all;
  for (const auto& named : module.named_parameters()) all[named.key()] = named.value().detach().clone();
  for (const auto& named : module.named_buffers()) all[named.key()] = named.value().detach().clone();
  return all;
}

bool same_bits(const std::map<std::string, Tensor>& a, const std::map<std::string, Tensor>& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [name, tensor] : a) {
    const auto found = b.find(name);
    if (found == b.end() || !tensor.equal(found->second)) return false;
  }
  return true;
}

double auc(const Impressions& impressions, const std::vector<float>& scores) {
  double sum = 0;
  int groups = 0;
  for (std::size_t i = 0; i < impressions.size(); ++i) {
    double won = 0, pairs = 0;
    const auto offsets = impressions.candidates.offsets();
    for (std::size_t p = offsets[i]; p < offsets[i + 1]; ++p) {
      for (std::size_t n = offsets[i]; n < offsets[i + 1]; ++n) {
        if (!impressions.labels[p] || impressions.labels[n]) continue;
        pairs += 1;
        won += scores[p] > scores[n] ? 1 : scores[p] == scores[n] ? 0.5 : 0;
      }
    }
    if (pairs == 0) continue;
    sum += won / pairs;
    ++groups;
  }
  return groups > 0 ? sum / groups : 0.5;
}

Folder::Folder() {
  static std::atomic<int> count{0};
  path_ = fs::temp_directory_path() / ("oncekit_train_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
  fs::remove_all(path_);
  fs::create_directories(path_);
}

Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace tiny
