#include "oncekit/toy.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "base/files.h"
#include "oncekit/error.h"

namespace oncekit {
namespace {

constexpr std::array<const char*, 12> kTopicNames{"astronomy", "gardening", "sailing", "cooking",   "chess",   "pottery",
                                                  "cycling",   "weather",   "music",   "forestry", "railways", "bees"};
constexpr std::array<const char*, 32> kFillers{"the",  "a",    "new",   "how", "why",  "with",  "after", "before", "for",  "in",   "on",
                                               "from", "when", "first", "big", "week", "today", "what",  "more",   "less", "over", "under",
                                               "says", "best", "old",   "our", "this", "every", "one",   "last",   "year", "guide"};
constexpr double kNoise = 0.02;        // share of history clicks that follow no taste
constexpr double kAimed = 0.12;        // share of shown items drawn from the user's tastes on purpose
constexpr double kColdShown = 0.4;     // share of items shown in dev and test that training never saw
constexpr double kHonestCategory = 0.2;
constexpr std::int64_t kStart = 1573344000;  // 2019-11-10
constexpr std::array<double, 3> kTastes{0.7, 0.25, 0.05};  // one, two, three

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

// A made-up word of three syllables, the same for an index everywhere.
std::string made_up_word(Rng rng) {
  static constexpr std::string_view kOnsets = "bdfgklmnprstvz", kVowels = "aeiou";
  std::string word;
  for (int syllable = 0; syllable < 3; ++syllable) {
    word += kOnsets[rng.below(kOnsets.size())];
    word += kVowels[rng.below(kVowels.size())];
  }
  return word;
}

// All that is true of the world, public or not.
class Builder {
 public:
  Builder(const ToyOptions& options, Rng rng) : o_(options), rng_(rng), vocabulary_(toy_vocabulary(options)) {}

  ToyWorld build() {
    make_items();
    make_users();
    make_rows(world_.train, o_.train, "train", false, 0);
    make_rows(world_.dev, o_.dev, "dev", true, 6 * 86400);
    make_rows(world_.test, o_.test, "test", true, 7 * 86400);
    world_.facts["best_auc"] = expected_auc(world_.test);
    world_.facts["dev_best_auc"] = expected_auc(world_.dev);
    world_.facts["oracle_auc"] = drawn_auc(world_.test, [&](const ToyWorld::Row& row, ItemId item) { return weight(row.user, item); });
    world_.facts["history_auc"] = drawn_auc(world_.test, [&](const ToyWorld::Row& row, ItemId item) {
      const auto same = [&](ItemId click) { return topic_[at(click)] == topic_[at(item)]; };
      return static_cast<double>(std::min<std::ptrdiff_t>(2, std::count_if(row.history.begin(), row.history.end(), same)));
    });
    return std::move(world_);
  }

 private:
  // `n` different words of a topic and a few fillers, in random order.
  std::string text(Rng& rng, std::int64_t topic, int n, int fillers, std::vector<int>* chosen) {
    std::set<int> topical;
    while (static_cast<int>(topical.size()) < n) topical.insert(static_cast<int>(rng.below(static_cast<std::uint64_t>(o_.words))));
    std::set<int> others;
    while (static_cast<int>(others.size()) < fillers) others.insert(static_cast<int>(rng.below(vocabulary_.fillers.size())));
    std::vector<std::string> words;
    for (const int w : topical) words.push_back(vocabulary_.words[at(topic)][at(w)]);
    for (const int w : others) words.push_back(vocabulary_.fillers[at(w)]);
    rng.shuffle(words.data(), words.size());
    if (chosen) chosen->assign(topical.begin(), topical.end());
    std::string line;
    for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
    return line;
  }

  void make_items() {
    topic_.resize(at(o_.items));
    words_.resize(at(o_.items));
    warm_.resize(at(o_.topics));
    cold_.resize(at(o_.topics));
    const std::int64_t groups = std::max<std::int64_t>(1, o_.topics / 2);
    std::vector<std::int32_t> order(at(o_.items));
    std::iota(order.begin(), order.end(), 0);
    rng_.at("order").shuffle(order.data(), order.size());
    for (std::int64_t i = 0; i < o_.items; ++i) topic_[at(order[at(i)])] = static_cast<std::int32_t>(i % o_.topics);
    StringColumn& title = world_.items.attributes["title"];
    StringColumn& abstract = world_.items.attributes["abstract"];
    StringColumn& category = world_.items.attributes["category"];
    StringColumn& subcategory = world_.items.attributes["subcategory"];
    for (std::int64_t i = 0; i < o_.items; ++i) {
      Rng rng = rng_.at("item").at(static_cast<std::uint64_t>(i));
      const std::int64_t topic = topic_[at(i)];
      world_.items.ids.push_back("N" + std::to_string(10001 + i));
      title.push_back(text(rng, topic, 2, 2 + static_cast<int>(rng.below(3)), &words_[at(i)]));
      abstract.push_back(text(rng, topic, 4, 8, nullptr));
      const bool honest = rng.uniform() < kHonestCategory;
      const std::int64_t group = honest ? topic % groups : static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(groups)));
      category.push_back("section" + std::to_string(group + 1));
      subcategory.push_back("section" + std::to_string(group + 1) + (rng.below(2) ? "a" : "b"));
      (rng.uniform() < o_.cold_items ? cold_ : warm_)[at(topic)].push_back(static_cast<ItemId>(i));
    }
    world_.items.listed = at(o_.items);
  }

