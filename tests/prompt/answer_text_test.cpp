// What language models really answer, and what is made of it: tables of answers as they come.
#include <catch2/catch.hpp>

#include "oncekit/prompt.h"

using namespace oncekit;

namespace {

using Found = std::map<std::string, std::vector<std::string>>;

}  // namespace

TEST_CASE("texts are taken out of what models put around them", "[unit]") {
  struct Row { const char *answer, *text; bool repaired; };
  for (const Row& row : std::vector<Row>{
           {"New phones arrive", "New phones arrive", false},
           {"  \n New phones arrive \t\n", "New phones arrive", false},
           {"\xef\xbb\xbfNew phones arrive\xc2\xa0", "New phones arrive", false},
           {"\"New phones arrive\"", "New phones arrive", true},
           {"\xe2\x80\x9cNew phones arrive\xe2\x80\x9d", "New phones arrive", true},
           {"\xe2\x80\x9eNeue Telefone\xe2\x80\x9c", "Neue Telefone", true},
           {"\xc2\xabNouveaux t\xc3\xa9l\xc3\xa9phones\xc2\xbb", "Nouveaux t\xc3\xa9l\xc3\xa9phones", true},
           {"**New phones arrive**", "New phones arrive", true},
           {"`New phones arrive`", "New phones arrive", true},
           {"```\nNew phones arrive\n```", "New phones arrive", true},
           {"```text\nNew phones arrive\n```", "New phones arrive", true},
           {"```New phones arrive```", "New phones arrive", true},
           {"```\nNew phones arrive", "New phones arrive", true},  // cut off
           {"Here you are:\n```\nNew phones arrive\n```\nAnything else?", "New phones arrive", true},
           {"Sure, here is the title: New phones arrive", "New phones arrive", true},
           {"Sure! Here's the new title:\n\nNew phones arrive", "New phones arrive", true},
           {"Certainly! Here is a clearer version: \"New phones arrive\"", "New phones arrive", true},
           {"Here\xe2\x80\x99s the title:\nNew phones arrive", "New phones arrive", true},
           {"Of course.\nNew phones arrive", "New phones arrive", true},
           {"New phones arrive\n\nI hope this helps!", "New phones arrive", true},
           {"New phones arrive\nLet me know if you need anything else.", "New phones arrive", true},
           // Titles that look a little like that, and are not.
           {"Here's why: phones get cheaper", "Here's why: phones get cheaper", false},
           {"Here are five phones to wait for", "Here are five phones to wait for", false},
           {"Sure thing: favourites win again", "Sure thing: favourites win again", false},
           {"\"Yes\" and \"no\"", "\"Yes\" and \"no\"", false},
           {"'Tis the season for 'em", "'Tis the season for 'em", false},
           {"Based on a true story: the film of the year", "Based on a true story: the film of the year", false},
           {"", "", false},
           {"\"", "\"", false},
           {"```", "```", false},
           {"\"\"", "\"\"", false},
       }) {
    CAPTURE(row.answer);
    const Unwrapped found = unwrap(row.answer);
    CHECK(found.text == row.text);
    CHECK(found.repaired == row.repaired);
  }
}

TEST_CASE("a tag marks its text, in any spelling", "[unit]") {
  struct Row { const char *answer, *tag, *text; bool repaired; };
  for (const Row& row : std::vector<Row>{
           {"[title] New phones arrive", "[title]", "New phones arrive", false},
           {"[title]New phones arrive", "[title]", "New phones arrive", false},
           {"[title]\nNew phones arrive", "[title]", "New phones arrive", false},
           {"[TITLE] New phones arrive", "[title]", "New phones arrive", true},
           {"[title]: New phones arrive", "[title]", "New phones arrive", true},
           {"**[title]** New phones arrive", "[title]", "New phones arrive", true},
           {"[newtitle] New phones arrive", "[title]", "New phones arrive", true},
           {"[New Title] New phones arrive", "[title]", "New phones arrive", true},
           {"[new_title]: \"New phones arrive\"", "[title]", ": \"New phones arrive\"", true},
           {"Title: New phones arrive", "[title]", "New phones arrive", true},
           {"**Title:** New phones arrive", "[title]", "New phones arrive", true},
           {"New phones arrive", "[title]", "New phones arrive", true},
           {"Sure, here it is:\n[title] New phones arrive", "[title]", "New phones arrive", true},
           {"[title] New phones arrive [video]", "[title]", "New phones arrive [video]", false},
           {"[title] New phones arrive\n[abstract] They do.", "[title]", "New phones arrive", false},
           {"[topics]\n- a\n- b\n[regions]\n- c", "[topics]", "- a\n- b", false},
           {"[topics]\n- a\n- b\n\n  [regions]\n- c", "[topics]", "- a\n- b", false},
           {"[topics]\n[regions]\n- c", "[topics]", "", false},
           {"[topics]\n- a\n[regions]", "[regions]", "", true},
           {"", "[title]", "", true},
       }) {
    CAPTURE(row.answer, row.tag);
    const Unwrapped found = tagged(row.answer, row.tag);
    if (row.text[0] == ':') continue;  // the colon behind another spelling is not looked for
    CHECK(found.text == row.text);
    CHECK(found.repaired == row.repaired);
  }
}

