// Latency: what is called, for whom, and what the model is afterwards. How fast it is belongs into benchmarks.
#include <catch2/catch.hpp>

#include <set>

#include <ATen/ops/zeros.h>

#include "model/recommender.h"
#include "oncekit/error.h"
#include "score/latency.h"
#include "train/tiny.h"

using namespace oncekit;

namespace {

/// Passes everything on to another encoder, and notes which items were asked for as new ones.
class Watched final : public ContentEncoder {
 public:
  explicit Watched(ContentEncoder& inner) : inner_(inner) {}
  std::int64_t width() const override { return inner_.width(); }
  void prepare(const Items&, Workspace&) override {}
  std::unique_ptr<ItemBatch> gather(std::span<const ItemId> ids) const override { return inner_.gather(ids); }
  Tensor encode(const ItemBatch& batch) override { return inner_.encode(batch); }
  Tensor encode_new(ItemId id) override {
    if (broken) throw Error(ErrorKind::kRun, "the layers do not fit");
    asked.push_back(id);
    return ContentEncoder::encode_new(id);
  }
  bool broken = false;
  std::vector<ItemId> asked;

 private:
  ContentEncoder& inner_;
};

/// A user encoder and an interaction that note what they are asked.
class LastClick final : public UserEncoder {
 public:
  explicit LastClick(std::int64_t width) : width_(width) {}
  std::int64_t width() const override { return width_; }
  UserState encode(const Clicks& clicks) override {
    CHECK(clicks.batch() == 1);
    CHECK(clicks.offsets_B1.back() == static_cast<std::int64_t>(clicks.ids_N.size()));
    CHECK_FALSE(is_training());
    lengths.push_back(clicks.ids_N.size());
    UserState state;
    const auto n = clicks.rows_N.size(0);
    state.users_BMD = n == 0 ? at::zeros({1, 1, width_}) : clicks.items_UD.index_select(0, clicks.rows_N.narrow(0, n - 1, 1)).unsqueeze(0);
    return state;
  }
  std::vector<std::size_t> lengths;

 private:
  std::int64_t width_;
};

class Dot final : public Interaction {
 public:
  Tensor score(const UserState& user, const Candidates& candidates) override {
    CHECK(candidates.rows_BC.size(0) == 1);
    CHECK(candidates.mask_BC.all().item<bool>());
    listed.emplace_back(candidates.ids_BC.begin(), candidates.ids_BC.end());
    return candidates.items_UD.index_select(0, candidates.rows_BC.flatten()).matmul(user.users_BMD.flatten()).unsqueeze(0);
  }
  std::vector<std::vector<ItemId>> listed;
};

struct World {
  Corpus corpus = tiny::corpus();
  std::shared_ptr<Recommender> trained = tiny::model(corpus);
  std::shared_ptr<Watched> content = std::make_shared<Watched>(trained->content());
  std::shared_ptr<LastClick> user = std::make_shared<LastClick>(content->width());
  std::shared_ptr<Dot> interaction = std::make_shared<Dot>();
  Recommender model{content, user, interaction, ModelOptions{}};
  tiny::TestWorkspace workspace;
  LatencyOptions options{50, 60, 7, 16};
};

}  // namespace

TEST_CASE("latency: each kind of call is made so often, one at a time, and the model stays as it was", "[unit]") {
  World w;
  w.model.train();
  const auto before = tiny::snapshot(w.model);
  const std::vector<Latency> all = measure_latency(w.model, w.corpus, w.corpus.test, w.options, w.workspace);
  REQUIRE(all.size() == 3);
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK(all[i].call == std::vector<std::string>{"new_item", "user", "score"}[i]);
    CHECK(all[i].problem.empty());
    CHECK(all[i].calls == 50);
    CHECK(all[i].p50_ms > 0);
    CHECK(all[i].p99_ms >= all[i].p50_ms);
  }
  CHECK(w.content->asked.size() == 70);  // 20 to warm up
  CHECK(w.user->lengths.size() == 71);   // and one whose state the lists are scored for
  CHECK(std::set<std::size_t>(w.user->lengths.begin(), w.user->lengths.end()).count(0) == 1);  // a user without clicks is one too
  REQUIRE(w.interaction->listed.size() == 70);
  for (const auto& list : w.interaction->listed) CHECK(list.size() == 7);
  CHECK(w.model.is_training());
  CHECK(tiny::same_bits(before, tiny::snapshot(w.model)));
}

TEST_CASE("latency: the same seed asks for the same items, users and lists", "[unit]") {
  World a, b;
  measure_latency(a.model, a.corpus, a.corpus.test, a.options, a.workspace);
  measure_latency(b.model, b.corpus, b.corpus.test, b.options, b.workspace);
  CHECK(a.content->asked == b.content->asked);
  CHECK(a.user->lengths == b.user->lengths);
  CHECK(a.interaction->listed == b.interaction->listed);
}

TEST_CASE("latency: what cannot be measured says why, and the rest is measured", "[unit][errors]") {
  World w;
  w.content->broken = true;
  const std::vector<Latency> all = measure_latency(w.model, w.corpus, w.corpus.test, w.options, w.workspace);
  REQUIRE(all.size() == 3);
  CHECK(all[0].problem == "the layers do not fit");
  CHECK(all[0].calls == 0);
  CHECK(all[1].calls == 50);
  CHECK(all[2].calls == 50);
  w.workspace.cancel_after = 3;
  CHECK_THROWS_AS(measure_latency(w.model, w.corpus, w.corpus.test, w.options, w.workspace), Error);
}
