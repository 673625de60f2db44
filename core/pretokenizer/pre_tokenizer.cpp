#include "pretokenizer/pre_tokenizer.h"

#include <array>

#include "oncekit/error.h"
#include "pretokenizer/pattern.h"
#include "pretokenizer/unicode.h"

namespace oncekit {

const char* const kGpt2Pieces = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

const std::string& byte_level_char(unsigned char byte) {
  // Radford et al. 2019: printable Latin-1 stands for itself, the other 68 bytes for U+0100 and up, in order.
  static const std::array<std::string, 256> alphabet = [] {
    std::array<std::string, 256> made;
    char32_t next = 256;
    for (unsigned b = 0; b < 256; ++b) {
      const bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
      append_char(made[b], itself ? static_cast<char32_t>(b) : next++);
    }
    return made;
  }();
  return alphabet[byte];
}

namespace {

// What becomes of the matches of a separator.
enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

Behavior behavior_of(const JsonView& name) {
  const std::string& text = name.text();
  if (text == "Removed") return Behavior::kRemoved;
  if (text == "Isolated") return Behavior::kIsolated;
  if (text == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (text == "MergedWithNext") return Behavior::kMergedWithNext;
  if (text == "Contiguous") return Behavior::kContiguous;
  name.refuse("the behavior '" + text + "' is not known",
              "known: Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
}

struct Span {
  std::size_t begin, end;
  bool match;
};

// Calls use(begin, end) for each separator in `text`.
using Finder = std::function<void(std::string_view text, const std::function<void(std::size_t, std::size_t)>& use)>;

// Each character for which `is` holds.
Finder each_char(bool (*is)(char32_t)) {
  return [is](std::string_view text, const std::function<void(std::size_t, std::size_t)>& use) {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t begin = at;
      if (is(next_char(text, at))) use(begin, at);
    }
  };
}

Finder each_match(Pattern pattern) {
  return [pattern = std::move(pattern)](std::string_view text, const auto& use) { pattern.for_each_match(text, use); };
}

// Matches and what lies between, in order, joined and dropped by `behavior`.
std::vector<Span> spans_of(std::string_view text, const Finder& find, Behavior behavior, bool invert) {
  std::vector<Span> raw;
  std::size_t done = 0;
  find(text, [&](std::size_t begin, std::size_t end) {
    if (begin > done) raw.push_back({done, begin, invert});
    raw.push_back({begin, end, !invert});
    done = end;
  });
  if (done < text.size()) raw.push_back({done, text.size(), invert});
  if (behavior == Behavior::kIsolated) return raw;
  std::vector<Span> spans;
  bool previous = false;  // whether the span before was a match
  for (const Span& span : raw) {
    bool join = false;
    if (behavior == Behavior::kRemoved && span.match) continue;
    if (behavior == Behavior::kContiguous) join = span.match == previous;
    if (behavior == Behavior::kMergedWithPrevious) join = span.match && !previous;
    if (behavior == Behavior::kMergedWithNext) join = previous && !span.match;
    if (join && !spans.empty()) {
      spans.back().end = span.end;
    } else {
      spans.push_back(span);
    }
    previous = span.match;
  }
  return spans;
}

PreTokenize splitter(Finder find, Behavior behavior, bool invert = false) {
  return [find = std::move(find), behavior, invert](std::vector<TextPiece>& pieces) {
    std::vector<TextPiece> out;
    out.reserve(pieces.size() * 2);
    for (TextPiece& piece : pieces) {
      const std::vector<Span> spans = spans_of(piece.text, find, behavior, invert);
      if (spans.size() == 1 && spans[0].begin == 0 && spans[0].end == piece.text.size()) {
        out.push_back(std::move(piece));
        continue;
      }
      for (const Span& span : spans) {
        out.push_back({piece.text.substr(span.begin, span.end - span.begin), piece.first && span.begin == 0});
      }
    }
    pieces = std::move(out);
  };
}

PreTokenize in_turn(std::vector<PreTokenize> steps) {
  return [steps = std::move(steps)](std::vector<TextPiece>& pieces) {
    for (const PreTokenize& step : steps) step(pieces);
  };
}

PreTokenize make_byte_level(const JsonView& spec) {
  std::vector<PreTokenize> steps;
  if (spec.flag("add_prefix_space", true)) {
    steps.push_back([](std::vector<TextPiece>& pieces) {
      for (TextPiece& piece : pieces) {
        if (piece.text[0] != ' ') piece.text.insert(0, 1, ' ');
      }
    });
  }
  if (spec.flag("use_regex", true)) steps.push_back(splitter(each_match(Pattern(kGpt2Pieces)), Behavior::kIsolated));
  steps.push_back([](std::vector<TextPiece>& pieces) {
    for (TextPiece& piece : pieces) {
      std::string mapped;
      mapped.reserve(piece.text.size() + 8);
      for (const char c : piece.text) mapped += byte_level_char(static_cast<unsigned char>(c));
      piece.text = std::move(mapped);
    }
  });
  return in_turn(std::move(steps));
}

PreTokenize make_metaspace(const JsonView& spec) {
  const std::string mark = spec.text("replacement", "▁");
  const std::string scheme = spec.text("prepend_scheme", spec.flag("add_prefix_space", true) ? "always" : "never");
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    spec.at("prepend_scheme").refuse("'" + scheme + "' is not known", "known: always, first, never");
  }
  std::vector<PreTokenize> steps{[mark, scheme](std::vector<TextPiece>& pieces) {
    for (TextPiece& piece : pieces) {
      std::string text;
      for (const char c : piece.text) c == ' ' ? text.append(mark) : text.append(1, c);
      const bool wanted = scheme == "always" || (scheme == "first" && piece.first);
      if (wanted && !text.starts_with(mark)) text.insert(0, mark);
      piece.text = std::move(text);
    }
  }};
  if (spec.flag("split", true)) steps.push_back(splitter(each_match(Pattern::literal(mark)), Behavior::kMergedWithNext));
  return in_turn(std::move(steps));
}

PreTokenize make_split(const JsonView& spec) {
  return splitter(each_match(read_pattern(spec)), behavior_of(spec.at("behavior")), spec.flag("invert", false));
}

}  // namespace

PreTokenize make_pre_tokenizer(const JsonView& spec) {
  const std::string& type = spec.at("type").text();
  if (type == "ByteLevel") return make_byte_level(spec);
  if (type == "Metaspace") return make_metaspace(spec);
  if (type == "Split") return make_split(spec);
  if (type == "Digits") {
    return splitter(each_char(&is_numeric),
                    spec.flag("individual_digits", false) ? Behavior::kIsolated : Behavior::kContiguous);
  }
  if (type == "Punctuation") {
    return splitter(each_char(&is_punctuation), spec.has("behavior") ? behavior_of(spec.at("behavior")) : Behavior::kIsolated);
  }
  if (type == "Whitespace") {  // \w+|[^\w\s]+ with Rust's idea of a word
    const std::string word = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200c}\x{200d})";
    return splitter(each_match(Pattern("[" + word + "]+|[^" + word + "\\s]+")), Behavior::kRemoved, true);
  }
  if (type == "WhitespaceSplit") return splitter(each_char(&is_space), Behavior::kRemoved);
  if (type == "BertPreTokenizer") {
    return in_turn(
        {splitter(each_char(&is_space), Behavior::kRemoved), splitter(each_char(&is_punctuation), Behavior::kIsolated)});
  }
  if (type == "Sequence") {
    const JsonView list = spec.at("pretokenizers");
    std::vector<PreTokenize> steps;
    for (std::size_t i = 0; i < list.size(); ++i) steps.push_back(make_pre_tokenizer(list.at(i)));
    return in_turn(std::move(steps));
  }
  spec.refuse(
      "a pre_tokenizer of the kind '" + type + "' is not known here",
      "known: Sequence, ByteLevel, Split, Digits, Metaspace, Whitespace, WhitespaceSplit, Punctuation, BertPreTokenizer");
}

}  // namespace oncekit
