#include "evaluate/context.h"

#include <algorithm>
#include <numeric>

#include "evaluate/rankers.h"

namespace oncekit {
namespace {

// The distinct items each user clicked in training: clicked candidates and clicks in the histories of its training impressions.
Ragged<ItemId> training_items(const Corpus& corpus, Workspace& workspace) {
  const Impressions& train = corpus.train;
  const std::size_t users = corpus.users.size();

  // Impressions by user, in the order of the data.
  std::vector<std::int64_t> first(users + 1, 0);
  for (UserId user : train.users) ++first[static_cast<std::size_t>(user) + 1];
  std::partial_sum(first.begin(), first.end(), first.begin());
  std::vector<std::int32_t> rows(train.size());
  std::vector<std::int64_t> next(first.begin(), first.end() - 1);
  for (std::size_t i = 0; i < train.size(); ++i) rows[static_cast<std::size_t>(next[static_cast<std::size_t>(train.users[i])]++)] = static_cast<std::int32_t>(i);

  std::vector<std::vector<ItemId>> sets(users);
  const auto candidates = train.candidates.offsets();
  workspace.parallel_for(static_cast<std::int64_t>(users), 1024, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::int32_t> histories;
    for (std::int64_t u = begin; u < end; ++u) {
      std::vector<ItemId>& set = sets[static_cast<std::size_t>(u)];
      histories.clear();
      for (std::int64_t at = first[static_cast<std::size_t>(u)]; at < first[static_cast<std::size_t>(u) + 1]; ++at) {
        const auto row = static_cast<std::size_t>(rows[static_cast<std::size_t>(at)]);
        histories.push_back(train.histories[row]);
        if (!train.labelled()) continue;
        for (std::size_t c = candidates[row]; c < candidates[row + 1]; ++c)
          if (train.labels[c]) set.push_back(train.candidates.values()[c]);
      }
      std::sort(histories.begin(), histories.end());
      histories.erase(std::unique(histories.begin(), histories.end()), histories.end());
      for (std::int32_t history : histories) {
        const auto clicks = corpus.clicks(history);
        set.insert(set.end(), clicks.begin(), clicks.end());
      }
      std::sort(set.begin(), set.end());
      set.erase(std::unique(set.begin(), set.end()), set.end());
    }
  });
  Ragged<ItemId> all;
  for (const std::vector<ItemId>& set : sets) all.push_back(set);
  return all;
}

}  // namespace

EvaluationContext::State::State(const Corpus& c, const EvaluateOptions& o, Workspace& w)
    : corpus(c), workspace(w), options(o), by_user((o.group == "dataset" ? c.group : o.group) == "user") {
  Problems problems;
  options.validate(problems);
  problems.raise(ErrorKind::kUsage);
  for (const std::string& name : options.metrics) metrics.push_back(*parse_metric(name));
  user_items = training_items(corpus, workspace);
  item_users.assign(corpus.items.size(), 0);
  for (ItemId item : user_items.values()) ++item_users[static_cast<std::size_t>(item)];
}

EvaluationContext::State::~State() = default;

const TitleVectors& EvaluationContext::State::titles() const {
  std::call_once(titles_made_, [&] { titles_ = std::make_unique<TitleVectors>(make_title_vectors(corpus, workspace)); });
  return *titles_;
}

EvaluationContext::EvaluationContext(const Corpus& corpus, const EvaluateOptions& options, Workspace& workspace)
    : state_(std::make_unique<State>(corpus, options, workspace)) {}

EvaluationContext::~EvaluationContext() = default;

void EvaluateOptions::validate(Problems& problems) const {
  if (metrics.empty()) problems.add("[evaluate] metrics is empty", "name at least one, e.g. \"auc\"");
  std::vector<std::string> known;
  for (const std::string& name : metrics) {
    if (!parse_metric(name)) problems.add("[evaluate] metrics: unknown metric '" + name + "'", suggest_metric(name));
    if (std::find(known.begin(), known.end(), name) != known.end()) problems.add("[evaluate] metrics: '" + name + "' stands twice");
    known.push_back(name);
  }
  for (const std::vector<std::string>* list : {&slices, &rankers}) {
    std::vector<std::string> sorted = *list;
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    if (twice != sorted.end()) problems.add(std::string("[evaluate] ") + (list == &slices ? "slices" : "rankers") + ": '" + *twice + "' stands twice");
  }
  if (candidates == "all" && std::find(metrics.begin(), metrics.end(), "global_auc") != metrics.end()) {
    problems.add("[evaluate] global_auc needs candidates = \"listed\": scores of the whole catalogue are never held at once", "leave it out");
  }
}

}  // namespace oncekit
