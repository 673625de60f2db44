#include "tfidf.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace oncekit::controls {

TitleIndex::TitleIndex(const Corpus& corpus) {
  const std::size_t items = corpus.items.size();
  const StringColumn& titles = corpus.items.attribute("title");
  items_.resize(items);
  for (std::size_t i = 0; i < items; ++i) {
    std::map<std::int32_t, double> counts;
    for (const std::string& word : split_words(titles[i])) ++counts[words_.add(word)];
    items_[i].assign(counts.begin(), counts.end());
  }
  std::vector<std::uint8_t> in_training(items, 0);
  const auto mark = [&](ItemId item) { in_training[static_cast<std::size_t>(item)] = 1; };
  for (const ItemId item : corpus.train.candidates.values()) mark(item);
  for (const std::int32_t history : corpus.train.histories)
    for (const ItemId item : corpus.clicks(history)) mark(item);

  std::vector<double> holders(words_.size(), 0);
  for (std::size_t i = 0; i < items; ++i) {
    if (!in_training[i]) continue;
    ++trained_;
    for (const Term& term : items_[i]) ++holders[static_cast<std::size_t>(term.first)];
  }
  postings_.resize(words_.size());
  for (std::size_t i = 0; i < items; ++i) {
    double square = 0;
    for (auto& [word, weight] : items_[i]) {
      weight *= std::log((1.0 + static_cast<double>(trained_)) / (1.0 + holders[static_cast<std::size_t>(word)])) + 1.0;
      square += weight * weight;
    }
    for (auto& [word, weight] : items_[i]) {
      weight /= std::sqrt(square);
      // A word of every tenth title ("the") says nothing, and would cost most of the time.
      if (in_training[i] && holders[static_cast<std::size_t>(word)] * 10 <= static_cast<double>(std::max<std::size_t>(trained_, 100)))
        postings_[static_cast<std::size_t>(word)].emplace_back(static_cast<ItemId>(i), weight);
    }
  }
  scores_.assign(items, 0);
}

std::vector<TitleIndex::Term> TitleIndex::sum(std::span<const ItemId> clicks) const {
  std::map<std::int32_t, double> total;
  for (const ItemId click : clicks)
    for (const auto& [word, weight] : items_[static_cast<std::size_t>(click)]) total[word] += weight;
  return {total.begin(), total.end()};
}

std::vector<ItemId> TitleIndex::nearest(std::span<const ItemId> clicks, std::size_t k) {
  std::vector<ItemId> touched;
  for (const auto& [word, weight] : sum(clicks))
    for (const auto& [item, of_item] : postings_[static_cast<std::size_t>(word)]) {
      double& score = scores_[static_cast<std::size_t>(item)];
      if (score == 0) touched.push_back(item);
      score += weight * of_item;
    }
  std::vector<std::pair<double, ItemId>> found;
  for (const ItemId item : touched) {
    if (std::find(clicks.begin(), clicks.end(), item) == clicks.end()) found.emplace_back(-scores_[static_cast<std::size_t>(item)], item);
    scores_[static_cast<std::size_t>(item)] = 0;
  }
  const std::size_t most = std::min(k, found.size());
  std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(most), found.end());
  std::vector<ItemId> items;
  for (std::size_t i = 0; i < most; ++i) items.push_back(found[i].second);
  return items;
}

}  // namespace oncekit::controls
