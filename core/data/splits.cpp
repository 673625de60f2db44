// Splits: rows of impressions move between train, dev and test. Pure functions of the data and a key; rows keep the file's order.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "base/files.h"
#include "oncekit/error.h"
#include "oncekit/tables.h"

namespace oncekit {
namespace {

using Rows = std::vector<std::int32_t>;

Rows all_rows(std::size_t n) {
  Rows rows(n);
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

Rows shuffled(std::size_t n, Rng rng) {
  Rows rows = all_rows(n);
  rng.shuffle(rows.data(), rows.size());
  return rows;
}

void append(Impressions& to, const Impressions& from, const std::string& prefix) {
  for (std::size_t i = 0; i < from.size(); ++i) {
    to.ids.push_back(prefix + std::string(from.ids[i]));
    to.candidates.push_back(from.candidates[i]);
  }
  to.users.insert(to.users.end(), from.users.begin(), from.users.end());
  to.histories.insert(to.histories.end(), from.histories.begin(), from.histories.end());
  to.times.insert(to.times.end(), from.times.begin(), from.times.end());
  to.labels.insert(to.labels.end(), from.labels.begin(), from.labels.end());
}

// Train, dev and test end to end.
Impressions pool(const Corpus& corpus) {
  if (corpus.test.size() > 0 && !corpus.test.labelled())
    throw Error(ErrorKind::kData, "the test impressions have no labels, so they cannot be split anew", "use split = \"released\" or \"files\"");
  Impressions all;
  append(all, corpus.train, "train/");
  append(all, corpus.dev, "dev/");
  append(all, corpus.test, "test/");
  return all;
}

// 0 = train, 1 = dev, 2 = test, for each row.
void assign(Corpus& corpus, const Impressions& all, const std::vector<std::uint8_t>& parts) {
  Rows rows[3];
  for (std::size_t i = 0; i < parts.size(); ++i) rows[parts[i]].push_back(static_cast<std::int32_t>(i));
  corpus.train = select(all, rows[0]);
  corpus.dev = select(all, rows[1]);
  corpus.test = select(all, rows[2]);
}

// Parts of n things in the given order: the first go to test, the next to dev, the rest to train.
std::vector<std::uint8_t> parts_of(const Rows& order, const SplitShares& shares) {
  const auto n = static_cast<double>(order.size());
  const auto test = static_cast<std::size_t>(std::llround(shares.test * n));
  const auto dev = static_cast<std::size_t>(std::llround(shares.dev * n));
  std::vector<std::uint8_t> parts(order.size(), 0);
  for (std::size_t i = 0; i < order.size(); ++i) parts[static_cast<std::size_t>(order[i])] = i < test ? 2 : i < test + dev ? 1 : 0;
  return parts;
}

std::vector<std::string> read_list(const std::filesystem::path& file) {
  std::vector<std::string> ids;
  std::string id;
  for (const char c : read_file(file) + ",") {
    if (c == '[' || c == ']' || c == '"' || c == ',' || c == ' ' || c == '\n' || c == '\r' || c == '\t') {
      if (!id.empty()) ids.push_back(std::move(id));
      id.clear();
    } else {
      id += c;
    }
  }
  return ids;
}

}  // namespace

Impressions select(const Impressions& from, std::span<const std::int32_t> rows) {
  Impressions to;
  const bool labelled = from.labelled();
  for (const std::int32_t r : rows) {
    const auto row = static_cast<std::size_t>(r);
    to.ids.push_back(from.ids[row]);
    to.users.push_back(from.users[row]);
    to.histories.push_back(from.histories[row]);
    to.times.push_back(from.times[row]);
    to.candidates.push_back(from.candidates[row]);
    const std::size_t begin = from.candidates.offsets()[row], end = from.candidates.offsets()[row + 1];
    if (labelled) to.labels.insert(to.labels.end(), from.labels.begin() + static_cast<std::ptrdiff_t>(begin), from.labels.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return to;
}

void halve_dev(Corpus& corpus, std::span<const std::int32_t> order) {
  const std::size_t half = (order.size() + 1) / 2;
  Rows dev(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(half)), test(order.begin() + static_cast<std::ptrdiff_t>(half), order.end());
  std::sort(dev.begin(), dev.end());
  std::sort(test.begin(), test.end());
  const Impressions whole = std::move(corpus.dev);
  corpus.dev = select(whole, dev);
  corpus.test = select(whole, test);
}

void halve_dev(Corpus& corpus, Rng rng) { halve_dev(corpus, shuffled(corpus.dev.size(), rng)); }

void halve_dev(Corpus& corpus, const std::filesystem::path& list) {
  // The list may name impressions that were dropped (empty histories): its own middle is the cut, as in the released code.
  const std::vector<std::string> ids = read_list(list);
  std::unordered_map<std::string_view, std::size_t> place;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!place.emplace(ids[i], i).second)
      throw Error(ErrorKind::kData, "impression id " + ids[i] + " is listed twice", "expected each of dev's impression ids once", display_path(list));
  }
  Rows dev, test;
  for (std::size_t i = 0; i < corpus.dev.size(); ++i) {
    const auto at = place.find(corpus.dev.ids[i]);
    if (at == place.end())
      throw Error(ErrorKind::kData, "impression id " + std::string(corpus.dev.ids[i]) + " of dev is not in the list",
                  "the list must be made for this dev file: the first half of its ids is dev, the rest test", display_path(list));
    (at->second < (ids.size() + 1) / 2 ? dev : test).push_back(static_cast<std::int32_t>(i));
  }
  const Impressions whole = std::move(corpus.dev);
  corpus.dev = select(whole, dev);
  corpus.test = select(whole, test);
}

void split_by_user(Corpus& corpus, const SplitShares& shares, Rng rng) {
  const Impressions all = pool(corpus);
  const std::vector<std::uint8_t> part_of_user = parts_of(shuffled(corpus.users.size(), rng), shares);
  std::vector<std::uint8_t> parts(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) parts[i] = part_of_user[static_cast<std::size_t>(all.users[i])];
  assign(corpus, all, parts);
}

void split_by_time(Corpus& corpus, const SplitShares& shares) {
  const Impressions all = pool(corpus);
  const auto timeless = std::find(all.times.begin(), all.times.end(), -1);
  if (timeless != all.times.end())
    throw Error(ErrorKind::kData, "split = \"time\" needs a time with every impression; impression " +
                std::string(all.ids[static_cast<std::size_t>(timeless - all.times.begin())]) + " has none", "use split = \"released\", \"user\" or \"files\"");
  Rows order = all_rows(all.size());
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return all.times[static_cast<std::size_t>(a)] > all.times[static_cast<std::size_t>(b)];
  });
  assign(corpus, all, parts_of(order, shares));
}

