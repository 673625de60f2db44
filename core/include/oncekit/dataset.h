// A dataset turns a folder of raw files into a Corpus.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "oncekit/corpus.h"
#include "oncekit/workspace.h"

namespace oncekit {

/// What a dataset gives, known without reading it all.
struct Description {
  std::vector<std::string> item_attributes;       ///< e.g. {"title", "category"}
  std::vector<std::string> user_attributes;
  std::vector<std::filesystem::path> files;       ///< the raw files it would read
  std::int64_t bytes = 0;                         ///< their size in all
  bool known = true;                              ///< false: the attributes stand in files that are not there; load() will say so
};

/// A small made-up world in no particular file format; a dataset writes it in its own raw layout, so that `--demo` and tests
/// read it through the real code.
struct ToyWorld {
  Items items;
  StringColumn user_ids;
  struct Row {
    UserId user = 0;
    std::int64_t time = 0;                        ///< seconds since 1970
    std::vector<ItemId> history;                  ///< oldest first
    std::vector<ItemId> shown;
    std::vector<std::uint8_t> clicked;            ///< parallel to shown
  };
  std::vector<Row> train, dev, test;
  std::map<std::string, double> facts;            ///< "best_auc" etc.: becomes Corpus::facts of whoever reads the toy
};

/// REQUIRES of implementors: load() is deterministic; every oddity of the input is either an Error(kData) with file:line or
/// counted through Workspace::count. One thread calls a Dataset at a time.
class Dataset {
 public:
  virtual ~Dataset();
  virtual Description describe() const = 0;
  virtual Corpus load(Workspace& workspace) = 0;
  /// Writes the toy in this dataset's raw layout into an empty folder. The default throws Error(kUsage): no toy.
  virtual void write_toy(const ToyWorld& world, const std::filesystem::path& folder) const;
};

}  // namespace oncekit