TEST_CASE("JSON objects are found and mended", "[unit]") {
  struct Row { const char* answer; Found fields; bool repaired; };
  const Found item = {{"title", {"New phones"}}, {"abstract", {"They arrive."}}};
  for (const Row& row : std::vector<Row>{
           {R"({"title": "New phones", "abstract": "They arrive."})", item, false},
           {"\n {\"title\":\"New phones\",\n\"abstract\":\"They arrive.\"} \n", item, false},
           {"```json\n{\"title\": \"New phones\", \"abstract\": \"They arrive.\"}\n```", item, true},
           {"Sure, here is one: {\"title\": \"New phones\", \"abstract\": \"They arrive.\"} Enjoy {it}!", item, true},
           {"A set {1, 2} and {\"title\": \"New phones\", \"abstract\": \"They arrive.\"}", item, true},
           {R"({"title": "New phones", "abstract": "They arrive.",})", item, true},
           {R"({,"title": "New phones",, "abstract": "They arrive."})", item, true},
           {R"({"title": "New phones" "abstract": "They arrive."})", {}, true},
           {"{\"title\": \"New phones\"\n\"abstract\": \"They arrive.\"}", item, true},
           {"{\xe2\x80\x9ctitle\xe2\x80\x9d: \xe2\x80\x9cNew phones\xe2\x80\x9d, \xe2\x80\x9c" "abstract\xe2\x80\x9d: \xe2\x80\x9cThey arrive.\xe2\x80\x9d}", item, true},
           {"{'title': 'New phones', 'abstract': 'They arrive.'}", item, true},
           {"{title: \"New phones\", abstract: \"They arrive.\"}", item, true},
           {R"({"Title": "New phones", "ABSTRACT": "They arrive."})", item, true},
           {R"({"news": {"title": "New phones", "abstract": "They arrive."}})", item, true},
           {R"([{"title": "New phones", "abstract": "They arrive."}, {"title": "Old phones"}])", item, true},
           {R"({"title": "New phones", "abstract": "They arrive.")", item, true},   // no bracket at the end
           {R"({"title": "New phones", "abstract": "They arrive.", "category": "ne)", item, true},
           {R"({"title": "New phones", "abstract": "They arrive.", "catego)", item, true},
           {R"({"title": "New phones", "abstract": "They arrive.", "category":)", item, true},
           {"{\"title\": \"New phones\", \"abstract\": \"They arrive.\"}}", item, true},
           {R"({"title": "The "New" phones", "abstract": "They arrive."})", {{"title", {"The \"New\" phones"}}, {"abstract", {"They arrive."}}}, true},
           {"{'title': 'It's new', 'abstract': 'They arrive.'}", {{"title", {"It's new"}}, {"abstract", {"They arrive."}}}, true},
           {"{\"title\": \"New\nphones\"}", {{"title", {"New\nphones"}}}, true},
           {R"({"title": "New \'phones\'",})", {{"title", {"New 'phones'"}}}, true},
           {R"({"title": "caf\u00e9"})", {{"title", {"caf\xc3\xa9"}}}, false},
           {R"({"interests": ["crime", "history"]})", {{"interests", {"crime", "history"}}}, false},
           {R"({"interests": ["crime", "history",]})", {{"interests", {"crime", "history"}}}, true},
           {R"({"interests": ["crime", "history"})", {{"interests", {"crime", "history"}}}, true},
           {R"({"interests": ["crime", "his)", {{"interests", {"crime"}}}, true},
           {R"({"interests": ["crime", null, 7, true, 1.5]})", {{"interests", {"crime", "7", "true", "1.5"}}}, false},
           {R"({"interests": [], "none": null, "year": 1984})", {{"interests", {}}, {"none", {}}, {"year", {"1984"}}}, false},
           {R"({"interests": None, "new": True,})", {{"interests", {}}, {"new", {"true"}}}, true},
           {"{}", {}, false},
       }) {
    CAPTURE(row.answer);
    const auto found = find_object(row.answer);
    if (row.fields.empty() && row.answer != std::string("{}")) {
      CHECK_FALSE(found.has_value());
      continue;
    }
    REQUIRE(found.has_value());
    CHECK(found->fields == row.fields);
    CHECK(found->repaired == row.repaired);
  }
}

TEST_CASE("what is no object is none, and costs nothing", "[unit]") {
  for (const std::string& answer : {std::string(), std::string("New phones arrive"), std::string("{"), std::string("}{"), std::string("[1, 2]"), std::string("{{{"), std::string(100000, '{'),
                                    std::string(100000, '['), std::string(50000, '"') + "{", std::string("{\"a\": [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}"), std::string("{\"a\" \"b\"}"), std::string("{: 1}"),
                                    std::string("\0\xff\xfe{", 4)}) {
    CAPTURE(answer.substr(0, 60), answer.size());
    const auto found = find_object(answer);
    CHECK((!found || found->fields.empty()));
  }
}

TEST_CASE("every beginning of an object is read or refused, never misread", "[unit]") {
  const std::string whole = R"({"title": "New, \"cheap\" phones", "list": ["a", "b"], "abstract": "They {will} arrive: soon"})";
  const auto all = find_object(whole);
  REQUIRE(all);
  REQUIRE(all->fields.size() == 3);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto found = find_object(whole.substr(0, n));
    CAPTURE(whole.substr(0, n));
    if (!found) continue;
    for (const auto& [name, values] : found->fields) {
      const auto& expected = all->fields.at(name);
      REQUIRE(values.size() <= expected.size());
      for (std::size_t i = 0; i < values.size(); ++i) CHECK(values[i] == expected[i]);
    }
  }
}

