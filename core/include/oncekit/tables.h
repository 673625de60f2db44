// For authors of datasets: raw text tables in memory, and the way from their rows to a Corpus and its splits.
// plugins/mind and plugins/table are written with nothing else.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "oncekit/corpus.h"
#include "oncekit/dataset.h"
#include "oncekit/workspace.h"

namespace oncekit {

/// A text file as lines. Plain files are mapped; a name that ends in .gz, or FILE.gz in the place of FILE, is unpacked.
/// Lines end in \n or \r\n; a byte-order mark is passed over; quotes mean nothing. Views live as long as the object.
class TextTable {
 public:
  /// Throws Error(kData) when there is neither `file` nor `file`.gz, or it cannot be read or unpacked.
  explicit TextTable(const std::filesystem::path& file);
  ~TextTable();
  TextTable(TextTable&&) noexcept;
  TextTable& operator=(TextTable&&) noexcept;

  /// `file`, or `file`.gz, whichever stands there; nothing when neither does.
  static std::optional<std::filesystem::path> find(const std::filesystem::path& file);

  std::size_t lines() const noexcept;
  std::string_view line(std::size_t index) const noexcept;  ///< without its line end; index from 0
  std::string where(std::size_t index) const;               ///< "train/behaviors.tsv:12"; lines count from 1
  const std::filesystem::path& file() const noexcept;
  bool byte_order_mark() const noexcept;
  bool carriage_returns() const noexcept;  ///< its first line ends in \r\n

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The parts of a line between separators; `parts` is reused. Returns how many there are (at least 1).
std::size_t split_fields(std::string_view line, char separator, std::vector<std::string_view>& parts);

/// Seconds since 1970 from "11/11/2019 9:05:58 AM" (as in MIND), "2019-11-11 09:05:58", "2019-11-11T09:05:58Z", "2019-11-11" or
/// plain seconds; nothing when it is none of these. Times without a zone are taken as UTC.
std::optional<std::int64_t> parse_time(std::string_view text);

/// Seconds since 1970 as MIND writes times: "11/11/2019 9:05:58 AM".
std::string mind_time(std::int64_t seconds);

/// An item as a line gives it. Views into the line.
struct ItemRow {
  std::string_view id;
  std::vector<std::string_view> values;  ///< parallel to CorpusRules::attributes
};

/// An impression as a line gives it. Views into the line.
struct ImpressionRow {
  std::string_view id, user;
  std::int64_t time = -1;
  std::string_view history;                  ///< item ids apart by one space, oldest first; may be empty
  std::vector<std::string_view> candidates;  ///< item ids
  std::vector<std::uint8_t> labels;          ///< parallel to candidates, or empty: unlabelled
};

/// Fills the row from a line. Returns "" or what is wrong: "expected 5 columns apart by tabs, found 3". Called from many threads.
using ItemParser = std::function<std::string(std::string_view line, ItemRow& row)>;
using ImpressionParser = std::function<std::string(std::string_view line, ImpressionRow& row)>;

enum class Part { kTrain, kDev, kTest };

struct CorpusRules {
  std::vector<std::string> attributes;
  std::int64_t history_limit = 50;   ///< clicks kept of a history; 0 = all
  bool keep_newest = true;           ///< which end of a long history is kept
  bool first_history_only = false;   ///< one history a user, of the first row read
  bool drop_empty_histories = false;
  bool skip_bad_lines = false;       ///< count malformed lines instead of failing
};

/// Rows -> Corpus. Items first, then train, dev, test. What is odd is counted in Corpus::counts and through Workspace::count:
/// - an item id that comes again: the first is kept;
/// - history items unknown to the catalogue: dropped; the same for candidates, and impressions left without any;
/// - text that is not UTF-8: the bytes become U+FFFD;
/// - empty titles, abstracts and histories, duplicated candidates, impressions with one class, \r\n, byte-order marks.
/// Malformed lines of all files are collected and raised by finish(). Same result on any number of threads.
class CorpusBuilder {
 public:
  CorpusBuilder(std::string name, CorpusRules rules, Workspace& workspace);
  ~CorpusBuilder();

  /// first_line: 1 passes over a header.
  void read_items(const TextTable& table, std::size_t first_line, const ItemParser& parser);
  void read_impressions(Part part, const TextTable& table, std::size_t first_line, const ImpressionParser& parser);
  /// The user columns of a table: `user` first seen here or in impressions. values: parallel to names; several in one are apart by '|'.
  void read_users(const TextTable& table, std::size_t first_line, const std::vector<std::string>& attributes);
  void count(std::string_view reason, std::string_view where, std::int64_t n = 1);

  /// Throws Error(kData) with the first 20 malformed lines and the number of the rest. Once only.
  Corpus finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The given rows, in the given order.
Impressions select(const Impressions& impressions, std::span<const std::int32_t> rows);

/// Shares of dev and test in the splits below.
struct SplitShares {
  double dev = 0.1, test = 0.1;
};

/// Cuts dev into dev and test: the first half of `order` (row numbers of dev, each once) stays dev. Rows keep the file's order.
void halve_dev(Corpus& corpus, std::span<const std::int32_t> order);
/// The same after a seeded shuffle.
void halve_dev(Corpus& corpus, Rng rng);
/// The same by a list of impression ids (JSON, "[3, 1, 2]", or one a line): the first half is dev. Throws Error(kData) when the list
/// and dev's impression ids are not the same set.
void halve_dev(Corpus& corpus, const std::filesystem::path& list);

// The three below pool train, dev and test first; impression ids then begin with "train/", "dev/" or "test/".
/// Whole users go to train, dev or test.
void split_by_user(Corpus& corpus, const SplitShares& shares, Rng rng);
/// The newest impressions are test, those before them dev. Throws Error(kData) when an impression has no time.
void split_by_time(Corpus& corpus, const SplitShares& shares);
/// A share of the clicked items is held out for dev, another for test: their clicks are only there, and they are taken out of
/// training candidates and of the histories of training impressions (and counted).
void split_by_cold_item(Corpus& corpus, const SplitShares& shares, Rng rng);

}  // namespace oncekit
