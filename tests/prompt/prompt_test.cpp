// Prompt files: oncekit's own are whole; mistakes in a user's are shown with their place; placeholders; histories that fit.
#include <cstdlib>
#include <filesystem>

#include <catch2/catch.hpp>

#include "base/files.h"
#include "oncekit/error.h"
#include "oncekit/prompt.h"
#include "support/temp_folder.h"

using namespace oncekit;
namespace fs = std::filesystem;

namespace {

const std::vector<std::string> kItem = {"title", "abstract", "category", "subcategory", "description"};

PromptTemplate load(const std::string& content, const std::vector<std::string>& allowed = {"title", "abstract"}, const std::vector<std::string>& in_click = {}) {
  const test::TempFolder folder;
  write_file(folder.path / "mine.toml", content);
  return PromptTemplate::load((folder.path / "mine.toml").string(), allowed, in_click);
}

std::string message(const std::string& content, const std::vector<std::string>& allowed = {"title", "abstract"}, const std::vector<std::string>& in_click = {}) {
  try {
    load(content, allowed, in_click);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUsage);
    return error.what();
  }
  return "no error";
}

const std::string kHead = "version = 1\nabout = \"x\"\noutput = \"x\"\n";

struct Variable {
  explicit Variable(const std::string& value) { ::setenv("ONCEKIT_PROMPTS", value.c_str(), 1); }
  ~Variable() { ::unsetenv("ONCEKIT_PROMPTS"); }
};

Items titles(const std::vector<std::string>& texts) {
  Items items;
  for (const std::string& text : texts) {
    items.ids.push_back("N" + std::to_string(items.size() + 1));
    items.attributes["title"].push_back(text);
    items.attributes["category"].push_back(items.size() % 2 ? "news" : "");
  }
  items.listed = items.size();
  return items;
}

}  // namespace

TEST_CASE("oncekit's prompts load, and say which answer they want", "[unit]") {
  const Variable folder(ONCEKIT_TREE "/prompts");
  int files = 0;
  for (const auto& entry : fs::directory_iterator(ONCEKIT_TREE "/prompts")) files += entry.path().extension() == ".toml";
  CHECK(files == 6);
  struct Row { const char* name; std::vector<std::string> allowed, in_click; const char* form; };
  for (const Row& row : std::vector<Row>{{"news_summary", kItem, {}, "[title]"},
                                         {"book_description", kItem, {}, "[description]"},
                                         {"news_profile", {"topics", "regions", "most", "history"}, kItem, "[topics]"},
                                         {"book_profile", {"topics", "regions", "most", "history"}, kItem, "{\"interests\": ["},
                                         {"news_item", {"categories", "interests", "history"}, kItem, "{\"title\": \"the title\", \"abstract\": "},
                                         {"book", {"categories", "interests", "history"}, kItem, "{\"title\": \"the title\", \"description\": "}}) {
    CAPTURE(row.name);
    const PromptTemplate prompt = PromptTemplate::load(row.name, row.allowed, row.in_click);
    CHECK(prompt.digest().size() == 16);
    CHECK(prompt.file().filename() == std::string(row.name) + ".toml");
    const PromptTemplate::Values values = {{"topics", "a, b"}, {"categories", "a, b"}, {"history", "1. x"}, {"title", "x"}, {"most", "5"}};
    CHECK(prompt.system(values).find(row.form) != std::string::npos);
    CHECK(prompt.user(values).find('{') == std::string::npos);
    if (std::string(row.name) == "news_profile") CHECK(prompt.system(values).find("\nTopics: a, b.\n") != std::string::npos);
    if (std::string(row.name) == "news_item") CHECK(prompt.system(values).find("\nCategories: a, b.\n") != std::string::npos);
    if (std::string(row.name) == "news_item") CHECK(prompt.user(values) == "1. x");
  }
}

TEST_CASE("placeholders are filled once, and empty lines go", "[unit]") {
  const PromptTemplate prompt = load(kHead + "placeholders = [\"title\", \"abstract\"]\nsystem = 'Answer {\"title\": \"...\"} {not this} { title }'\nuser = \"\"\"\n[title] {title}\n[abstract] {abstract}\n\nBoth: {title}, {abstract}\n\"\"\"\n");
  CHECK(prompt.system({}) == "Answer {\"title\": \"...\"} {not this} { title }");
  CHECK(prompt.user({{"title", "A"}, {"abstract", "B"}}) == "[title] A\n[abstract] B\n\nBoth: A, B");
  CHECK(prompt.user({{"title", "A"}}) == "[title] A\n\nBoth: A, ");
  CHECK(prompt.user({{"title", "{abstract}"}, {"abstract", "{title}"}}) == "[title] {abstract}\n[abstract] {title}\n\nBoth: {abstract}, {title}");
  CHECK(prompt.user({}) == "");
}

