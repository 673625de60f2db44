// The recommender around small components of the test's own.
#include <catch2/catch.hpp>

#include <filesystem>
#include <set>

#include <torch/nn/modules/linear.h>

#include "model/ragged.h"
#include "model/recommender.h"
#include "oncekit/error.h"
#include "run/workspace.h"

using namespace oncekit;

namespace {

/// One vector an item, with dropout: what an item gets shows which mask it met.
class TableEncoder final : public ContentEncoder {
 public:
  explicit TableEncoder(double p = 0, std::string group = "rest") : p_(p), group_(std::move(group)) {}
  std::int64_t width() const override { return 4; }
  void prepare(const Items& items, Workspace&) override {
    at::manual_seed(1);
    table = register_parameter("table", at::randn({static_cast<std::int64_t>(items.size()), 4}));
    frozen_table = register_parameter("frozen", at::randn({2, 4}), false);
  }
  std::unique_ptr<ItemBatch> gather(std::span<const ItemId> ids_U) const override {
    auto batch = std::make_unique<ItemBatch>();
    batch->ids_U.assign(ids_U.begin(), ids_U.end());
    return batch;
  }
  Tensor encode(const ItemBatch& batch) override {
    ++calls;
    seen = static_cast<std::int64_t>(batch.ids_U.size());
    gradients = at::GradMode::is_enabled();
    const std::vector<std::int64_t> rows(batch.ids_U.begin(), batch.ids_U.end());
    return nn::dropout(nn::gather(table, rows), p_, is_training());
  }
  std::vector<ParamGroup> groups() override { return {{group_, {table}}}; }
  Tensor table, frozen_table;
  int calls = 0;
  std::int64_t seen = 0;
  bool gradients = true;

 private:
  double p_;
  std::string group_;
};

class MeanUser final : public UserEncoder {
 public:
  explicit MeanUser(std::int64_t vectors = 1) : vectors_(vectors) {}
  std::int64_t width() const override { return 4; }
  UserState encode(const Clicks& clicks) override {
    const std::span<const std::int64_t> rows(clicks.rows_N.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(clicks.rows_N.numel()));
    UserState state;
    state.users_BMD = nn::mean(clicks.items_UD, {rows, clicks.offsets_B1}).unsqueeze(1).repeat({1, vectors_, 1});
    state.aux_loss = clicks.items_UD.square().mean();
    return state;
  }

 private:
  std::int64_t vectors_;
};

class DotScore final : public Interaction {
 public:
  Tensor score(const UserState& user, const Candidates& c) override {
    const Tensor items_BCD = c.items_UD.index_select(0, c.rows_BC.reshape({-1})).view({c.rows_BC.size(0), c.rows_BC.size(1), -1});
    return at::bmm(items_BCD, user.users_BMD.select(1, 0).unsqueeze(2)).squeeze(2);
  }
};

Corpus corpus_of(std::size_t items, std::size_t users = 3) {
  Corpus corpus;
  for (std::size_t i = 0; i < items; ++i) corpus.items.ids.push_back("N" + std::to_string(i));
  corpus.items.listed = items;
  for (std::size_t u = 0; u < users; ++u) corpus.users.ids.push_back("U" + std::to_string(u));
  return corpus;
}

HostWorkspace& workspace() {
  static HostWorkspace w{WorkspaceOptions{}};
  return w;
}

struct Parts {
  std::shared_ptr<TableEncoder> content;
  std::shared_ptr<Recommender> model;
};
Parts make(const Corpus& corpus, double dropout = 0, const std::string& fusion = "mlp", const std::string& group = "rest") {
  Parts parts;
  parts.content = std::make_shared<TableEncoder>(dropout, group);
  ModelOptions options;
  options.width = 4;
  options.profile_fusion = fusion;
  parts.model = std::make_shared<Recommender>(parts.content, std::make_shared<MeanUser>(), std::make_shared<DotScore>(), options);
  parts.model->prepare(corpus, workspace());
  return parts;
}

/// Three samples: two clicks of which one twice, none, one. Candidate 1 of the last sample is missing.
SampleBatch batch_of(const TableEncoder& content) {
  SampleBatch batch;
  const std::vector<ItemId> ids{2, 3, 5, 7};
  batch.items = content.gather(ids);
  batch.users_B = {0, 1, 2};
  batch.histories_B = {0, 1, 2};
  batch.click_offsets_B1 = {0, 3, 3, 4};
  batch.click_rows_N = {0, 1, 0, 3};
  batch.click_ids_N = {2, 3, 2, 7};
  batch.candidates = 2;
  batch.candidate_rows_BC = {2, 0, 1, 3, 2, 0};
  batch.candidate_ids_BC = {5, 2, 3, 7, 5, -1};
  batch.mask_BC = {1, 1, 1, 1, 1, 0};
  batch.labels_BC = {1, 0, 1, 0, 1, 0};
  return batch;
}

}  // namespace

