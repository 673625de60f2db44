#include "data/stats.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>


namespace oncekit {
namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

std::int64_t words(std::string_view text) {
  std::int64_t n = 0;
  bool inside = false;
  for (const char c : text) {
    const bool space = c == ' ' || c == '\t';
    n += !space && !inside;
    inside = !space;
  }
  return n;
}

struct Summary {
  double sum = 0, longest = 0;
  std::int64_t n = 0;
  void add(double x) {
    sum += x;
    longest = std::max(longest, x);
    ++n;
  }
  double mean() const { return n ? sum / static_cast<double>(n) : 0; }
};

using Named = std::pair<const char*, const Impressions*>;
std::vector<Named> splits(const Corpus& c) { return {{"train", &c.train}, {"dev", &c.dev}, {"test", &c.test}}; }

class Figures {
 public:
  void add(std::string name, double value, std::string doc) { list.push_back({std::move(name), value, std::move(doc)}); }
  void add(const std::string& prefix, const Summary& s, const std::string& doc) {
    if (s.n == 0) return;
    add(prefix + "_mean", s.mean(), "mean of " + doc);
    add(prefix + "_max", s.longest, "largest of " + doc);
  }
  std::vector<Figure> list;
};

// How often each item was clicked in training: as a candidate, or in the history of a training impression (each history once).
struct TrainingClicks {
  std::vector<std::int64_t> as_candidate, in_all;
};

TrainingClicks training_clicks(const Corpus& corpus) {
  TrainingClicks clicks{std::vector<std::int64_t>(corpus.items.size(), 0), {}};
  for (std::size_t c = 0; c < corpus.train.labels.size(); ++c) clicks.as_candidate[at(corpus.train.candidates.values()[c])] += corpus.train.labels[c];
  clicks.in_all = clicks.as_candidate;
  std::vector<std::uint8_t> counted(corpus.histories.size(), 0);
  for (const std::int32_t history : corpus.train.histories) {
    if (std::exchange(counted[at(history)], 1)) continue;
    for (const ItemId item : corpus.histories[at(history)]) ++clicks.in_all[at(item)];
  }
  return clicks;
}

void add_users(const Corpus& corpus, Figures& figures) {
  // A user is new when no history of his is longer than 5 clicks.
  std::vector<std::int32_t> longest(corpus.users.size(), -1);
  for (const auto& [name, rows] : splits(corpus)) {
    for (std::size_t i = 0; i < rows->size(); ++i)
      longest[at(rows->users[i])] = std::max(longest[at(rows->users[i])], corpus.clicks_before[at(rows->histories[i])]);
  }
  std::int64_t empty = 0, fresh = 0, warm = 0;
  Summary history;
  for (const std::int32_t clicks : longest) {
    empty += clicks == 0;
    fresh += clicks >= 1 && clicks <= 5;
    warm += clicks > 5;
    if (clicks >= 0) history.add(clicks);
  }
  figures.add("users", static_cast<double>(corpus.users.size()), "users, those without impressions included");
  figures.add("new_users", static_cast<double>(fresh), "users with 1 to 5 clicks before truncation");
  figures.add("warm_users", static_cast<double>(warm), "users with more");
  figures.add("empty_users", static_cast<double>(empty), "users whose history is empty");
  figures.add("user_history", history, "clicks a user before truncation (his longest history)");
}

void add_items(const Corpus& corpus, Figures& figures) {
  figures.add("items", static_cast<double>(corpus.items.size()), "items, generated ones included");
  figures.add("listed_items", static_cast<double>(corpus.items.listed), "items that may be candidates");
  for (const char* name : {"title", "abstract"}) {
    const auto column = corpus.items.attributes.find(name);
    if (column == corpus.items.attributes.end()) continue;
    Summary length;
    std::int64_t empty = 0;
    for (std::size_t i = 0; i < column->second.size(); ++i) {
      length.add(static_cast<double>(words(column->second[i])));
      empty += column->second[i].empty();
    }
    figures.add(std::string(name) + "_words", length, std::string("words a") + (name[0] == 'a' ? "n " : " ") + name);
    figures.add(std::string("empty_") + name + "s", static_cast<double>(empty), std::string("items with an empty ") + name);
  }
  for (const char* name : {"category", "subcategory"}) {
    const auto column = corpus.items.attributes.find(name);
    if (column == corpus.items.attributes.end()) continue;
    std::vector<std::string_view> values;
    for (std::size_t i = 0; i < column->second.size(); ++i) values.push_back(column->second[i]);
    std::sort(values.begin(), values.end());
    const auto distinct = std::unique(values.begin(), values.end()) - values.begin();
    figures.add(std::string(name[0] == 'c' ? "categories" : "subcategories"), static_cast<double>(distinct), std::string("distinct values of ") + name);
  }
}

void add_split(const Corpus& corpus, const std::string& name, const Impressions& rows, const TrainingClicks& training, Figures& figures) {
  figures.add(name + "_impressions", static_cast<double>(rows.size()), "impressions");
  if (rows.size() == 0) return;
  figures.add(name + "_candidates", static_cast<double>(rows.candidates.values().size()), "candidate rows");
  Summary candidates, history;
  std::int64_t one_class = 0, empty = 0, fresh = 0, clicks = 0, seen = 0, timeless = 0;
  std::vector<std::uint8_t> user_met(corpus.users.size(), 0);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t begin = rows.candidates.offsets()[i], end = rows.candidates.offsets()[i + 1];
    candidates.add(static_cast<double>(end - begin));
    const std::int32_t before = corpus.clicks_before[at(rows.histories[i])];
    history.add(static_cast<double>(corpus.histories.length(at(rows.histories[i]))));
    empty += before == 0;
    fresh += before >= 1 && before <= 5;
    timeless += rows.times[i] < 0;
    user_met[at(rows.users[i])] = 1;
    if (!rows.labelled()) continue;
    std::size_t clicked = 0;
    for (std::size_t c = begin; c < end; ++c) {
      if (!rows.labels[c]) continue;
      ++clicked;
      seen += training.in_all[at(rows.candidates.values()[c])] > 0;
    }
    clicks += static_cast<std::int64_t>(clicked);
    one_class += clicked == 0 || clicked == end - begin;
  }
  figures.add(name + "_users", static_cast<double>(std::count(user_met.begin(), user_met.end(), 1)), "users with impressions here");
  figures.add(name + "_candidates", candidates, "candidates an impression");
  figures.add(name + "_history", history, "clicks a history, truncated");
  figures.add(name + "_empty", static_cast<double>(empty), "impressions with an empty history");
  figures.add(name + "_new", static_cast<double>(fresh), "impressions of new users (1 to 5 clicks before truncation)");
  figures.add(name + "_timeless", static_cast<double>(timeless), "impressions without a time");
  if (!rows.labelled()) {
    figures.add(name + "_unlabelled", 1, "1: no labels");
    return;
  }
  figures.add(name + "_clicks", static_cast<double>(clicks), "clicked candidates");
  figures.add(name + "_one_class", static_cast<double>(one_class), "impressions with all or none clicked; grouped metrics skip them");
  if (name != "train" && clicks > 0)
    figures.add(name + "_clicks_seen", static_cast<double>(seen) / static_cast<double>(clicks), "share of the clicked candidates that were clicked in training");
}

