// Made-up news with the sizes of MIND-small, for benchmarks: only sizes and skews matter, never what is learned.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "oncekit/corpus.h"
#include "oncekit/rng.h"

namespace oncekit::bench {

struct Sizes {
  std::int64_t items = 65238, words = 30000, impressions = 6400;
  double title_words = 11, history = 32;  ///< means
  std::int64_t longest_title = 30, longest_history = 50, candidates = 5;
};

/// Ranks with probability proportional to 1 / (rank + shift)^power.
class Ranks {
 public:
  Ranks(std::int64_t count, double shift, double power) {
    double sum = 0;
    for (std::int64_t i = 0; i < count; ++i) sums_.push_back(sum += std::pow(static_cast<double>(i) + shift, -power));
  }
  std::int64_t draw(Rng& rng) const {
    return std::lower_bound(sums_.begin(), sums_.end() - 1, rng.uniform() * sums_.back()) - sums_.begin();
  }

 private:
  std::vector<double> sums_;
};

/// A batch of 64 samples holds about 1,200 distinct items and 4,500 distinct words, as in MIND-small.
inline Corpus synthetic_corpus(const Sizes& sizes) {
  Corpus corpus;
  corpus.name = "synthetic";
  Rng rng = Rng(7).at("synthetic");
  const Ranks words(sizes.words, 1, 1), clicks(sizes.items, 10, 1.17);
  const auto length = [&](double mean, double deviation, std::int64_t longest) {
    return std::clamp<std::int64_t>(std::llround(mean + deviation * rng.normal()), 1, longest);
  };
  StringColumn titles;
  for (std::int64_t i = 0; i < sizes.items; ++i) {
    corpus.items.ids.push_back("N" + std::to_string(i));
    std::string title;
    for (std::int64_t n = length(sizes.title_words, 3.3, sizes.longest_title); n > 0; --n) title += "w" + std::to_string(words.draw(rng)) + " ";
    titles.push_back(title);
  }
  corpus.items.attributes["title"] = std::move(titles);
  corpus.items.listed = static_cast<std::size_t>(sizes.items);
  for (std::int64_t i = 0; i < sizes.impressions; ++i) {
    const std::string name = std::to_string(i);
    corpus.users.ids.push_back("U" + name);
    corpus.train.ids.push_back(name);
    corpus.train.users.push_back(static_cast<UserId>(i));
    corpus.train.histories.push_back(static_cast<std::int32_t>(i));
    corpus.train.times.push_back(-1);
    // Many histories are cut at the longest, many are short: a wide spread around the mean.
    std::vector<ItemId> items(static_cast<std::size_t>(length(sizes.history + 4, 20, sizes.longest_history)));
    for (ItemId& item : items) item = static_cast<ItemId>(clicks.draw(rng));
    corpus.histories.push_back(items);
    corpus.clicks_before.push_back(static_cast<std::int32_t>(items.size()));
    std::unordered_set<ItemId> shown;
    while (static_cast<std::int64_t>(shown.size()) < sizes.candidates) shown.insert(static_cast<ItemId>(clicks.draw(rng)));
    items.assign(shown.begin(), shown.end());
    corpus.train.candidates.push_back(items);
    for (std::size_t c = 0; c < items.size(); ++c) corpus.train.labels.push_back(c == 0);
  }
  return corpus;
}

}  // namespace oncekit::bench
