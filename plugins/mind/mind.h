// dataset/mind: MIND as Microsoft ships it (Wu et al., ACL 2020), and any data in its layout.
//
//   PATH/train/ or PATH/MINDsmall_train/ or PATH/MINDlarge_train/     news.tsv behaviors.tsv
//   PATH/dev/   or PATH/MINDsmall_dev/   or PATH/MINDlarge_dev/       behaviors.tsv, news.tsv unless train's holds all items
//   PATH/test/  or PATH/MINDlarge_test/  (not needed)                 behaviors.tsv, with or without labels
//
// news.tsv:      id, category, subcategory, title, abstract, url, title entities, abstract entities
// behaviors.tsv: impression id, user, time, history ("N1 N2", oldest first), candidates ("N3-1 N4-0")
// No header, no quoting; every file may also be FILE.gz. Full rules: docs/formats.md.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "oncekit/dataset.h"
#include "oncekit/options.h"
#include "oncekit/tables.h"

namespace oncekit::mind {

struct Options {
  std::string path = "data/mind";
  std::string split = "released";
  std::string split_list;
  double dev_share = 0.1, test_share = 0.1;
  std::int64_t seed = 2023;
  std::int64_t history_limit = 50;
  std::string history_keep = "newest";
  std::string history_per = "impression";
  std::string empty_history = "keep";
  std::vector<std::string> attributes{"title", "category", "subcategory", "abstract"};
  std::string group = "impression";
  std::string on_bad_line = "error";
  bool toy = false;

  void describe(Fields& f);
  void validate(Problems& problems) const;
};

/// The three folders of a dataset, as found. dev and test may be absent.
struct Folders {
  std::filesystem::path train;
  std::optional<std::filesystem::path> dev, test;
  /// Throws Error(kData) when there is no train folder.
  static Folders find(const std::filesystem::path& root);
};

class Mind final : public Dataset {
 public:
  using Options = mind::Options;
  explicit Mind(const Options& options) : options_(options) {}

  static std::vector<std::string> gives(const Options& options);
  Description describe() const override;
  Corpus load(Workspace& workspace) override;
  void write_toy(const ToyWorld& world, const std::filesystem::path& folder) const override;

 private:
  void split(Corpus& corpus, bool has_test) const;

  Options options_;
  std::filesystem::path toy_folder_;  // where load() read the toy
};

/// Parsers of one line each; see oncekit/tables.h.
ItemParser news_parser(const std::vector<std::string>& attributes);
std::string parse_behavior(std::string_view line, ImpressionRow& row);

}  // namespace oncekit::mind
