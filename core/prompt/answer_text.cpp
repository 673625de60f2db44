// Reading what language models really answer: chatter, fences, quotes and tags around a text; words that stand for a choice; refusals.
// JSON that is not quite JSON is in answer_object.cpp.
#include <algorithm>
#include <array>
#include <initializer_list>

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>

#include "data/utf8.h"
#include "oncekit/prompt.h"

namespace oncekit {
namespace {

using View = std::string_view;

// White space as models and web pages write it: also no-break spaces, zero-width characters, byte order marks.
std::size_t blank_at(View text) {
  if (text.empty()) return 0;
  const auto c = static_cast<unsigned char>(text[0]);
  if (c <= 0x20 || c == 0x7f) return 1;
  for (const View wide : {"\xc2\xa0", "\xc2\x85", "\xe2\x80\x8b", "\xe2\x80\x8c", "\xe2\x80\x8d", "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe3\x80\x80", "\xef\xbb\xbf"})
    if (text.starts_with(wide)) return wide.size();
  return 0;
}

View trim(View text) {
  while (const std::size_t n = blank_at(text)) text.remove_prefix(n);
  while (!text.empty()) {
    std::size_t cut = 0;
    for (std::size_t n = 1; n <= 3 && n <= text.size(); ++n)
      if (blank_at(text.substr(text.size() - n)) == n) cut = n;
    if (cut == 0) break;
    text.remove_suffix(cut);
  }
  return text;
}

// ASCII lower case, of the same length.
std::string lower_ascii(View text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

// The same with straight apostrophes, for comparisons with phrases.
std::string plain(View text) {
  std::string out = lower_ascii(text);
  for (std::size_t at = 0; (at = out.find("\xe2\x80\x99", at)) != std::string::npos;) out.replace(at, 3, "'");
  return out;
}

bool starts_with_any(View text, std::initializer_list<View> openings) {
  return std::any_of(openings.begin(), openings.end(), [&](View opening) { return text.starts_with(opening); });
}

// ```json\n...\n```: what stands inside, also with chatter before or behind.
View without_fence(View text) {
  const std::size_t open = text.find("```");
  if (open == View::npos) return text;
  View inside = text.substr(open + 3);
  const std::size_t close = inside.find("```");
  const std::size_t line = inside.find('\n');
  if (line != View::npos && (close == View::npos || line < close)) {
    const View language = trim(inside.substr(0, line));
    const bool is_name = std::all_of(language.begin(), language.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); });
    if (is_name) inside.remove_prefix(line + 1);
  }
  inside = inside.substr(0, inside.find("```"));
  // An end without a beginning, as after a prompt that ended in a fence.
  return trim(inside).empty() ? text.substr(0, open) : inside;
}

// "Sure, here is the title:" and the like. A title may begin with "Here's" too, so the lead must speak of the answer itself.
View without_lead(View text) {
  const std::size_t line = text.find('\n');
  const View first = text.substr(0, std::min<std::size_t>(line, 200));
  const std::string low = plain(first.substr(0, 200));
  const bool agrees = starts_with_any(low, {"sure", "certainly", "of course", "absolutely", "okay", "ok,", "ok!", "got it", "no problem", "understood"});
  const bool points = starts_with_any(low, {"here is", "here's", "here are", "here you go", "below is", "below are", "the following is", "this is", "based on", "my answer"});
  if (!agrees && !points) return text;
  const std::size_t colon = first.find(':');
  const View rest = colon == View::npos ? View() : trim(text.substr(colon + 1));
  if (!rest.empty()) {
    if (trim(first.substr(colon + 1)).empty() && line != View::npos) return rest;
    const std::string head = plain(first.substr(0, colon));
    const std::size_t end = head.find_last_not_of(" *\"'");
    const std::size_t begin = end == std::string::npos ? 0 : head.find_last_of(" *\"'([", end) + 1;
    const std::string last = head.substr(begin, end == std::string::npos ? 0 : end - begin + 1);
    static constexpr std::array kNouns = {"title", "headline", "description", "answer", "version", "json", "summary", "list", "interests", "topics", "profile", "result",
                                          "response", "output", "format", "recommendation", "suggestion", "object", "article", "item", "you", "request"};
    if (std::find(kNouns.begin(), kNouns.end(), last) != kNouns.end()) return rest;
  }
  // "Sure!" or "Of course, happy to help." on a line of its own.
  if (agrees && line != View::npos && line < 120 && !trim(text.substr(line)).empty()) return text.substr(line + 1);
  return text;
}

// "I hope this helps!" as a last line.
View without_farewell(View text) {
  const std::size_t line = text.rfind('\n');
  if (line == View::npos) return text;
  const std::string last = plain(trim(text.substr(line)));
  return starts_with_any(last, {"i hope", "hope this", "let me know", "please let me know", "feel free", "please feel free", "note:", "note that", "is there anything", "would you like", "if you "})
             ? text.substr(0, line)
             : text;
}

// Marks around the whole, when none stands inside: "A" and "B" keeps its quotes.
View without_quotes(View text) {
  static constexpr std::array<std::pair<View, View>, 10> kPairs = {{{"**", "**"}, {"\"", "\""}, {"\xe2\x80\x9c", "\xe2\x80\x9d"}, {"\xe2\x80\x9d", "\xe2\x80\x9d"},
      {"\xe2\x80\x9e", "\xe2\x80\x9c"}, {"\xc2\xab", "\xc2\xbb"}, {"\xe2\x80\x98", "\xe2\x80\x99"}, {"'", "'"}, {"`", "`"}, {"\xe3\x80\x8c", "\xe3\x80\x8d"}}};
  for (const auto& [open, close] : kPairs) {
    if (text.size() <= open.size() + close.size() || !text.starts_with(open) || !text.ends_with(close)) continue;
    const View inside = text.substr(open.size(), text.size() - open.size() - close.size());
    if (inside.find(open) == View::npos && inside.find(close) == View::npos) return inside;
  }
  return text;
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The tag "[word]" or "[two words]" at the front, or 0. Also bold, and with a colon inside or behind.
std::size_t tag_length(View text) {
  std::size_t at = 0;
  while (at < 2 && at < text.size() && text[at] == '*') ++at;
  const std::size_t bold = at;
  if (at >= text.size() || text[at] != '[') return 0;
  const std::size_t begin = ++at;
  while (at < text.size() && at - begin < 30 && (is_letter(text[at]) || text[at] == ' ' || text[at] == '_' || text[at] == ':')) ++at;
  if (at == begin || at >= text.size() || text[at] != ']') return 0;
  ++at;
  for (std::size_t i = 0; i < bold && at < text.size() && text[at] == '*'; ++i) ++at;
  return at;
}

// Up to the next line that begins with a tag.
View section(View text) {
  for (std::size_t line = text.find('\n'); line != View::npos; line = text.find('\n', line + 1)) {
    const View rest = text.substr(line + 1);
    std::size_t indent = 0;
    while (indent < rest.size() && (rest[indent] == ' ' || rest[indent] == '\t')) ++indent;
    if (tag_length(rest.substr(indent)) > 0) return text.substr(0, line);
  }
  return text;
}

// Letters alone, in lower case: "[New Title:]" is "newtitle".
std::string letters(View text) {
  std::string out;
  for (const char c : lower_ascii(text))
    if (is_letter(c)) out += c;
  return out;
}

}  // namespace

std::string one_line(std::string_view text) {
  const std::string mended = is_utf8(text) ? std::string() : mend_utf8(text);
  if (!mended.empty()) text = mended;
  std::string out;
  bool gap = false;
  while (!text.empty()) {
    if (const std::size_t n = blank_at(text)) {
      // Joiners within a word (emoji, Indic scripts) are no gaps.
      const bool invisible = text.starts_with("\xe2\x80\x8c") || text.starts_with("\xe2\x80\x8d");
      if (invisible && !out.empty() && !gap) out.append(text.substr(0, n));
      gap |= !invisible && !text.starts_with("\xe2\x80\x8b") && !text.starts_with("\xef\xbb\xbf");
      text.remove_prefix(n);
      continue;
    }
    if (gap && !out.empty()) out += ' ';
    gap = false;
    out += text[0];
    text.remove_prefix(1);
  }
  return std::string(trim(out));
}

std::string first_words(std::string_view text, std::int64_t words) {
  std::size_t end = 0;
  for (std::int64_t n = 0; n < words && end < text.size(); ++n) end = std::min(text.find(' ', end + 1), text.size());
  end = std::min(end, static_cast<std::size_t>(std::max<std::int64_t>(words, 0)) * 12);
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u) --end;
  return std::string(text.substr(0, end));
}