TEST_CASE("scores of a batch: distinct items once, empty history, repeated clicks", "[unit][model]") {
  const Corpus corpus = corpus_of(9);
  const Parts parts = make(corpus);
  const auto scores = parts.model->forward(batch_of(*parts.content));
  CHECK(parts.content->calls == 1);
  CHECK(parts.content->seen == 4);
  const Tensor& t = parts.content->table;
  const Tensor first = (t[2] * 2 + t[3]) / 3, last = t[7];
  CHECK(scores.scores_BC[0][0].item<float>() == Approx(first.dot(t[5]).item<float>()));
  CHECK(scores.scores_BC[0][1].item<float>() == Approx(first.dot(t[2]).item<float>()));
  CHECK(scores.scores_BC[1][0].item<float>() == 0);  // the mean of no clicks
  CHECK(scores.scores_BC[2][0].item<float>() == Approx(last.dot(t[5]).item<float>()));
  CHECK(scores.aux_loss.defined());
}

TEST_CASE("dropout masks by item or by slot", "[unit][model]") {
  const Corpus corpus = corpus_of(9);
  SECTION("without dropout both give the same scores and gradients") {
    std::vector<Tensor> scores, gradients;
    for (const char* mode : {"item", "slot"}) {
      const Parts parts = make(corpus);
      parts.model->train();
      parts.model->set_dropout_mask(mode);
      const auto result = parts.model->forward(batch_of(*parts.content));
      const Tensor real = result.scores_BC.masked_fill(at::tensor({0, 0, 0, 0, 0, 1}).view({3, 2}).to(at::kBool), 0);
      real.sum().backward();
      scores.push_back(real);
      gradients.push_back(parts.content->table.grad());
    }
    CHECK(test::relative(scores[0], scores[1]) < 1e-6);
    CHECK(test::relative(gradients[0], gradients[1]) < 1e-6);
  }
  SECTION("slot: an item clicked twice meets two masks; item: one") {
    for (const std::string mode : {"item", "slot"}) {
      const Parts parts = make(corpus, 0.5);
      parts.model->train();
      parts.model->set_dropout_mask(mode);
      SampleBatch batch = batch_of(*parts.content);
      parts.model->forward(batch);
      CHECK(parts.content->seen == (mode == "item" ? 4 : 4 + 6));
      parts.model->eval();
      parts.model->forward(batch);
      CHECK(parts.content->seen == 4);  // nothing is dropped in evaluation
    }
  }
}

TEST_CASE("encoding all items: micro-batches do not matter, no gradients", "[unit][model]") {
  const Corpus corpus = corpus_of(9);
  const Parts parts = make(corpus);
  parts.model->eval();
  std::vector<ItemId> ids{8, 0, 3, 3, 1, 7, 2};
  const Tensor all = parts.model->encode_items(ids, 100, workspace());
  CHECK_FALSE(parts.content->gradients);
  CHECK(all.size(0) == 7);
  CHECK(at::equal(all[2], all[3]));
  for (const std::int64_t batch_items : {1, 2, 3, 7}) CHECK(at::equal(parts.model->encode_items(ids, batch_items, workspace()), all));
  CHECK(parts.model->encode_items({}, 4, workspace()).sizes() == at::IntArrayRef({0, 4}));
}

