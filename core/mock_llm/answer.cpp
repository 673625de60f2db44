#include "mock_llm/answer.h"

#include <algorithm>
#include <numeric>
#include <set>

#include <nlohmann/json.hpp>

#include "mock_llm/server.h"
#include "oncekit/rng.h"

namespace oncekit {
namespace {

using Strings = std::vector<std::string>;

constexpr double kLeastShare = 0.2;  // of the clicks, for a topic to be an interest

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// One answer being written.
class Author {
 public:
  Author(std::string_view system, std::string_view user, std::uint64_t draw, const MockOptions& options)
      : words_(ToyWords::get()), system_(system), user_(user), given_(read_given(user)), draw_(draw), random_(options.answers == "random"),
        rng_(Rng(options.seed).at("mock answer").at(hash_name(system)).at(hash_name(user)).at(draw)) {}

  std::string write() {
    switch (task_of(system_.empty() ? user_ : system_)) {
      case MockTask::kNewsSummary: return "[title] " + summary();
      case MockTask::kBookDescription: return "[description] " + description();
      case MockTask::kNewsProfile: return news_profile();
      case MockTask::kBookProfile: return dumped({{"interests", interests()}});
      case MockTask::kNewsItem: return item("abstract", true);
      case MockTask::kBook: return item("description", false);
      case MockTask::kOther: break;
    }
    const Strings telling = telling_words(user_);
    return telling.empty() ? "There is nothing to answer." : "This is about " + joined(telling, 3, " and ") + ".";
  }

 private:
  using Json = nlohmann::ordered_json;

  static std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

  static std::string joined(const Strings& words, std::size_t most, std::string_view between) {
    std::string text;
    for (std::size_t i = 0; i < std::min(most, words.size()); ++i) text += (i ? std::string(between) : "") + words[i];
    return text;
  }

  int any_topic() { return static_cast<int>(rng_.below(words_.vocabulary().topics.size())); }
  const std::string& topic_name(int topic) const { return words_.vocabulary().topics[at(topic)]; }

  std::string field(const std::string& name) const {
    const auto found = given_.fields.find(name);
    return found == given_.fields.end() ? "" : found->second;
  }

  // The title, and what the article is about.
  std::string summary() {
    std::string title = field("title");
    if (title.empty() && !given_.clicks.empty()) title = given_.clicks.front().title;
    const std::string abstract = field("abstract");
    const int topic = random_ ? any_topic() : words_.majority(title + " " + abstract);
    if (topic >= 0) return title + " about " + topic_name(topic);
    Strings more;
    const Strings own = words_of(title);
    for (const std::string& word : telling_words(abstract))
      if (std::find(own.begin(), own.end(), word) == own.end()) more.push_back(word);
    return more.empty() ? title : title + ": " + joined(more, 4, " ");
  }

  std::string description() {
    std::string title = field("book");
    if (title.empty()) title = field("title");
    if (title.empty() && !given_.clicks.empty()) title = given_.clicks.front().title;
    const int topic = random_ ? any_topic() : words_.majority(title);
    if (topic >= 0) return "A book about " + topic_name(topic) + " for readers who care about " + topic_name(topic) + ".";
    const Strings telling = telling_words(title);
    return telling.empty() ? "A story of people and what becomes of them." : "A book about " + joined(telling, 3, " and ") + ", told for readers of all kinds.";
  }

  // Toy topics of the history by falling number of clicks; those of few clicks are left out.
  std::vector<int> topics_of_history() const {
    std::vector<int> clicks(words_.vocabulary().topics.size());
    int all = 0;
    for (const MockClick& click : given_.clicks)
      if (const int topic = words_.majority(click.title + " " + click.rest); topic >= 0) ++clicks[at(topic)], ++all;
    std::vector<int> order(clicks.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return clicks[at(a)] > clicks[at(b)]; });
    std::erase_if(order, [&](int t) { return clicks[at(t)] == 0 || clicks[at(t)] < kLeastShare * all; });
    return order;
  }

  std::string all_titles() const {
    std::string text;
    for (const MockClick& click : given_.clicks) text += click.title + " " + click.rest + "\n";
    return text;
  }

