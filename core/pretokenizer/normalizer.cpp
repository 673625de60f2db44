#include "pretokenizer/normalizer.h"

#include <memory>
#include <vector>

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uniset.h>

#include "data/utf8.h"
#include "oncekit/error.h"
#include "pretokenizer/pattern.h"
#include "pretokenizer/unicode.h"

namespace oncekit {
namespace {

using Instance = const icu::Normalizer2* (*)(UErrorCode&);

void check(UErrorCode code, const char* what) {
  if (U_FAILURE(code)) {
    throw Error(ErrorKind::kRun, std::string("ICU cannot ") + what + ": " + u_errorName(code),
                "reinstall ICU's data (package libicu)");
  }
}

// The characters that the tokenizers library's normal forms know: Unicode 9.
const icu::UnicodeSet& known_characters() {
  static const icu::UnicodeSet& known = []() -> const icu::UnicodeSet& {
    UErrorCode code = U_ZERO_ERROR;
    auto* made = new icu::UnicodeSet(u"[:age=9.0:]", code);  // lives as long as the normalisers that point at it
    check(code, "list the characters of Unicode 9");
    return *static_cast<icu::UnicodeSet*>(made->freeze());
  }();
  return known;
}

// A Unicode normal form. Texts that have it already, as most do, are only scanned.
Normalize normal_form(Instance instance) {
  UErrorCode code = U_ZERO_ERROR;
  const icu::Normalizer2* whole = instance(code);
  check(code, "load its normalisation tables");
  const auto form = std::make_shared<const icu::FilteredNormalizer2>(*whole, known_characters());
  return [form](std::string& text) {
    UErrorCode status = U_ZERO_ERROR;
    const icu::StringPiece piece(text.data(), static_cast<std::int32_t>(text.size()));
    if (is_ascii(text) || (form->isNormalizedUTF8(piece, status) && U_SUCCESS(status))) return;
    status = U_ZERO_ERROR;
    std::string out;
    icu::StringByteSink<std::string> sink(&out);
    form->normalizeUTF8(0, piece, sink, nullptr, status);
    check(status, "normalise a text");
    text = std::move(out);
  };
}

// Keeps, drops or rewrites single characters: `use` appends to `out` what becomes of c.
template <typename Use>
void map_chars(std::string& text, Use use) {
  std::string out;
  out.reserve(text.size() + 8);
  for (std::size_t at = 0; at < text.size();) use(next_char(text, at), out);
  text = std::move(out);
}

void lowercase(std::string& text) {
  map_chars(text, [](char32_t c, std::string& out) {
    if (c == 0x130) {  // the one character whose lower case is two, whatever stands beside it
      out += "i\u0307";
      return;
    }
    append_char(out, static_cast<char32_t>(u_tolower(static_cast<UChar32>(c))));
  });
}

// What BERT's normaliser drops. Unassigned characters stay.
bool is_dropped(char32_t c) {
  if (c == '\t' || c == '\n' || c == '\r') return false;
  return c == 0 || c == 0xFFFD || is_old(c, U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK);
}

bool is_cjk(char32_t c) {
  constexpr char32_t kBlocks[][2] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
                                     {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
  if (c < 0x3400) return false;
  for (const auto& block : kBlocks) {
    if (c >= block[0] && c <= block[1]) return true;
  }
  return false;
}

Normalize make_bert(const JsonView& spec) {
  const bool clean = spec.flag("clean_text", true);
  const bool cjk = spec.flag("handle_chinese_chars", true);
  const bool lower = spec.flag("lowercase", true);
  const bool strip = spec.flag("strip_accents", lower);
  const Normalize nfd = normal_form(&icu::Normalizer2::getNFDInstance);
  return [=](std::string& text) {
    map_chars(text, [&](char32_t c, std::string& out) {
      if (clean && is_dropped(c)) return;
      if (clean && is_space(c)) c = ' ';
      if (cjk && is_cjk(c)) {
        out += ' ';
        append_char(out, c);
        out += ' ';
        return;
      }
      append_char(out, c);
    });
    if (strip) {
      nfd(text);
      map_chars(text, [](char32_t c, std::string& out) {
        if (!is_nonspacing(c)) append_char(out, c);
      });
    }
    if (lower) lowercase(text);
  };
}

Normalize make_replace(const JsonView& spec) {
  const std::string content = spec.at("content").text();
  const Pattern find = read_pattern(spec);
  return [find, content](std::string& text) {
    std::string out;
    std::size_t done = 0;
    find.for_each_match(text, [&](std::size_t begin, std::size_t end) {
      out.append(text, done, begin - done).append(content);
      done = end;
    });
    if (done == 0) return;
    text = out.append(text, done);
  };
}

Normalize make_strip(const JsonView& spec) {
  const bool left = spec.flag("strip_left", true), right = spec.flag("strip_right", true);
  return [left, right](std::string& text) {
    std::size_t begin = 0, end = 0;
    bool inside = false;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t here = at;
      if (is_space(next_char(text, at))) continue;
      if (!inside) begin = here;
      inside = true;
      end = at;
    }
    if (!inside) begin = text.size();
    if (left) text.erase(0, begin);
    if (right) text.erase(left ? (inside ? end - begin : 0) : end);
  };
}

}  // namespace

Normalize make_normalizer(const JsonView& spec) {
  const std::string& type = spec.at("type").text();
  if (type == "NFC") return normal_form(&icu::Normalizer2::getNFCInstance);
  if (type == "NFD") return normal_form(&icu::Normalizer2::getNFDInstance);
  if (type == "NFKC") return normal_form(&icu::Normalizer2::getNFKCInstance);
  if (type == "NFKD") {
    return normal_form([](UErrorCode& code) { return icu::Normalizer2::getInstance(nullptr, "nfkc", UNORM2_DECOMPOSE, code); });
  }
  if (type == "Lowercase") return [](std::string& text) { lowercase(text); };
  if (type == "BertNormalizer") return make_bert(spec);
  if (type == "Replace") return make_replace(spec);
  if (type == "Strip") return make_strip(spec);
  if (type == "StripAccents") {
    return [](std::string& text) {
      map_chars(text, [](char32_t c, std::string& out) {
        if (!is_mark(c)) append_char(out, c);
      });
    };
  }
  if (type == "Prepend") {
    return [what = spec.at("prepend").text()](std::string& text) {
      if (!text.empty()) text.insert(0, what);
    };
  }
  if (type == "Sequence") {
    const JsonView list = spec.at("normalizers");
    std::vector<Normalize> steps;
    for (std::size_t i = 0; i < list.size(); ++i) steps.push_back(make_normalizer(list.at(i)));
    return [steps](std::string& text) {
      for (const Normalize& step : steps) step(text);
    };
  }
  spec.refuse("a normalizer of the kind '" + type + "' is not known here",
              "known: Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, Prepend, Replace, BertNormalizer");
}

}  // namespace oncekit