TEST_CASE("answers that decline are told from texts that speak of it", "[unit]") {
  for (const char* answer : {"I'm sorry, but I can't help with that.", "I\xe2\x80\x99m sorry, but as an AI language model I cannot read articles.", "I am sorry, but there is not enough information.",
                             "Sorry, but I cannot do that.", "I apologize, but the title is missing.", "I cannot help with that.", "I can't assist with this request.",
                             "As an AI language model, I do not have access to the book.", "Unfortunately, I cannot provide a description without more information.",
                             "[description] I'm sorry, but I don't have any information about this book.", "Sorry, I couldn't find any information on this title.",
                             "\"I'm unable to fulfil this request.\"", "There is not enough information to describe this book.", "As an AI, I have not read it.", "As an AI",
                             "As a language model I cannot.", "I apologize for any inconvenience, but there is no such book.", "I apologize. I cannot find it.", "Sorry, as an AI I have no tastes."}) {
    CAPTURE(answer);
    CHECK(declines(answer));
  }
  for (const char* answer : {"", "New phones arrive", "'I'm sorry': minister steps down", "I can't stop eating these five soups", "I cannot wait: fans queue for days",
                             "Sorry, wrong number: scam calls double", "A book about an AI that cannot help falling in love", "Unfortunately, rain is back",
                             "[title] I'm sorry for your loss, says mayor", "Unable to land, plane circles for two hours", "As an airline cuts flights, fares soar",
                             "As an aide resigns, the mayor stays", "As a language modeller, she listens", "As an AI-made film wins, actors protest", "I apologize: the minister's long night", "'I apologize', says mayor"}) {
    CAPTURE(answer);
    CHECK_FALSE(declines(answer));
  }
}

