// Batches ahead of time: the same numbers as doing it one by one.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <set>

#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include "oncekit/error.h"
#include "train/batcher.h"
#include "train/tiny.h"
#include "weights/safetensors.h"

using namespace oncekit;

TEST_CASE("a batch holds each item once, and its rows lead back to the data", "[unit]") {
  const Corpus c = tiny::corpus();
  const auto model = tiny::model(c);
  TrainOptions o;
  o.negatives = 6;  // one more than an impression has: masked slots
  const Sampler sampler(c, o, 4);
  BatchMaker maker(c, model->content());
  for (std::size_t size : {1u, 7u, 120u}) {
    const auto order = sampler.order(1);
    const SampleBatch batch = maker.make(sampler, 1, std::span(order).first(size));
    const auto& ids = batch.items->ids_U;
    CHECK(std::is_sorted(ids.begin(), ids.end()));
    CHECK(std::adjacent_find(ids.begin(), ids.end()) == ids.end());
    CHECK(batch.batch() == static_cast<std::int64_t>(size));
    std::set<ItemId> used;
    for (std::size_t b = 0; b < size; ++b) {
      const auto history = c.histories[static_cast<std::size_t>(sampler.history(order[b]))];
      const auto begin = static_cast<std::size_t>(batch.click_offsets_B1[b]);
      REQUIRE(static_cast<std::size_t>(batch.click_offsets_B1[b + 1]) - begin == history.size());
      for (std::size_t h = 0; h < history.size(); ++h) {
        CHECK(ids[static_cast<std::size_t>(batch.click_rows_N[begin + h])] == history[h]);
        used.insert(history[h]);
      }
      for (std::size_t k = 0; k < 7; ++k) {
        const std::size_t place = b * 7 + k;
        CHECK(batch.mask_BC[place] == (batch.candidate_ids_BC[place] >= 0));
        if (!batch.mask_BC[place]) continue;
        CHECK(ids[static_cast<std::size_t>(batch.candidate_rows_BC[place])] == batch.candidate_ids_BC[place]);
        used.insert(batch.candidate_ids_BC[place]);
      }
    }
    CHECK(used.size() == ids.size());  // and none that nobody needs
  }
}

TEST_CASE("the prefetcher gives the planned batches in order from any step on, and stops when dropped", "[unit]") {
  const Corpus c = tiny::corpus();
  const auto model = tiny::model(c);
  TrainOptions o;
  const Sampler sampler(c, o, 4);
  const StepPlan plan{sampler.size(), 16, 3};  // 120 samples: steps of 48, 48, 24
  REQUIRE(plan.steps_per_epoch() == 3);
  std::vector<std::vector<ItemId>> all;
  {
    Prefetcher batches(c, model->content(), sampler, plan, 0, 6);
    std::int64_t seen = 0;
    for (std::int64_t step = 0; step < 6;) {
      const auto batch = batches.next();
      CHECK(batch.step == step);
      CHECK(batch.step_samples == (step % 3 == 2 ? 24 : 48));
      seen += batch.samples.batch();
      all.push_back(batch.samples.candidate_ids_BC);
      step += batch.ends_step;
    }
    CHECK(seen == 240);
    CHECK(all.size() == 2 * (3 + 3 + 2));
  }
  Prefetcher later(c, model->content(), sampler, plan, 4, 6);
  CHECK(later.next().samples.candidate_ids_BC == all[8 + 3]);
  Prefetcher dropped(c, model->content(), sampler, plan, 0, 100000);
  (void)dropped.next();
}

TEST_CASE("an error while a batch is made reaches the trainer", "[unit][errors]") {
  struct Broken final : ContentEncoder {
    std::int64_t width() const override { return 8; }
    void prepare(const Items&, Workspace&) override {}
    std::unique_ptr<ItemBatch> gather(std::span<const ItemId>) const override { throw Error(ErrorKind::kData, "the token file is gone"); }
    Tensor encode(const ItemBatch&) override { return {}; }
  };
  const Corpus c = tiny::corpus();
  const auto broken = std::make_shared<Broken>();
  const Sampler sampler(c, TrainOptions{}, 4);
  Prefetcher batches(c, *broken, sampler, {sampler.size(), 16, 1}, 0, 6);
  CHECK_THROWS_WITH(batches.next(), Catch::Contains("token file is gone"));
}

TEST_CASE("written batches are the trainer's own", "[unit]") {
  const Corpus c = tiny::corpus();
  const auto model = tiny::model(c);
  TrainOptions o;
  o.batch_size = 16;
  o.accumulate = 3;
  const tiny::Folder folder;
  write_batches(c, o, 4, 4, folder.path() / "batches.safetensors");
  const SafetensorsFile file = read_safetensors(folder.path() / "batches.safetensors");
  const Sampler sampler(c, o, 4);
  Prefetcher batches(c, model->content(), sampler, {sampler.size(), 16, 3}, 0, 4);
  REQUIRE(file.metadata().at("batches") == "11");
  for (int i = 0; i < 11; ++i) {
    const SampleBatch batch = batches.next().samples;
    const Tensor ids = file.tensor(std::to_string(i) + ".candidates").flatten().clone();
    REQUIRE(ids.numel() == static_cast<std::int64_t>(batch.candidate_ids_BC.size()));
    for (std::int64_t k = 0; k < ids.numel(); ++k) CHECK(ids[k].item<std::int64_t>() == batch.candidate_ids_BC[static_cast<std::size_t>(k)]);
    CHECK(file.tensor(std::to_string(i) + ".offsets").numel() == batch.batch() + 1);
    CHECK(file.tensor(std::to_string(i) + ".clicks").numel() == static_cast<std::int64_t>(batch.click_ids_N.size()));
  }
}