void split_by_cold_item(Corpus& corpus, const SplitShares& shares, Rng rng) {
  const Impressions all = pool(corpus);
  const std::size_t items = corpus.items.size();
  std::vector<std::uint8_t> clicked(items, 0);
  for (std::size_t c = 0; c < all.labels.size(); ++c) {
    if (all.labels[c]) clicked[static_cast<std::size_t>(all.candidates.values()[c])] = 1;
  }
  Rows pool_items;
  for (std::size_t i = 0; i < items; ++i) {
    if (clicked[i]) pool_items.push_back(static_cast<std::int32_t>(i));
  }
  const std::vector<std::uint8_t> drawn = parts_of(shuffled(pool_items.size(), rng), shares);
  std::vector<std::uint8_t> part_of_item(items, 0);
  for (std::size_t i = 0; i < pool_items.size(); ++i) part_of_item[static_cast<std::size_t>(pool_items[i])] = drawn[i];

  // An impression goes where its strictest click belongs: test before dev before train.
  std::vector<std::uint8_t> parts(all.size(), 0);
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t c = all.candidates.offsets()[i]; c < all.candidates.offsets()[i + 1]; ++c) {
      if (all.labels[c]) parts[i] = std::max(parts[i], part_of_item[static_cast<std::size_t>(all.candidates.values()[c])]);
    }
  }
  assign(corpus, all, parts);

  // Training sees held-out items nowhere: not as candidates, not in histories.
  Impressions train;
  std::int64_t shown = 0, clicks = 0;
  std::unordered_map<std::int32_t, std::int32_t> cleaned;  // history row -> row without held-out items
  std::vector<ItemId> kept;
  for (std::size_t i = 0; i < corpus.train.size(); ++i) {
    kept.clear();
    for (std::size_t c = corpus.train.candidates.offsets()[i]; c < corpus.train.candidates.offsets()[i + 1]; ++c) {
      const ItemId item = corpus.train.candidates.values()[c];
      if (part_of_item[static_cast<std::size_t>(item)]) {
        ++shown;
        continue;
      }
      kept.push_back(item);
      train.labels.push_back(corpus.train.labels[c]);
    }
    if (kept.empty()) continue;
    train.candidates.push_back(kept);
    const std::int32_t history = corpus.train.histories[i];
    const auto [at, fresh] = cleaned.try_emplace(history, history);
    if (fresh) {
      kept.clear();
      for (const ItemId item : corpus.histories[static_cast<std::size_t>(history)]) {
        if (!part_of_item[static_cast<std::size_t>(item)]) kept.push_back(item);
      }
      const std::size_t lost = corpus.histories.length(static_cast<std::size_t>(history)) - kept.size();
      clicks += static_cast<std::int64_t>(lost);
      if (lost > 0) {
        at->second = static_cast<std::int32_t>(corpus.histories.size());
        corpus.histories.push_back(kept);
        corpus.clicks_before.push_back(corpus.clicks_before[static_cast<std::size_t>(history)]);
      }
    }
    train.ids.push_back(corpus.train.ids[i]);
    train.users.push_back(corpus.train.users[i]);
    train.histories.push_back(at->second);
    train.times.push_back(corpus.train.times[i]);
  }
  corpus.train = std::move(train);
  if (shown > 0) corpus.counts.push_back({"held-out items taken out of training candidates", shown, ""});
  if (clicks > 0) corpus.counts.push_back({"held-out items taken out of training histories", clicks, ""});
}

}  // namespace oncekit
