#include "train/sampler.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "oncekit/error.h"

namespace oncekit {

namespace {

/// K of a pool's n places without replacement, `banned` left out. Returns how many were found.
std::size_t choose(std::span<const ItemId> pool, ItemId banned, std::span<ItemId> out, Rng& rng, std::vector<ItemId>& scratch) {
  const std::size_t k = out.size();
  const std::size_t usable = pool.size() - static_cast<std::size_t>(std::count(pool.begin(), pool.end(), banned));
  if (usable > 8 * k && usable > pool.size() / 2 && k <= 64) {  // long pools: reject the few places drawn twice
    std::size_t places[64];
    for (std::size_t i = 0; i < k;) {
      const std::size_t place = rng.below(pool.size());
      if (pool[place] == banned || std::find(places, places + i, place) != places + i) continue;
      places[i] = place;
      out[i++] = pool[place];
    }
    return k;
  }
  scratch.clear();
  std::copy_if(pool.begin(), pool.end(), std::back_inserter(scratch), [&](ItemId item) { return item != banned; });
  const std::size_t found = std::min(k, scratch.size());
  for (std::size_t i = 0; i < found; ++i) {
    std::swap(scratch[i], scratch[i + rng.below(scratch.size() - i)]);
    out[i] = scratch[i];
  }
  return found;
}

bool by_user(const TrainOptions& options) { return options.loss == "softmax" && options.negative_pool != "impression"; }

}  // namespace

bool pool_leaks(const TrainOptions& options, const Corpus& corpus) {
  return options.loss == "softmax" && options.negative_pool == "user_released" && corpus.group == "user";
}

Sampler::Sampler(const Corpus& corpus, const TrainOptions& options, std::uint64_t seed)
    : corpus_(corpus), options_(options), negatives_(Rng(seed).at("negatives")), order_(Rng(seed).at("order")), seed_(seed) {
  const Impressions& train = corpus.train;
  if (train.size() == 0) throw Error(ErrorKind::kData, "dataset '" + corpus.name + "' has no training impressions", "check it with `oncekit data check`");
  if (!train.labelled()) {
    throw Error(ErrorKind::kData, "the training impressions of dataset '" + corpus.name + "' have no labels: nothing can be learned from them",
                "training data needs clicked and not clicked candidates");
  }
  if (pool_leaks(options, corpus) && !options.allow_leak) {
    throw Error(ErrorKind::kUsage, "negative_pool = 'user_released' draws training negatives from dev and test impressions of '" + corpus.name + "'",
                "set negative_pool = \"user\", or allow_leak = true under [train]: results then get the prefix leaky/");
  }
  if (options.permute_labels) permute_labels();
  if (options.negative_items == "clicked") {
    drawable_.assign(corpus.items.size(), 0);
    for (std::size_t p = 0; p < train.labels.size(); ++p)
      if (clicked(p)) drawable_[static_cast<std::size_t>(train.candidates.values()[p])] = 1;
  }
  if (options.short_pool == "random")
    for (std::size_t item = 0; item < corpus.items.listed; ++item)
      if (drawable_.empty() || drawable_[item]) fillers_.push_back(static_cast<ItemId>(item));
  if (by_user(options)) collect_user_pools();

  const bool softmax = options.loss == "softmax";
  candidates_ = softmax ? 1 + options.negatives : 1;
  const auto offsets = train.candidates.offsets();
  const auto items = train.candidates.values();
  std::vector<ItemId> scratch;
  for (std::size_t i = 0; i < train.size(); ++i) {
    for (std::size_t position = offsets[i]; position < offsets[i + 1]; ++position) {
      if (softmax && !clicked(position)) continue;
      const Sample sample{static_cast<std::int32_t>(i), static_cast<std::int32_t>(position - offsets[i])};
      if (softmax && options.short_pool == "mask") {
        const auto found = pool(sample, scratch);
        if (std::all_of(found.begin(), found.end(), [&](ItemId item) { return item == items[position]; })) {
          ++skipped_;
          continue;
        }
      }
      samples_.push_back(sample);
    }
  }
  if (samples_.size() > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    throw Error(ErrorKind::kData, "more than 2^31 training samples", "train on a part of the impressions");
  }
  if (samples_.empty()) {
    throw Error(ErrorKind::kData,
                skipped_ > 0 ? "no training sample has a negative: every pool of not clicked candidates is empty"
                             : "no candidate was clicked in the training impressions of dataset '" + corpus.name + "'",
                skipped_ > 0 ? "short_pool = \"random\" under [train] fills with random items" : "check it with `oncekit data check`");
  }
}

void Sampler::permute_labels() {
  permuted_ = corpus_.train.labels;
  const auto offsets = corpus_.train.candidates.offsets();
  const Rng base = Rng(seed_).at("permute labels");
  for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
    Rng rng = base.at(static_cast<std::uint64_t>(i));
    rng.shuffle(permuted_.data() + offsets[i], offsets[i + 1] - offsets[i]);
  }
}