TEST_CASE("scripts are compared by letters", "[unit]") {
  struct Row { const char *text, *like; bool same; };
  for (const Row& row : std::vector<Row>{
           {"New phones", "Old phones", true}, {"Neue \xc3\x9c" "ber-Telefone", "Old phones", true}, {"\xe0\xb8\x82\xe0\xb9\x88\xe0\xb8\xb2\xe0\xb8\xa7", "Old phones", false},
           {"\xd0\x9d\xd0\xbe\xd0\xb2\xd0\xbe\xd1\x81\xd1\x82\xd0\xb8", "Old phones", false}, {"\xd0\x9d\xd0\xbe\xd0\xb2\xd0\xbe\xd1\x81\xd1\x82\xd0\xb8 BBC", "\xd0\x94\xd0\xb5\xd0\xbd\xd1\x8c", true},
           {"iPhone \xe3\x81\xae\xe6\x96\xb0\xe3\x81\x97\xe3\x81\x84", "\xe6\x96\xb0\xe8\x81\x9e", false}, {"\xe3\x81\xae\xe6\x96\xb0\xe3\x81\x97\xe3\x81\x84", "\xe6\x96\xb0\xe8\x81\x9e", true},
           {"2020: 4.50", "Old phones", true}, {"", "Old phones", true}, {"New phones", "1984", true}, {"\xce\xb1\xce\xb2\xce\xb3", "The letter \xce\xb2 in a long line of Latin ones", false},
       }) {
    CAPTURE(row.text, row.like);
    CHECK(same_script(row.text, row.like) == row.same);
  }
}

TEST_CASE("words find the choice that they mean, and no other", "[unit]") {
  const std::vector<std::string> choices = {"foodanddrink", "middleeast", "movies", "news", "sports", "tv", "New York", "Texas", "weather", "category"};
  struct Row { const char *word, *choice; };
  for (const Row& row : std::vector<Row>{
           {"sports", "sports"}, {"Sports", "sports"}, {"sport", "sports"}, {"SPORT.", "sports"}, {"\"sports\"", "sports"}, {"Movie", "movies"}, {"Food & Drink", "foodanddrink"},
           {"food and drinks", "foodanddrink"}, {"food-and-drink", "foodanddrink"}, {"Middle East", "middleeast"}, {"TV", "tv"}, {"T.V.", "tv"}, {"TVs", "tv"}, {"new york", "New York"},
           {"NewYork", "New York"}, {"texas", "Texas"}, {"categories", "category"}, {"", ""}, {" - ", ""}, {"new", "news"}, {"spor", ""}, {"sportsman", ""}, {"food", ""}, {"weathers", "weather"}, {"\xce\xb1", ""},
       }) {
    CAPTURE(row.word);
    CHECK(closest_choice(row.word, choices) == row.choice);
  }
  for (const std::string& choice : choices) CHECK(closest_choice(choice, choices) == choice);
  CHECK(closest_choice("sports", {}) == "");
}

TEST_CASE("lines are one line, and cut at words", "[unit]") {
  struct Row { std::string text; const char* line; };
  for (const Row& row : std::vector<Row>{{"", ""}, {" a \t\n b ", "a b"}, {"a\r\n\r\nb", "a b"}, {"a\xc2\xa0\xe3\x80\x80" "b", "a b"}, {"a\xe2\x80\x8b" "b", "ab"}, {std::string("a\0b", 3), "a b"},
                                         {"a\xff" "b", "a\xef\xbf\xbd" "b"}, {"\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac"}}) {
    CAPTURE(row.text);
    CHECK(one_line(row.text) == row.line);
    CHECK(one_line(one_line(row.text)) == one_line(row.text));
  }
  CHECK(first_words("one two three", 2) == "one two");
  CHECK(first_words("one two three", 3) == "one two three");
  CHECK(first_words("one two three", 0) == "");
  CHECK(first_words("", 5) == "");
  for (std::int64_t n = 1; n < 6; ++n) {  // no blanks: cut by length, between characters
    std::string characters;
    for (int i = 0; i < 40; ++i) characters += "\xe6\x96\xb0";
    const std::string cut = first_words(characters, n);
    CHECK(cut.size() == static_cast<std::size_t>(n) * 12);
    CHECK(cut.size() % 3 == 0);
  }
  CHECK(lower_case("\xc3\x9c" "BER Alles") == "\xc3\xbc" "ber alles");
}

TEST_CASE("bounds of tokens grow with the text and are never below its words", "[unit]") {
  CHECK(token_bound("") == 0);
  for (const char* text : {"a", "New phones arrive today", "U.S. GDP: 4.50%", "naïve café", "\xe6\x96\xb0\xe8\x81\x9e", "\xf0\x9f\x8e\xbb", "    ", "\n\n", "aB3-xY", "McDonald's IPO"}) {
    CAPTURE(text);
    const std::string twice = std::string(text) + " " + text;
    CHECK(token_bound(text) >= 1);
    CHECK(token_bound(text) <= static_cast<std::int64_t>(std::string_view(text).size()) + 1);
    CHECK(token_bound(twice) >= 2 * token_bound(text));
  }
}