std::string lower_case(std::string_view text) {
  if (is_ascii(text)) return lower_ascii(text);
  std::string out;
  icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size()))).toLower(icu::Locale::getRoot()).toUTF8String(out);
  return out;
}

Unwrapped unwrap(std::string_view answer) {
  Unwrapped out;
  View text = trim(answer);
  for (int round = 0; round < 6; ++round) {
    const std::size_t before = text.size();
    for (const auto strip : {without_fence, without_lead, without_farewell, without_quotes}) {
      const View stripped = trim(strip(text));
      if (!stripped.empty()) text = stripped;
    }
    if (text.size() == before) break;
    out.repaired = true;
  }
  out.text = text;
  return out;
}

Unwrapped tagged(std::string_view answer, std::string_view tag) {
  const std::string low = lower_ascii(answer), wanted = lower_ascii(tag);
  if (const std::size_t at = low.find(wanted); at != std::string::npos) {
    View rest = section(answer.substr(at + tag.size()));
    const View colon = trim(rest);
    const bool marked = colon.starts_with(":") || colon.starts_with("**");
    if (marked) rest = colon.substr(colon[0] == ':' ? 1 : 2);
    Unwrapped out = unwrap(rest);
    out.repaired |= marked || !trim(answer.substr(0, at)).empty() || answer.substr(at, tag.size()) != tag;
    return out;
  }
  // Another spelling of it: "[New Title]", "Title: ...", "**Title:** ...".
  Unwrapped out = unwrap(answer);
  out.repaired = true;
  const std::string word = letters(tag);
  View text = out.text;
  if (const std::size_t n = tag_length(text); n > 0 && !word.empty() && letters(text.substr(0, n)).ends_with(word)) {
    out.text = unwrap(section(text.substr(n))).text;
    return out;
  }
  while (text.starts_with("*") || text.starts_with("#")) text.remove_prefix(1);
  const std::size_t colon = text.find(':');
  if (!word.empty() && colon != View::npos && colon < word.size() + 12 && letters(text.substr(0, colon)).ends_with(word) && !trim(text.substr(colon + 1)).empty()) {
    text = trim(text.substr(colon + 1));
    if (text.starts_with("**")) text.remove_prefix(2);
    out.text = unwrap(section(text)).text;
  }
  return out;
}

