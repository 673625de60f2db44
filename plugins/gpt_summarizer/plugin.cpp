// augmenter/gpt_summarizer: a better text of every item. News: a title that says what the article says. Books: a description, which a
// title lacks. (Liu et al. 2024, section 4.1, "content summarizer".)
//
// Items with the same texts are asked about once; generated items keep the title that they were generated with.
#include <map>
#include <unordered_map>

#include "oncekit/augmenter.h"
#include "oncekit/plugin.h"
#include "oncekit/prompt.h"
#include "oncekit/text.h"

namespace oncekit {
namespace {

// What an item's prompt may show, beside its title; what the corpus lacks is left out.
const std::vector<std::string> kShown = {"title", "abstract", "category", "subcategory", "description"};

struct SummarizerOptions {
  std::string kind = "news", prompt, into;
  std::int64_t longest = 0, shown_words = 300, answer_tokens = 200;

  void describe(Fields& f) {
    f.choice("kind", kind, {"news", "book"}).doc("what the items are: decides prompt and into where they are not set");
    f.text("prompt", prompt).doc("a prompt file, or the name of one in prompts/ (docs/prompts.md); \"\" = news_summary or book_description");
    f.text("into", into).doc("the item attribute that receives the text; \"\" = title (news: replaced) or description (book)");
    f.integer("longest", longest).range(0, 2000).unit("words").doc("longer answers are rejected; 0 = 60 for news, 120 for books");
    f.integer("shown_words", shown_words).range(1, 100000).unit("words").doc("first words of each attribute that the prompt shows");
    f.integer("answer_tokens", answer_tokens).range(8, 100000).unit("tokens").doc("of one answer, at most");
  }
};

class Summarizer final : public Augmenter {
 public:
  using Options = SummarizerOptions;

  explicit Summarizer(const Options& options)
      : o_(options), into_(target(options)), tag_(is_news(options) ? "[title]" : "[description]"),
        prompt_(PromptTemplate::load(!options.prompt.empty() ? options.prompt : is_news(options) ? "news_summary" : "book_description", kShown)) {}

  static std::vector<std::string> needs(const Options&) { return {"item:title"}; }
  static std::vector<std::string> gives(const Options& options) { return {"item:" + target(options)}; }

  void prompts(const Corpus& corpus, const Sink& sink) const override {
    const std::vector<ItemId> first = first_of_same_text(corpus);
    for (std::size_t i = 0; i < first.size(); ++i) {
      if (first[i] != static_cast<ItemId>(i)) continue;
      const PromptTemplate::Values values = values_of(corpus, i);
      Prompt prompt;
      prompt.key = corpus.items.ids[i];
      prompt.system = prompt_.system(values);
      prompt.user = prompt_.user(values);
      prompt.max_tokens = o_.answer_tokens;
      sink(std::move(prompt));
    }
  }

  Parsed parse(const Prompt& prompt, std::string_view answer) const override {
    Parsed parsed;
    const auto reject = [&](const char* reason) {
      parsed.reject_reason = reason;
      return parsed;
    };
    if (one_line(answer).empty()) return reject("empty");
    if (declines(answer)) return reject("declines");
    const Unwrapped found = tagged(answer, tag_);
    parsed.repaired = found.repaired;
    std::string text = found.text;
    // A title is one line; what follows a blank line explains it.
    if (const std::size_t gap = text.find("\n\n"); is_news(o_) && gap != std::string::npos) {
      text.resize(gap);
      parsed.repaired = true;
    }
    std::string line = one_line(text);
    parsed.repaired |= line != text;
    if (declines(line)) return reject("declines");
    if (repeats_question(answer)) return reject("repeats the question");
    const std::size_t words = split_words(line).size();
    if (words == 0) return reject("empty");
    if (says_nothing(line, words) || (!is_news(o_) && is_given(line, prompt.user))) return reject("says nothing");
    if (words > static_cast<std::size_t>(o_.longest > 0 ? o_.longest : is_news(o_) ? 60 : 120)) return reject("too long");
    // An imported answer comes without its prompt.
    if (!prompt.user.empty() && !same_script(line, prompt.user)) return reject("wrong script");
    parsed.accepted = true;
    parsed.fields["text"] = {std::move(line)};
    return parsed;
  }

