#include "evaluate/rankers.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "oncekit/error.h"
#include "oncekit/text.h"

namespace oncekit {
namespace {

using State = EvaluationContext::State;

// Candidates by item: places[offsets[i], offsets[i + 1]) are the indices into candidates.values() that hold item i.
struct Places {
  std::vector<std::int64_t> offsets, places;
};

Places places_of(const Impressions& impressions, std::size_t items) {
  const auto candidates = impressions.candidates.values();
  Places p;
  p.offsets.assign(items + 1, 0);
  for (ItemId item : candidates) ++p.offsets[static_cast<std::size_t>(item) + 1];
  std::partial_sum(p.offsets.begin(), p.offsets.end(), p.offsets.begin());
  p.places.resize(candidates.size());
  std::vector<std::int64_t> next(p.offsets.begin(), p.offsets.end() - 1);
  for (std::size_t i = 0; i < candidates.size(); ++i)
    p.places[static_cast<std::size_t>(next[static_cast<std::size_t>(candidates[i])]++)] = static_cast<std::int64_t>(i);
  return p;
}

std::vector<float> popularity(const State& state, const Impressions& impressions) {
  std::vector<float> scores;
  scores.reserve(impressions.candidates.values().size());
  for (ItemId item : impressions.candidates.values()) scores.push_back(static_cast<float>(state.item_users[static_cast<std::size_t>(item)]));
  return scores;
}

// Sum over the history of |users of both| / sqrt(|users of one| |users of the other|). Goes item by item: one item's row of
// common users is counted once and serves every place where it is a candidate.
std::vector<float> item_knn(const State& state, const Impressions& impressions) {
  const Corpus& corpus = state.corpus;
  const std::size_t items = corpus.items.size();
  const Places at = places_of(impressions, items);
  std::vector<std::int32_t> row_of(impressions.candidates.values().size());
  const auto offsets = impressions.candidates.offsets();
  for (std::size_t i = 0; i < impressions.size(); ++i)
    std::fill(row_of.begin() + static_cast<std::ptrdiff_t>(offsets[i]), row_of.begin() + static_cast<std::ptrdiff_t>(offsets[i + 1]), static_cast<std::int32_t>(i));

  // Users by item.
  std::vector<std::int64_t> first(items + 1, 0);
  for (ItemId item : state.user_items.values()) ++first[static_cast<std::size_t>(item) + 1];
  std::partial_sum(first.begin(), first.end(), first.begin());
  std::vector<UserId> users(state.user_items.values().size());
  {
    std::vector<std::int64_t> next(first.begin(), first.end() - 1);
    for (std::size_t u = 0; u < state.user_items.size(); ++u)
      for (ItemId item : state.user_items[u]) users[static_cast<std::size_t>(next[static_cast<std::size_t>(item)]++)] = static_cast<UserId>(u);
  }
  std::vector<double> scale(items, 0.0);
  for (std::size_t i = 0; i < items; ++i)
    if (state.item_users[i] > 0) scale[i] = 1.0 / std::sqrt(static_cast<double>(state.item_users[i]));

  std::vector<float> scores(row_of.size(), 0.0f);
  const std::int64_t grain = std::max<std::int64_t>(64, static_cast<std::int64_t>(items) / 256);
  state.workspace.parallel_for(static_cast<std::int64_t>(items), grain, [&](std::int64_t begin, std::int64_t end) {
    state.workspace.check_cancelled();
    std::vector<std::int32_t> common(items, 0);
    std::vector<ItemId> touched;
    for (std::int64_t i = begin; i < end; ++i) {
      const auto item = static_cast<std::size_t>(i);
      if (at.offsets[item] == at.offsets[item + 1] || scale[item] == 0) continue;
      for (std::int64_t u = first[item]; u < first[item + 1]; ++u) {
        for (ItemId other : state.user_items[static_cast<std::size_t>(users[static_cast<std::size_t>(u)])]) {
          if (common[static_cast<std::size_t>(other)]++ == 0) touched.push_back(other);
        }
      }
      for (std::int64_t p = at.offsets[item]; p < at.offsets[item + 1]; ++p) {
        const auto place = static_cast<std::size_t>(at.places[static_cast<std::size_t>(p)]);
        double sum = 0;
        for (ItemId clicked : corpus.clicks(impressions.histories[static_cast<std::size_t>(row_of[place])])) {
          const auto h = static_cast<std::size_t>(clicked);
          sum += common[h] * scale[h];
        }
        scores[place] = static_cast<float>(sum * scale[item]);
      }
      for (ItemId other : touched) common[static_cast<std::size_t>(other)] = 0;
      touched.clear();
    }
  });
  return scores;
}

// Cosine of an item's vector to the mean of the history's. Titles are as in the corpus: an augmenter may have rewritten them.
std::vector<float> tfidf(const State& state, const Impressions& impressions) {
  const TitleVectors& titles = state.titles();
  const Corpus& corpus = state.corpus;
  const auto offsets = impressions.candidates.offsets();
  const auto candidates = impressions.candidates.values();
  std::vector<float> scores(candidates.size(), 0.0f);
  state.workspace.parallel_for(static_cast<std::int64_t>(impressions.size()), 512, [&](std::int64_t begin, std::int64_t end) {
    state.workspace.check_cancelled();
    std::vector<double> profile(titles.words, 0.0);
    std::vector<std::int32_t> touched;
    for (std::int64_t row = begin; row < end; ++row) {
      const auto i = static_cast<std::size_t>(row);
      touched.clear();
      for (ItemId item : corpus.clicks(impressions.histories[i])) {
        for (auto t = titles.offsets[static_cast<std::size_t>(item)]; t < titles.offsets[static_cast<std::size_t>(item) + 1]; ++t) {
          double& weight = profile[static_cast<std::size_t>(titles.terms[static_cast<std::size_t>(t)])];
          if (weight == 0) touched.push_back(titles.terms[static_cast<std::size_t>(t)]);
          weight += titles.weights[static_cast<std::size_t>(t)];
        }
      }
      double square = 0;
      for (std::int32_t term : touched) square += profile[static_cast<std::size_t>(term)] * profile[static_cast<std::size_t>(term)];
      const double scale = square > 0 ? 1.0 / std::sqrt(square) : 0.0;
      for (std::size_t c = offsets[i]; c < offsets[i + 1]; ++c) {
        const auto item = static_cast<std::size_t>(candidates[c]);
        double dot = 0;
        for (auto t = titles.offsets[item]; t < titles.offsets[item + 1]; ++t)
          dot += titles.weights[static_cast<std::size_t>(t)] * profile[static_cast<std::size_t>(titles.terms[static_cast<std::size_t>(t)])];
        scores[c] = static_cast<float>(dot * scale);
      }
      for (std::int32_t term : touched) profile[static_cast<std::size_t>(term)] = 0;
    }
  });
  return scores;
}

}  // namespace

TitleVectors make_title_vectors(const Corpus& corpus, Workspace& workspace) {
  const std::size_t items = corpus.items.size();
  std::vector<const StringColumn*> columns;
  if (const auto title = corpus.items.attributes.find("title"); title != corpus.items.attributes.end()) {
    columns.push_back(&title->second);
  } else {
    for (const auto& [name, column] : corpus.items.attributes) columns.push_back(&column);
  }
  if (columns.empty()) workspace.count("ranker tfidf: the items have no text, all candidates tie", "");

  Vocabulary vocabulary;
  std::vector<PackedText> texts;
  for (const StringColumn* column : columns) texts.push_back(tokenize_words(*column, 0, vocabulary, workspace));

  // Terms of each item, ascending, with their counts.
  TitleVectors v;
  v.words = vocabulary.size();
  v.offsets.push_back(0);
  std::vector<std::int32_t> words;
  for (std::size_t i = 0; i < items; ++i) {
    words.clear();
    for (const PackedText& text : texts) words.insert(words.end(), text[i].begin(), text[i].end());
    std::sort(words.begin(), words.end());
    for (std::size_t w = 0; w < words.size(); ++w) {
      if (w > 0 && words[w] == words[w - 1]) {
        v.weights.back() += 1;
      } else {
        v.terms.push_back(words[w]);
        v.weights.push_back(1);
      }
    }
    v.offsets.push_back(static_cast<std::int64_t>(v.terms.size()));
  }

  // Items shown or clicked in training decide how rare a word is.
  std::vector<std::uint8_t> in_training(items, 0);
  for (ItemId item : corpus.train.candidates.values()) in_training[static_cast<std::size_t>(item)] = 1;
  for (std::int32_t history : corpus.train.histories)
    for (ItemId item : corpus.clicks(history)) in_training[static_cast<std::size_t>(item)] = 1;
  std::vector<std::int64_t> holders(v.words, 0);
  std::int64_t documents = 0;
  for (std::size_t i = 0; i < items; ++i) {
    if (!in_training[i]) continue;
    ++documents;
    for (auto t = v.offsets[i]; t < v.offsets[i + 1]; ++t) ++holders[static_cast<std::size_t>(v.terms[static_cast<std::size_t>(t)])];
  }
  for (std::size_t i = 0; i < items; ++i) {
    double square = 0;
    for (auto t = static_cast<std::size_t>(v.offsets[i]); t < static_cast<std::size_t>(v.offsets[i + 1]); ++t) {
      const auto df = static_cast<double>(holders[static_cast<std::size_t>(v.terms[t])]);
      v.weights[t] *= std::log((1.0 + static_cast<double>(documents)) / (1.0 + df)) + 1.0;
      square += v.weights[t] * v.weights[t];
    }
    const double scale = square > 0 ? 1.0 / std::sqrt(square) : 0.0;
    for (auto t = static_cast<std::size_t>(v.offsets[i]); t < static_cast<std::size_t>(v.offsets[i + 1]); ++t) v.weights[t] *= scale;
  }
  return v;
}

std::vector<float> rank_untrained(const EvaluationContext& context, const std::string& ranker, const Impressions& impressions) {
  const State& state = context.state();
  if (ranker == "popularity") return popularity(state, impressions);
  if (ranker == "item_knn") return item_knn(state, impressions);
  if (ranker == "tfidf") return tfidf(state, impressions);
  const std::string near = nearest_name(ranker, {"popularity", "item_knn", "tfidf"});
  throw Error(ErrorKind::kUsage, "unknown ranker '" + ranker + "'; there are popularity, item_knn and tfidf",
              near.empty() ? "" : "did you mean '" + near + "'?");
}

}  // namespace oncekit