namespace {

// Whole words: "as an ai" is not how "As an airline ..." and "As an AI-made film ..." begin.
bool begins_with_words(View text, View words) {
  if (!text.starts_with(words)) return false;
  const char next = text.size() > words.size() ? text[words.size()] : ' ';
  return !is_letter(next) && next != '-' && static_cast<unsigned char>(next) < 0x80;
}

}  // namespace

bool declines(std::string_view answer) {
  const std::string text = plain(unwrap(answer.substr(0, std::min<std::size_t>(answer.size(), 2000))).text).substr(0, 300);
  View start = text;
  while (const std::size_t n = tag_length(start)) start = trim(start.substr(n));
  if (starts_with_any(start, {"unfortunately, ", "apologies, ", "sorry, "})) start = trim(start.substr(start.find(' ')));
  if (starts_with_any(start, {"i'm sorry, but ", "i am sorry, but ", "sorry, but ", "but i ", "i'm sorry, i ", "i apologize, but ", "i apologize but ", "i apologize, i ", "i apologize. i ", "i apologize for the ",
                              "i apologize for any ", "i apologize for my ", "i apologize if ", "my apologies", "i'm unable to", "i am unable to", "i'm not able to",
                              "i am not able to", "i'm afraid i", "i'm just an ai", "i do not have enough", "i don't have enough", "i don't have access", "i do not have access",
                              "i don't have any information", "i do not have any information", "i couldn't find", "i could not find", "i would need more", "i need more information",
                              "there is not enough information", "there is no information", "insufficient information"}))
    return true;
  for (const View speaker : {"as an ai", "as a language model", "as a large language model"})
    if (begins_with_words(start, speaker)) return true;
  for (const View verb : {"i can't ", "i cannot ", "i can not ", "i won't ", "i will not ", "i must decline"}) {
    if (!start.starts_with(verb)) continue;
    const View rest = start.substr(verb.size());
    if (verb == "i must decline" || starts_with_any(rest, {"help", "assist", "provide", "fulfil", "generate", "create", "answer", "comply", "write", "rewrite", "complete", "determine",
                                                         "do that", "access", "process", "produce", "give", "offer", "summarize", "describe", "recommend", "infer", "continue", "respond"}))
      return true;
  }
  return text.find("as an ai language model") != std::string::npos || text.find("i'm an ai language model") != std::string::npos;
}

