// How the mock reads our prompts: which task it is, and what was given.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "oncekit/toy.h"

namespace oncekit {

enum class MockTask { kNewsSummary, kBookDescription, kNewsProfile, kBookProfile, kNewsItem, kBook, kOther };

/// By the output format that the system message (or, without one, the user's) asks for; docs/prompts.md.
MockTask task_of(std::string_view prompt);

/// What the mock knows of the toy world: which word belongs to which topic.
class ToyWords {
 public:
  static const ToyWords& get();
  const ToyVocabulary& vocabulary() const noexcept { return vocabulary_; }
  int topic_of(std::string_view word) const;                     ///< -1: of none
  int topic_named(std::string_view name) const;                  ///< -1: none
  std::vector<int> counts(std::string_view text) const;          ///< topical words by topic
  int majority(std::string_view text) const;                     ///< -1 when no word of the text is topical; of equal ones the first

 private:
  ToyWords();
  ToyVocabulary vocabulary_;
  std::map<std::string, int, std::less<>> topics_, names_;
};

/// Lower-case words, without marks around them. Bytes beyond ASCII count as letters.
std::vector<std::string> words_of(std::string_view text);
/// The words that carry a text's meaning in English, by falling frequency, then by first occurrence.
std::vector<std::string> telling_words(std::string_view text);

/// One line of a history: "3. (sports) A title | a description".
struct MockClick {
  std::string category, title, rest;
};
struct MockGiven {
  std::map<std::string, std::string> fields;   ///< of lines "[title] ..."
  std::vector<MockClick> clicks;
  std::vector<std::string> interests;          ///< of a line "Interests: a, b"
};
MockGiven read_given(std::string_view user);

/// The comma-separated values of a line that begins with `lead` and goes on to a colon, without the full stop at its end.
std::vector<std::string> listed_values(std::string_view system, std::string_view lead);
/// The number behind the first "at most", 5 without one.
std::int64_t at_most(std::string_view system);

}  // namespace oncekit
