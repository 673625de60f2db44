#include <algorithm>
#include <array>
#include <set>

#include "mock_llm/answer.h"

namespace oncekit {
namespace {

bool is_letter(unsigned char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 128; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= 0x20) text.remove_prefix(1);
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= 0x20) text.remove_suffix(1);
  return text;
}

template <class Visit>
void each_line(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (const std::string_view line = trim(text.substr(0, end)); !line.empty()) visit(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::vector<std::string> split_commas(std::string_view text) {
  std::vector<std::string> values;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    if (const std::string_view value = trim(text.substr(0, end)); !value.empty()) values.emplace_back(value);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return values;
}

const std::set<std::string, std::less<>>& small_words() {
  static const std::set<std::string, std::less<>> words{
      "about", "after", "again", "against", "all", "also", "among", "and", "another", "any", "are", "around", "because", "been", "before", "being",
      "between", "both", "but", "can", "could", "did", "does", "doing", "down", "during", "each", "even", "every", "first", "for", "from", "good",
      "had", "has", "have", "here", "his", "her", "hers", "how", "into", "its", "just", "last", "like", "made", "make", "many", "more", "most", "much",
      "must", "never", "new", "not", "now", "off", "only", "other", "our", "out", "over", "own", "said", "same", "says", "she", "should", "since",
      "some", "still", "such", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "three", "through", "time",
      "today", "two", "under", "until", "very", "was", "week", "were", "what", "when", "where", "which", "while", "who", "whom", "why", "will", "with",
      "without", "would", "year", "years", "you", "your", "book", "novel", "story", "volume", "part", "edition"};
  return words;
}

}  // namespace

MockTask task_of(std::string_view prompt) {
  const auto has = [&](std::string_view mark) { return prompt.find(mark) != std::string_view::npos; };
  if (has("\"interests\"")) return MockTask::kBookProfile;
  if (has("\"title\"") && has("\"abstract\"")) return MockTask::kNewsItem;
  if (has("\"title\"") && has("\"description\"")) return MockTask::kBook;
  if (has("[topics]")) return MockTask::kNewsProfile;
  if (has("[description]")) return MockTask::kBookDescription;
  if (has("[title]")) return MockTask::kNewsSummary;
  return MockTask::kOther;
}

const ToyWords& ToyWords::get() {
  static const ToyWords words;
  return words;
}

ToyWords::ToyWords() : vocabulary_(toy_vocabulary(ToyOptions{})) {
  for (std::size_t t = 0; t < vocabulary_.words.size(); ++t) {
    for (const std::string& word : vocabulary_.words[t]) topics_[word] = static_cast<int>(t);
    names_[vocabulary_.topics[t]] = static_cast<int>(t);
  }
}

int ToyWords::topic_of(std::string_view word) const {
  const auto found = topics_.find(word);
  return found == topics_.end() ? -1 : found->second;
}

int ToyWords::topic_named(std::string_view name) const {
  const auto found = names_.find(lower(trim(name)));
  return found == names_.end() ? -1 : found->second;
}

std::vector<int> ToyWords::counts(std::string_view text) const {
  std::vector<int> counts(vocabulary_.topics.size());
  for (const std::string& word : words_of(text))
    if (const int topic = topic_of(word); topic >= 0) ++counts[static_cast<std::size_t>(topic)];
  return counts;
}

int ToyWords::majority(std::string_view text) const {
  const std::vector<int> found = counts(text);
  const auto most = std::max_element(found.begin(), found.end());
  return most == found.end() || *most == 0 ? -1 : static_cast<int>(most - found.begin());
}

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < text.size();) {
    if (!is_letter(static_cast<unsigned char>(text[i]))) {
      ++i;
      continue;
    }
    std::size_t end = i + 1;
    // An apostrophe or hyphen inside a word is part of it.
    while (end < text.size() && (is_letter(static_cast<unsigned char>(text[end])) ||
                                 ((text[end] == '\'' || text[end] == '-') && end + 1 < text.size() && is_letter(static_cast<unsigned char>(text[end + 1])))))
      ++end;
    words.push_back(lower(text.substr(i, end - i)));
    i = end;
  }
  return words;
}

std::vector<std::string> telling_words(std::string_view text) {
  std::map<std::string, std::pair<int, std::size_t>> seen;  // times, first place
  std::size_t place = 0;
  for (const std::string& word : words_of(text)) {
    const bool number = word.find_first_not_of("0123456789") == std::string::npos;
    if (word.size() < 3 || number || small_words().contains(word)) continue;
    auto& entry = seen.try_emplace(word, 0, place++).first->second;
    ++entry.first;
  }
  std::vector<std::pair<std::pair<int, std::size_t>, std::string>> order;
  for (const auto& [word, entry] : seen) order.push_back({{-entry.first, entry.second}, word});
  std::sort(order.begin(), order.end());
  std::vector<std::string> words;
  for (auto& [rank, word] : order) words.push_back(std::move(word));
  return words;
}

MockGiven read_given(std::string_view user) {
  MockGiven given;
  each_line(user, [&](std::string_view line) {
    if (line.front() == '[') {
      if (const std::size_t end = line.find(']'); end != std::string_view::npos) {
        given.fields[lower(line.substr(1, end - 1))] = std::string(trim(line.substr(end + 1)));
        return;
      }
    }
    if (lower(line.substr(0, 10)) == "interests:") {
      given.interests = split_commas(line.substr(10));
      return;
    }
    std::size_t digits = 0;
    while (digits < line.size() && line[digits] >= '0' && line[digits] <= '9') ++digits;
    if (digits > 0 && digits < 5 && digits < line.size() && (line[digits] == '.' || line[digits] == ')' || line[digits] == ':')) line = trim(line.substr(digits + 1));
    MockClick click;
    if (line.starts_with('(')) {
      if (const std::size_t end = line.find(')'); end != std::string_view::npos && end + 1 < line.size()) {
        click.category = std::string(line.substr(1, end - 1));
        line = trim(line.substr(end + 1));
      }
    }
    const std::size_t bar = std::min(line.find(" | "), line.size());
    click.title = std::string(trim(line.substr(0, bar)));
    if (bar < line.size()) click.rest = std::string(trim(line.substr(bar + 3)));
    if (!click.title.empty()) given.clicks.push_back(std::move(click));
  });
  return given;
}

std::vector<std::string> listed_values(std::string_view system, std::string_view lead) {
  std::vector<std::string> values;
  each_line(system, [&](std::string_view line) {
    if (!values.empty() || !line.starts_with(lead)) return;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    line = trim(line.substr(colon + 1));
    if (line.ends_with('.')) line.remove_suffix(1);
    values = split_commas(line);
  });
  return values;
}

std::int64_t at_most(std::string_view system) {
  static constexpr std::string_view kLead = "at most ";
  std::int64_t n = 0;
  if (std::size_t i = system.find(kLead); i != std::string_view::npos)
    for (i += kLead.size(); i < system.size() && system[i] >= '0' && system[i] <= '9' && n < 1000; ++i) n = 10 * n + (system[i] - '0');
  return n > 0 ? n : 5;
}

}  // namespace oncekit
