#include "pretokenizer/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "oncekit/error.h"

namespace oncekit {
namespace {

// Oniguruma's \s and \w, as the inside of a class. PCRE2's own differ: \s has U+180E too, \w all numbers but no marks.
constexpr std::string_view kSpaces = R"(\t-\r\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
constexpr std::string_view kWordAlone = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\xb2\xb3\xb9\xbc-\xbe)";  // outside of a class

// The same expression with \s, \S, \w, \W spelled out.
std::string translated(const std::string& expression) {
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    const char c = expression[i];
    if (c == '\\' && i + 1 < expression.size()) {
      const char next = expression[++i];
      const std::string_view members = next == 's' || next == 'S'   ? kSpaces
                                       : next != 'w' && next != 'W' ? std::string_view()
                                       : in_class                   ? kWord
                                                                    : kWordAlone;
      const bool negated = next == 'S' || next == 'W';
      if (members.empty() || (in_class && negated)) {
        out.append({c, next});
      } else {
        out.append(in_class ? "" : negated ? "[^" : "[").append(members).append(in_class ? "" : "]");
      }
      continue;
    }
    if (in_class && (c == '[' || (c == '&' && expression.compare(i, 2, "&&") == 0))) {
      throw Error(ErrorKind::kData, "the expression " + expression + " has a class within a class, which is not supported");
    }
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    out += c;
  }
  return out;
}

}  // namespace

Pattern::Pattern(const std::string& expression) {
  const std::string text = translated(expression);
  int code = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* compiled =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), PCRE2_UTF | PCRE2_UCP, &code, &offset, nullptr);
  if (!compiled) {
    PCRE2_UCHAR reason[200] = {};
    pcre2_get_error_message(code, reason, sizeof(reason));
    throw Error(ErrorKind::kData,
                "the expression " + expression + " is not understood: " + reinterpret_cast<const char*>(reason));
  }
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);  // slower without, nothing worse
  code_ = std::shared_ptr<const void>(compiled, [](pcre2_code* c) { pcre2_code_free(c); });
}

Pattern Pattern::literal(const std::string& text) {
  Pattern pattern;
  pattern.literal_ = text;
  return pattern;
}

void Pattern::for_each_match(std::string_view text, const std::function<void(std::size_t, std::size_t)>& use) const {
  if (!code_) {
    if (literal_.empty()) return;
    for (std::size_t at = 0; (at = text.find(literal_, at)) != std::string_view::npos; at += literal_.size())
      use(at, at + literal_.size());
    return;
  }
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(pcre2_match_data_create(1, nullptr),
                                                                            &pcre2_match_data_free);
  std::uint32_t options = PCRE2_NO_UTF_CHECK;
  for (std::size_t at = 0; at < text.size();) {
    int found = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, options | PCRE2_NOTEMPTY,
                            data.get(), nullptr);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
      options |= PCRE2_NO_JIT;
      continue;
    }
    if (found == PCRE2_ERROR_NOMATCH) return;
    if (found < 0)
      throw Error(ErrorKind::kRun,
                  "a text of " + std::to_string(text.size()) + " bytes is too much for a regular expression of the tokenizer");
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(data.get());
    use(bounds[0], bounds[1]);
    at = bounds[1];
  }
}

Pattern read_pattern(const JsonView& component) {
  const JsonView pattern = component.at("pattern");
  if (pattern.has("String")) return Pattern::literal(pattern.at("String").text());
  const JsonView regex = pattern.at("Regex");
  try {
    return Pattern(regex.text());
  } catch (const Error& e) {
    regex.refuse(e.message(), "expressions are read by PCRE2: the file is damaged, or of a dialect that PCRE2 does not know");
  }
}

}  // namespace oncekit