TEST_CASE("mistakes in a prompt file are shown with line and nearest name", "[unit][errors]") {
  struct Row { std::string content, part; };
  for (const Row& row : std::vector<Row>{
           {kHead + "placeholders = [\"titel\"]\nuser = \"\"\"\nx\n{titel}\n\"\"\"\n", "mine.toml:7: nothing can be put in the place of {titel} in 'user'; did you mean 'title'?"},
           {kHead + "user = '{title}'\n", "mine.toml:4: {title} is used, but 'placeholders' lacks it"},
           {kHead + "placeholders = [\"title\"]\nuser = 'x'\n", "'placeholders' names 'title', which no text uses"},
           {kHead + "sytem = 'x'\nuser = 'x'\n", "mine.toml:4:1: unknown key 'sytem' in a prompt file; did you mean 'system'?"},
           {"user = 'x'\n", "'version' is missing"},
           {kHead, "'user' is missing"},
           {kHead + "user = '  '\n", "'user' is empty"},
           {kHead + "user = 3\n", "'user' is the whole number 3"},
           {kHead + "user = 'x'\nclick = '{title}'\n", "'click' is set, but this augmenter shows no list"},
           {kHead + "user = 'x\n", "mine.toml:4"},
           {"version = '1'\nabout = \"x\"\noutput = \"x\"\nuser = 'x'\n", "'version' is the string \"1\", expected a whole number"},
       }) {
    CAPTURE(row.content);
    CHECK_THAT(message(row.content), Catch::Contains(row.part));
  }
  CHECK_THAT(message(kHead + "user = 'x'\n", {}, {"title"}), Catch::Contains("'click' is missing"));
  CHECK_THAT(message(kHead + "placeholders = ['title']\nuser = 'x'\nclick = '''{title}\nx'''\n", {}, {"title"}), Catch::Contains("more than one line"));
  // All at once.
  const std::string all = message("sytem = 'x'\nuser = 1\n");
  for (const char* part : {"sytem", "'user'", "'version' is missing"}) CHECK_THAT(all, Catch::Contains(part));
}

TEST_CASE("prompts are looked for by name, files by path", "[unit][errors]") {
  const test::TempFolder folder;
  write_file(folder.path / "mine.toml", kHead + "user = 'x'\n");
  {
    const Variable variable(folder.path.string());
    CHECK(PromptTemplate::load("mine", {}).file() == folder.path / "mine.toml");
    try {
      PromptTemplate::load("mien", {});
      FAIL("found");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kData);
      CHECK_THAT(error.what(), Catch::Contains("there is no prompt 'mien'") && Catch::Contains("did you mean 'mine'?"));
    }
  }
  CHECK(PromptTemplate::load((folder.path / "mine.toml").string(), {}).user({}) == "x");
  for (const std::string name : {"", "missing.toml", "no/such/file"}) {
    CAPTURE(name);
    CHECK_THROWS_AS(PromptTemplate::load(name, {}), Error);
  }
  // The digest is of the content, not of the place.
  const std::string before = PromptTemplate::load((folder.path / "mine.toml").string(), {}).digest();
  fs::copy(folder.path / "mine.toml", folder.path / "other.toml");
  CHECK(PromptTemplate::load((folder.path / "other.toml").string(), {}).digest() == before);
  write_file(folder.path / "other.toml", kHead + "user = 'y'\n");
  CHECK(PromptTemplate::load((folder.path / "other.toml").string(), {}).digest() != before);
}

TEST_CASE("the newest lines that fit are kept", "[unit]") {
  const std::vector<std::string> all = {"one", "two words", "three whole words", "four", "five"};
  std::int64_t whole = 0;
  for (const std::string& line : all) whole += token_bound(line) + 5;
  std::size_t last = 0;
  for (std::int64_t tokens = 0; tokens <= whole + 3; ++tokens) {
    std::vector<std::string> lines = all;
    const std::size_t left_out = keep_newest(lines, tokens);
    CAPTURE(tokens);
    CHECK(left_out + lines.size() == all.size());
    CHECK(std::equal(lines.rbegin(), lines.rend(), all.rbegin()));
    CHECK(lines.size() >= last);
    last = lines.size();
    if (tokens < 6) CHECK(lines.empty());
    if (tokens >= whole) CHECK(left_out == 0);
  }
}

TEST_CASE("histories are numbered, oldest first, and say what they show", "[unit]") {
  const Items items = titles({"First", "", "Third\nline", "Fourth {title}", "Fifth"});
  const PromptTemplate prompt = load(kHead + "placeholders = ['history', 'category', 'title']\nuser = '{history}'\nclick = '({category}) {title}'\n", {"history"}, kItem);
  HistoryText history(prompt, items, 50);
  const std::vector<ItemId> clicks = {4, 0, 1, 2, 3};
  const auto shown = history.show(clicks, 1000);
  CHECK(shown.text == "1. (news) Fifth\n2. (news) First\n3. (news) Third line\n4. Fourth {title}");
  CHECK(shown.seen == std::vector<ItemId>{4, 0, 2, 3});
  CHECK(shown.left_out == 0);
  const auto cut = history.show(clicks, token_bound("Fourth {title}") + 5);
  CHECK(cut.text == "1. Fourth {title}");
  CHECK(cut.seen == std::vector<ItemId>{3});
  CHECK(cut.left_out == 3);
  CHECK(history.show({}, 1000).seen.empty());
  CHECK(history.show(std::vector<ItemId>{1}, 1000).seen.empty());
}
