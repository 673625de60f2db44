#include "augment/guard.h"

#include <algorithm>
#include <unordered_map>

namespace oncekit {

std::vector<ItemId> as_set(std::span<const ItemId> items) {
  std::vector<ItemId> out(items.begin(), items.end());
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

void own_histories(Corpus& corpus) {
  if (!corpus.history_users.empty() || corpus.histories.size() == 0) return;
  Ragged<ItemId> histories;
  std::vector<std::int32_t> before;
  std::unordered_map<std::uint64_t, std::int32_t> rows;
  for (Impressions* part : {&corpus.train, &corpus.dev, &corpus.test}) {
    for (std::size_t i = 0; i < part->size(); ++i) {
      const auto user = static_cast<std::uint32_t>(part->users[i]), history = static_cast<std::uint32_t>(part->histories[i]);
      const auto [at, fresh] = rows.try_emplace(std::uint64_t{user} << 32 | history, static_cast<std::int32_t>(corpus.history_users.size()));
      if (fresh) {
        histories.push_back(corpus.histories[history]);
        before.push_back(corpus.clicks_before[history]);
        corpus.history_users.push_back(part->users[i]);
      }
      part->histories[i] = at->second;
    }
  }
  corpus.histories = std::move(histories);
  corpus.clicks_before = std::move(before);
}

GuardedAnswers::GuardedAnswers(const Corpus& corpus, bool allow_leak, std::optional<Rng> shuffle)
    : corpus_(corpus), allow_leak_(allow_leak), shuffle_(shuffle) {}

void GuardedAnswers::add_item(ItemId item, Parsed&& parsed) { items_[item].push_back(std::move(parsed)); }

void GuardedAnswers::add_user(UserId user, const Seen& seen, Parsed&& parsed) {
  std::vector<Group>& groups = users_[user];
  auto at = std::find_if(groups.begin(), groups.end(), [&](const Group& group) { return group.shown == seen; });
  if (at == groups.end()) at = groups.insert(groups.end(), Group{seen, seen ? as_set(*seen) : std::vector<ItemId>(), {}});
  at->draws.push_back(std::move(parsed));
}

void GuardedAnswers::seal() {
  of_history_.assign(corpus_.histories.size(), nullptr);
  figures_ = {};
  for (std::size_t row = 0; row < of_history_.size(); ++row) {
    const auto found = users_.find(corpus_.history_users[row]);
    if (found == users_.end()) continue;
    ++figures_.histories;
    const std::vector<ItemId> own = as_set(corpus_.histories[row]);
    const Group *best = nullptr, *any = nullptr;
    bool known = false;
    for (const Group& group : found->second) {
      const auto saw_more = [&](const Group* other) { return !other || group.seen.size() > other->seen.size(); };
      if (saw_more(any)) any = &group;
      if (!group.shown) continue;
      known = true;
      if (std::includes(own.begin(), own.end(), group.seen.begin(), group.seen.end()) && saw_more(best)) best = &group;
    }
    if (!best) {
      ++figures_.withheld;
      if (!known) ++figures_.unknown;
      if (allow_leak_) best = any;
    }
    if (best) ++figures_.given;
    of_history_[row] = best;
  }
  if (!shuffle_) return;
  std::vector<const Group*> given;
  std::copy_if(of_history_.begin(), of_history_.end(), std::back_inserter(given), [](const Group* group) { return group != nullptr; });
  shuffle_->shuffle(given.data(), given.size());
  auto next = given.begin();
  for (const Group*& group : of_history_)
    if (group) group = *next++;
}

std::span<const Parsed> GuardedAnswers::about_item(ItemId item) const {
  const auto found = items_.find(item);
  return found == items_.end() ? std::span<const Parsed>() : std::span<const Parsed>(found->second);
}

std::span<const Parsed> GuardedAnswers::about_history(std::int32_t history) const {
  const Group* group = of_history_[static_cast<std::size_t>(history)];
  return group ? std::span<const Parsed>(group->draws) : std::span<const Parsed>();
}

GuardedAnswers::Leaks GuardedAnswers::leaks(const Impressions& impressions) const {
  Leaks leaks;
  leaks.impressions = static_cast<std::int64_t>(impressions.size());
  if (!impressions.labelled()) return leaks;
  for (std::size_t i = 0; i < impressions.size(); ++i) {
    const auto found = users_.find(impressions.users[i]);
    if (found == users_.end()) continue;
    ++leaks.with_answer;
    const Group* used = of_history_[static_cast<std::size_t>(impressions.histories[i])];
    const std::size_t begin = impressions.candidates.offsets()[i];
    const auto shown = impressions.candidates[i];
    const auto holds_positive = [&](const Group& group) {
      for (std::size_t c = 0; c < shown.size(); ++c)
        if (impressions.labels[begin + c] && std::binary_search(group.seen.begin(), group.seen.end(), shown[c])) return true;
      return false;
    };
    if (std::any_of(found->second.begin(), found->second.end(), holds_positive)) ++leaks.seen_positive;
    if (used && holds_positive(*used)) ++leaks.used;
  }
  return leaks;
}

}  // namespace oncekit
