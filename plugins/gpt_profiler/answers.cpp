#include "answers.h"

#include <algorithm>

#include "oncekit/prompt.h"

namespace oncekit::gpt_profiler {
namespace {

using View = std::string_view;

constexpr const char* kEmpty = "empty";
constexpr const char* kDeclines = "declines";
constexpr const char* kNoList = "not a list";
constexpr const char* kNothing = "nothing of the list";

struct List {
  std::vector<std::string> values;
  bool repaired = false;
};

std::string without_marks(std::string text) {
  static constexpr const char* kMarks = " \t*_\"'`.,;:!|[](){}";
  const std::size_t begin = text.find_first_not_of(kMarks), end = text.find_last_not_of(kMarks);
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

// Length of "- ", "* ", "1. ", "2) " or a bullet at the front, or 0.
std::size_t bullet(View line) {
  if (line.starts_with("\xe2\x80\xa2") || line.starts_with("\xe2\x80\x93")) return 3;
  if (line.starts_with("- ") || line.starts_with("* ") || line.starts_with("+ ")) return 2;
  if (line.starts_with("-") && line.size() > 1 && line[1] != '-') return 1;
  std::size_t digits = 0;
  while (digits < line.size() && digits < 3 && line[digits] >= '0' && line[digits] <= '9') ++digits;
  return digits > 0 && digits < line.size() && (line[digits] == '.' || line[digits] == ')') ? digits + 1 : 0;
}

// Lines with bullets are as asked; names in one line, divided by commas, are taken too.
List lines_of(View text) {
  List list;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string line = one_line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || without_marks(line).empty()) continue;
    const std::size_t mark = bullet(line);
    list.repaired |= !line.starts_with("- ");
    // "Here are the interests:" between the lines.
    if (mark == 0 && line.ends_with(':')) continue;
    View rest = View(line).substr(mark);
    while (true) {
      const std::size_t comma = std::min(rest.find_first_of(",;"), rest.size());
      if (const std::string value = one_line(rest.substr(0, comma)); !value.empty()) list.values.push_back(value);
      if (comma == rest.size()) break;
      list.repaired = true;
      rest.remove_prefix(comma + 1);
    }
  }
  return list;
}

// The choice that a line means: as it stands, or before an explanation: "Sports (very strong)", "health: reads of diets", "music - concerts".
std::string choice_of(const std::string& value, const std::vector<std::string>& choices) {
  if (std::string found = closest_choice(value, choices); !found.empty()) return found;
  for (const char* mark : {"(", ":", " - ", " \xe2\x80\x93 ", " \xe2\x80\x94 "})
    if (const std::size_t at = value.find(mark); at != std::string::npos && at > 0)
      if (std::string found = closest_choice(View(value).substr(0, at), choices); !found.empty()) return found;
  return "";
}

List chosen(const List& found, const std::vector<std::string>& choices, std::int64_t most) {
  List list;
  list.repaired = found.repaired;
  for (const std::string& value : found.values) {
    const std::string choice = choice_of(value, choices);
    list.repaired |= choice != value;
    if (choice.empty()) continue;
    if (std::find(list.values.begin(), list.values.end(), choice) != list.values.end() || list.values.size() >= static_cast<std::size_t>(most)) list.repaired = true;
    else list.values.push_back(choice);
  }
  return list;
}

bool has_tag(View answer, View tag) { return lower_case(one_line(answer)).find(tag) != std::string::npos; }

// The list of a JSON object under the first of these names that it has.
const std::vector<std::string>* member(const FoundObject& object, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const auto found = object.fields.find(name); found != object.fields.end()) return &found->second;
  return nullptr;
}

// A list of its own, {"interests": [...]}, or one under another of the usual names.
std::optional<FoundObject> find_list(View answer, std::initializer_list<const char*> names) {
  const std::size_t brace = answer.find('{'), bracket = answer.find('[');
  if (brace < bracket) return find_object(answer);
  if (bracket == View::npos) return std::nullopt;
  auto object = find_object("{\"" + std::string(*names.begin()) + "\": " + std::string(answer.substr(bracket)) + "}");
  if (object) object->repaired = true;
  return object;
}