  void make_users() {
    tastes_.resize(at(o_.users));
    histories_.resize(at(o_.users));
    for (std::int64_t u = 0; u < o_.users; ++u) {
      world_.user_ids.push_back("U" + std::to_string(1001 + u));
      Rng rng = rng_.at("user").at(static_cast<std::uint64_t>(u));
      const double draw = rng.uniform();
      const std::size_t tastes = draw < kTastes[0] ? 1 : draw < kTastes[0] + kTastes[1] ? 2 : 3;
      std::set<std::int32_t> chosen;
      while (chosen.size() < std::min(tastes, at(o_.topics))) chosen.insert(static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(o_.topics))));
      tastes_[at(u)].assign(chosen.begin(), chosen.end());
      // One user in fifty has no history, one in ten is new (1 to 5 clicks), the others have 6 to 11.
      const double kind = rng.uniform();
      const std::uint64_t clicks = kind < 0.02 ? 0 : kind < 0.12 ? 1 + rng.below(5) : 6 + rng.below(6);
      std::vector<ItemId>& history = histories_[at(u)];
      while (history.size() < clicks) {
        const std::vector<std::int32_t>& own = tastes_[at(u)];
        const std::size_t topic = rng.uniform() < kNoise ? at(static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(o_.topics))))
                                                         : at(own[rng.below(own.size())]);
        const ItemId item = warm_[topic][rng.below(warm_[topic].size())];
        if (std::find(history.begin(), history.end(), item) == history.end()) history.push_back(item);
      }
    }
  }

  bool likes(UserId user, ItemId item) const {
    const std::vector<std::int32_t>& own = tastes_[at(user)];
    return std::find(own.begin(), own.end(), topic_[at(item)]) != own.end();
  }
  double weight(UserId user, ItemId item) const { return likes(user, item) ? o_.odds : 1.0; }

  // Whether a title shares a topic word with one of the history's titles.
  bool overlaps(ItemId item, const std::vector<ItemId>& history) const {
    for (const ItemId click : history) {
      if (topic_[at(click)] != topic_[at(item)]) continue;
      for (const int w : words_[at(item)]) {
        if (std::find(words_[at(click)].begin(), words_[at(click)].end(), w) != words_[at(click)].end()) return true;
      }
    }
    return false;
  }

  void make_rows(std::vector<ToyWorld::Row>& rows, std::int64_t n, std::string_view name, bool held_out, std::int64_t begin) {
    // A seventh of the users is met in dev and test only.
    const std::int64_t users = held_out ? o_.users : std::max<std::int64_t>(1, o_.users - o_.users / 7);
    const std::int64_t span = held_out ? 86400 : 6 * 86400;
    for (std::int64_t i = 0; i < n; ++i) {
      Rng rng = rng_.at(name).at(static_cast<std::uint64_t>(i));
      ToyWorld::Row row;
      row.user = static_cast<UserId>(rng.below(static_cast<std::uint64_t>(users)));
      row.time = kStart + begin + i * span / n;
      row.history = histories_[at(row.user)];
      const std::size_t shown = 8 + rng.below(9);
      for (int round = 0; row.shown.size() < shown; ++round) {
        const std::vector<std::int32_t>& own = tastes_[at(row.user)];
        const std::size_t topic = rng.uniform() < kAimed ? at(own[rng.below(own.size())])
                                                         : at(static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(o_.topics))));
        const bool cold = (held_out && rng.uniform() < kColdShown && !cold_[topic].empty()) || warm_[topic].empty();
        const std::vector<ItemId>& pool = cold ? cold_[topic] : warm_[topic];
        for (int attempt = 0; attempt < 50; ++attempt) {
          const ItemId item = pool[rng.below(pool.size())];
          // In worlds of few words a long history may have used them all up: then an overlap is let through.
          if ((round < 100 && overlaps(item, row.history)) || std::find(row.shown.begin(), row.shown.end(), item) != row.shown.end()) continue;
          row.shown.push_back(item);
          break;
        }
      }
      double sum = 0;
      for (const ItemId item : row.shown) sum += weight(row.user, item);
      double draw = rng.uniform() * sum;
      std::size_t clicked = 0;
      while (clicked + 1 < shown && (draw -= weight(row.user, row.shown[clicked])) >= 0) ++clicked;
      row.clicked.assign(shown, 0);
      row.clicked[clicked] = 1;
      rows.push_back(std::move(row));
    }
  }

  // AUC of one impression when `clicked` is the click: the share of the others that score lower, ties half.
  template <class Score>
  static double one_auc(const ToyWorld::Row& row, std::size_t clicked, const Score& score) {
    double below = 0;
    const double own = score(row, row.shown[clicked]);
    for (std::size_t i = 0; i < row.shown.size(); ++i) {
      if (i == clicked) continue;
      const double other = score(row, row.shown[i]);
      below += other < own ? 1.0 : other == own ? 0.5 : 0.0;
    }
    return below / static_cast<double>(row.shown.size() - 1);
  }

  double expected_auc(const std::vector<ToyWorld::Row>& rows) const {
    const auto truth = [&](const ToyWorld::Row& row, ItemId item) { return weight(row.user, item); };
    double total = 0;
    for (const ToyWorld::Row& row : rows) {
      double sum = 0, auc = 0;
      for (std::size_t i = 0; i < row.shown.size(); ++i) {
        sum += truth(row, row.shown[i]);
        auc += truth(row, row.shown[i]) * one_auc(row, i, truth);
      }
      total += auc / sum;
    }
    return rows.empty() ? 0.5 : total / static_cast<double>(rows.size());
  }

  template <class Score>
  double drawn_auc(const std::vector<ToyWorld::Row>& rows, const Score& score) const {
    double total = 0;
    for (const ToyWorld::Row& row : rows) {
      const auto clicked = static_cast<std::size_t>(std::find(row.clicked.begin(), row.clicked.end(), 1) - row.clicked.begin());
      total += one_auc(row, clicked, score);
    }
    return rows.empty() ? 0.5 : total / static_cast<double>(rows.size());
  }

  const ToyOptions& o_;
  const Rng rng_;
  const ToyVocabulary vocabulary_;
  ToyWorld world_;
  std::vector<std::int32_t> topic_;             // by item
  std::vector<std::vector<int>> words_;         // topic words of each title
  std::vector<std::vector<ItemId>> warm_, cold_;  // by topic
  std::vector<std::vector<std::int32_t>> tastes_;
  std::vector<std::vector<ItemId>> histories_;
};

}  // namespace

