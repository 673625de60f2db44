// dataset/mind on the sample of our own making, which holds every oddity that docs/formats.md defines.
#include <set>

#include "support.h"

using namespace oncekit;
using namespace oncekit::test;

namespace {

const fs::path kSample = fs::path(ONCEKIT_TREE) / "datasets" / "mind" / "sample";

Settings sample(Settings more = {}) {
  more.emplace_back("path", kSample.string());
  return more;
}

std::vector<std::string> history(const Corpus& corpus, const Impressions& rows, std::size_t i) {
  std::vector<std::string> ids;
  for (const ItemId item : corpus.histories[static_cast<std::size_t>(rows.histories[i])]) ids.emplace_back(corpus.items.ids[static_cast<std::size_t>(item)]);
  return ids;
}

}  // namespace

TEST_CASE("the sample's items: the first of two texts, quotes and letters as they are", "[unit]") {
  const Corpus corpus = load("mind", sample());
  REQUIRE(corpus.items.size() == 8);
  CHECK(corpus.items.listed == 8);
  const StringColumn& title = corpus.items.attribute("title");
  CHECK(title[0] == "The tram that sings \"good morning\"");
  CHECK(title[1] == "\"Rowers cross the lake at dawn");
  CHECK(title[2] == "Pâtissières et boulangers à l’aube");
  CHECK(title[4].empty());
  CHECK(corpus.items.ids[7] == "N8-A");
  CHECK(title[7] == "An id with a dash in it");
  CHECK(corpus.items.attribute("category")[6] == "sports");  // from a file with \r\n and a byte-order mark
  CHECK_THROWS_WITH(corpus.items.attribute("titel"), Catch::Contains("abstract, category, subcategory, title") && Catch::Contains("did you mean 'title'"));
}

TEST_CASE("the sample's oddities are counted, each with its first place", "[unit]") {
  const Corpus corpus = load("mind", sample({{"split", std::string("files")}}));
  const std::map<std::string, std::int64_t> expected{
      {"files with a byte-order mark, passed over", 1},
      {"files with \\r\\n line ends", 1},
      {"items listed again with the same content", 2},
      {"items listed again with other content, the first kept", 1},
      {"items with an empty title", 1},
      {"items with an empty abstract", 1},
      {"items with non-ASCII text", 2},
      {"candidates unknown to the catalogue, dropped", 3},
      {"impressions without a known candidate, dropped", 1},
      {"candidates listed twice in one impression, kept", 276},
      {"impressions with one class only (all clicked or none), kept", 2},
      {"history items unknown to the catalogue, dropped", 3},
      {"impressions with an empty history, kept", 3}};
  CHECK(counts(corpus) == expected);
  for (const Count& count : corpus.counts) {
    INFO(count.reason << " at " << count.first);
    CHECK(count.first.find(".tsv:") != std::string::npos);
    if (count.reason.starts_with("impressions without a known")) CHECK(count.first.ends_with("train/behaviors.tsv:9"));
    if (count.reason.starts_with("history items")) CHECK(count.first.ends_with("train/behaviors.tsv:4"));
  }
}

TEST_CASE("the sample's impressions: times, labels, 283 candidates, histories", "[unit]") {
  const Corpus corpus = load("mind", sample({{"split", std::string("files")}}));
  REQUIRE(corpus.train.size() == 8);
  CHECK(corpus.dev.size() == 5);
  CHECK(corpus.test.size() == 0);
  CHECK(corpus.train.times[0] == 1573463158);  // 2019-11-11 09:05:58 UTC
  CHECK(corpus.train.times[1] == 1573473600);  // noon
  CHECK(corpus.train.times[2] == 1573518601);  // half past midnight
  CHECK(corpus.train.times[7] == -1);
  CHECK(corpus.train.candidates.length(6) == 283);
  CHECK(corpus.train.histories[0] == corpus.train.histories[1]);
  CHECK(history(corpus, corpus.train, 3) == std::vector<std::string>{"N2", "N4"});
  CHECK(corpus.clicks_before[static_cast<std::size_t>(corpus.train.histories[3])] == 2);
  CHECK(corpus.histories.length(static_cast<std::size_t>(corpus.train.histories[4])) == 0);  // all of it unknown
  CHECK(corpus.train.candidates.length(3) == 2);
  CHECK(corpus.items.ids[static_cast<std::size_t>(corpus.train.candidates[5][1])] == "N8-A");
  CHECK(corpus.train.labels[0] == 1);
}

