// The kit's made-up items and users. Nothing here is to be learnt; it is to be odd.
#include <fstream>

#include "oncekit/error.h"
#include "oncekit/rng.h"
#include "test_kit/checks.h"

namespace oncekit::test_kit {
namespace {

const std::vector<std::string>& words() {
  static const std::vector<std::string> list = {"river", "stone", "market", "league", "health", "music",  "storm",   "garden", "rocket", "bridge",
                                                "winter", "coffee", "harbor", "engine", "forest", "camera", "ballot", "pepper", "violin", "desert"};
  return list;
}

std::string sentence(Rng rng, std::size_t length) {
  std::string text;
  for (std::size_t i = 0; i < length; ++i) text += (i ? " " : "") + words()[rng.below(words().size())];
  return text;
}

// Item 0 has no text at all, 1 one word, 2 is long, 3 and 4 are in other scripts, 5 equals 6.
std::string text_of(std::size_t item, const std::string& attribute) {
  const Rng rng = Rng(42).at(attribute);
  if (attribute == "category" || attribute == "subcategory") return item == 0 ? "" : words()[item % 5];
  switch (item) {
    case 0: return "";
    case 1: return "river";
    case 2: return sentence(rng.at(2), 60);
    case 3: return "Überraschung: “naïve” café — 東京 ニュース";
    case 4: return "новости дня 🎻";
    case 6: return sentence(rng.at(5), 6);
    default: return sentence(rng.at(item), 2 + item % 9);
  }
}

Items make_items(std::size_t n, const std::vector<std::string>& attributes) {
  Items items;
  for (std::size_t i = 0; i < n; ++i) items.ids.push_back("N" + std::to_string(i + 1));
  for (const std::string& attribute : attributes) {
    StringColumn& column = items.attributes[attribute];
    for (std::size_t i = 0; i < n; ++i) column.push_back(text_of(i, attribute));
  }
  items.listed = n;
  return items;
}

}  // namespace

Items kit_items(const std::vector<std::string>& needs) {
  std::vector<std::string> attributes = {"title", "abstract", "category", "subcategory", "description"};
  for (const std::string& need : needs)
    if (need.starts_with("item:")) attributes.push_back(need.substr(5));
  Items items = make_items(24, attributes);
  items.listed = 22;  // the last two were generated
  return items;
}

void write_kit_files(const Items& items, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  std::ofstream glove(folder / "glove.txt");
  for (const std::string& word : words()) {
    Rng rng = Rng(3).at(word);
    glove << word;
    for (int i = 0; i < 25; ++i) glove << ' ' << rng.normal();
    glove << '\n';
  }
  // NumPy's format, version 1.0: magic, version, length of the header, the header padded to 64 bytes.
  std::ofstream ids(folder / "ids.txt"), npy(folder / "vectors.npy", std::ios::binary);
  constexpr int kWidth = 20;
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(items.size()) + ", " + std::to_string(kWidth) + "), }";
  header += std::string(63 - (10 + header.size()) % 64, ' ') + "\n";
  const auto length = static_cast<std::uint16_t>(header.size());
  npy << "\x93NUMPY" << '\x01' << '\0' << static_cast<char>(length & 255) << static_cast<char>(length >> 8) << header;
  for (std::size_t i = 0; i < items.size(); ++i) {
    ids << items.ids[i] << '\n';
    Rng rng = Rng(4).at(i);
    for (int d = 0; d < kWidth; ++d) {
      const auto value = static_cast<float>(rng.normal());
      npy.write(reinterpret_cast<const char*>(&value), sizeof value);
    }
  }
  glove.close();
  ids.close();
  npy.close();
  if (!glove || !ids || !npy) throw Error(ErrorKind::kRun, "the test kit cannot write its files", "name another scratch folder", folder.string());
}

ToyWorld kit_world() {
  ToyWorld world;
  constexpr std::size_t kItems = 40;
  constexpr UserId kUsers = 25;
  world.items = make_items(kItems, {"title", "abstract", "category", "subcategory"});
  for (UserId u = 0; u < kUsers; ++u) world.user_ids.push_back("U" + std::to_string(u + 1));
  std::vector<std::vector<ItemId>> histories(kUsers);
  for (UserId u = 1; u < kUsers; ++u) {  // user 0 has no history
    Rng rng = Rng(5).at(static_cast<std::uint64_t>(u));
    for (std::uint64_t i = 0, n = 1 + rng.below(12); i < n; ++i) histories[static_cast<std::size_t>(u)].push_back(static_cast<ItemId>(rng.below(kItems)));
  }
  const auto fill = [&](std::vector<ToyWorld::Row>& rows, std::size_t n, std::uint64_t split) {
    for (std::size_t i = 0; i < n; ++i) {
      Rng rng = Rng(6).at(split).at(i);
      ToyWorld::Row row;
      row.user = static_cast<UserId>(i % kUsers);
      row.time = 1573000000 + static_cast<std::int64_t>(split * 100000 + i * 60);
      row.history = histories[static_cast<std::size_t>(row.user)];
      const std::size_t shown = 2 + rng.below(8);
      std::vector<ItemId> all(kItems);
      for (std::size_t k = 0; k < kItems; ++k) all[k] = static_cast<ItemId>(k);
      rng.shuffle(all.data(), all.size());
      row.shown.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(shown));
      row.clicked.assign(shown, 0);
      row.clicked[rng.below(shown)] = 1;
      rows.push_back(std::move(row));
    }
  };
  fill(world.train, 60, 1);
  fill(world.dev, 30, 2);
  fill(world.test, 30, 3);
  return world;
}

}  // namespace oncekit::test_kit