ToyVocabulary toy_vocabulary(const ToyOptions& options) {
  ToyVocabulary vocabulary;
  vocabulary.fillers.assign(kFillers.begin(), kFillers.end());
  std::set<std::string> taken(vocabulary.fillers.begin(), vocabulary.fillers.end());
  Rng rng = Rng(hash_name("oncekit toy vocabulary"));
  for (std::int64_t t = 0; t < options.topics; ++t) {
    vocabulary.topics.push_back(t < static_cast<std::int64_t>(kTopicNames.size()) ? kTopicNames[at(t)] : "topic" + std::to_string(t + 1));
    std::vector<std::string>& words = vocabulary.words.emplace_back();
    while (words.size() < at(options.words)) {
      std::string word = made_up_word(rng.at(rng()));
      if (taken.insert(word).second) words.push_back(std::move(word));
    }
  }
  return vocabulary;
}

ToyWorld make_toy(const ToyOptions& options, Rng rng) {
  const double warm = static_cast<double>(options.items) * (1 - options.cold_items);
  if (options.topics < 2 || options.words < 8 || !(warm >= 40.0 * static_cast<double>(options.topics)) || options.users < 7)
    throw Error(ErrorKind::kUsage, "a toy corpus needs at least 2 topics, 8 words and 40 items a topic beside the cold ones, and 7 users");
  return Builder(options, rng).build();
}

std::filesystem::path cached_toy(const Dataset& dataset, const std::string& layout, int version, std::int64_t seed, Workspace& workspace) {
  CacheKey key("toy", version);
  key.add("layout", layout).add("seed", seed);
  return workspace.cache(key, [&](const std::filesystem::path& folder) { dataset.write_toy(make_toy({}, Rng(static_cast<std::uint64_t>(seed)).at("toy")), folder); });
}

void write_toy_facts(const ToyWorld& world, const std::filesystem::path& folder) {
  write_file(folder / "toy.json", nlohmann::ordered_json(world.facts).dump(2) + "\n");
}

std::map<std::string, double> read_toy_facts(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "toy.json";
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return {};
  const nlohmann::json parsed = nlohmann::json::parse(read_file(file), nullptr, false);
  std::map<std::string, double> facts;
  if (!parsed.is_object()) throw Error(ErrorKind::kData, "is not JSON", "write the toy anew: oncekit data toy DIR", display_path(file));
  for (const auto& [name, value] : parsed.items()) {
    if (value.is_number()) facts[name] = value.get<double>();
  }
  return facts;
}

}  // namespace oncekit