TEST_CASE("a long history keeps its newest or oldest clicks, and remembers how many there were", "[unit]") {
  for (const std::int64_t limit : {1, 3, 6, 7, 8, 0}) {
    const Corpus newest = load("mind", sample({{"history_limit", limit}, {"split", std::string("files")}}));
    const Corpus oldest = load("mind", sample({{"history_limit", limit}, {"history_keep", std::string("oldest")}, {"split", std::string("files")}}));
    const std::vector<std::string> all{"N1", "N2", "N3", "N4", "N5", "N6", "N1"};
    const auto n = static_cast<std::ptrdiff_t>(limit == 0 ? 7 : std::min<std::int64_t>(limit, 7));
    CHECK(history(newest, newest.train, 5) == std::vector<std::string>(all.end() - n, all.end()));
    CHECK(history(oldest, oldest.train, 5) == std::vector<std::string>(all.begin(), all.begin() + n));
    CHECK(newest.clicks_before[static_cast<std::size_t>(newest.train.histories[5])] == 7);
  }
}

TEST_CASE("one history a user, of his first row, and users without history dropped: as in the paper", "[unit]") {
  const Corpus corpus = load("mind", sample({{"history_per", std::string("user_first")}, {"empty_history", std::string("drop")}, {"split", std::string("files")}}));
  CHECK(corpus.train.size() == 6);  // U2 has none, U4 only unknown items
  REQUIRE(corpus.dev.size() == 4);  // U8 has none
  CHECK(history(corpus, corpus.dev, 0) == std::vector<std::string>{"N1", "N2", "N3"});        // U1's of train, not that of dev
  CHECK(history(corpus, corpus.dev, 3).size() == 7);                                         // U5
  CHECK(corpus.users.size() == 9);                                                           // dropped users still count; U7's row had no candidate left
  CHECK(counts(corpus).at("impressions with an empty history, dropped") == 3);
}

TEST_CASE("dev is cut into dev and test: by a list, by a seed, the same on any number of threads", "[unit]") {
  const TempFolder folder;
  spill(folder.path / "list.json", "[5, 1, 4, 3, 2]");
  const Corpus listed = load("mind", sample({{"split_list", (folder.path / "list.json").string()}}));
  REQUIRE(listed.dev.size() == 3);
  REQUIRE(listed.test.size() == 2);
  CHECK(listed.dev.ids[0] == "1");
  CHECK(listed.dev.ids[1] == "4");
  CHECK(listed.dev.ids[2] == "5");
  CHECK(listed.test.ids[0] == "2");
  CHECK(listed.test.ids[1] == "3");

  spill(folder.path / "short.json", "[5, 1, 4, 3]");
  CHECK_THROWS_WITH(load("mind", sample({{"split_list", (folder.path / "short.json").string()}})), Catch::Contains("impression id 2 of dev is not in the list"));
  spill(folder.path / "twice.json", "[5, 1, 4, 3, 2, 5]");
  CHECK_THROWS_WITH(load("mind", sample({{"split_list", (folder.path / "twice.json").string()}})), Catch::Contains("5 is listed twice"));

  std::set<std::string> cuts;
  for (std::int64_t seed = 0; seed < 8; ++seed) {
    const std::string one = dump(load("mind", sample({{"seed", seed}}), 1));
    CHECK(one == dump(load("mind", sample({{"seed", seed}}), 4)));
    cuts.insert(one);
  }
  CHECK(cuts.size() > 1);
}

