// dataset/goodreads: readers of books, from the raw files of the UCSD Book Graph (Wan and McAuley, RecSys 2018), built as in ONCE.
//
//   PATH/goodreads_interactions_dedup.json.gz, or _GENRE    who read which book, what he thought of it, and when
//   PATH/goodreads_books.json.gz, or _GENRE                 titles, descriptions, authors' ids
//   PATH/goodreads_book_works.json.gz                       original titles; needed with title = "original_title" only
//   PATH/goodreads_book_authors.json.gz                     authors' names; may be absent
//
// One JSON object a line; plain .json does as well. The way: interactions (interactions.h) -> filters (filters.h) -> texts of the
// books left (catalogue.h) -> filters -> a reader's history, then one impression a split (readers.cpp).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "oncekit/dataset.h"
#include "oncekit/options.h"

namespace oncekit::goodreads {

struct Options {
  std::string path = "data/goodreads";
  std::string genre;
  std::vector<std::string> attributes{"title"};
  std::string title = "title";
  std::string untitled = "keep";
  std::string unrated = "drop";
  std::string order = "time";
  std::int64_t book_first_min = 5, book_max = 10000, book_min = 10;
  std::int64_t reader_cap = 100, reader_min = 10;
  std::int64_t users = 0, items = 0;
  std::int64_t random_negatives = 10;
  std::string random_from = "unread";
  std::int64_t seed = 2023;
  double bad_lines = 0.001;
  bool toy = false;

  void describe(Fields& f);
  void validate(Problems& problems) const;
  bool wants(const char* attribute) const;
};

/// The raw files as found. Those that are not needed may be absent.
struct Files {
  std::optional<std::filesystem::path> interactions, books, works, authors;
  /// Throws Error(kData) where several genres lie there and none was named.
  static Files find(const std::filesystem::path& root, const std::string& genre);
  /// Throws Error(kData) that names the files these options need and lack.
  void require(const Options& options, const std::filesystem::path& root) const;
};

class Goodreads final : public Dataset {
 public:
  using Options = goodreads::Options;
  explicit Goodreads(const Options& options) : options_(options) {}

  static std::vector<std::string> gives(const Options& options);
  Description describe() const override;
  Corpus load(Workspace& workspace) override;
  void write_toy(const ToyWorld& world, const std::filesystem::path& folder) const override;

 private:
  Options options_;
  std::filesystem::path toy_folder_;  // where load() read the toy
};

/// What is known of a toy: `best_auc` and `history_auc` of this corpus's own test, `dev_best_auc` (toy.cpp). Empty when the folder is none.
std::map<std::string, double> toy_facts(const Corpus& corpus, const std::filesystem::path& folder);

/// Seconds since 1970 <-> "Mon Feb 22 10:04:12 -0800 2016". `wall`: the clock's own time, as if its zone were UTC.
struct When {
  std::int64_t utc = 0, wall = 0;
};
std::optional<When> parse_date(std::string_view text);
std::string format_date(std::int64_t utc, int zone_hours);

}  // namespace oncekit::goodreads