void add_popularity(const TrainingClicks& training, Figures& figures) {
  std::vector<std::int64_t> sorted = training.as_candidate;
  std::sort(sorted.rbegin(), sorted.rend());
  double total = 0, top = 0;
  const std::size_t percent = std::max<std::size_t>(1, sorted.size() / 100);
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    total += static_cast<double>(sorted[i]);
    if (i < percent) top += static_cast<double>(sorted[i]);
  }
  if (total == 0) return;
  figures.add("train_items_clicked", static_cast<double>(std::count_if(sorted.begin(), sorted.end(), [](std::int64_t n) { return n > 0; })),
              "items clicked as candidates in training");
  figures.add("train_top_share", top / total, "share of training clicks on the most clicked hundredth of the items");
}

std::string unknown_id(const StringColumn& ids, const std::string& id) {
  std::vector<std::string> known;
  for (std::size_t i = 0; i < ids.size() && known.size() < 100000; ++i) known.emplace_back(ids[i]);
  const std::string near = nearest_name(id, known);
  return near.empty() ? "ids are as in the raw files" : "did you mean '" + near + "'?";
}

std::size_t row_of(const StringColumn& ids, const std::string& kind, const std::string& id) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] == id) return i;
  }
  throw Error(ErrorKind::kUsage, "there is no " + kind + " '" + id + "'", unknown_id(ids, id));
}

std::string title(const Corpus& corpus, ItemId item) {
  const auto column = corpus.items.attributes.find("title");
  std::string text = fmt::format("{:<10}", std::string(corpus.items.ids[at(item)]));
  if (column != corpus.items.attributes.end()) text += " " + std::string(column->second[at(item)]);
  return text;
}

std::string list_history(const Corpus& corpus, std::int32_t history) {
  const std::span<const ItemId> clicks = corpus.histories[at(history)];
  std::string text = fmt::format("  history: {} clicks, {} before truncation\n", clicks.size(), corpus.clicks_before[at(history)]);
  for (const ItemId item : clicks) text += "    " + title(corpus, item) + "\n";
  return text;
}

}  // namespace

