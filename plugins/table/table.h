// dataset/table: anybody's own data as tab-separated tables with headers. The format: docs/formats.md, "Tables of one's own".
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "oncekit/dataset.h"
#include "oncekit/options.h"
#include "oncekit/tables.h"

namespace oncekit::table {

struct Options {
  std::string path = "data/table";
  std::vector<std::string> attributes;
  std::string split = "files";
  double dev_share = 0.1, test_share = 0.1;
  std::int64_t seed = 2023;
  std::int64_t history_limit = 50;
  std::string history_keep = "newest";
  std::string history_per = "impression";
  std::string empty_history = "keep";
  std::string group = "impression";
  std::string on_bad_line = "error";
  bool toy = false;

  void describe(Fields& f);
  void validate(Problems& problems) const;
};

class Table final : public Dataset {
 public:
  using Options = table::Options;
  explicit Table(const Options& options) : options_(options) {}

  static std::vector<std::string> gives(const Options& options);
  Description describe() const override;
  Corpus load(Workspace& workspace) override;
  void write_toy(const ToyWorld& world, const std::filesystem::path& folder) const override;

 private:
  Options options_;
  std::filesystem::path toy_folder_;
};

}  // namespace oncekit::table
