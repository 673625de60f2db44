// augmenter/gpt_profiler: what a user is interested in, from the titles that he clicked. News: topics and regions out of fixed lists; books: a
// few words of the model's own. (Liu et al. 2024, section 4.2, "user profiler".)
//
// One question for each distinct history of a user: what a later history shows is not known to an earlier sample.
#include <set>
#include <unordered_map>

#include "answers.h"
#include "oncekit/plugin.h"
#include "oncekit/prompt.h"

namespace oncekit::gpt_profiler {
namespace {

// MIND's 18 categories and politics: the paper names its 19 topics only by number.
const std::vector<std::string> kTopics = {"autos",  "entertainment", "finance", "foodanddrink", "games",        "health",   "kids",   "lifestyle", "middleeast", "movies",
                                          "music",  "news",          "northamerica", "politics", "sports",      "travel",   "tv",     "video",     "weather"};
// What the word "us-states" in the list of regions stands for.
const std::vector<std::string> kStates = {"Alabama", "Alaska", "Arizona", "Arkansas", "California", "Colorado", "Connecticut", "Delaware", "Florida", "Georgia", "Hawaii", "Idaho",
    "Illinois", "Indiana", "Iowa", "Kansas", "Kentucky", "Louisiana", "Maine", "Maryland", "Massachusetts", "Michigan", "Minnesota", "Mississippi", "Missouri", "Montana", "Nebraska",
    "Nevada", "New Hampshire", "New Jersey", "New Mexico", "New York", "North Carolina", "North Dakota", "Ohio", "Oklahoma", "Oregon", "Pennsylvania", "Rhode Island", "South Carolina",
    "South Dakota", "Tennessee", "Texas", "Utah", "Vermont", "Virginia", "Washington", "West Virginia", "Wisconsin", "Wyoming"};
const std::vector<std::string> kToyTopics = {"astronomy", "gardening", "sailing", "cooking", "chess", "pottery"};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

struct ProfilerOptions {
  std::string kind = "news", prompt;
  std::vector<std::string> topics = kTopics, regions = {"us-states"};
  std::int64_t most = 5, min_count = 2, history_tokens = 3000, click_words = 50, answer_tokens = 128;
  ClickRange clicks;
  bool use_in_model = true;

  void describe(Fields& f) {
    f.choice("kind", kind, {"news", "book"}).doc("news: topics and regions out of the lists; book: interests in the model's own words");
    f.text("prompt", prompt).doc("a prompt file, or the name of one in prompts/ (docs/prompts.md); \"\" = news_profile or book_profile");
    f.list("topics", topics).doc("news: what may be named; other words are dropped").cite("MIND's categories and politics; Liu et al. 2024 name 19 topics by number alone").demo(kToyTopics);
    f.list("regions", regions).doc("news: likewise; \"us-states\" stands for all 50; [] = regions are not asked for").cite("as in the code released with Liu et al. 2024");
    f.integer("most", most).range(1, 50).doc("interests of a user, and regions").cite("Liu et al. 2024, section 4.2");
    f.integer("min_count", min_count).at_least(1).unit("users").doc("book: interests of fewer users are dropped");
    clicks.describe(f);
    f.boolean("use_in_model", use_in_model).doc("false: the profile is for later augmenters alone and does not join the user vector");
    f.integer("history_tokens", history_tokens).range(256, 1000000).unit("tokens").doc("of a history in a prompt, as an upper bound; the newest clicks that fit are shown");
    f.integer("click_words", click_words).range(1, 10000).unit("words").doc("first words of each attribute of a click that the prompt shows");
    f.integer("answer_tokens", answer_tokens).range(8, 100000).unit("tokens").doc("of one answer, at most");
  }
  void validate(Problems& problems) const {
    clicks.validate(problems);
    if (kind == "news" && topics.empty()) problems.add("topics is empty", "name what may be answered; kind = \"book\" asks without a list");
  }
  Limits limits() const {
    Limits limits;
    limits.most = most;
    if (kind != "news") return limits;
    limits.topics = topics;
    for (const std::string& region : regions) {
      if (region == "us-states") limits.regions.insert(limits.regions.end(), kStates.begin(), kStates.end());
      else limits.regions.push_back(region);
    }
    return limits;
  }
};

class Profiler final : public Augmenter {
 public:
  using Options = ProfilerOptions;

  explicit Profiler(const Options& options)
      : o_(options), limits_(options.limits()),
        prompt_(PromptTemplate::load(!options.prompt.empty() ? options.prompt : is_news(options) ? "news_profile" : "book_profile", {"topics", "regions", "most", "history"},
                                     {"title", "abstract", "category", "subcategory", "description"})) {}

