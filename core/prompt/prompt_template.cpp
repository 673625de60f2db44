// Prompt files: where they lie, what they may hold, how placeholders are filled; histories as lines of a prompt.
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <functional>
#include <set>

#include "base/files.h"
#include "oncekit/error.h"
#include "oncekit/prompt.h"
#include "plugin/places.h"
#include "toml/node.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

bool name_char(char c, bool first) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (!first && c >= '0' && c <= '9'); }

// Calls text(piece) and name(placeholder) in order. Only {word} is a placeholder: the braces of a JSON example stand for themselves.
void scan(std::string_view whole, const std::function<void(std::string_view)>& text, const std::function<void(std::string_view)>& name) {
  std::size_t begin = 0;
  for (std::size_t at = whole.find('{'); at != std::string_view::npos; at = whole.find('{', at + 1)) {
    std::size_t end = at + 1;
    while (end < whole.size() && name_char(whole[end], end == at + 1)) ++end;
    if (end == at + 1 || end >= whole.size() || whole[end] != '}') continue;
    text(whole.substr(begin, at - begin));
    name(whole.substr(at + 1, end - at - 1));
    begin = end + 1;
    at = end;
  }
  text(whole.substr(begin));
}

// One pass: braces in a value are never taken for placeholders.
std::string fill(std::string_view whole, const PromptTemplate::Values& values) {
  std::string out;
  bool first = true;
  while (true) {
    const std::size_t end = whole.find('\n');
    std::string line;
    bool has_name = false, has_value = false;
    scan(whole.substr(0, end), [&](std::string_view text) { line += text; },
         [&](std::string_view name) {
           has_name = true;
           const auto found = values.find(std::string(name));
           if (found == values.end() || found->second.empty()) return;
           has_value = true;
           line += found->second;
         });
    if (!has_name || has_value) {
      if (!first) out += '\n';
      out += line;
      first = false;
    }
    if (end == std::string_view::npos) return out;
    whole.remove_prefix(end + 1);
  }
}

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n"), end = text.find_last_not_of(" \t\r\n");
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

std::vector<fs::path> prompt_folders() {
  if (const char* named = std::getenv("ONCEKIT_PROMPTS"); named && *named) return {named};
  const fs::path lib = library_folder();  // TREE/build/release/lib or PREFIX/lib
  std::vector<fs::path> folders;
  std::error_code ignored;
  for (const fs::path& folder : {fs::path("prompts"), lib / "../../../prompts", lib / "../share/oncekit/prompts"})
    if (fs::is_directory(folder, ignored)) folders.push_back(folder == "prompts" ? folder : fs::weakly_canonical(folder, ignored));
  return folders;
}

fs::path find_prompt(const std::string& name) {
  std::error_code ignored;
  if (fs::is_regular_file(name, ignored)) return name;
  const bool path = name.find('/') != std::string::npos || name.ends_with(".toml");
  if (path || name.empty()) throw Error(ErrorKind::kData, "there is no prompt file '" + name + "'", "name a file (docs/prompts.md), or one of oncekit's own prompts");
  std::set<std::string> names;
  std::string searched;
  for (const fs::path& folder : prompt_folders()) {
    const fs::path file = folder / (name + ".toml");
    if (fs::is_regular_file(file, ignored)) return file;
    searched += (searched.empty() ? "" : ", ") + display_path(folder);
    for (const auto& entry : fs::directory_iterator(folder, ignored))
      if (entry.path().extension() == ".toml") names.insert(entry.path().stem().string());
  }
  const std::vector<std::string> all(names.begin(), names.end());
  const std::string near = nearest_name(name, all);
  throw Error(ErrorKind::kData, "there is no prompt '" + name + "' in " + (searched.empty() ? "any prompts folder" : searched) + (near.empty() ? "" : "; did you mean '" + near + "'?"),
              all.empty() ? "set ONCEKIT_PROMPTS to a folder of prompt files, or name a file" : "there are " + listed(all) + "; or name a file");
}