std::vector<Figure> corpus_figures(const Corpus& corpus) {
  Figures figures;
  add_items(corpus, figures);
  add_users(corpus, figures);
  figures.add("histories", static_cast<double>(corpus.histories.size()), "distinct histories");
  const TrainingClicks training = training_clicks(corpus);
  for (const auto& [name, rows] : splits(corpus)) add_split(corpus, name, *rows, training, figures);
  add_popularity(training, figures);
  for (const auto& [name, value] : corpus.facts) figures.add(name, value, "known of the data");
  return figures.list;
}

void check_expected(const std::vector<Figure>& figures, const std::map<std::string, double>& expected, Problems& problems) {
  std::vector<std::string> names;
  for (const Figure& figure : figures) names.push_back(figure.name);
  for (const auto& [key, wanted] : expected) {
    const std::string name = key.starts_with("data/") ? key.substr(5) : key;
    if (name.find('/') != std::string::npos) continue;
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      const std::string near = nearest_name(name, names);
      problems.add("[expect] names '" + name + "', which is no figure of the data", near.empty() ? "`oncekit data stats` lists them" : "did you mean '" + near + "'?");
      continue;
    }
    const double value = figures[static_cast<std::size_t>(found - names.begin())].value;
    const bool whole = wanted == std::floor(wanted) && value == std::floor(value);
    if (whole ? value != wanted : !(std::abs(value - wanted) <= 1e-6 * std::max(1.0, std::abs(wanted))))
      problems.add(fmt::format("{} is {}, expected {}", name, value, wanted), "the files, the split or the options differ from what the recipe was written for");
  }
}

std::string show_item(const Corpus& corpus, const std::string& id) {
  const std::size_t row = row_of(corpus.items.ids, "item", id);
  std::string text = "item " + id + (row >= corpus.items.listed ? " (generated)" : "") + "\n";
  for (const auto& [name, column] : corpus.items.attributes) text += fmt::format("  {:<12} {}\n", name, column[row]);
  for (const auto& [name, rows] : splits(corpus)) {
    std::int64_t shown = 0, clicked = 0;
    for (std::size_t c = 0; c < rows->candidates.values().size(); ++c) {
      if (at(rows->candidates.values()[c]) != row) continue;
      ++shown;
      if (rows->labelled()) clicked += rows->labels[c];
    }
    text += fmt::format("  {:<5} shown {} times, clicked {} times\n", name, shown, clicked);
  }
  return text;
}

std::string show_user(const Corpus& corpus, const std::string& id) {
  const std::size_t row = row_of(corpus.users.ids, "user", id);
  std::string text = "user " + id + "\n";
  for (const auto& [name, column] : corpus.users.attributes) {
    text += fmt::format("  {:<12}", name);
    for (const std::int32_t value : column.values[row]) text += " " + std::string(column.vocabulary[at(value)]);
    text += "\n";
  }
  std::int32_t longest = -1;
  for (const auto& [name, rows] : splits(corpus)) {
    std::string ids;
    std::int64_t n = 0;
    for (std::size_t i = 0; i < rows->size(); ++i) {
      if (at(rows->users[i]) != row) continue;
      if (++n <= 10) ids += " " + std::string(rows->ids[i]);
      const std::int32_t history = rows->histories[i];
      if (longest < 0 || corpus.clicks_before[at(history)] > corpus.clicks_before[at(longest)]) longest = history;
    }
    text += fmt::format("  {:<5} {} impressions{}{}\n", name, n, n > 0 ? ":" + ids : "", n > 10 ? " ..." : "");
  }
  return longest < 0 ? text : text + list_history(corpus, longest);
}

std::string show_impression(const Corpus& corpus, const std::string& split, const std::string& id) {
  for (const auto& [name, rows] : splits(corpus)) {
    if (name != split) continue;
    const std::size_t i = row_of(rows->ids, split + " impression", id);
    std::string text = fmt::format("{} impression {}, user {}", split, id, corpus.users.ids[at(rows->users[i])]);
    text += rows->times[i] < 0 ? "\n" : fmt::format(", {} seconds since 1970\n", rows->times[i]);
    text += list_history(corpus, rows->histories[i]);
    text += fmt::format("  candidates: {}\n", rows->candidates.length(i));
    for (std::size_t c = rows->candidates.offsets()[i]; c < rows->candidates.offsets()[i + 1]; ++c)
      text += fmt::format("    {} {}\n", !rows->labelled() ? '?' : rows->labels[c] ? '*' : ' ', title(corpus, rows->candidates.values()[c]));
    return text;
  }
  throw Error(ErrorKind::kUsage, "there is no split '" + split + "'", "use train, dev or test");
}

}  // namespace oncekit
