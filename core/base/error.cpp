#include "oncekit/error.h"

#include <algorithm>

namespace oncekit {
namespace {

std::string paragraph(const std::string& where, const std::string& message, const std::string& hint) {
  std::string text = where.empty() ? message : where + ": " + message;
  if (!hint.empty()) text += (text.find('\n') == std::string::npos ? "; " : "\n") + hint;
  return text;
}

// Damerau-Levenshtein distance with adjacent swaps (optimal string alignment).
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = a[i - 1] == b[j - 1];
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) now[j] = std::min(now[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(now);
  }
  return last[b.size()];
}

}  // namespace

Error::Error(ErrorKind kind, std::string message, std::string hint, std::string where)
    : kind_(kind), message_(std::move(message)), hint_(std::move(hint)), where_(std::move(where)),
      text_(paragraph(where_, message_, hint_)) {}

Error::~Error() = default;

void Problems::add(std::string message, std::string hint, std::string where) {
  items_.emplace_back(ErrorKind::kUsage, std::move(message), std::move(hint), std::move(where));
}

void Problems::raise(ErrorKind kind) const {
  if (items_.empty()) return;
  if (items_.size() == 1) throw Error(kind, items_[0].message(), items_[0].hint(), items_[0].where());
  constexpr std::size_t kShown = 20;
  std::string text;
  for (std::size_t i = 0; i < std::min(items_.size(), kShown); ++i) {
    if (i) text += '\n';
    text += items_[i].what();
  }
  if (items_.size() > kShown) text += "\nand " + std::to_string(items_.size() - kShown) + " more";
  throw Error(kind, std::move(text));
}

std::string nearest_name(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  if (!best.empty()) return best;
  // A word that begins or ends a longer name is meant too: "dropout" for "attention_dropout".
  for (const std::string& candidate : candidates)
    if (word.size() >= 3 && (candidate.starts_with(word) || candidate.ends_with(word))) return candidate;
  return {};
}

}  // namespace oncekit
