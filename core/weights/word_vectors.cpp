// Pretrained word vectors: GloVe's text (and word2vec's, with a header line), or .npy with a list of words.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>

#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include "oncekit/error.h"
#include "oncekit/vectors.h"
#include "weights/mapping.h"

namespace oncekit {
namespace {

std::string at_line(const std::filesystem::path& path, std::int64_t line) { return path.string() + ":" + std::to_string(line); }

/// The next line of a text, without its end.
std::string_view take_line(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\n'), rest.size());
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

bool whole_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// word2vec's own writer ends its lines with a space.
std::string_view without_trailing_spaces(std::string_view line) {
  while (!line.empty() && line.back() == ' ') line.remove_suffix(1);
  return line;
}

class TextVectors {
 public:
  TextVectors(const std::filesystem::path& path, const Vocabulary& words) : path_(path), words_(words) {}

  WordVectors read() {
    const auto file = Mapping::open(path_);
    std::string_view rest = file->text();
    if (rest.starts_with("PK\x03\x04") || rest.starts_with("\x1f\x8b")) {
      throw Error(ErrorKind::kData, "is a compressed archive, expected lines of a word and its numbers", "unpack it first", path_.string());
    }
    std::int64_t lines = 0;  // without the header
    for (line_ = 1; !rest.empty(); ++line_) {
      const std::string_view line = without_trailing_spaces(take_line(rest));
      if (line_ == 1 && is_header(line)) continue;
      ++lines;
      const std::int64_t spaces = std::count(line.begin(), line.end(), ' ');
      if (width_ == 0) begin(spaces);
      if (spaces < width_ || line.empty()) {
        fail(fmt::format("expected a word and {} numbers, found {} fields", width_, line.empty() ? 0 : spaces + 1));
      }
      // With as many spaces as numbers the word ends at the first; else it holds spaces itself, and no word of ours does.
      if (spaces > width_) continue;
      const std::size_t cut = line.find(' ');
      const std::int32_t id = words_.find(line.substr(0, cut));
      if (id < 0 || result_.known[static_cast<std::size_t>(id)]) continue;
      numbers(line.substr(cut + 1), result_.table_VW.mutable_data_ptr<float>() + id * width_);
      result_.known[static_cast<std::size_t>(id)] = 1;
      ++result_.found;
    }
    if (width_ == 0) throw Error(ErrorKind::kData, "holds no vectors", "name a file of word vectors, e.g. glove.6B.50d.txt", path_.string());
    if (announced_ && *announced_ != lines) {
      throw Error(ErrorKind::kData, fmt::format("announces {} words in its first line, but holds {}", *announced_, lines),
                  "the file is damaged or was cut short: fetch it again", path_.string());
    }
    return std::move(result_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kData, what, "the file is damaged or was cut short: fetch it again", at_line(path_, line_));
  }
  bool is_header(std::string_view line) {
    const std::size_t cut = line.find(' ');
    if (cut == std::string_view::npos || !whole_number(line.substr(0, cut)) || !whole_number(line.substr(cut + 1))) return false;
    std::int64_t words = 0, width = 0;
    const char* const end = line.data() + line.size();
    if (std::from_chars(line.data(), end, words).ec != std::errc() || std::from_chars(line.data() + cut + 1, end, width).ec != std::errc() || width < 1)
      fail("a header line announces an impossible number of words or width of vectors");
    announced_ = words;
    begin(width);
    return true;
  }
  void begin(std::int64_t width) {
    if (width < 1) fail("expected a word and its numbers, separated by spaces");
    if (width > 100'000) fail(fmt::format("announces vectors of {} numbers, more than 100,000", width));
    width_ = width;
    result_.table_VW = at::zeros({static_cast<std::int64_t>(words_.size()), width}, at::kFloat);
    result_.known.assign(words_.size(), 0);
  }
  void numbers(std::string_view text, float* row) const {
    const char* at = text.data();
    const char* const end = at + text.size();
    for (std::int64_t i = 0; i < width_; ++i) {
      const auto [next, code] = std::from_chars(at, end, row[i]);
      const bool done = i + 1 == width_ ? next == end : next < end && *next == ' ';
      if (code != std::errc() || !done || !std::isfinite(row[i])) {
        const std::string_view field(at, static_cast<std::size_t>(std::find(at, end, ' ') - at));
        fail(fmt::format("number {} of {} is '{}', expected a finite decimal number", i + 1, width_, field.substr(0, 40)));
      }
      at = next + 1;
    }
  }

  const std::filesystem::path& path_;
  const Vocabulary& words_;
  WordVectors result_;
  std::optional<std::int64_t> announced_;  // words, by word2vec's header
  std::int64_t width_ = 0, line_ = 0;
};

WordVectors read_array(const std::filesystem::path& path, std::filesystem::path vocabulary, const Vocabulary& words) {
  if (vocabulary.empty()) vocabulary = std::filesystem::path(path).replace_extension(".txt");
  const at::Tensor rows = read_npy(path);
  if (rows.dim() != 2 || !at::isFloatingType(rows.scalar_type()) || rows.size(1) < 1) {
    throw Error(ErrorKind::kData, "expected a table [words, width] of f2, f4 or f8", "save the vectors as one two-dimensional array", path.string());
  }
  const std::vector<std::string> names = read_lines(vocabulary);
  if (static_cast<std::int64_t>(names.size()) != rows.size(0)) {
    throw Error(ErrorKind::kData, fmt::format("has {} words, but {} has {} rows", names.size(), path.filename().string(), rows.size(0)),
                "the file must hold one word a line, in the order of the rows", vocabulary.string());
  }
  WordVectors result;
  result.table_VW = at::zeros({static_cast<std::int64_t>(words.size()), rows.size(1)}, at::kFloat);
  result.known.assign(words.size(), 0);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::int32_t id = words.find(names[i]);
    if (id < 0 || result.known[static_cast<std::size_t>(id)]) continue;
    const at::Tensor row = rows[static_cast<std::int64_t>(i)].to(at::kFloat);
    const float* values = row.const_data_ptr<float>();
    if (!std::all_of(values, values + rows.size(1), [](float x) { return std::isfinite(x); })) {
      throw Error(ErrorKind::kData, fmt::format("row {} (word '{}') holds a value that is not finite", i, names[i].substr(0, 40)), {}, path.string());
    }
    std::memcpy(result.table_VW.mutable_data_ptr<float>() + id * rows.size(1), values, static_cast<std::size_t>(rows.size(1)) * sizeof(float));
    result.known[static_cast<std::size_t>(id)] = 1;
    ++result.found;
  }
  return result;
}

}  // namespace

std::vector<std::string> read_lines(const std::filesystem::path& path) {
  const auto file = Mapping::open(path);
  std::vector<std::string> lines;
  for (std::string_view rest = file->text(); !rest.empty();) lines.emplace_back(take_line(rest));
  return lines;
}

WordVectors read_word_vectors(const std::filesystem::path& path, const std::filesystem::path& vocabulary, const Vocabulary& words) {
  if (path.extension() == ".npy") return read_array(path, vocabulary, words);
  return TextVectors(path, words).read();
}

}  // namespace oncekit
