// Scores of impressions: the same numbers as scoring one by one.
#include <catch2/catch.hpp>

#include <algorithm>

#include <c10/core/GradMode.h>

#include "oncekit/error.h"
#include "score/scorer.h"
#include "train/tiny.h"

using namespace oncekit;

TEST_CASE("impressions get the scores that each would get alone", "[unit]") {
  Corpus c = tiny::corpus();
  // An impression with 283 candidates, one with none, one with a repeated candidate.
  const auto add = [&](UserId user, std::vector<ItemId> items) {
    c.test.ids.push_back("x");
    c.test.users.push_back(user);
    c.test.histories.push_back(user);
    c.test.times.push_back(-1);
    c.test.candidates.push_back(items);
    c.test.labels.resize(c.test.labels.size() + items.size());
  };
  std::vector<ItemId> many;
  for (int i = 0; i < 283; ++i) many.push_back((i * 7) % 60);
  add(3, many);
  add(6, {});
  add(6, {5, 5, 9});
  const auto model = tiny::model(c);
  tiny::TestWorkspace workspace;
  const auto before = tiny::snapshot(*model);
  model->train();
  const std::vector<float> scores = score_impressions(*model, c, c.test, 16, workspace);
  CHECK(model->is_training());
  CHECK(tiny::same_bits(before, tiny::snapshot(*model)));
  REQUIRE(scores.size() == c.test.candidates.values().size());
  CHECK(scores == score_impressions(*model, c, c.test, 16, workspace));  // the same bits again

  model->eval();
  const c10::AutoGradMode no_gradients(false);
  for (std::size_t i = 0; i < c.test.size(); ++i) {
    const auto shown = c.test.candidates[i];
    const auto history = c.histories[static_cast<std::size_t>(c.test.histories[i])];
    for (std::size_t k = 0; k < shown.size(); ++k) {
      SampleBatch one;
      std::vector<ItemId> ids(history.begin(), history.end());
      ids.push_back(shown[k]);
      std::sort(ids.begin(), ids.end());
      ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
      const auto row = [&](ItemId item) { return std::lower_bound(ids.begin(), ids.end(), item) - ids.begin(); };
      one.items = model->content().gather(ids);
      one.users_B = {c.test.users[i]};
      one.histories_B = {c.test.histories[i]};
      one.click_offsets_B1 = {0, static_cast<std::int64_t>(history.size())};
      for (ItemId item : history) one.click_rows_N.push_back(row(item));
      one.click_ids_N.assign(history.begin(), history.end());
      one.candidates = 1;
      one.candidate_rows_BC = {row(shown[k])};
      one.candidate_ids_BC = {shown[k]};
      one.mask_BC = {1};
      one.labels_BC = {0};
      const float alone = model->forward(one).scores_BC.item<float>();
      CHECK(scores[c.test.candidates.offsets()[i] + k] == Approx(alone).margin(1e-6));
    }
  }
}

TEST_CASE("scoring stops when the user asks", "[unit]") {
  const Corpus c = tiny::corpus();
  const auto model = tiny::model(c);
  model->train();
  tiny::TestWorkspace workspace;
  workspace.cancel_after = 0;
  CHECK_THROWS_AS(score_impressions(*model, c, c.test, 16, workspace), Error);
  CHECK(model->is_training());
}
