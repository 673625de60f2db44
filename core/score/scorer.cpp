#include "score/scorer.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <span>
#include <utility>

#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros.h>

#include "model/recommender.h"
#include "score/evaluation_mode.h"

namespace oncekit {

namespace {

// Bounds of a chunk, in elements of what it makes. Constants: chunks may not depend on memory or threads.
constexpr std::int64_t kChunkStates = 512;
constexpr std::int64_t kChunkClicks = 1 << 14;      ///< states x longest history
constexpr std::int64_t kBlockCandidates = 1 << 15;  ///< impressions x longest candidate list

/// A distinct (user, history) and the impressions that show it candidates.
struct State {
  UserId user;
  std::int32_t history;
  std::int64_t length;
  std::size_t begin, end;  ///< in the order of impressions
};

Tensor to_tensor(std::vector<std::int64_t>& values, at::IntArrayRef shape, const at::Device& device) {
  Tensor host = at::from_blob(values.data(), shape, at::kLong);
  return device.is_cpu() ? host : host.to(device);
}

Tensor pick(const Tensor& rows, const Tensor& index) { return rows.defined() ? rows.index_select(0, index) : rows; }

/// Impressions grouped by (user, history), each group in the order of the data; groups by length of history.
std::vector<State> group_states(const Corpus& corpus, const Impressions& impressions, std::vector<std::int32_t>& order) {
  order.resize(impressions.size());
  std::iota(order.begin(), order.end(), 0);
  const auto key = [&](std::int32_t i) {
    const auto row = static_cast<std::size_t>(i);
    return std::pair(impressions.users[row], impressions.histories[row]);
  };
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) { return key(a) < key(b); });
  std::vector<State> states;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto [user, history] = key(order[i]);
    if (states.empty() || states.back().user != user || states.back().history != history) {
      states.push_back({user, history, static_cast<std::int64_t>(corpus.histories.length(static_cast<std::size_t>(history))), i, i});
    }
    states.back().end = i + 1;
  }
  std::stable_sort(states.begin(), states.end(), [](const State& a, const State& b) { return a.length < b.length; });
  return states;
}

/// An impression of a chunk.
struct Row {
  std::int64_t state;  ///< its state's place in the chunk
  std::size_t impression;
  std::int64_t length;
};

/// Scores one model on one set of impressions.
class Scorer {
 public:
  Scorer(Recommender& model, const Corpus& corpus, const Impressions& impressions)
      : model_(model), corpus_(corpus), impressions_(impressions), device_(model.device()),
        scores_(impressions.candidates.values().size(), 0.0f) {}

  std::vector<float> run(std::int64_t batch_items, Workspace& workspace) {
    std::vector<std::int32_t> order;
    const std::vector<State> states = group_states(corpus_, impressions_, order);
    encode_items(states, batch_items, workspace);
    const auto progress = workspace.progress("score", static_cast<std::int64_t>(impressions_.size()), "impressions");
    for (std::size_t begin = 0; begin < states.size();) {
      workspace.check_cancelled();
      std::size_t end = begin;
      while (end < states.size() && static_cast<std::int64_t>(end - begin) < kChunkStates &&
             (end == begin || static_cast<std::int64_t>(end - begin + 1) * states[end].length <= kChunkClicks)) {
        ++end;
      }
      progress->advance(score_chunk(std::span(states).subspan(begin, end - begin), order));
      begin = end;
    }
    return std::move(scores_);
  }

 private:
  void encode_items(const std::vector<State>& states, std::int64_t batch_items, Workspace& workspace) {
    row_of_item_.assign(corpus_.items.size(), -1);
    for (ItemId item : impressions_.candidates.values()) row_of_item_[static_cast<std::size_t>(item)] = 0;
    for (const State& state : states) {
      for (ItemId item : corpus_.histories[static_cast<std::size_t>(state.history)]) row_of_item_[static_cast<std::size_t>(item)] = 0;
    }
    std::vector<ItemId> ids;
    for (std::size_t item = 0; item < row_of_item_.size(); ++item) {
      if (row_of_item_[item] < 0) continue;
      row_of_item_[item] = static_cast<std::int64_t>(ids.size());
      ids.push_back(static_cast<ItemId>(item));
    }
    items_UD_ = model_.encode_items(ids, batch_items, workspace);
    place_of_row_.assign(ids.size(), -1);
  }