Parsed rejected(const char* reason) {
  Parsed parsed;
  parsed.reject_reason = reason;
  return parsed;
}

}  // namespace

Parsed read_sections(std::string_view answer, const Limits& limits) {
  if (one_line(answer).empty()) return rejected(kEmpty);
  if (declines(answer)) return rejected(kDeclines);
  List topics, regions;
  if (has_tag(answer, "[topics]") || answer.find('{') == std::string_view::npos) {
    const Unwrapped found = tagged(answer, "[topics]");
    topics = lines_of(found.text);
    topics.repaired |= found.repaired;
    if (has_tag(answer, "[regions]")) {
      regions = lines_of(tagged(answer, "[regions]").text);
    } else if (has_tag(answer, "[region]")) {
      regions = lines_of(tagged(answer, "[region]").text);
      regions.repaired = true;
    }
  } else if (const auto object = find_object(answer)) {
    if (const auto* values = member(*object, {"topics", "topic", "interests", "interest"})) topics.values = *values;
    if (const auto* values = member(*object, {"regions", "region"})) regions.values = *values;
    topics.repaired = true;
  }
  if (topics.values.empty()) return rejected(kNoList);
  topics = chosen(topics, limits.topics, limits.most);
  if (topics.values.empty()) return rejected(kNothing);
  Parsed parsed;
  parsed.accepted = true;
  parsed.repaired = topics.repaired;
  parsed.fields["topic"] = std::move(topics.values);
  if (limits.regions.empty()) return parsed;
  // "none" is how many models leave a section empty.
  std::erase_if(regions.values, [](const std::string& value) {
    const std::string word = lower_case(without_marks(value));
    return word == "none" || word == "n/a" || word == "nan" || word == "no regions" || word == "region";
  });
  regions = chosen(regions, limits.regions, limits.most);
  parsed.repaired |= regions.repaired && !regions.values.empty();
  if (!regions.values.empty()) parsed.fields["region"] = std::move(regions.values);
  return parsed;
}

Parsed read_interests(std::string_view answer, const Limits& limits) {
  if (one_line(answer).empty()) return rejected(kEmpty);
  if (declines(answer)) return rejected(kDeclines);
  List list;
  if (const auto object = find_list(answer, {"interests"})) {
    const auto* values = member(*object, {"interests", "interest", "topics", "topic", "keywords", "genres"});
    if (!values) return rejected(kNoList);
    list.repaired = object->repaired;
    // {"interests": "crime, history"}
    if (values->size() == 1 && (*values)[0].find(',') != std::string::npos) {
      list.values = lines_of("- " + one_line((*values)[0])).values;
      list.repaired = true;
    } else {
      list.values = *values;
    }
  } else {
    list = lines_of(unwrap(answer).text);
    // Words without any mark of a list are talk.
    if (list.values.size() < 2 && bullet(unwrap(answer).text) == 0) return rejected(kNoList);
    list.repaired = true;
  }
  Parsed parsed;
  parsed.repaired = list.repaired;
  std::vector<std::string>& kept = parsed.fields["topic"];
  for (const std::string& value : list.values) {
    const std::string line = one_line(value), word = lower_case(without_marks(line));
    const auto blanks = std::count(word.begin(), word.end(), ' ');
    const bool fits = !word.empty() && blanks < limits.most_words && word.size() <= static_cast<std::size_t>(limits.most_words) * 40;
    const bool fresh = std::find(kept.begin(), kept.end(), word) == kept.end();
    const bool room = kept.size() < static_cast<std::size_t>(limits.most);
    if (!fits || !fresh || !room) parsed.repaired = true;
    else kept.push_back(word);
    parsed.repaired |= word != line;
  }
  if (kept.empty()) return rejected(list.values.empty() ? kNoList : kNothing);
  parsed.accepted = true;
  return parsed;
}

}  // namespace oncekit::gpt_profiler
