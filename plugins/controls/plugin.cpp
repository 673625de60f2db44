// Controls of the augmenters that ask a language model: the same change to the corpus without one. What they gain, words and clicks that
// were there already could have gained.
//   longer_title    of a summary: title and abstract in one
//   tfidf_profile   of a profile: the category clicked most and the most telling words of the history
//   nearest_items   of generated items: real ones that resemble the history
//   last_item       of generated items: the last click again, a longer history and nothing new
#include <algorithm>
#include <map>
#include <set>

#include "oncekit/augmenter.h"
#include "oncekit/plugin.h"
#include "oncekit/prompt.h"
#include "tfidf.h"

namespace oncekit::controls {
namespace {

class Control : public Augmenter {
 public:
  void prompts(const Corpus&, const Sink&) const final {}
  Parsed parse(const Prompt&, std::string_view) const final {
    Parsed parsed;
    parsed.reject_reason = "nothing was asked";
    return parsed;
  }
};

// --- longer_title ------------------------------------------------------------------------------------------------------------

struct LongerTitleOptions {
  std::string from = "abstract", into = "title";
  std::int64_t longest = 60;

  void describe(Fields& f) {
    f.text("from", from).doc("the item attribute that is put behind the title");
    f.text("into", into).doc("the item attribute that receives both");
    f.integer("longest", longest).range(1, 2000).unit("words").doc("first words kept, as gpt_summarizer limits its answers");
  }
};

class LongerTitle final : public Control {
 public:
  using Options = LongerTitleOptions;
  explicit LongerTitle(const Options& options) : o_(options) {}

  static std::vector<std::string> needs(const Options& options) { return {"item:title", "item:" + options.from}; }
  static std::vector<std::string> gives(const Options& options) { return {"item:" + options.into}; }

  Corpus apply(Corpus&& corpus, const Answers&) const override {
    const StringColumn &titles = corpus.items.attribute("title"), &more = corpus.items.attribute(o_.from);
    const auto old = corpus.items.attributes.find(o_.into);
    StringColumn texts;
    for (std::size_t i = 0; i < corpus.items.size(); ++i) {
      if (i >= corpus.items.listed) {  // generated: its own
        texts.push_back(old == corpus.items.attributes.end() ? std::string_view() : old->second[i]);
        continue;
      }
      const std::string title = one_line(titles[i]), text = one_line(more[i]);
      const bool ended = title.empty() || std::string_view(".!?:").find(title.back()) != std::string_view::npos;
      texts.push_back(first_words(title + (text.empty() ? "" : title.empty() ? text : (ended ? " " : ". ") + text), o_.longest));
    }
    corpus.items.attributes[o_.into] = std::move(texts);
    return std::move(corpus);
  }

 private:
  const Options o_;
};

// --- tfidf_profile -----------------------------------------------------------------------------------------------------------

struct TfidfProfileOptions {
  std::int64_t most = 5, min_count = 2;
  bool category = true, use_in_model = true;
  ClickRange clicks;

  void describe(Fields& f) {
    f.integer("most", most).range(1, 50).doc("values of a user, the category among them; as gpt_profiler");
    f.boolean("category", category).doc("the category that the history has most often comes first");
    f.integer("min_count", min_count).at_least(1).unit("users").doc("words of fewer users are dropped");
    clicks.describe(f);
    f.boolean("use_in_model", use_in_model).doc("false: the profile is for later augmenters alone and does not join the user vector");
  }
  void validate(Problems& problems) const { clicks.validate(problems); }
};

class TfidfProfile final : public Control {
 public:
  using Options = TfidfProfileOptions;
  explicit TfidfProfile(const Options& options) : o_(options) {}

  static std::vector<std::string> needs(const Options& options) {
    return options.category ? std::vector<std::string>{"item:title", "item:category"} : std::vector<std::string>{"item:title"};
  }
  static std::vector<std::string> gives(const Options&) { return {"user:topic"}; }

