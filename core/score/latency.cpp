#include "score/latency.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <span>

#include <ATen/ops/arange.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>

#include "model/recommender.h"
#include "oncekit/error.h"
#include "plugin/guard.h"
#include "score/evaluation_mode.h"

namespace oncekit {
namespace {

/// Item vectors, and where each item's stands.
struct Vectors {
  Tensor items_UD;
  std::vector<std::int64_t> row_of_item;
};

Vectors encode(Recommender& model, std::vector<ItemId> ids, std::size_t items, std::int64_t batch_items, Workspace& workspace) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  Vectors vectors{model.encode_items(ids, batch_items, workspace), std::vector<std::int64_t>(items, -1)};
  for (std::size_t row = 0; row < ids.size(); ++row) vectors.row_of_item[static_cast<std::size_t>(ids[row])] = static_cast<std::int64_t>(row);
  return vectors;
}

/// The vectors of a few items, as a server would hand them on: encoders and interactions may compute something of every item they are given.
Tensor vectors_of(const Vectors& vectors, std::span<const ItemId> items) {
  std::vector<std::int64_t> rows;
  for (const ItemId item : items) rows.push_back(vectors.row_of_item[static_cast<std::size_t>(item)]);
  return vectors.items_UD.index_select(0, at::tensor(rows, at::kLong).to(vectors.items_UD.device()));
}

Tensor all_rows(const Tensor& items_UD) { return at::arange(items_UD.size(0), at::TensorOptions().dtype(at::kLong).device(items_UD.device())); }

/// One user with a history, as the user encoder is asked about it.
class OneUser {
 public:
  OneUser(const Corpus& corpus, const Impressions& impressions, std::size_t impression, const Vectors& vectors)
      : user_{impressions.users[impression]}, history_{impressions.histories[impression]} {
    const auto clicked = corpus.histories[static_cast<std::size_t>(history_[0])];
    clicks_.items_UD = vectors_of(vectors, clicked);
    clicks_.rows_N = all_rows(clicks_.items_UD);
    clicks_.offsets_B1 = {0, static_cast<std::int64_t>(clicked.size())};
    clicks_.ids_N = clicked;
    clicks_.users_B = user_;
    clicks_.histories_B = history_;
  }
  OneUser(const OneUser&) = delete;
  const Clicks& clicks() const { return clicks_; }

 private:
  std::vector<UserId> user_;
  std::vector<std::int32_t> history_;
  Clicks clicks_;
};

/// Times call(0), call(1), ...
Latency timed(const std::string& name, const LatencyOptions& options, Workspace& workspace, const std::function<void(std::int64_t)>& call) {
  using Clock = std::chrono::steady_clock;
  Latency latency{name, 0, 0, 0, ""};
  std::vector<double> ms;
  const std::int64_t warm_up = std::min<std::int64_t>(20, options.calls);
  const auto progress = workspace.progress("latency of " + name, options.calls, "calls");
  try {
    const auto began = Clock::now();
    for (std::int64_t i = 0; i < warm_up + options.calls; ++i) {
      workspace.check_cancelled();
      const auto start = Clock::now();
      if (std::chrono::duration<double>(start - began).count() > options.seconds && !ms.empty()) break;
      call(i % options.calls);
      if (i < warm_up) continue;
      ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
      progress->advance();
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInterrupted) throw;
    latency.problem = error.message();
    return latency;
  }
  std::sort(ms.begin(), ms.end());
  const auto percentile = [&](std::size_t p) { return ms[(ms.size() * p + 99) / 100 - 1]; };
  latency.calls = static_cast<std::int64_t>(ms.size());
  latency.p50_ms = percentile(50);
  latency.p99_ms = percentile(99);
  return latency;
}

}  // namespace

std::vector<Latency> measure_latency(Recommender& model, const Corpus& corpus, const Impressions& impressions, const LatencyOptions& options, Workspace& workspace) {
  const EvaluationMode evaluating(model);
  Rng rng = workspace.rng("latency");
  const auto listed = static_cast<std::uint64_t>(corpus.items.listed);
  std::vector<ItemId> items;
  std::vector<std::size_t> shown;
  std::vector<std::vector<ItemId>> candidates;
  std::vector<ItemId> needed;
  for (std::int64_t i = 0; i < options.calls; ++i) {
    items.push_back(static_cast<ItemId>(rng.below(listed)));
    shown.push_back(rng.below(impressions.size()));
    for (const ItemId item : corpus.histories[static_cast<std::size_t>(impressions.histories[shown.back()])]) needed.push_back(item);
    auto& list = candidates.emplace_back();
    for (std::int64_t c = 0; c < options.candidates; ++c) list.push_back(static_cast<ItemId>(rng.below(listed)));
    needed.insert(needed.end(), list.begin(), list.end());
  }
  const Vectors vectors = encode(model, std::move(needed), corpus.items.size(), options.batch_items, workspace);

  std::vector<Latency> all;
  ContentEncoder& content = model.content();
  all.push_back(timed("new_item", options, workspace, [&](std::int64_t i) {
    const ItemId item = items[static_cast<std::size_t>(i)];
    call_object(content, "encode_new", [&] { return content.encode_new(item); }).to(at::kCPU);
  }));
  all.push_back(timed("user", options, workspace, [&](std::int64_t i) {
    const OneUser user(corpus, impressions, shown[static_cast<std::size_t>(i)], vectors);
    model.encode_users(user.clicks()).users_BMD.to(at::kCPU);
  }));
  // One state serves all lists: their cost is the candidates'.
  const OneUser user(corpus, impressions, shown[0], vectors);
  const UserState state = model.encode_users(user.clicks());
  all.push_back(timed("score", options, workspace, [&](std::int64_t i) {
    const auto& list = candidates[static_cast<std::size_t>(i)];
    const Tensor items_UD = vectors_of(vectors, list), rows_BC = all_rows(items_UD).unsqueeze(0);
    model.score(state, {items_UD, rows_BC, at::ones_like(rows_BC, at::kBool), list}).to(at::kCPU);
  }));
  return all;
}

}  // namespace oncekit