namespace {

// Letters by script; Chinese and Japanese characters count as one script, as a Japanese text mixes them.
std::map<int, std::size_t> scripts(View text) {
  std::map<int, std::size_t> counts;
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
  const auto size = static_cast<std::int32_t>(text.size());
  for (std::int32_t at = 0; at < size;) {
    UChar32 c = 0;
    U8_NEXT(bytes, at, size, c);
    if (c < 0 || !u_isalpha(c)) continue;
    UErrorCode code = U_ZERO_ERROR;
    int script = uscript_getScript(c, &code);
    if (script == USCRIPT_COMMON || script == USCRIPT_INHERITED) continue;
    if (script == USCRIPT_HIRAGANA || script == USCRIPT_KATAKANA) script = USCRIPT_HAN;
    ++counts[script];
  }
  return counts;
}

// What is left of a word without case, spaces and punctuation; "&" is "and".
std::string bare(View word) {
  std::string out;
  for (const char c : lower_case(one_line(word))) {
    if (c == '&') out += "and";
    else if (static_cast<unsigned char>(c) >= 128 || is_letter(c) || (c >= '0' && c <= '9')) out += c;
  }
  return out;
}

bool plural_of(const std::string& one, const std::string& many) {
  return many == one + "s" || many == one + "es" || (one.ends_with('y') && many == one.substr(0, one.size() - 1) + "ies");
}

}  // namespace

bool same_script(std::string_view text, std::string_view like) {
  const auto used = scripts(like), found = scripts(text);
  if (used.empty()) return true;
  std::size_t all = 0, fitting = 0, all_like = 0;
  for (const auto& [script, count] : used) all_like += count;
  for (const auto& [script, count] : found) {
    all += count;
    const auto entry = used.find(script);
    if (entry != used.end() && entry->second * 20 >= all_like) fitting += count;  // a stray letter is no use of a script
  }
  return fitting * 2 >= all;
}

std::string closest_choice(std::string_view word, const std::vector<std::string>& choices) {
  const std::string wanted = bare(word);
  if (wanted.empty()) return "";
  for (const std::string& choice : choices)
    if (bare(choice) == wanted) return choice;
  for (const std::string& choice : choices) {
    const std::string known = bare(choice);
    if (plural_of(wanted, known) || plural_of(known, wanted)) return choice;
  }
  return "";
}

}  // namespace oncekit
