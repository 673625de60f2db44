// Words of a text: normal form, lower case, Unicode's word boundaries (ICU), English clitics.
#include "oncekit/text.h"

#include <memory>

#include <unicode/brkiter.h>
#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include "oncekit/error.h"
#include "text/words.h"

namespace oncekit {
namespace {

void check(UErrorCode code, const char* what) {
  if (U_FAILURE(code)) {
    throw Error(ErrorKind::kRun, std::string("ICU cannot ") + what + ": " + u_errorName(code),
                "reinstall ICU's data (package libicu)");
  }
}

const icu::Normalizer2& normalizer() {
  UErrorCode code = U_ZERO_ERROR;
  const icu::Normalizer2* nfkc = icu::Normalizer2::getNFKCInstance(code);
  check(code, "load its normalisation tables");
  return *nfkc;
}

// A break iterator belongs to one thread; making one costs a millisecond.
icu::BreakIterator& breaker() {
  thread_local const std::unique_ptr<icu::BreakIterator> iterator = [] {
    UErrorCode code = U_ZERO_ERROR;
    std::unique_ptr<icu::BreakIterator> made(icu::BreakIterator::createWordInstance(icu::Locale::getRoot(), code));
    check(code, "load its word boundary rules");
    return made;
  }();
  return *iterator;
}

// Where the clitic of a word begins ("don't": 2, "reader's": 6), or the word's length.
std::size_t clitic(std::string_view word) {
  const std::size_t n = word.size();
  if (n > 3 && word.ends_with("n't")) return n - 3;
  for (const std::string_view ending : {"'s", "'m", "'d", "'re", "'ve", "'ll"}) {
    if (n > ending.size() && word.ends_with(ending)) return n - ending.size();
  }
  return n;
}

}  // namespace

void for_each_word(std::string_view text, bool punctuation, const std::function<bool(std::string_view)>& use) {
  if (text.empty()) return;
  UErrorCode code = U_ZERO_ERROR;
  icu::UnicodeString raw = icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())));
  icu::UnicodeString whole = normalizer().normalize(raw, code);
  check(code, "normalise a text");
  whole.toLower(icu::Locale::getRoot());
  whole.findAndReplace(icu::UnicodeString(static_cast<UChar32>(0x2019)), icu::UnicodeString(static_cast<UChar32>('\'')));

  icu::BreakIterator& iterator = breaker();
  iterator.setText(whole);
  std::string word;
  const auto flush = [&] {
    bool more = true;
    if (!word.empty()) {
      const std::size_t cut = clitic(word);
      more = use(std::string_view(word).substr(0, cut)) && (cut == word.size() || use(std::string_view(word).substr(cut)));
    }
    word.clear();
    return more;
  };
  for (std::int32_t begin = iterator.first(), end = iterator.next(); end != icu::BreakIterator::DONE; begin = end, end = iterator.next()) {
    bool has_letter = false;
    for (std::int32_t i = begin; i < end && !has_letter; i = whole.moveIndex32(i, 1)) has_letter = u_isalnum(whole.char32At(i));
    for (std::int32_t i = begin; i < end; i = whole.moveIndex32(i, 1)) {
      const UChar32 c = whole.char32At(i);
      if (u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT)) continue;
      // Versions of Unicode differ in whether a colon between letters breaks a word: here it always does.
      if (has_letter && c != ':') {
        icu::UnicodeString(c).toUTF8String(word);
        continue;
      }
      if (!flush()) return;
      if (!punctuation || u_isUWhiteSpace(c) || u_iscntrl(c)) continue;
      icu::UnicodeString(c).toUTF8String(word);
      if (!use(word)) return;
      word.clear();
    }
    if (!flush()) return;
  }
}

std::vector<std::string> split_words(std::string_view text, bool punctuation) {
  std::vector<std::string> words;
  for_each_word(text, punctuation, [&](std::string_view word) {
    words.emplace_back(word);
    return true;
  });
  return words;
}

}  // namespace oncekit