  /// Returns how many impressions were scored.
  std::int64_t score_chunk(std::span<const State> states, const std::vector<std::int32_t>& order) {
    std::vector<UserId> users;
    std::vector<std::int32_t> histories;
    std::vector<ItemId> ids;
    // Encoders may project every item they are given: a chunk's clicks come with their own items alone.
    std::vector<std::int64_t> rows, used;
    Clicks clicks;
    clicks.offsets_B1.push_back(0);
    std::vector<Row> shown;
    for (std::size_t s = 0; s < states.size(); ++s) {
      users.push_back(states[s].user);
      histories.push_back(states[s].history);
      for (ItemId item : corpus_.histories[static_cast<std::size_t>(states[s].history)]) {
        ids.push_back(item);
        const std::int64_t row = row_of_item_[static_cast<std::size_t>(item)];
        std::int64_t& place = place_of_row_[static_cast<std::size_t>(row)];
        if (place < 0) {
          place = static_cast<std::int64_t>(used.size());
          used.push_back(row);
        }
        rows.push_back(place);
      }
      clicks.offsets_B1.push_back(static_cast<std::int64_t>(ids.size()));
      for (std::size_t i = states[s].begin; i < states[s].end; ++i) {
        const auto impression = static_cast<std::size_t>(order[i]);
        shown.push_back({static_cast<std::int64_t>(s), impression, static_cast<std::int64_t>(impressions_.candidates.length(impression))});
      }
    }
    for (const std::int64_t row : used) place_of_row_[static_cast<std::size_t>(row)] = -1;
    clicks.items_UD = items_UD_.index_select(0, to_tensor(used, {static_cast<std::int64_t>(used.size())}, device_));
    clicks.rows_N = to_tensor(rows, {static_cast<std::int64_t>(rows.size())}, device_);
    clicks.ids_N = ids;
    clicks.users_B = users;
    clicks.histories_B = histories;
    const UserState state = model_.encode_users(clicks);

    std::stable_sort(shown.begin(), shown.end(), [](const Row& a, const Row& b) { return a.length < b.length; });
    for (std::size_t begin = 0; begin < shown.size();) {
      std::size_t end = begin + 1;
      while (end < shown.size() && static_cast<std::int64_t>(end - begin + 1) * shown[end].length <= kBlockCandidates) ++end;
      score_block(state, std::span(shown).subspan(begin, end - begin));
      begin = end;
    }
    return static_cast<std::int64_t>(shown.size());
  }

  void score_block(const UserState& state, std::span<const Row> shown) {
    const auto b = static_cast<std::int64_t>(shown.size());
    const std::int64_t c = shown.back().length;
    if (c == 0) return;
    std::vector<std::int64_t> states, rows(static_cast<std::size_t>(b * c), 0);
    std::vector<ItemId> ids(static_cast<std::size_t>(b * c), -1);
    Tensor mask_BC = at::zeros({b, c}, at::kBool);
    bool* mask = mask_BC.data_ptr<bool>();
    for (std::size_t i = 0; i < shown.size(); ++i) {
      states.push_back(shown[i].state);
      const auto candidates = impressions_.candidates[shown[i].impression];
      for (std::size_t k = 0; k < candidates.size(); ++k) {
        const std::size_t place = i * static_cast<std::size_t>(c) + k;
        ids[place] = candidates[k];
        rows[place] = row_of_item_[static_cast<std::size_t>(candidates[k])];
        mask[place] = true;
      }
    }
    const Tensor index = to_tensor(states, {b}, device_);
    const UserState picked{pick(state.users_BMD, index), pick(state.clicks_BHD, index), pick(state.mask_BH, index),
                           pick(state.profile_BD, index), {}};
    const Candidates candidates{items_UD_, to_tensor(rows, {b, c}, device_), mask_BC.to(device_), ids};
    const Tensor scores_BC = model_.score(picked, candidates).to(at::kCPU, at::kFloat).contiguous();
    const float* scores = scores_BC.const_data_ptr<float>();
    for (std::size_t i = 0; i < shown.size(); ++i) {
      std::copy_n(scores + i * static_cast<std::size_t>(c), static_cast<std::size_t>(shown[i].length),
                  scores_.begin() + static_cast<std::ptrdiff_t>(impressions_.candidates.offsets()[shown[i].impression]));
    }
  }

  Recommender& model_;
  const Corpus& corpus_;
  const Impressions& impressions_;
  at::Device device_;
  std::vector<float> scores_;
  std::vector<std::int64_t> row_of_item_;   ///< row in items_UD_, -1 for items not needed
  std::vector<std::int64_t> place_of_row_;  ///< of a chunk's clicked items; -1 elsewhere
  Tensor items_UD_;
};

}  // namespace

std::vector<float> score_impressions(Recommender& model, const Corpus& corpus, const Impressions& impressions,
                                     std::int64_t batch_items, Workspace& workspace) {
  const EvaluationMode evaluating(model);
  return Scorer(model, corpus, impressions).run(batch_items, workspace);
}

}  // namespace oncekit
