// augmenter/gpt_generator: items that a new user may have clicked, appended to his history; never candidates. After a profiler its prompts
// hold the user's interests: the chain UP -> CG. (Liu et al. 2024, sections 4.3 and 4.4, "personalized content generator".)
#include <cstdio>
#include <map>
#include <set>

#include "oncekit/augmenter.h"
#include "oncekit/plugin.h"
#include "oncekit/prompt.h"
#include "oncekit/rng.h"
#include "oncekit/text.h"

namespace oncekit {
namespace {

const std::vector<std::string> kCategories = {"autos",  "entertainment", "finance", "foodanddrink", "games",  "health", "kids", "lifestyle", "middleeast",
                                              "movies", "music",         "news",    "northamerica", "sports", "travel", "tv",   "video",     "weather"};
const std::vector<std::string> kToySections = {"section1", "section2", "section3"};

struct GeneratorOptions {
  std::string kind = "news", prompt, others = "others";
  std::vector<std::string> categories = kCategories;
  std::int64_t draws = 2, title_words = 40, text_words = 200, history_tokens = 3000, click_words = 50, answer_tokens = 256;
  ClickRange clicks{1, 5};
  bool use_regions = false;

  void describe(Fields& f) {
    f.choice("kind", kind, {"news", "book"}).doc("news: title, abstract and category; book: title and description");
    f.text("prompt", prompt).doc("a prompt file, or the name of one in prompts/ (docs/prompts.md); \"\" = news_item or book");
    f.integer("draws", draws).range(1, 20).unit("items").doc("generated for a user").cite("Liu et al. 2024, table 1 and figure 9 (2)");
    clicks.describe(f);
    f.list("categories", categories).doc("news: what a generated item may be; another answer becomes `others`").cite("MIND's 18 categories").demo(kToySections);
    f.text("others", others).doc("the category of news that the list does not know").cite("released code of Liu et al. 2024");
    f.boolean("use_regions", use_regions).doc("a profile's regions join its topics in the prompt");
    f.integer("title_words", title_words).range(1, 1000).unit("words").doc("longer titles are rejected");
    f.integer("text_words", text_words).range(1, 10000).unit("words").doc("longer abstracts or descriptions are rejected");
    f.integer("history_tokens", history_tokens).range(256, 1000000).unit("tokens").doc("of a history in a prompt, as an upper bound; the newest clicks that fit are shown");
    f.integer("click_words", click_words).range(1, 10000).unit("words").doc("first words of each attribute of a click that the prompt shows");
    f.integer("answer_tokens", answer_tokens).range(8, 100000).unit("tokens").doc("of one answer, at most");
  }
  void validate(Problems& problems) const {
    clicks.validate(problems);
    if (kind == "news" && categories.empty()) problems.add("categories is empty", "name what may be answered, e.g. the categories of the data");
  }
};

// Words alone: titles that differ in case, punctuation or spacing are the same.
std::string folded(std::string_view title) {
  std::string text;
  for (const std::string& word : split_words(title)) text += word + ' ';
  return text;
}

class Generator final : public Augmenter {
 public:
  using Options = GeneratorOptions;

  explicit Generator(const Options& options)
      : o_(options), text_name_(is_news(options) ? "abstract" : "description"),
        prompt_(PromptTemplate::load(!options.prompt.empty() ? options.prompt : is_news(options) ? "news_item" : "book", {"categories", "interests", "history"},
                                     {"title", "abstract", "category", "subcategory", "description"})) {}

  static std::vector<std::string> needs(const Options&) { return {"item:title"}; }

  void prompts(const Corpus& corpus, const Sink& sink) const override {
    HistoryText history(prompt_, corpus.items, o_.click_words);
    PromptTemplate::Values values;
    if (is_news(o_))
      for (const std::string& category : o_.categories) values["categories"] += (values["categories"].empty() ? "" : ", ") + category;
    std::set<std::pair<UserId, std::vector<ItemId>>> asked;
    for (std::size_t row = 0; row < corpus.histories.size(); ++row) {
      if (!o_.clicks.holds(corpus.clicks_before[row])) continue;
      HistoryText::Shown shown = history.show(corpus.histories[row], o_.history_tokens);
      if (shown.seen.empty()) continue;
      values["interests"] = interests(corpus, row);
      // A profile was made from clicks of this history, perhaps from more than are shown here.
      if (!values["interests"].empty()) shown.seen.assign(corpus.histories[row].begin(), corpus.histories[row].end());
      if (!asked.insert({corpus.history_users[row], shown.seen}).second) continue;
      values["history"] = std::move(shown.text);
      Prompt prompt;
      prompt.key = corpus.users.ids[static_cast<std::size_t>(corpus.history_users[row])];
      prompt.system = prompt_.system(values);
      prompt.user = prompt_.user(values);
      prompt.draws = static_cast<int>(o_.draws);
      prompt.max_tokens = o_.answer_tokens;
      prompt.seen = std::move(shown.seen);
      sink(std::move(prompt));
    }
  }