  static std::vector<std::string> needs(const Options&) { return {"item:title"}; }
  static std::vector<std::string> gives(const Options& options) {
    return is_news(options) && !options.regions.empty() ? std::vector<std::string>{"user:topic", "user:region"} : std::vector<std::string>{"user:topic"};
  }

  void prompts(const Corpus& corpus, const Sink& sink) const override {
    HistoryText history(prompt_, corpus.items, o_.click_words);
    PromptTemplate::Values values = {{"topics", joined(limits_.topics)}, {"regions", joined(limits_.regions)}, {"most", std::to_string(o_.most)}};
    std::set<std::pair<UserId, std::vector<ItemId>>> asked;
    for (std::size_t row = 0; row < corpus.histories.size(); ++row) {
      if (!o_.clicks.holds(corpus.clicks_before[row])) continue;
      HistoryText::Shown shown = history.show(corpus.histories[row], o_.history_tokens);
      if (shown.seen.empty()) continue;
      // Two histories may differ in clicks that are too old to be shown.
      if (!asked.insert({corpus.history_users[row], shown.seen}).second) continue;
      values["history"] = std::move(shown.text);
      Prompt prompt;
      prompt.key = corpus.users.ids[static_cast<std::size_t>(corpus.history_users[row])];
      prompt.system = prompt_.system(values);
      prompt.user = prompt_.user(values);
      prompt.max_tokens = o_.answer_tokens;
      prompt.seen = std::move(shown.seen);
      sink(std::move(prompt));
    }
  }

  Parsed parse(const Prompt&, std::string_view answer) const override { return is_news(o_) ? read_sections(answer, limits_) : read_interests(answer, limits_); }

  Corpus apply(Corpus&& corpus, const Answers& answers) const override {
    const std::size_t rows = corpus.histories.size();
    std::vector<const Parsed*> found(rows, nullptr);
    for (std::size_t row = 0; row < rows; ++row) {
      // The answer to a shorter history of a user who is out of the range by now is not for this one.
      if (!o_.clicks.holds(corpus.clicks_before[row])) continue;
      const auto all = answers.about_history(static_cast<std::int32_t>(row));
      if (!all.empty()) found[row] = &all[0];
    }
    corpus.profiles["topic"] = attribute(corpus, found, "topic", limits_.topics);
    if (!limits_.regions.empty()) corpus.profiles["region"] = attribute(corpus, found, "region", limits_.regions);
    return std::move(corpus);
  }

 private:
  static bool is_news(const Options& options) { return options.kind == "news"; }

  // A fixed list is the vocabulary, in its order; else what enough users have, in order of first appearance.
  ListAttribute attribute(const Corpus& corpus, const std::vector<const Parsed*>& found, const std::string& name, const std::vector<std::string>& choices) const {
    ListAttribute made;
    made.in_model = o_.use_in_model;
    std::unordered_map<std::string, std::int32_t> ids;
    const auto add = [&](const std::string& value) {
      if (ids.try_emplace(value, static_cast<std::int32_t>(ids.size())).second) made.vocabulary.push_back(value);
    };
    for (const std::string& choice : choices) add(choice);
    std::vector<const std::vector<std::string>*> lists(found.size(), nullptr);
    std::vector<std::string> order;
    std::unordered_map<std::string, std::set<UserId>> users;
    for (std::size_t row = 0; row < found.size(); ++row) {
      if (!found[row]) continue;
      const auto field = found[row]->fields.find(name);
      if (field == found[row]->fields.end()) continue;
      lists[row] = &field->second;
      if (!choices.empty()) continue;
      for (const std::string& value : field->second) {
        std::set<UserId>& of_value = users[value];
        if (of_value.empty()) order.push_back(value);
        of_value.insert(corpus.history_users[row]);
      }
    }
    for (const std::string& value : order)
      if (users[value].size() >= static_cast<std::size_t>(o_.min_count)) add(value);
    std::vector<std::int32_t> values;
    for (const auto* list : lists) {
      values.clear();
      if (list)
        for (const std::string& value : *list)
          if (const auto id = ids.find(value); id != ids.end()) values.push_back(id->second);
      made.values.push_back(values);
    }
    return made;
  }

  const Options o_;
  const Limits limits_;
  const PromptTemplate prompt_;
};

void register_components(Registrar& r) {
  r.augmenter<Profiler>("gpt_profiler")
      .doc("asks a language model for a user's interests, from his history")
      .cite("Liu et al., ONCE: Boosting Content-based Recommendation with Both Open- and Closed-source Large Language Models, WSDM 2024, section 4.2");
}

}  // namespace
}  // namespace oncekit::gpt_profiler

ONCEKIT_PLUGIN("gpt_profiler", oncekit::gpt_profiler::register_components)