TEST_CASE("clicks laid out padded", "[unit][model]") {
  Clicks clicks;
  clicks.items_UD = at::arange(6, at::kFloat).view({3, 2}) + 1;
  clicks.rows_N = at::tensor({2, 0, 1}, at::kLong);
  clicks.offsets_B1 = {0, 0, 2, 3};
  const auto padded = clicks.padded();
  CHECK(at::equal(padded.mask_BH, at::tensor({0, 0, 1, 1, 1, 0}).view({3, 2}).to(at::kBool)));
  CHECK(at::equal(padded.clicks_BHD.view({6, 2}), at::tensor({0., 0., 0., 0., 5., 6., 1., 2., 3., 4., 0., 0.}).to(at::kFloat).view({6, 2})));
  clicks.rows_N = at::empty({0}, at::kLong);
  clicks.offsets_B1 = {0, 0};
  CHECK(clicks.padded().clicks_BHD.sizes() == at::IntArrayRef({1, 1, 2}));
  CHECK_FALSE(clicks.padded().mask_BH.any().item<bool>());
}

TEST_CASE("the user profile joins the user vector", "[unit][model]") {
  Corpus corpus = corpus_of(9);
  ListAttribute topics;
  for (const char* name : {"sports", "music", "food"}) topics.vocabulary.push_back(name);
  topics.values.push_back(std::vector<std::int32_t>{0, 2});
  topics.values.push_back({});
  topics.values.push_back(std::vector<std::int32_t>{1});
  const bool of_history = GENERATE(false, true);
  (of_history ? corpus.profiles : corpus.users.attributes)["topic"] = topics;
  topics.in_model = false;
  corpus.profiles["for later augmenters"] = topics;
  ListAttribute nobodys;  // e.g. all withheld by the leak guard
  nobodys.vocabulary.push_back("sports");
  for (int u = 0; u < 3; ++u) nobodys.values.push_back({});
  corpus.profiles["nobody's"] = nobodys;
  for (const std::string fusion : {"mlp", "linear"}) {
    INFO(fusion << ", of histories: " << of_history);
    at::manual_seed(4);
    const Parts parts = make(corpus, 0, fusion);
    const auto scores = parts.model->forward(batch_of(*parts.content));
    CHECK(scores.scores_BC.isfinite().all().item<bool>());
    scores.scores_BC.sum().backward();
    std::map<std::string, Tensor> named;
    for (const auto& p : parts.model->named_parameters()) named[p.key()] = p.value();
    const Tensor table = named.at("profile_fusion.topic"), empty = named.at("profile_fusion.topic_empty");
    REQUIRE(table.grad().defined());
    for (const std::int64_t value : {0, 1, 2}) CHECK(table.grad()[value].abs().sum().item<float>() > 0);
    CHECK(empty.grad().abs().sum().item<float>() > 0);  // user 1 has no topics
    CHECK(at::equal(table.grad()[0], table.grad()[2]));  // two values of one mean
    CHECK(named.count("profile_fusion.for later augmenters") == 0u);
    CHECK(named.count("profile_fusion.nobody's") == 0u);
    CHECK(named.count("profile_fusion.second.weight") == (fusion == "mlp" ? 1u : 0u));
  }
}

TEST_CASE("parameter groups: every trainable parameter once, frozen ones not, unknown groups refused", "[unit][model]") {
  Corpus corpus = corpus_of(9);
  ListAttribute topics;
  topics.vocabulary.push_back("sports");
  for (int u = 0; u < 3; ++u) topics.values.push_back(std::vector<std::int32_t>(u == 0 ? 1 : 0));
  corpus.users.attributes["topic"] = topics;
  for (const std::string group : {"rest", "lm"}) {
    const Parts parts = make(corpus, 0, "mlp", group);
    std::set<const void*> grouped;
    for (const ParamGroup& g : parts.model->groups()) {
      for (const Tensor& p : g.parameters) {
        CHECK(grouped.insert(p.unsafeGetTensorImpl()).second);
        if (p.is_same(parts.content->table)) CHECK(g.name == group);
      }
    }
    for (const Tensor& p : parts.model->parameters()) CHECK(grouped.count(p.unsafeGetTensorImpl()) == (p.requires_grad() ? 1u : 0u));
  }
  const Parts odd = make(corpus, 0, "mlp", "fast");
  CHECK_THROWS_WITH(odd.model->groups(), Catch::Contains("'fast'"));
}
