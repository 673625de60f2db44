// Training samples and their negatives. Every draw is a pure function of (seed, epoch, sample), so training can go on from any
// step without replaying what came before.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "oncekit/corpus.h"
#include "oncekit/rng.h"
#include "train/options.h"

namespace oncekit {

/// Whether the negative pool of these options holds candidates of dev or test impressions on this corpus: results are then to be
/// printed under `leaky/`. True for "user_released" on corpora grouped by user (as the released Goodreads files).
bool pool_leaks(const TrainOptions& options, const Corpus& corpus);

/// Const methods may be called from any thread. REQUIRES: the corpus outlives the sampler.
///
/// loss = "softmax": a sample is a clicked candidate of a training impression; candidate 0 is that item, then K negatives.
/// loss = "bce": a sample is a shown candidate with its label; C = 1.
/// Pools ("negative_pool"):
///   impression     not clicked in the same impression
///   user           not clicked in any training impression of the user (repeats kept)
///   user_first     not clicked in the user's first training impression (Liu et al. 2024, released MIND scripts)
///   user_released  corpora grouped by impression: as user_first; grouped by user: the user's not clicked candidates of all splits,
///                  as the released Goodreads scripts leave them. Needs allow_leak.
/// Negatives are drawn without replacement and are never the clicked item itself. A pool with fewer than K of them leaves masked
/// slots, or is filled with random listed items (short_pool).
class Sampler {
 public:
  /// Throws Error(kData) when nothing can be trained on, Error(kUsage) when the pool leaks and allow_leak is not set.
  Sampler(const Corpus& corpus, const TrainOptions& options, std::uint64_t seed);

  std::int64_t size() const noexcept { return static_cast<std::int64_t>(samples_.size()); }  ///< samples an epoch
  std::int64_t candidates() const noexcept { return candidates_; }                           ///< C
  /// Clicked candidates that no negative could be found for; they are no samples.
  std::int64_t skipped() const noexcept { return skipped_; }

  /// The samples of an epoch in the order of training, a permutation of [0, size()).
  std::vector<std::int32_t> order(std::int64_t epoch) const;

  UserId user(std::int32_t sample) const { return corpus_.train.users[impression(sample)]; }
  std::int32_t history(std::int32_t sample) const { return corpus_.train.histories[impression(sample)]; }
  /// Fills C candidates (-1 where masked) and labels.
  void draw(std::int64_t epoch, std::int32_t sample, std::span<ItemId> items_C, std::span<float> labels_C) const;

 private:
  struct Sample {
    std::int32_t impression;
    std::int32_t candidate;  ///< place in the impression
  };
  std::size_t impression(std::int32_t sample) const {
    return static_cast<std::size_t>(samples_[static_cast<std::size_t>(sample)].impression);
  }
  bool clicked(std::size_t position) const { return (permuted_.empty() ? corpus_.train.labels : permuted_)[position] != 0; }
  bool negative(std::size_t position, ItemId item) const { return !clicked(position) && (drawable_.empty() || drawable_[static_cast<std::size_t>(item)]); }
  void permute_labels();
  void collect_user_pools();
  std::span<const ItemId> pool(const Sample& sample, std::vector<ItemId>& scratch) const;

  const Corpus& corpus_;
  TrainOptions options_;
  Rng negatives_, order_;
  std::uint64_t seed_;
  std::int64_t candidates_ = 1, skipped_ = 0;
  std::vector<Sample> samples_;
  std::vector<std::uint8_t> permuted_;    ///< labels of the negative control; empty otherwise
  std::vector<std::uint8_t> drawable_;     ///< items that may be negatives; empty: all
  std::vector<ItemId> fillers_;            ///< what fills short pools; empty: nothing does
  std::vector<std::size_t> pool_offsets_;  ///< of users, when pools are by user
  std::vector<ItemId> pool_items_;
};

}  // namespace oncekit
