#include "readers.h"

#include <algorithm>

#include "filters.h"

namespace oncekit::goodreads {
namespace {

struct Shares {
  std::size_t train = 0, dev = 0, test = 0;
};

// The rest of the high ratings, as in the released scripts: tenths, or the last two; a single one is for the test.
Shares shares_of_positives(std::size_t n) {
  const std::size_t tenth = n >= 10 ? n / 10 : n >= 2 ? 1 : 0;
  return tenth > 0 ? Shares{n - 2 * tenth, tenth, tenth} : Shares{0, 0, n};
}

Shares shares_of_negatives(std::size_t n) {
  const std::size_t tenth = n >= 10 ? n / 10 : n >= 3 ? 1 : 0;
  return {n - 2 * tenth, tenth, tenth};
}

std::size_t history_length(Rng& rng) {
  const double draw = rng.uniform();
  if (draw < 0.1) return 1 + rng.below(5);
  return draw < 0.2 ? 6 : draw < 0.3 ? 7 : draw < 0.4 ? 8 : 9;
}

// Up to `n` different items, none of them marked in `taken`.
void draw_items(std::size_t items, std::size_t n, const std::vector<std::uint32_t>& taken, std::uint32_t stamp, Rng rng, std::vector<ItemId>& out) {
  const std::size_t before = out.size();
  const auto fresh = [&](ItemId item) {
    return taken[static_cast<std::size_t>(item)] != stamp && std::find(out.begin() + static_cast<std::ptrdiff_t>(before), out.end(), item) == out.end();
  };
  for (std::size_t tries = 0; out.size() < before + n && tries < 20 * n; ++tries) {
    const auto item = static_cast<ItemId>(rng.below(items));
    if (fresh(item)) out.push_back(item);
  }
  if (out.size() == before + n) return;
  std::vector<ItemId> rest;  // a small catalogue, nearly all of it read
  for (std::size_t i = 0; i < items; ++i)
    if (fresh(static_cast<ItemId>(i))) rest.push_back(static_cast<ItemId>(i));
  rng.shuffle(rest.data(), rest.size());
  rest.resize(std::min(rest.size(), before + n - out.size()));
  out.insert(out.end(), rest.begin(), rest.end());
}

void add_items(Corpus& corpus, const Interactions& all, Catalogue& catalogue, const Options& options, std::vector<ItemId>& item_of) {
  const std::vector<std::uint32_t> counts = count_books(all.readers, all.books.size());
  item_of.assign(all.books.size(), -1);
  Items& items = corpus.items;
  StringColumn& titles = items.attributes["title"];
  StringColumn* descriptions = options.wants("description") ? &items.attributes["description"] : nullptr;
  StringColumn* authors = options.wants("authors") ? &items.attributes["authors"] : nullptr;
  for (const std::int32_t b : catalogue.order) {
    const auto book = static_cast<std::size_t>(b);
    if (counts[book] == 0) continue;
    item_of[book] = static_cast<ItemId>(items.ids.size());
    items.ids.push_back(all.books[book]);
    titles.push_back(catalogue.titles[book]);
    if (descriptions) descriptions->push_back(catalogue.descriptions[book]);
    if (authors) authors->push_back(catalogue.authors[book]);
  }
  items.listed = items.ids.size();
  if (!options.wants("title")) items.attributes.erase("title");
}

}  // namespace

Corpus make_corpus(const Interactions& all, Catalogue&& catalogue, const Options& options, Workspace& workspace, Tally& tally) {
  Corpus corpus;
  corpus.name = "goodreads";
  corpus.group = "user";
  std::vector<ItemId> item_of;
  add_items(corpus, all, catalogue, options, item_of);
  const Readers& readers = all.readers;
  const Rng base = Rng(static_cast<std::uint64_t>(options.seed)).at("goodreads readers");
  const std::size_t items = corpus.items.size();
  std::vector<std::uint32_t> taken(items, 0);
  std::vector<ItemId> negatives, row;
  std::int64_t read_by_chance = 0, short_of = 0, skipped_splits = 0;

  for (std::size_t r = 0; r < readers.size(); ++r) {
    if (r % 65536 == 0) workspace.check_cancelled();
    const std::string_view id = all.users[static_cast<std::size_t>(readers.names[r])];
    const Rng rng = base.at(id);
    const auto user = static_cast<UserId>(r);
    corpus.users.ids.push_back(id);
    const std::span<const Event> high = readers.high(r), low = readers.low(r);
    Rng lengths = rng.at("history");
    const std::size_t cut = std::min(history_length(lengths), high.size());
    row.clear();
    for (const Event& event : high.first(cut)) row.push_back(item_of[event.book]);
    corpus.histories.push_back(row);
    corpus.clicks_before.push_back(static_cast<std::int32_t>(cut));

    const auto stamp = static_cast<std::uint32_t>(r + 1);
    if (options.random_from == "unread") {
      for (const std::span<const Event> part : {high, low})
        for (const Event& event : part) taken[static_cast<std::size_t>(item_of[event.book])] = stamp;
    }
    negatives.clear();
    for (const Event& event : low) negatives.push_back(item_of[event.book]);
    const auto wanted = static_cast<std::size_t>(options.random_negatives);
    draw_items(items, wanted, taken, stamp, rng.at("random books"), negatives);
    short_of += static_cast<std::int64_t>(wanted + low.size() - negatives.size());
    if (options.random_from == "all") {
      for (std::size_t i = low.size(); i < negatives.size(); ++i)
        read_by_chance += std::any_of(high.begin(), high.end(), [&](const Event& e) { return item_of[e.book] == negatives[i]; });
    }
    Rng mix = rng.at("order of negatives");
    mix.shuffle(negatives.data(), negatives.size());

    const std::span<const Event> rest = high.subspan(cut);
    const Shares clicks = shares_of_positives(rest.size()), others = shares_of_negatives(negatives.size());
    std::size_t click = 0, other = 0;
    const auto add = [&](Impressions& to, std::size_t n_clicks, std::size_t n_others) {
      if (n_clicks > 0) {
        row.clear();
        for (const Event& event : rest.subspan(click, n_clicks)) row.push_back(item_of[event.book]);
        row.insert(row.end(), negatives.begin() + static_cast<std::ptrdiff_t>(other), negatives.begin() + static_cast<std::ptrdiff_t>(other + n_others));
        to.ids.push_back(id);
        to.users.push_back(user);
        to.histories.push_back(static_cast<std::int32_t>(r));
        to.times.push_back(rest[click].time);
        to.candidates.push_back(row);
        to.labels.insert(to.labels.end(), n_clicks, 1);
        to.labels.insert(to.labels.end(), n_others, 0);
      } else {
        ++skipped_splits;
      }
      click += n_clicks;
      other += n_others;
    };
    add(corpus.train, clicks.train, others.train);
    add(corpus.dev, clicks.dev, others.dev);
    add(corpus.test, clicks.test, others.test);
  }
  tally.add("random negatives that their reader rated high, kept", read_by_chance);
  tally.add("random negatives wanting: the catalogue is too small", short_of);
  tally.add("splits of a reader without a high rating in them, left out", skipped_splits);
  return corpus;
}

}  // namespace oncekit::goodreads
