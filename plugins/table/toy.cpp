// The toy as tables.
#include <fstream>

#include "oncekit/toy.h"
#include "table.h"

namespace oncekit::table {
namespace fs = std::filesystem;
namespace {

// Lines are handed on as text; a failed write is an error, not a short file.
void write_lines(const fs::path& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw Error(ErrorKind::kRun, "cannot be written whole", "check the folder's permissions and the room on the disk", file.string());
}

std::string impressions(const ToyWorld& world, const std::vector<ToyWorld::Row>& rows) {
  const auto ids = [&](const std::vector<ItemId>& items) {
    std::string text;
    for (const ItemId item : items) (text += text.empty() ? "" : " ") += world.items.ids[static_cast<std::size_t>(item)];
    return text;
  };
  std::string text = "id\tuser\ttime\thistory\tcandidates\tlabels\n";
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const ToyWorld::Row& row = rows[i];
    text += std::to_string(i + 1) + '\t' + std::string(world.user_ids[static_cast<std::size_t>(row.user)]) + '\t' + std::to_string(row.time) + '\t' +
            ids(row.history) + '\t' + ids(row.shown) + '\t';
    for (std::size_t c = 0; c < row.clicked.size(); ++c) text += std::string(c ? " " : "") + (row.clicked[c] ? '1' : '0');
    text += '\n';
  }
  return text;
}

}  // namespace

void Table::write_toy(const ToyWorld& world, const fs::path& folder) const {
  std::string items = "id";
  for (const auto& [name, column] : world.items.attributes) items += '\t' + name;
  items += '\n';
  for (std::size_t i = 0; i < world.items.size(); ++i) {
    items += world.items.ids[i];
    for (const auto& [name, column] : world.items.attributes) (items += '\t') += column[i];
    items += '\n';
  }
  write_lines(folder / "items.tsv", items);
  write_lines(folder / "train.tsv", impressions(world, world.train));
  write_lines(folder / "dev.tsv", impressions(world, world.dev));
  write_lines(folder / "test.tsv", impressions(world, world.test));
  write_toy_facts(world, folder);
}

}  // namespace oncekit::table
