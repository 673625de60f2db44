// Batches in plain memory, prepared ahead by a background thread, so that the tensor threads never wait for them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <filesystem>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "model/recommender.h"
#include "train/sampler.h"

namespace oncekit {

/// Where steps lie: an epoch's samples in order, cut into steps of `accumulate` batches. The last step of an epoch may be smaller.
struct StepPlan {
  std::int64_t samples = 0, batch_size = 1, accumulate = 1;

  std::int64_t step_size() const noexcept { return batch_size * accumulate; }
  std::int64_t steps_per_epoch() const noexcept { return (samples + step_size() - 1) / step_size(); }
  std::int64_t epoch(std::int64_t step) const noexcept { return step / steps_per_epoch(); }
  std::int64_t begin(std::int64_t step) const noexcept { return step % steps_per_epoch() * step_size(); }
  std::int64_t end(std::int64_t step) const noexcept { return std::min(begin(step) + step_size(), samples); }
};

/// Makes batches of one corpus. Not thread-safe (it holds scratch memory); one object a thread.
class BatchMaker {
 public:
  BatchMaker(const Corpus& corpus, const ContentEncoder& content);
  /// Distinct items come sorted by id. The samples' negatives are those of `epoch`.
  SampleBatch make(const Sampler& sampler, std::int64_t epoch, std::span<const std::int32_t> samples);

 private:
  const Corpus& corpus_;
  const ContentEncoder& content_;
  std::vector<std::int32_t> row_of_item_;  ///< -1 where the batch has no such item
};

/// The batches of steps [first, last), in order, at most `depth` ahead. The thread runs no tensor operators. One consumer.
class Prefetcher {
 public:
  struct Batch {
    SampleBatch samples;
    std::int64_t step = 0;
    std::int64_t step_samples = 0;  ///< samples of the whole step: what its loss is a mean over
    bool ends_step = false;
  };
  Prefetcher(const Corpus& corpus, const ContentEncoder& content, const Sampler& sampler, StepPlan plan, std::int64_t first,
             std::int64_t last, std::size_t depth = 3);
  ~Prefetcher();
  /// Blocks until the next batch is there; rethrows what the thread threw. REQUIRES: batches are left.
  Batch next();

 private:
  void run(std::stop_token stop, std::int64_t first, std::int64_t last);

  const Sampler& sampler_;
  StepPlan plan_;
  BatchMaker maker_;
  std::size_t depth_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Batch> ready_;
  std::exception_ptr failure_;
  std::jthread thread_;  ///< last: it uses all of the above
};

/// The first `steps` steps' batches as safetensors, for checks against other implementations. Per batch i: "i.clicks" (item ids),
/// "i.offsets" [B + 1], "i.candidates" [B, C] (-1 where masked), "i.labels" [B, C].
void write_batches(const Corpus& corpus, const TrainOptions& options, std::uint64_t seed, std::int64_t steps,
                   const std::filesystem::path& file);

}  // namespace oncekit
