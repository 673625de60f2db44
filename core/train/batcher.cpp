#include "train/batcher.h"

#include <algorithm>
#include <string>

#include <ATen/ops/tensor.h>

#include "plugin/guard.h"
#include "weights/safetensors.h"

namespace oncekit {

BatchMaker::BatchMaker(const Corpus& corpus, const ContentEncoder& content)
    : corpus_(corpus), content_(content), row_of_item_(corpus.items.size(), -1) {}

SampleBatch BatchMaker::make(const Sampler& sampler, std::int64_t epoch, std::span<const std::int32_t> samples) {
  SampleBatch batch;
  const std::size_t b = samples.size();
  const auto c = static_cast<std::size_t>(sampler.candidates());
  batch.candidates = sampler.candidates();
  batch.users_B.resize(b);
  batch.histories_B.resize(b);
  batch.click_offsets_B1.reserve(b + 1);
  batch.click_offsets_B1.push_back(0);
  batch.candidate_ids_BC.resize(b * c);
  batch.labels_BC.resize(b * c);
  batch.mask_BC.resize(b * c);
  for (std::size_t i = 0; i < b; ++i) {
    batch.users_B[i] = sampler.user(samples[i]);
    batch.histories_B[i] = sampler.history(samples[i]);
    const auto clicks = corpus_.histories[static_cast<std::size_t>(batch.histories_B[i])];
    batch.click_ids_N.insert(batch.click_ids_N.end(), clicks.begin(), clicks.end());
    batch.click_offsets_B1.push_back(static_cast<std::int64_t>(batch.click_ids_N.size()));
    sampler.draw(epoch, samples[i], std::span(batch.candidate_ids_BC).subspan(i * c, c), std::span(batch.labels_BC).subspan(i * c, c));
  }

  std::vector<ItemId> ids_U;
  const auto meet = [&](ItemId item) {
    std::int32_t& row = row_of_item_[static_cast<std::size_t>(item)];
    if (row >= 0) return;
    row = 0;
    ids_U.push_back(item);
  };
  for (ItemId item : batch.click_ids_N) meet(item);
  for (ItemId item : batch.candidate_ids_BC) {
    if (item >= 0) meet(item);
  }
  std::sort(ids_U.begin(), ids_U.end());
  for (std::size_t u = 0; u < ids_U.size(); ++u) row_of_item_[static_cast<std::size_t>(ids_U[u])] = static_cast<std::int32_t>(u);

  batch.click_rows_N.resize(batch.click_ids_N.size());
  std::transform(batch.click_ids_N.begin(), batch.click_ids_N.end(), batch.click_rows_N.begin(),
                 [&](ItemId item) { return row_of_item_[static_cast<std::size_t>(item)]; });
  batch.candidate_rows_BC.resize(b * c);
  for (std::size_t i = 0; i < b * c; ++i) {
    const ItemId item = batch.candidate_ids_BC[i];
    batch.mask_BC[i] = item >= 0;
    batch.candidate_rows_BC[i] = item >= 0 ? row_of_item_[static_cast<std::size_t>(item)] : 0;
  }
  for (ItemId item : ids_U) row_of_item_[static_cast<std::size_t>(item)] = -1;
  batch.items = call_object(content_, "gather", [&] { return content_.gather(ids_U); });
  return batch;
}

Prefetcher::Prefetcher(const Corpus& corpus, const ContentEncoder& content, const Sampler& sampler, StepPlan plan, std::int64_t first,
                       std::int64_t last, std::size_t depth)
    : sampler_(sampler), plan_(plan), maker_(corpus, content), depth_(depth),
      thread_([this, first, last](std::stop_token stop) { run(stop, first, last); }) {}

Prefetcher::~Prefetcher() {
  thread_.request_stop();
  changed_.notify_all();
}

void Prefetcher::run(std::stop_token stop, std::int64_t first, std::int64_t last) {
  try {
    std::int64_t epoch = -1;
    std::vector<std::int32_t> order;
    for (std::int64_t step = first; step < last; ++step) {
      if (plan_.epoch(step) != epoch) order = sampler_.order(epoch = plan_.epoch(step));
      const std::int64_t end = plan_.end(step);
      for (std::int64_t begin = plan_.begin(step); begin < end; begin += plan_.batch_size) {
        const std::int64_t batch_end = std::min(begin + plan_.batch_size, end);
        Batch batch{maker_.make(sampler_, epoch, std::span(order).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(batch_end - begin))),
                    step, end - plan_.begin(step), batch_end == end};
        std::unique_lock lock(mutex_);
        if (!changed_.wait(lock, stop, [&] { return ready_.size() < depth_; })) return;
        ready_.push_back(std::move(batch));
        changed_.notify_all();
      }
    }
  } catch (...) {
    const std::scoped_lock lock(mutex_);
    failure_ = std::current_exception();
    changed_.notify_all();
  }
}

Prefetcher::Batch Prefetcher::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !ready_.empty() || failure_; });
  if (ready_.empty()) std::rethrow_exception(failure_);
  Batch batch = std::move(ready_.front());
  ready_.pop_front();
  changed_.notify_all();
  return batch;
}

void write_batches(const Corpus& corpus, const TrainOptions& options, std::uint64_t seed, std::int64_t steps,
                   const std::filesystem::path& file) {
  const Sampler sampler(corpus, options, seed);
  const StepPlan plan{sampler.size(), options.batch_size, options.accumulate};
  std::vector<std::pair<std::string, Tensor>> tensors;
  std::vector<std::int32_t> order;
  std::int64_t batches = 0;
  for (std::int64_t step = 0; step < steps; ++step) {
    const std::int64_t epoch = plan.epoch(step), end = plan.end(step);
    if (order.empty() || plan.begin(step) == 0) order = sampler.order(epoch);
    for (std::int64_t begin = plan.begin(step); begin < end; begin += plan.batch_size, ++batches) {
      const std::int64_t b = std::min(plan.batch_size, end - begin), c = sampler.candidates();
      std::vector<std::int64_t> clicks, offsets{0}, candidates;
      std::vector<ItemId> items(static_cast<std::size_t>(c));
      std::vector<float> labels(static_cast<std::size_t>(b * c));
      for (std::int64_t i = 0; i < b; ++i) {
        const std::int32_t sample = order[static_cast<std::size_t>(begin + i)];
        const auto history = corpus.histories[static_cast<std::size_t>(sampler.history(sample))];
        clicks.insert(clicks.end(), history.begin(), history.end());
        offsets.push_back(static_cast<std::int64_t>(clicks.size()));
        sampler.draw(epoch, sample, items, std::span(labels).subspan(static_cast<std::size_t>(i * c), static_cast<std::size_t>(c)));
        candidates.insert(candidates.end(), items.begin(), items.end());
      }
      const std::string name = std::to_string(batches) + ".";
      tensors.emplace_back(name + "clicks", at::tensor(clicks));
      tensors.emplace_back(name + "offsets", at::tensor(offsets));
      tensors.emplace_back(name + "candidates", at::tensor(candidates).view({b, c}));
      tensors.emplace_back(name + "labels", at::tensor(labels).view({b, c}));
    }
  }
  write_safetensors(file, tensors, {{"steps", std::to_string(steps)}, {"batches", std::to_string(batches)}});
}

}  // namespace oncekit
