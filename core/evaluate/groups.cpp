// per_group.csv: written by a run, read back for differences between runs. Format: docs/metrics.md.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/files.h"
#include "evaluate/evaluate.h"
#include "oncekit/error.h"

namespace oncekit {
namespace {

const std::vector<std::string> kSlices{"new", "warm", "empty", "seen", "cold"};

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

// Takes one record after another from CSV text. Quoted fields may hold commas, doubled quotes and line ends.
class CsvReader {
 public:
  explicit CsvReader(std::string_view text) : text_(text) {}
  std::size_t line() const noexcept { return line_; }  // of the record read last, from 1

  bool next(std::vector<std::string>& fields) {
    fields.clear();
    if (at_ >= text_.size()) return false;
    line_ = next_line_;
    fields.emplace_back();
    bool quoted = false;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\n') ++next_line_;
      if (quoted) {
        if (c != '"') fields.back() += c;
        else if (at_ + 1 < text_.size() && text_[at_ + 1] == '"') fields.back() += text_[++at_];
        else quoted = false;
      } else if (c == '"') {
        quoted = true;
      } else if (c == ',') {
        fields.emplace_back();
      } else if (c == '\n') {
        ++at_;
        return true;
      } else if (c != '\r') {
        fields.back() += c;
      }
    }
    return true;
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0, line_ = 0, next_line_ = 1;
};

[[noreturn]] void fail(const std::filesystem::path& file, std::size_t line, const std::string& what) {
  throw Error(ErrorKind::kData, what, "restore the file from a copy, or run the recipe again",
              file.string() + ":" + std::to_string(line));
}

}  // namespace

void write_groups(const GroupTable& groups, const std::filesystem::path& file) {
  std::string text = "group,user";
  for (const std::string& name : groups.metrics) text += ',' + name;
  for (const std::string& name : groups.slices) text += ',' + name;
  text += '\n';
  for (std::size_t g = 0; g < groups.size(); ++g) {
    text += csv_field(groups.ids[g]) + ',' + csv_field(groups.users[g]);
    for (std::size_t m = 0; m < groups.metrics.size(); ++m) {
      const double value = groups.values[g * groups.metrics.size() + m];
      text += std::isnan(value) ? std::string(",") : fmt::format(",{}", value);
    }
    for (std::size_t s = 0; s < groups.slices.size(); ++s) text += groups.in_slice[g * groups.slices.size() + s] ? ",1" : ",0";
    text += '\n';
  }
  write_file(file, text);
}

GroupTable read_groups(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file))
    throw Error(ErrorKind::kData, "there is no per_group.csv", "it needs [evaluate] per_group = true and a labelled test split",
                file.string());
  const std::string text = read_file(file);
  CsvReader reader(text);
  std::vector<std::string> fields;
  if (!reader.next(fields) || fields.size() < 2 || fields[0] != "group" || fields[1] != "user")
    fail(file, 1, "the first line of per_group.csv must begin with 'group,user'");
  GroupTable table;
  for (std::size_t c = 2; c < fields.size(); ++c) {
    const bool slice = std::find(kSlices.begin(), kSlices.end(), fields[c]) != kSlices.end();
    if (!slice && !table.slices.empty()) fail(file, 1, "column '" + fields[c] + "' stands behind the slices");
    (slice ? table.slices : table.metrics).push_back(fields[c]);
  }
  const std::size_t metrics = table.metrics.size(), columns = fields.size();
  while (reader.next(fields)) {
    if (fields.size() != columns) fail(file, reader.line(), fmt::format("{} columns where the first line has {}", fields.size(), columns));
    table.ids.push_back(std::move(fields[0]));
    table.users.push_back(std::move(fields[1]));
    for (std::size_t c = 2; c < 2 + metrics; ++c) {
      double value = std::numeric_limits<double>::quiet_NaN();
      const char* end = fields[c].data() + fields[c].size();
      if (!fields[c].empty())
        if (const auto read = std::from_chars(fields[c].data(), end, value); read.ec != std::errc() || read.ptr != end)
          fail(file, reader.line(), "'" + fields[c] + "' is no number");
      table.values.push_back(value);
    }
    for (std::size_t c = 2 + metrics; c < columns; ++c) {
      if (fields[c] != "0" && fields[c] != "1") fail(file, reader.line(), "'" + fields[c] + "' is neither 0 nor 1");
      table.in_slice.push_back(fields[c] == "1");
    }
  }
  return table;
}

}  // namespace oncekit
