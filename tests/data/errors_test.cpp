// The gallery of what a user reads when data is missing or damaged. Every text is whole, and every error is kData.
#include "../support/gallery.h"
#include "support.h"

using namespace oncekit;
using namespace oncekit::test;

namespace {

const fs::path kMind = fs::path(ONCEKIT_TREE) / "datasets" / "mind" / "sample";
const fs::path kTable = fs::path(ONCEKIT_TREE) / "datasets" / "table" / "sample";

// A copy of a sample in a folder whose last two parts are the same everywhere.
struct Copy {
  explicit Copy(const fs::path& sample) : path(temp.path / "data") { fs::copy(sample, path, fs::copy_options::recursive); }
  void edit(const std::string& file, const std::string& from, const std::string& to) const {
    std::string text = slurp(path / file);
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    spill(path / file, text.replace(at, from.size(), to));
  }
  TempFolder temp;
  fs::path path;
};

void check_error(const std::string& name, const std::string& component, const fs::path& path, Settings settings = {}) {
  settings.emplace_back("path", path.string());
  try {
    load(component, settings);
    FAIL("no error for " << name);
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kData);
    CHECK(e.exit_code() == 4);
    check_gallery("data/" + name, replaced(e.what(), {{path.string(), "DATA"}}));
  }
}

}  // namespace

TEST_CASE("missing folders and files", "[errors]") {
  const Copy copy(kMind);
  check_error("no_folder", "mind", copy.path / "nowhere");
  fs::remove(copy.path / "train" / "behaviors.tsv");
  check_error("no_behaviors", "mind", copy.path);
  fs::remove_all(copy.path / "dev");
  check_error("no_dev", "mind", copy.path);
  fs::remove_all(copy.path / "train");
  check_error("no_train", "mind", copy.path);
}

TEST_CASE("a behaviors.tsv cut off anywhere in its last line names that line", "[errors]") {
  const Copy copy(kMind);
  const std::string text = slurp(copy.path / "dev" / "behaviors.tsv");
  const std::size_t last = text.rfind('\n', text.size() - 2) + 1;
  int silent = 0;
  for (std::size_t end = last + 1; end + 1 < text.size(); ++end) {
    spill(copy.path / "dev" / "behaviors.tsv", text.substr(0, end));
    INFO("cut: " << text.substr(last, end - last));
    try {
      load("mind", {{"path", copy.path.string()}});
      // Only a cut right behind a candidate's label leaves a good line.
      const std::size_t end_of_word = text[end - 1] == ' ' ? end - 1 : end;
      CHECK(text.substr(end_of_word - 4, 4) == "N6-1");
      ++silent;
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kData);
      CHECK(e.where().ends_with("dev/behaviors.tsv:5"));
    }
  }
  CHECK(silent <= 2);
  spill(copy.path / "dev" / "behaviors.tsv", text.substr(0, last + 9));
  check_error("truncated_behaviors", "mind", copy.path);
}

TEST_CASE("malformed lines of all files are listed at once", "[errors]") {
  const Copy copy(kMind);
  copy.edit("train/news.tsv", "N2\tsports\trowing", "N2\tsports");
  copy.edit("train/news.tsv", "N5\tmusic", "\tmusic");
  copy.edit("train/behaviors.tsv", "11/11/2019 9:05:58 AM", "yesterday");
  copy.edit("train/behaviors.tsv", "N1-0 N2-1", "N1-0 N2-2");
  copy.edit("train/behaviors.tsv", "\tU6\t", "\t\t");
  copy.edit("dev/behaviors.tsv", "N1-0 N2-0 N3-1", "");
  copy.edit("dev/behaviors.tsv", "N8-A-1 N1-0", "N8 N1");
  check_error("malformed_lines", "mind", copy.path);
}

TEST_CASE("of many malformed lines the first twenty are shown and the rest counted; skipping counts them all", "[errors]") {
  const Copy copy(kMind);
  std::string text = slurp(copy.path / "train" / "behaviors.tsv");
  for (int i = 0; i < 30; ++i) text += "no tabs here\n";
  spill(copy.path / "train" / "behaviors.tsv", text);
  check_error("many_malformed_lines", "mind", copy.path);
  const Corpus corpus = load("mind", {{"path", copy.path.string()}, {"on_bad_line", std::string("skip")}, {"split", std::string("files")}});
  CHECK(counts(corpus).at("malformed lines, skipped") == 30);
  CHECK(corpus.train.size() == 8);
}

TEST_CASE("a damaged gzip file, a list for another dev, times that are not there", "[errors]") {
  const Copy copy(kMind);
  const std::string text = slurp(copy.path / "dev" / "behaviors.tsv");
  fs::remove(copy.path / "dev" / "behaviors.tsv");
  spill_gzip(copy.path / "dev" / "behaviors.tsv.gz", text);
  const std::string packed = slurp(copy.path / "dev" / "behaviors.tsv.gz");
  spill(copy.path / "dev" / "behaviors.tsv.gz", packed.substr(0, packed.size() / 2));
  check_error("damaged_gzip", "mind", copy.path);
  spill(copy.path / "dev" / "behaviors.tsv.gz", packed);
  check_error("time_split_without_times", "mind", copy.path, {{"split", std::string("time")}});
}

TEST_CASE("tables: headers and cells", "[errors]") {
  const Copy copy(kTable);
  check_error("table_no_column", "table", copy.path, {{"attributes", std::vector<std::string>{"titel"}}});
  copy.edit("train.tsv", "history", "histroy");
  copy.edit("train.tsv", "labels", "label");
  check_error("table_header", "table", copy.path);
  copy.edit("train.tsv", "histroy", "history");
  copy.edit("train.tsv", "label", "labels");
  copy.edit("train.tsv", "1 0\n", "1\n");
  copy.edit("dev.tsv", "0 1", "0 yes");
  copy.edit("items.tsv", "b4\t", "");
  check_error("table_cells", "table", copy.path);
  copy.edit("items.tsv", "id\t", "item\t");
  check_error("table_no_id", "table", copy.path);
}