void Sampler::collect_user_pools() {
  const bool all_splits = pool_leaks(options_, corpus_);
  const bool first_only = !all_splits && options_.negative_pool != "user";
  const std::size_t users = corpus_.users.size();
  std::vector<std::uint8_t> met;
  std::vector<std::size_t> ends;

  // Two passes over the same rows: count, then fill.
  const auto visit = [&](auto&& take) {
    met.assign(users, 0);
    for (const Impressions* split : {&corpus_.train, &corpus_.dev, &corpus_.test}) {
      if (split != &corpus_.train && (!all_splits || !split->labelled())) continue;
      const auto offsets = split->candidates.offsets();
      const auto items = split->candidates.values();
      for (std::size_t i = 0; i < split->size(); ++i) {
        const auto user = static_cast<std::size_t>(split->users[i]);
        if (first_only && met[user]) continue;
        met[user] = 1;
        for (std::size_t p = offsets[i]; p < offsets[i + 1]; ++p) {
          if (split == &corpus_.train ? negative(p, items[p]) : split->labels[p] == 0) take(user, items[p]);
        }
      }
    }
  };
  pool_offsets_.assign(users + 1, 0);
  visit([&](std::size_t user, ItemId) { ++pool_offsets_[user + 1]; });
  std::partial_sum(pool_offsets_.begin(), pool_offsets_.end(), pool_offsets_.begin());
  pool_items_.resize(pool_offsets_.back());
  ends.assign(pool_offsets_.begin(), pool_offsets_.end() - 1);
  visit([&](std::size_t user, ItemId item) { pool_items_[ends[user]++] = item; });
}

std::span<const ItemId> Sampler::pool(const Sample& sample, std::vector<ItemId>& scratch) const {
  const auto row = static_cast<std::size_t>(sample.impression);
  if (!pool_offsets_.empty()) {
    const auto user = static_cast<std::size_t>(corpus_.train.users[row]);
    return std::span<const ItemId>(pool_items_).subspan(pool_offsets_[user], pool_offsets_[user + 1] - pool_offsets_[user]);
  }
  scratch.clear();
  const auto items = corpus_.train.candidates[row];
  const std::size_t begin = corpus_.train.candidates.offsets()[row];
  for (std::size_t c = 0; c < items.size(); ++c) {
    if (negative(begin + c, items[c])) scratch.push_back(items[c]);
  }
  return scratch;
}

std::vector<std::int32_t> Sampler::order(std::int64_t epoch) const {
  std::vector<std::int32_t> order(samples_.size());
  std::iota(order.begin(), order.end(), 0);
  Rng rng = order_.at(static_cast<std::uint64_t>(epoch));
  rng.shuffle(order.data(), order.size());
  return order;
}

void Sampler::draw(std::int64_t epoch, std::int32_t sample, std::span<ItemId> items_C, std::span<float> labels_C) const {
  const Sample& s = samples_[static_cast<std::size_t>(sample)];
  const auto row = static_cast<std::size_t>(s.impression);
  const std::size_t position = corpus_.train.candidates.offsets()[row] + static_cast<std::size_t>(s.candidate);
  const ItemId item = corpus_.train.candidates.values()[position];
  items_C[0] = item;
  if (options_.loss == "bce") {
    labels_C[0] = clicked(position) ? 1.0f : 0.0f;
    return;
  }
  std::fill(labels_C.begin(), labels_C.end(), 0.0f);
  labels_C[0] = 1.0f;
  Rng rng = negatives_.at(static_cast<std::uint64_t>(epoch)).at(static_cast<std::uint64_t>(sample));
  thread_local std::vector<ItemId> pool_scratch, choose_scratch;
  const auto wanted = items_C.subspan(1);
  std::size_t found = choose(pool(s, pool_scratch), item, wanted, rng, choose_scratch);
  for (; found < wanted.size(); ++found) {
    if (fillers_.size() < 2) {
      wanted[found] = -1;
      continue;
    }
    do wanted[found] = fillers_[rng.below(fillers_.size())];
    while (wanted[found] == item);
  }
}

}  // namespace oncekit