// The line of the file on which a placeholder of this text stands.
std::size_t line_of(const std::string& file, const Node& text, const std::string& placeholder) {
  std::size_t line = 1, begin = 0;
  while (begin <= file.size()) {
    const std::size_t end = std::min(file.find('\n', begin), file.size());
    if (line >= text.line && std::string_view(file).substr(begin, end - begin).find("{" + placeholder + "}") != std::string_view::npos) return line;
    begin = end + 1;
    ++line;
  }
  return text.line;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& names) {
  const std::string near = nearest_name(word, names);
  return near.empty() ? "" : "; did you mean '" + near + "'?";
}

}  // namespace

PromptTemplate PromptTemplate::load(const std::string& name, const std::vector<std::string>& allowed, const std::vector<std::string>& in_click) {
  PromptTemplate made;
  made.file_ = find_prompt(name);
  const std::string content = read_file(made.file_), shown = display_path(made.file_);
  made.digest_ = oncekit::digest(content);
  const Node root = parse_toml(content, shown, Origin::Kind::kRecipe);

  Problems problems;
  static const std::vector<std::string> kKeys = {"version", "about", "output", "placeholders", "system", "user", "click"};
  for (const auto& [key, node] : root.entries) {
    if (std::find(kKeys.begin(), kKeys.end(), key) == kKeys.end()) {
      problems.add("unknown key '" + key + "' in a prompt file" + did_you_mean(key, kKeys), "a prompt file has " + listed(kKeys), place(node.origin));
    } else if (key == "version" ? !node.is(Node::Type::kInteger) : key == "placeholders" ? !node.is(Node::Type::kArray) : !node.is(Node::Type::kString)) {
      problems.add("'" + key + "' is " + describe(node) + ", expected " + (key == "version" ? "a whole number" : key == "placeholders" ? "a list of names" : "a text"), "", place(node.origin));
    }
  }
  for (const char* key : {"version", "about", "output", "user"})
    if (!root.find(key)) problems.add(std::string("'") + key + "' is missing in a prompt file", "docs/prompts.md shows a whole one", shown);
  if (const Node* click = root.find("click"); click && in_click.empty())
    problems.add("'click' is set, but this augmenter shows no list", "remove it", place(click->origin));
  if (!problems.empty()) problems.raise(ErrorKind::kUsage);

  std::vector<std::string> declared;
  if (const Node* list = root.find("placeholders"))
    for (const Node& item : list->items) {
      if (item.is(Node::Type::kString)) declared.push_back(item.text());
      else problems.add("'placeholders' holds " + describe(item) + ", expected a name", "", place(item.origin));
    }
  std::set<std::string> used;
  for (const char* key : {"system", "user", "click"}) {
    const Node* node = root.find(key);
    if (!node) continue;
    const std::vector<std::string>& known = std::string_view(key) == "click" ? in_click : allowed;
    std::set<std::string> reported;
    scan(node->text(), [](std::string_view) {},
         [&](std::string_view found) {
           const std::string placeholder(found);
           used.insert(placeholder);
           const bool is_known = std::find(known.begin(), known.end(), placeholder) != known.end();
           if (is_known && std::find(declared.begin(), declared.end(), placeholder) != declared.end()) return;
           if (!reported.insert(placeholder).second) return;
           const std::string where = shown + ":" + std::to_string(line_of(content, *node, placeholder));
           if (is_known) problems.add("{" + placeholder + "} is used, but 'placeholders' lacks it", "add it there", where);
           else problems.add("nothing can be put in the place of {" + placeholder + "} in '" + key + "'" + did_you_mean(placeholder, known),
                             known.empty() ? "there are no placeholders here" : "there are " + listed(known), where);
         });
    std::string& text = key[0] == 's' ? made.system_ : key[0] == 'u' ? made.user_ : made.click_;
    text = trimmed(node->text());
  }
  for (const std::string& placeholder : declared)
    if (!used.count(placeholder)) problems.add("'placeholders' names '" + placeholder + "', which no text uses", "remove it there", place(root.find("placeholders")->origin));
  if (made.user_.empty()) problems.add("'user' is empty", "it is the question itself", place(root.find("user")->origin));
  if (!in_click.empty() && made.click_.empty()) problems.add("'click' is missing: one line of a history", "e.g. click = \"{title}\"", shown);
  if (made.click_.find('\n') != std::string::npos) problems.add("'click' has more than one line", "a click is one line of a numbered list", place(root.find("click")->origin));
  problems.raise(ErrorKind::kUsage);
  return made;
}