  Corpus apply(Corpus&& corpus, const Answers& answers) const override {
    const std::vector<ItemId> first = first_of_same_text(corpus);
    const auto old = corpus.items.attributes.find(into_);
    StringColumn texts;
    for (std::size_t i = 0; i < corpus.items.size(); ++i) {
      const std::string_view before = old == corpus.items.attributes.end() ? std::string_view() : old->second[i];
      texts.push_back(i < first.size() ? text_for(static_cast<ItemId>(i), first[i], answers, before) : before);
    }
    corpus.items.attributes[into_] = std::move(texts);
    return std::move(corpus);
  }

 private:
  static bool is_news(const Options& options) { return options.kind == "news"; }
  static std::string target(const Options& options) { return !options.into.empty() ? options.into : is_news(options) ? "title" : "description"; }

  static PromptTemplate::Values values_of(const Corpus& corpus, std::size_t row, std::int64_t words) {
    PromptTemplate::Values values;
    for (const std::string& name : kShown)
      if (const auto column = corpus.items.attributes.find(name); column != corpus.items.attributes.end()) values[name] = first_words(one_line(column->second[row]), words);
    return values;
  }
  PromptTemplate::Values values_of(const Corpus& corpus, std::size_t row) const { return values_of(corpus, row, o_.shown_words); }

  // For each listed item the first one of which the prompt says the same; -1 for those without a title, which are not asked about.
  std::vector<ItemId> first_of_same_text(const Corpus& corpus) const {
    const StringColumn& titles = corpus.items.attribute("title");
    std::vector<ItemId> first(corpus.items.listed, -1);
    std::unordered_map<std::string, ItemId> known;
    for (std::size_t i = 0; i < first.size(); ++i) {
      if (one_line(titles[i]).empty()) continue;
      const PromptTemplate::Values values = values_of(corpus, i);
      first[i] = known.try_emplace(prompt_.system(values) + '\0' + prompt_.user(values), static_cast<ItemId>(i)).first->second;
    }
    return first;
  }

  // An item's own answer (imports have one of each), else that to the same question.
  static std::string_view text_for(ItemId item, ItemId first, const Answers& answers, std::string_view before) {
    for (const ItemId asked : {item, first}) {
      if (asked < 0) continue;
      for (const Parsed& parsed : answers.about_item(asked))
        if (const auto text = parsed.fields.find("text"); text != parsed.fields.end() && !text->second.empty()) return text->second[0];
    }
    return before;
  }

  // The form of the question, filled in again.
  bool repeats_question(std::string_view answer) const {
    for (const std::string& name : kShown) {
      const std::string tag = "[" + name + "]";
      if (tag != tag_ && answer.find(tag) != std::string_view::npos) return true;
    }
    return false;
  }

  // Whether a line of the question, without its tag, says the same: a description that is the title again.
  static bool is_given(const std::string& line, std::string_view user) {
    const std::vector<std::string> words = split_words(line);
    while (!user.empty()) {
      const std::size_t end = std::min(user.find('\n'), user.size()), tag = user.substr(0, end).find("] ");
      if (split_words(user.substr(tag == std::string_view::npos ? 0 : tag + 2, end - (tag == std::string_view::npos ? 0 : tag + 2))) == words) return true;
      user.remove_prefix(std::min(end + 1, user.size()));
    }
    return false;
  }

  // "nan" for a missing value; "X is a book.", as the released answers have it for titles that the model did not know.
  bool says_nothing(const std::string& line, std::size_t words) const {
    const std::string low = lower_case(line);
    for (const char* empty : {"nan", "none", "null", "n/a", "na", "unknown", "untitled", "no title", "title", "the new title", "description"})
      if (low == empty || low == std::string(empty) + ".") return true;
    if (is_news(o_)) return false;
    return words < 4 || (words < 25 && (low.ends_with(" is a book.") || low.ends_with(" is a book")));
  }

  const Options o_;
  const std::string into_, tag_;
  const PromptTemplate prompt_;
};

void register_components(Registrar& r) {
  r.augmenter<Summarizer>("gpt_summarizer")
      .doc("asks a language model for clearer titles of news, or for descriptions of books")
      .cite("Liu et al., ONCE: Boosting Content-based Recommendation with Both Open- and Closed-source Large Language Models, WSDM 2024, section 4.1");
}

}  // namespace
}  // namespace oncekit

ONCEKIT_PLUGIN("gpt_summarizer", oncekit::register_components)
