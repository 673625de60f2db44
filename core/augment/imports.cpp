#include "augment/imports.h"

#include <algorithm>

namespace oncekit {

Imports::Imports(std::string task, const Corpus& corpus, const AnswersOptions& options, const AnswerStore& store, Parse parse)
    : task_(std::move(task)), corpus_(corpus), options_(options), store_(store), parse_(std::move(parse)) {
  any_ = options_.imports != "ignore" && store_.totals().imported > 0;
  if (any_) index();
}

void Imports::index() {
  for (std::size_t row = 0; row < corpus_.histories.size(); ++row) {
    const std::string_view user = corpus_.users.ids[static_cast<std::size_t>(corpus_.history_users[row])];
    std::vector<std::int32_t>& rows = rows_[user];
    rows.push_back(static_cast<std::int32_t>(row));
    if (options_.imports_saw == "unknown" || (options_.imports_saw == "history" && rows.size() > 1)) continue;
    const auto clicks = corpus_.clicks(static_cast<std::int32_t>(row));
    shown_[user].insert(shown_[user].end(), clicks.begin(), clicks.end());
  }
  if (options_.imports_saw != "everything") return;
  for (const Impressions* part : {&corpus_.train, &corpus_.dev, &corpus_.test})
    for (std::size_t i = 0; i < part->size() && part->labelled(); ++i)
      for (std::size_t c = 0; c < part->candidates.length(i); ++c)
        if (part->labels[part->candidates.offsets()[i] + c]) shown_[corpus_.users.ids[static_cast<std::size_t>(part->users[i])]].push_back(part->candidates[i][c]);
}

const Imports::About& Imports::about(const Prompt& prompt) {
  const auto [at, fresh] = about_.try_emplace(prompt.key);
  About& about = at->second;
  if (!fresh || !any_) return about;
  if (const auto shown = shown_.find(prompt.key); !prompt.seen.empty() && shown != shown_.end()) about.seen = shown->second;
  Prompt known;  // of a prompt that nobody has kept
  known.key = prompt.key;
  known.seen = about.seen.value_or(std::vector<ItemId>());
  for (const StoredAnswer& stored : store_.imported(task_, prompt.key)) {
    Parsed parsed = parse_(known, stored);
    if (!parsed.accepted) continue;
    about.model = stored.model;
    about.accepted.push_back(std::move(parsed));
  }
  return about;
}

Imports::Cover Imports::cover(const Prompt& prompt) {
  if (!any_) return Cover::kNone;
  const About& found = about(prompt);
  if (found.accepted.size() < static_cast<std::size_t>(prompt.draws)) return Cover::kNone;
  return prompt.seen.empty() || options_.allow_leak || fits(prompt, found.seen) ? Cover::kFull : Cover::kWithheld;
}

// A prompt does not say which history it shows. It is one of those that hold what it shows, so all of them must hold what the imports saw.
bool Imports::fits(const Prompt& prompt, const Seen& seen) const {
  const auto rows = rows_.find(prompt.key);
  if (!seen || rows == rows_.end()) return false;
  const std::vector<ItemId> of_prompt = as_set(prompt.seen), of_imports = as_set(*seen);
  bool held = false;
  for (const std::int32_t row : rows->second) {
    const std::vector<ItemId> own = as_set(corpus_.histories[static_cast<std::size_t>(row)]);
    if (!std::includes(own.begin(), own.end(), of_prompt.begin(), of_prompt.end())) continue;
    if (!std::includes(own.begin(), own.end(), of_imports.begin(), of_imports.end())) return false;
    held = true;
  }
  return held;
}

}  // namespace oncekit