std::string PromptTemplate::system(const Values& values) const { return fill(system_, values); }
std::string PromptTemplate::user(const Values& values) const { return fill(user_, values); }
std::string PromptTemplate::click(const Values& values) const { return fill(click_, values); }

std::int64_t token_bound(std::string_view text) {
  // Word pieces have two letters or more but at the end of a word, digits and marks may stand alone, and a byte of any other script
  // may be a token of its own (LLaMA's byte fallback). A single blank belongs to the word behind it. On book titles and descriptions this
  // is 2.2 to 2.8 times the count of GPT's and BERT's tokenizers; letters at random may come to a token or two more than it.
  std::int64_t bound = 0;
  const auto lower = [&](std::size_t i) { return i < text.size() && text[i] >= 'a' && text[i] <= 'z'; };
  const auto letter = [&](std::size_t i) { return lower(i) || (i < text.size() && text[i] >= 'A' && text[i] <= 'Z'); };
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (lower(i) || (c >= 'A' && c <= 'Z' && lower(i + 1))) {
      std::size_t end = i + 1;
      while (lower(end)) ++end;
      bound += 1 + static_cast<std::int64_t>(end - i) / 2;
      i = end;
    } else {
      bound += !(c == ' ' && letter(i + 1) && i > 0 && text[i - 1] != ' ');
      ++i;
    }
  }
  return bound;
}

std::size_t keep_newest(std::vector<std::string>& lines, std::int64_t tokens) {
  std::size_t first = lines.size();
  // A number and a dot before each line, a line break behind it.
  for (std::int64_t used = 0; first > 0; --first) {
    used += token_bound(lines[first - 1]) + 5;
    if (used > tokens) break;
  }
  lines.erase(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(first));
  return first;
}

void ClickRange::describe(Fields& f) {
  f.integer("clicks_at_least", at_least).at_least(0).unit("clicks").doc("of a user before a sample, for him to be augmented");
  f.integer("clicks_at_most", at_most).at_least(0).unit("clicks").doc("likewise; 0 = any number").cite("Liu et al. 2024, section 4.2: new users have at most 5");
}

void ClickRange::validate(Problems& problems) const {
  if (at_most > 0 && at_most < at_least)
    problems.add("clicks_at_most = " + std::to_string(at_most) + " is below clicks_at_least = " + std::to_string(at_least), "nobody would be asked about");
}

HistoryText::HistoryText(const PromptTemplate& prompt, const Items& items, std::int64_t words) : prompt_(prompt), items_(items), words_(words) {}

const std::string& HistoryText::line(ItemId item) {
  const auto [entry, fresh] = lines_.try_emplace(item);
  if (!fresh) return entry->second;
  const auto row = static_cast<std::size_t>(item);
  if (one_line(items_.attribute("title")[row]).empty()) return entry->second;
  PromptTemplate::Values values;
  for (const auto& [name, column] : items_.attributes) values[name] = first_words(one_line(column[row]), words_);
  // What stood between a title and a text that is missing.
  std::string text = prompt_.click(values);
  if (text.starts_with("() ")) text.erase(0, 3);
  text.erase(text.find_last_not_of(" |:;,-") + 1);
  return entry->second = text;
}

HistoryText::Shown HistoryText::show(std::span<const ItemId> clicks, std::int64_t tokens) {
  Shown shown;
  std::vector<std::string> lines;
  for (const ItemId click : clicks) {
    const std::string& text = line(click);
    if (text.empty()) continue;
    lines.push_back(text);
    shown.seen.push_back(click);
  }
  shown.left_out = keep_newest(lines, tokens);
  shown.seen.erase(shown.seen.begin(), shown.seen.begin() + static_cast<std::ptrdiff_t>(shown.left_out));
  for (std::size_t i = 0; i < lines.size(); ++i) shown.text += (i ? "\n" : "") + std::to_string(i + 1) + ". " + lines[i];
  return shown;
}

}  // namespace oncekit