  Corpus apply(Corpus&& corpus, const Answers&) const override {
    const TitleIndex index(corpus);
    // Words of each history, best first: more than are kept, as rare ones are dropped after all are known.
    std::vector<std::vector<std::string>> lists(corpus.histories.size());
    std::map<std::string, std::set<UserId>> users;
    for (std::size_t row = 0; row < lists.size(); ++row) {
      if (!o_.clicks.holds(corpus.clicks_before[row])) continue;
      const auto clicks = corpus.histories[row];
      if (std::string top = o_.category ? top_category(corpus, clicks) : ""; !top.empty()) lists[row].push_back("category: " + top);
      auto terms = index.sum(clicks);
      const auto kept = std::min(terms.size(), static_cast<std::size_t>(o_.most) * 4);
      std::partial_sort(terms.begin(), terms.begin() + static_cast<std::ptrdiff_t>(kept), terms.end(), [](const auto& a, const auto& b) { return a.second != b.second ? a.second > b.second : a.first < b.first; });
      for (std::size_t t = 0; t < kept; ++t) lists[row].push_back(index.word(terms[t].first));
      for (const std::string& value : lists[row]) users[value].insert(corpus.history_users[row]);
    }
    ListAttribute topic;
    topic.in_model = o_.use_in_model;
    std::map<std::string, std::int32_t> ids;
    for (const auto& list : lists) {
      std::vector<std::int32_t> values;
      for (const std::string& value : list) {
        if (values.size() == static_cast<std::size_t>(o_.most)) break;
        if (users[value].size() < static_cast<std::size_t>(o_.min_count)) continue;
        const auto [entry, fresh] = ids.try_emplace(value, static_cast<std::int32_t>(ids.size()));
        if (fresh) topic.vocabulary.push_back(value);
        values.push_back(entry->second);
      }
      topic.values.push_back(values);
    }
    corpus.profiles["topic"] = std::move(topic);
    return std::move(corpus);
  }

 private:
  // Of equal ones, the one clicked last.
  static std::string top_category(const Corpus& corpus, std::span<const ItemId> clicks) {
    const StringColumn& categories = corpus.items.attribute("category");
    std::map<std::string_view, std::size_t> counts;
    std::string_view best;
    for (const ItemId click : clicks) {
      const std::string_view category = categories[static_cast<std::size_t>(click)];
      if (!category.empty() && ++counts[category] >= counts[best]) best = category;
    }
    return std::string(best);
  }

  const Options o_;
};

// --- nearest_items, last_item ------------------------------------------------------------------------------------------------

struct AppendOptions {
  std::int64_t items = 2;
  ClickRange clicks{1, 5};

  void describe(Fields& f) {
    f.integer("items", items).range(1, 20).doc("appended to a history, as gpt_generator's draws");
    clicks.describe(f);
  }
  void validate(Problems& problems) const { clicks.validate(problems); }
};

// `more(clicks)` of each history in the range goes to its end.
template <class More>
Corpus appended(Corpus&& corpus, const ClickRange& range, const More& more) {
  Ragged<ItemId> histories;
  std::vector<ItemId> clicks;
  for (std::size_t row = 0; row < corpus.histories.size(); ++row) {
    clicks.assign(corpus.histories[row].begin(), corpus.histories[row].end());
    if (!clicks.empty() && range.holds(corpus.clicks_before[row])) {
      const std::vector<ItemId> found = more(clicks);
      clicks.insert(clicks.end(), found.begin(), found.end());
    }
    histories.push_back(clicks);
  }
  corpus.histories = std::move(histories);
  return std::move(corpus);
}

class NearestItems final : public Control {
 public:
  using Options = AppendOptions;
  explicit NearestItems(const Options& options) : o_(options) {}
  static std::vector<std::string> needs(const Options&) { return {"item:title"}; }

  // Only items that training shows or has clicked: one that dev or test alone knows would be a hint at what is to be predicted.
  Corpus apply(Corpus&& corpus, const Answers&) const override {
    TitleIndex index(corpus);
    return appended(std::move(corpus), o_.clicks, [&](const std::vector<ItemId>& clicks) { return index.nearest(clicks, static_cast<std::size_t>(o_.items)); });
  }

 private:
  const Options o_;
};

class LastItem final : public Control {
 public:
  using Options = AppendOptions;
  explicit LastItem(const Options& options) : o_(options) {}

  Corpus apply(Corpus&& corpus, const Answers&) const override {
    return appended(std::move(corpus), o_.clicks, [&](const std::vector<ItemId>& clicks) { return std::vector<ItemId>(static_cast<std::size_t>(o_.items), clicks.back()); });
  }

 private:
  const Options o_;
};

void register_components(Registrar& r) {
  r.augmenter<LongerTitle>("longer_title").doc("control of gpt_summarizer, asks nothing: the title and the abstract in one").cite("");
  r.augmenter<TfidfProfile>("tfidf_profile").doc("control of gpt_profiler, asks nothing: top category and most telling words of the history").cite("Salton & Buckley 1988 (tf-idf)");
  r.augmenter<NearestItems>("nearest_items").doc("control of gpt_generator, asks nothing: real items of training that resemble the history").cite("Salton & Buckley 1988 (tf-idf)");
  r.augmenter<LastItem>("last_item").doc("control of gpt_generator, asks nothing: the last click again").cite("");
}

}  // namespace
}  // namespace oncekit::controls

ONCEKIT_PLUGIN("controls", oncekit::controls::register_components)