TEST_CASE("gzip, \\r\\n and byte-order marks change nothing but the counts", "[unit]") {
  const TempFolder folder;
  const auto plain = [](Corpus corpus) {
    corpus.counts.clear();
    return dump(corpus);
  };
  for (const char* file : {"train/news.tsv", "train/behaviors.tsv", "dev/news.tsv", "dev/behaviors.tsv"}) {
    const std::string text = slurp(kSample / file);
    spill(folder.path / "gz" / file, "");
    fs::remove(folder.path / "gz" / file);
    spill_gzip(folder.path / "gz" / (std::string(file) + ".gz"), text);
    std::string dos = "\xef\xbb\xbf";
    for (const char c : text) dos += c == '\n' ? "\r\n" : std::string(1, c);
    for (std::size_t at = 0; (at = dos.find("\r\r\n", at)) != std::string::npos;) dos.erase(at, 1);
    if (dos.starts_with("\xef\xbb\xbf\xef\xbb\xbf")) dos.erase(0, 3);
    spill(folder.path / "dos" / file, dos);
  }
  const std::string expected = plain(load("mind", sample()));
  CHECK(plain(load("mind", {{"path", (folder.path / "gz").string()}})) == expected);
  CHECK(plain(load("mind", {{"path", (folder.path / "dos").string()}})) == expected);
  // The last line without its line end is a line like any other.
  for (const char* file : {"train/news.tsv", "train/behaviors.tsv", "dev/news.tsv", "dev/behaviors.tsv"}) {
    std::string text = slurp(kSample / file);
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    spill(folder.path / "open" / file, text);
  }
  CHECK(plain(load("mind", {{"path", (folder.path / "open").string()}})) == expected);
}

TEST_CASE("a test folder is the test set, with labels or without; Microsoft's folder names do", "[unit]") {
  const TempFolder folder;
  fs::create_directories(folder.path);
  fs::copy(kSample / "train", folder.path / "MINDlarge_train", fs::copy_options::recursive);
  fs::copy(kSample / "dev", folder.path / "MINDlarge_dev", fs::copy_options::recursive);
  spill(folder.path / "MINDlarge_test" / "behaviors.tsv", "1\tU1\t11/16/2019 6:00:00 AM\tN1\tN2 N8-A N3\n");
  const Corpus corpus = load("mind", {{"path", folder.path.string()}});
  CHECK(corpus.dev.size() == 5);
  REQUIRE(corpus.test.size() == 1);
  CHECK_FALSE(corpus.test.labelled());
  CHECK(corpus.test.candidates.length(0) == 3);
  CHECK_THROWS_WITH(load("mind", {{"path", folder.path.string()}, {"split", std::string("user")}}), Catch::Contains("no labels"));
}

TEST_CASE("text that is not UTF-8 is mended and counted", "[unit]") {
  const TempFolder folder;
  spill(folder.path / "train" / "news.tsv", "N1\ta\tb\tcaf\xe9 \xf0\x9f\x8d\x9e \xed\xa0\x80 \xc0\xaf\tx\t\t[]\t[]\n");
  spill(folder.path / "train" / "behaviors.tsv", "1\tU1\t\t\tN1-1 N1-0\n");
  const Corpus corpus = load("mind", {{"path", folder.path.string()}, {"split", std::string("user")}, {"dev_share", 0.0}, {"test_share", 0.0}});
  CHECK(corpus.items.attribute("title")[0] == "caf\xef\xbf\xbd \xf0\x9f\x8d\x9e \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd");
  CHECK(counts(corpus).at("item texts that are not UTF-8, mended with U+FFFD") == 1);
}

TEST_CASE("real book readers in MIND's layout: the counts of their README", "[unit]") {
  const char* named = std::getenv("ONCEKIT_BOOKS");
  const fs::path folder = named ? fs::path(named) : fs::path(ONCEKIT_TREE) / ".." / "shared" / "data" / "books";
  if (!fs::exists(folder / "train" / "news.tsv")) {
    WARN("skipped: no book readers at " << folder << " (name the folder in ONCEKIT_BOOKS)");
    return;
  }
  const Corpus corpus = load("mind", {{"path", folder.string()}});
  CHECK(corpus.items.size() == 16833);
  CHECK(corpus.train.size() == 56478);
  CHECK(corpus.dev.size() == 11162);
  CHECK(corpus.test.size() == 11383);
  std::int64_t fresh = 0;
  for (const std::int32_t h : corpus.test.histories) fresh += corpus.clicks_before[static_cast<std::size_t>(h)] >= 1 && corpus.clicks_before[static_cast<std::size_t>(h)] <= 5;
  CHECK(fresh == 2117);
}