  Parsed parse(const Prompt& prompt, std::string_view answer) const override {
    Parsed parsed;
    const auto reject = [&](const char* reason) {
      parsed.fields.clear();
      parsed.reject_reason = reason;
      return parsed;
    };
    if (one_line(answer).empty()) return reject("empty");
    const auto object = find_object(answer);
    if (!object) return reject(declines(answer) ? "declines" : "no JSON object");
    parsed.repaired = object->repaired;
    const auto value = [&](const std::string& name) {
      const auto found = object->fields.find(name);
      if (found == object->fields.end() || found->second.empty()) return std::string();
      const Unwrapped text = unwrap(found->second[0]);
      std::string line = one_line(text.text);
      parsed.repaired |= text.repaired || line != text.text;
      return line;
    };
    const std::string title = value("title"), text = value(text_name_);
    const std::size_t words = split_words(title).size();
    const std::string low = lower_case(title);
    if (words == 0 || low == "nan" || low == "none" || low == "null" || low == "title" || low == "the title" || declines(title)) return reject("no title");
    if (words > static_cast<std::size_t>(o_.title_words) || split_words(text).size() > static_cast<std::size_t>(o_.text_words)) return reject("too long");
    // An imported answer comes without its prompt; what it repeats is found by apply().
    if (!prompt.user.empty()) {
      if (!same_script(title, prompt.user)) return reject("wrong script");
      if (is_shown(folded(title), prompt.user)) return reject("title of the history");
    }
    parsed.accepted = true;
    parsed.fields["title"] = {title};
    if (!text.empty()) parsed.fields[text_name_] = {text};
    if (is_news(o_)) {
      const std::string said = value("category");
      std::string category = closest_choice(said, o_.categories);
      if (category.empty()) category = o_.others;
      parsed.repaired |= category != said;
      parsed.fields["category"] = {category};
    }
    return parsed;
  }

  Corpus apply(Corpus&& corpus, const Answers& answers) const override {
    std::map<std::vector<std::string>, ItemId> made;  // user, draw, texts -> item: an answer that several histories share is one item
    Ragged<ItemId> histories;
    std::vector<ItemId> clicks;
    for (std::size_t row = 0; row < corpus.histories.size(); ++row) {
      clicks.assign(corpus.histories[row].begin(), corpus.histories[row].end());
      if (o_.clicks.holds(corpus.clicks_before[row])) append(corpus, row, answers.about_history(static_cast<std::int32_t>(row)), made, clicks);
      histories.push_back(clicks);
    }
    corpus.histories = std::move(histories);
    return std::move(corpus);
  }

 private:
  static bool is_news(const Options& options) { return options.kind == "news"; }

  std::string interests(const Corpus& corpus, std::size_t row) const {
    std::string text;
    for (const char* name : {"topic", "region"}) {
      const auto profile = corpus.profiles.find(name);
      if (profile == corpus.profiles.end() || (name == std::string_view("region") && !o_.use_regions)) continue;
      for (const std::int32_t value : profile->second.values[row])
        text += (text.empty() ? "" : ", ") + one_line(profile->second.vocabulary[static_cast<std::size_t>(value)]);
    }
    return text;
  }

  // Whether a line of the prompt's history is about this title: the whole line, or what stands behind "(category)" or before " | ".
  static bool is_shown(const std::string& title, std::string_view user) {
    while (!user.empty()) {
      const std::size_t end = std::min(user.find('\n'), user.size());
      std::string_view line = user.substr(0, end);
      user.remove_prefix(std::min(end + 1, user.size()));
      const std::size_t dot = line.find(". ");
      if (dot == std::string_view::npos || line.find_first_not_of("0123456789") != dot) continue;
      line.remove_prefix(dot + 2);
      line = line.substr(0, line.find(" | "));
      if (folded(line) == title) return true;
      const std::size_t bracket = line.find(") ");
      if (line.starts_with("(") && bracket != std::string_view::npos && folded(line.substr(bracket + 2)) == title) return true;
    }
    return false;
  }

  void append(Corpus& corpus, std::size_t row, std::span<const Parsed> draws, std::map<std::vector<std::string>, ItemId>& made, std::vector<ItemId>& clicks) const {
    if (draws.empty()) return;
    std::set<std::string> known;
    std::string history;
    for (const ItemId click : corpus.histories[row]) {
      known.insert(folded(corpus.items.attribute("title")[static_cast<std::size_t>(click)]));
      history += std::string(corpus.items.ids[static_cast<std::size_t>(click)]) + '\n';
    }
    const std::string user(corpus.users.ids[static_cast<std::size_t>(corpus.history_users[row])]);
    char hash[17];
    std::snprintf(hash, sizeof hash, "%016llx", static_cast<unsigned long long>(hash_name(history)));
    std::size_t draw = 0;
    for (const Parsed& parsed : draws) {
      if (draw == static_cast<std::size_t>(o_.draws)) break;
      const auto field = [&](const std::string& name) {
        const auto found = parsed.fields.find(name);
        return found == parsed.fields.end() || found->second.empty() ? std::string() : found->second[0];
      };
      const std::string title = field("title"), text = field(text_name_), category = field("category");
      if (title.empty() || known.count(folded(title))) continue;
      ++draw;
      const auto [entry, fresh] = made.try_emplace({user, std::to_string(draw), title, text, category}, static_cast<ItemId>(corpus.items.size()));
      clicks.push_back(entry->second);
      if (!fresh) continue;
      corpus.items.ids.push_back("generated/" + user + "/" + hash + "/" + std::to_string(draw));
      for (auto& [name, column] : corpus.items.attributes) column.push_back(name == "title" ? title : name == text_name_ ? text : name == "category" ? category : "");
    }
  }

  const Options o_;
  const std::string text_name_;
  const PromptTemplate prompt_;
};

void register_components(Registrar& r) {
  r.augmenter<Generator>("gpt_generator")
      .doc("asks a language model for items that suit a new user, and appends them to his history")
      .cite("Liu et al., ONCE: Boosting Content-based Recommendation with Both Open- and Closed-source Large Language Models, WSDM 2024, sections 4.3 and 4.4");
}

}  // namespace
}  // namespace oncekit

ONCEKIT_PLUGIN("gpt_generator", oncekit::register_components)
