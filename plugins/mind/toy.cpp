// The toy in MIND's raw layout.
#include <fstream>

#include "mind.h"
#include "oncekit/toy.h"

namespace oncekit::mind {
namespace fs = std::filesystem;
namespace {

// A stream that throws where a write fails, so that a full disk is an error and not a short file.
std::ofstream create(const fs::path& file) {
  std::ofstream out(file, std::ios::binary);
  if (!out) throw Error(ErrorKind::kRun, "cannot be written", "check the folder's permissions and the room on the disk", file.string());
  return out;
}

void close(std::ofstream& out, const fs::path& file) {
  out.close();
  if (!out) throw Error(ErrorKind::kRun, "cannot be written whole", "make room on the disk", file.string());
}

void write_news(const Items& items, const fs::path& file) {
  std::ofstream out = create(file);
  const auto value = [&](const char* name, std::size_t row) -> std::string_view {
    const auto column = items.attributes.find(name);
    return column == items.attributes.end() ? std::string_view() : column->second[row];
  };
  for (std::size_t i = 0; i < items.size(); ++i) {
    out << items.ids[i] << '\t' << value("category", i) << '\t' << value("subcategory", i) << '\t' << value("title", i) << '\t'
        << value("abstract", i) << "\t\t[]\t[]\n";
  }
  close(out, file);
}

void write_behaviors(const ToyWorld& world, const std::vector<ToyWorld::Row>& rows, const fs::path& file) {
  std::ofstream out = create(file);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const ToyWorld::Row& row = rows[i];
    out << i + 1 << '\t' << world.user_ids[static_cast<std::size_t>(row.user)] << '\t' << mind_time(row.time) << '\t';
    for (std::size_t c = 0; c < row.history.size(); ++c) out << (c ? " " : "") << world.items.ids[static_cast<std::size_t>(row.history[c])];
    out << '\t';
    for (std::size_t c = 0; c < row.shown.size(); ++c)
      out << (c ? " " : "") << world.items.ids[static_cast<std::size_t>(row.shown[c])] << (row.clicked[c] ? "-1" : "-0");
    out << '\n';
  }
  close(out, file);
}

}  // namespace

void Mind::write_toy(const ToyWorld& world, const fs::path& folder) const {
  for (const char* part : {"train", "dev", "test"}) fs::create_directories(folder / part);
  write_news(world.items, folder / "train" / "news.tsv");
  write_behaviors(world, world.train, folder / "train" / "behaviors.tsv");
  write_behaviors(world, world.dev, folder / "dev" / "behaviors.tsv");
  write_behaviors(world, world.test, folder / "test" / "behaviors.tsv");
  write_toy_facts(world, folder);
}

}  // namespace oncekit::mind