  // Words of a given list that the mock means: by name, or, where the list knows no such name, always the same one of it.
  static std::string mapped(int topic, const std::string& name, const Strings& list) {
    const auto same = [&](const std::string& value) {
      return std::equal(value.begin(), value.end(), name.begin(), name.end(), [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
    };
    const auto found = std::find_if(list.begin(), list.end(), same);
    return list.empty() ? name : found != list.end() ? *found : list[at(topic) % list.size()];
  }

  Strings drawn(const Strings& from, std::size_t n) {
    Strings values = from;
    rng_.shuffle(values.data(), values.size());
    values.resize(std::min(n, values.size()));
    return values;
  }

  static void add_new(Strings& values, std::string value) {
    if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(std::move(value));
  }

  std::string news_profile() {
    const Strings list = listed_values(system_, "Topics");
    const auto most = static_cast<std::size_t>(at_most(system_));
    Strings topics;
    if (random_) {
      topics = drawn(list.empty() ? words_.vocabulary().topics : list, std::min<std::size_t>(most, 1 + rng_.below(3)));
    } else {
      for (const int topic : topics_of_history()) add_new(topics, mapped(topic, topic_name(topic), list));
      if (topics.empty()) topics = topics_of_real_text(list);
    }
    topics.resize(std::min(most, topics.size()));
    std::string text = "[topics]\n";
    for (const std::string& topic : topics) text += "- " + topic + "\n";
    text += "[regions]\n";
    for (const std::string& region : regions()) text += "- " + region + "\n";
    text.pop_back();
    return text;
  }

  // Those of the list that the categories or the titles name, by frequency; else what the list has for the most telling words.
  Strings topics_of_real_text(const Strings& list) const {
    std::map<std::string, int> times;
    for (const MockClick& click : given_.clicks) {
      const Strings words = words_of(click.category + " " + click.title);
      for (const std::string& topic : list) {
        const Strings own = words_of(topic);
        if (!own.empty() && std::search(words.begin(), words.end(), own.begin(), own.end()) != words.end()) ++times[topic];
      }
    }
    Strings topics;
    for (const auto& [topic, n] : times) topics.push_back(topic);
    std::stable_sort(topics.begin(), topics.end(), [&](const std::string& a, const std::string& b) { return times[a] > times[b]; });
    if (!topics.empty() || list.empty()) return topics;
    const Strings telling = telling_words(all_titles());
    for (std::size_t i = 0; i < std::min<std::size_t>(2, telling.size()); ++i) add_new(topics, list[hash_name(telling[i]) % list.size()]);
    if (topics.empty()) topics.push_back(list[hash_name(user_) % list.size()]);
    return topics;
  }

  Strings regions() const {
    Strings found;
    const Strings words = words_of(all_titles());
    for (const std::string& region : listed_values(system_, "Regions")) {
      const Strings own = words_of(region);
      if (!own.empty() && std::search(words.begin(), words.end(), own.begin(), own.end()) != words.end()) found.push_back(region);
    }
    found.resize(std::min<std::size_t>(3, found.size()));
    return found;
  }

  Strings interests() {
    Strings found;
    if (random_) {
      found = drawn(words_.vocabulary().topics, 1 + rng_.below(3));
    } else {
      for (const int topic : topics_of_history()) found.push_back(topic_name(topic));
      if (found.empty()) found = telling_words(all_titles());
      if (found.empty()) found.push_back("fiction");
    }
    found.resize(std::min(found.size(), static_cast<std::size_t>(at_most(system_))));
    return found;
  }

  // A topic for a generated item: of the profile when there is one, else the history's main one.
  int topic_to_write_about() {
    if (random_) return any_topic();
    std::vector<int> profile;
    for (const std::string& interest : given_.interests)
      if (const int topic = words_.topic_named(interest); topic >= 0) profile.push_back(topic);
    if (!profile.empty()) return profile[draw_ % profile.size()];
    const std::vector<int> topics = topics_of_history();
    return topics.empty() ? -1 : topics.front();
  }

  // Words of a topic that the history does not have, among fillers: like the toy's own texts.
  std::string toy_text(int topic, std::size_t topical, std::size_t fillers, std::set<std::string>& taken) {
    Strings own;
    for (const std::string& word : words_.vocabulary().words[at(topic)])
      if (!taken.contains(word)) own.push_back(word);
    if (own.size() < topical) own = words_.vocabulary().words[at(topic)];
    Strings chosen = drawn(own, topical);
    for (const std::string& word : chosen) taken.insert(word);
    for (std::string& word : drawn(words_.vocabulary().fillers, fillers)) chosen.push_back(std::move(word));
    return joined(drawn(chosen, chosen.size()), chosen.size(), " ");
  }

  std::string item(const char* second, bool with_category) {
    Json json;
    const int topic = topic_to_write_about();
    if (topic >= 0) {
      const Strings history = words_of(all_titles());
      std::set<std::string> taken(history.begin(), history.end());
      json["title"] = toy_text(topic, 2, 2 + rng_.below(3), taken);
      json[second] = toy_text(topic, 4, 8, taken);
    } else {
      Strings telling = telling_words(all_titles());
      for (const std::string& interest : given_.interests) add_new(telling, interest);
      if (telling.empty()) telling = {"people", "places"};
      telling.resize(std::min<std::size_t>(8, telling.size()));
      const Strings pair = drawn(telling, 2);
      static const Strings kOpenings{"What comes after", "A closer look at", "The other side of", "Ten things to know of", "A beginner's way to", "Once more:"};
      json["title"] = kOpenings[rng_.below(kOpenings.size())] + " " + joined(pair, 2, " and ");
      json[second] = "It tells of " + joined(drawn(telling, 4), 4, ", ") + " and of what they mean to those who follow them.";
    }
    if (with_category) json["category"] = category(topic);
    return dumped(json);
  }

  std::string category(int topic) {
    const Strings list = listed_values(system_, "Categories");
    if (list.empty()) return "others";
    if (random_) return list[rng_.below(list.size())];
    if (topic >= 0 && std::find(list.begin(), list.end(), topic_name(topic)) != list.end()) return topic_name(topic);
    std::map<std::string, int> times;
    for (const MockClick& click : given_.clicks)
      if (std::find(list.begin(), list.end(), click.category) != list.end()) ++times[click.category];
    const auto most = std::max_element(times.begin(), times.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
    if (most != times.end()) return most->first;
    return list[(topic >= 0 ? at(topic) : hash_name(user_)) % list.size()];
  }

  const ToyWords& words_;
  const std::string system_, user_;
  const MockGiven given_;
  const std::uint64_t draw_;
  const bool random_;
  Rng rng_;
};

}  // namespace

std::string mock_answer(const std::string& system, const std::string& user, std::uint64_t draw, const MockOptions& options) {
  if (options.answers == "echo") return user;
  return Author(system, user, draw, options).write();
}

}  // namespace oncekit
