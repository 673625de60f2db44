// dataset/goodreads: the sample of our own making, made-up files counted a second time by goodreads_reference.py, damage, the toy.
#include <algorithm>
#include <cmath>
#include <set>

#include <nlohmann/json.hpp>

#include "evaluate/evaluate.h"
#include "oncekit/rng.h"
#include "support.h"

using namespace oncekit;
using namespace oncekit::test;

namespace {

const fs::path kSample = fs::path(ONCEKIT_TREE) / "datasets" / "goodreads" / "sample";
const std::string kInteractions = "goodreads_interactions_dedup.json";

Settings with(const fs::path& folder, Settings more) {
  more.emplace_back("path", folder.string());
  return more;
}

// The sample is small: filters that let it live, and room for its malformed lines.
Settings sample(Settings more = {}) {
  for (const auto& [name, value] : Settings{{"reader_min", std::int64_t{2}}, {"book_first_min", std::int64_t{1}}, {"book_min", std::int64_t{1}},
                                            {"bad_lines", 0.2}, {"attributes", std::vector<std::string>{"title", "description", "authors"}}}) {
    if (std::none_of(more.begin(), more.end(), [&](const auto& s) { return s.first == name; })) more.emplace_back(name, value);
  }
  return with(kSample, std::move(more));
}

// Each reader's high ratings in order: his history, then what he clicked in train, dev, test.
std::map<std::string, std::vector<std::string>> sequences(const Corpus& corpus) {
  std::map<std::string, std::vector<std::string>> all;
  std::vector<std::vector<ItemId>> of(corpus.users.size());
  for (std::size_t u = 0; u < corpus.users.size(); ++u) of[u].assign(corpus.histories[u].begin(), corpus.histories[u].end());
  for (const Impressions* rows : {&corpus.train, &corpus.dev, &corpus.test})
    for (std::size_t i = 0; i < rows->size(); ++i)
      for (std::size_t c = 0; c < rows->candidates.length(i); ++c)
        if (rows->labels[rows->candidates.offsets()[i] + c]) of[static_cast<std::size_t>(rows->users[i])].push_back(rows->candidates[i][c]);
  for (std::size_t u = 0; u < of.size(); ++u)
    for (const ItemId item : of[u]) all[std::string(corpus.users.ids[u])].emplace_back(corpus.items.ids[static_cast<std::size_t>(item)]);
  return all;
}

std::string interaction(const std::string& user, const std::string& book, int rating, const std::string& date) {
  return R"({"user_id": ")" + user + R"(", "book_id": ")" + book + R"(", "review_id": "r", "is_read": true, "rating": )" + std::to_string(rating) +
         R"(, "review_text_incomplete": "", "date_added": ")" + date + R"(", "date_updated": "", "read_at": "", "started_at": ""})" + "\n";
}

std::string book(const std::string& id, const std::string& title) {
  return R"({"series": [], "description": "", "authors": [{"author_id": "5", "role": ""}], "book_id": ")" + id + R"(", "title": ")" + title + R"(", "title_without_series": ")" + title + "\"}\n";
}

std::string date(std::uint64_t i) {
  static const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  char text[64];
  std::snprintf(text, sizeof text, "Sat %s %02d %02d:%02d:%02d %s %d", kMonths[i % 12], static_cast<int>(1 + i / 12 % 28), static_cast<int>(i / 336 % 24),
                static_cast<int>(i / 7 % 60), static_cast<int>(i % 60), i % 3 ? "-0800" : "+0530", static_cast<int>(2000 + i / 97 % 18));
  return text;
}

// Readers of very different zeal, books of very different fame, every oddity there is.
void make_files(const fs::path& folder, std::uint64_t seed, std::size_t readers, std::size_t books) {
  Rng rng = Rng(seed).at("goodreads test");
  std::string lines, listing, works;
  for (std::size_t r = 0; r < readers; ++r) {
    const std::string id = "reader" + std::to_string(1000 + (r % 13 == 12 ? r - 7 : r));  // some come again later in the file
    const std::size_t n = 5 + static_cast<std::size_t>(12 / (0.04 + rng.uniform()));
    for (std::size_t i = 0; i < n; ++i) {
      const auto b = static_cast<std::size_t>(static_cast<double>(books) * std::pow(rng.uniform(), 2.2));
      const double draw = rng.uniform();
      const int rating = draw < 0.2 ? 0 : draw < 0.5 ? 5 : draw < 0.75 ? 4 : draw < 0.85 ? 3 : draw < 0.93 ? 2 : 1;
      lines += interaction(id, std::to_string(70000 + b), rating, rng.below(500) ? date(rng.below(100000)) : "");
      if (rng.below(3000) == 0) lines += "\n";
      if (rng.below(3000) == 0) lines += interaction(id, "1", 5, date(1)).substr(0, 70) + "\n";
    }
  }
  for (std::size_t b = 0; b < books; ++b) {
    const std::string id = std::to_string(70000 + b), title = b % 50 == 7 ? "" : "book " + id;
    if (b % 40 != 3) listing += book(id, title);
    if (b % 5 != 2) works += R"({"best_book_id": ")" + id + R"(", "original_title": ")" + (b % 30 == 4 ? " " : "work " + id) + "\", \"work_id\": \"1\"}\n";
  }
  spill(folder / kInteractions, lines);
  spill(folder / "goodreads_books.json", listing);
  spill(folder / "goodreads_book_works.json", works);
}

Settings lenient(const fs::path& folder, Settings more = {}) {
  if (std::none_of(more.begin(), more.end(), [](const auto& s) { return s.first == "bad_lines"; })) more.emplace_back("bad_lines", 0.01);
  return with(folder, std::move(more));
}

}  // namespace

TEST_CASE("the sample's books: escapes, surrogate pairs, white space, authors by name", "[unit]") {
  const Corpus corpus = load("goodreads", sample());
  REQUIRE(corpus.items.size() == 7);
  const StringColumn& title = corpus.items.attribute("title");
  const StringColumn& description = corpus.items.attribute("description");
  const StringColumn& authors = corpus.items.attribute("authors");
  const std::vector<std::array<std::string, 4>> expected{{"104", "Café 📖 at night", "Two lines and a tab.", "Ada Reed"},
                                                         {"101", "The \"Harbour\" (Coast, #1)", "Ships. Many ships.", "Ada Reed, B. Shore"},
                                                         {"102", "Back\\slash", "", "Luís Oven"},
                                                         {"103", "", "A book without a title.", ""},
                                                         {"105", "Winter wheat", "", "99"},
                                                         {"106", "Summer rye", "", "B. Shore"},
                                                         {"107", "Low tide", "", "Ada Reed"}};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(corpus.items.ids[i] == expected[i][0]);
    CHECK(title[i] == expected[i][1]);
    CHECK(description[i] == expected[i][2]);
    CHECK(authors[i] == expected[i][3]);
  }
  CHECK(load("goodreads", sample({{"title", std::string("title_without_series")}})).items.attribute("title")[1] == "The \"Harbour\"");
}

TEST_CASE("oddities of the Goodreads sample are counted, each with its first place", "[unit]") {
  const Corpus corpus = load("goodreads", sample());
  const std::map<std::string, std::pair<std::int64_t, std::string>> expected{
      {"malformed lines, skipped", {2, "poetry.json:14"}},
      {"blank lines, skipped", {1, "poetry.json:15"}},
      {"interactions without a rating, dropped", {1, "poetry.json:9"}},
      {"interactions rated 3, dropped", {1, "poetry.json:8"}},
      {"interactions rated 4 or 5 without a readable date_added, dropped", {2, "poetry.json:11"}},
      {"interactions rated 4 or 5 added before 1970 or after 2106, dropped", {1, "poetry.json:13"}},
      {"interactions of a reader with a book he had before in the file, dropped", {1, ""}},
      {"readers who rated nothing 4 or 5, dropped", {1, ""}},
      {"readers with too few high ratings, dropped", {1, ""}},
      {"books without a title, kept", {1, "books_poetry.json:4"}},
      {"books listed again, the first kept", {1, "books_poetry.json:8"}},
      {"books rated but not in the catalogue (or without a title there), dropped", {1, "books_poetry.json"}},
      {"interactions with books outside the catalogue, dropped", {1, ""}},
      {"authors without a name, their ids kept", {1, "authors.json"}}};
  std::map<std::string, Count> found;
  for (const Count& count : corpus.counts) found[count.reason] = count;
  for (const auto& [reason, what] : expected) {
    INFO(reason);
    REQUIRE(found.count(reason) == 1);
    CHECK(found[reason].count == what.first);
    CHECK(found[reason].first.ends_with(what.second));
  }
  CHECK(corpus.facts.at("raw_interactions") == 24);
  CHECK(corpus.facts.at("kept_high_ratings") == 9);
  CHECK(corpus.facts.at("kept_low_ratings") == 2);
}

TEST_CASE("high ratings are in the order of real time; released: of wall-clock seconds as text", "[unit]") {
  const std::string a = std::string(31, 'a') + "1", b = std::string(31, 'b') + "2";
  const auto by_time = sequences(load("goodreads", sample()));
  CHECK(by_time.at(a) == std::vector<std::string>{"103", "104", "105", "106", "102", "101"});
  CHECK(by_time.at(b) == std::vector<std::string>{"104", "101", "103"});
  CHECK(by_time.size() == 2);
  // 999997200 begins with a 9: behind all later times; 102's clock says 09:30, 101's 08:00, whatever their zones.
  const auto released = sequences(load("goodreads", sample({{"order", std::string("released")}})));
  CHECK(released.at(a) == std::vector<std::string>{"104", "105", "106", "101", "102", "103"});
}

TEST_CASE("dates are read to the second, in any zone, and nothing else is a date", "[unit]") {
  const TempFolder folder;
  spill(folder.path / "goodreads_books.json", book("1", "one") + book("2", "two") + book("3", "three"));
  const auto time_of = [&](const std::string& text) {
    // A history of one to two of the reader's four, then an impression whose time is what is asked for.
    std::string lines;
    for (int r = 0; r < 40; ++r)
      for (const char* b : {"1", "2", "3"}) lines += interaction("r" + std::to_string(r), b, 5, text);
    spill(folder.path / kInteractions, lines);
    const Corpus corpus = load("goodreads", with(folder.path, {{"reader_min", std::int64_t{2}}}));
    return corpus.test.size() ? corpus.test.times[0] : -2;
  };
  const std::vector<std::pair<std::string, std::int64_t>> good{
      {"Mon Feb 22 10:04:12 -0800 2016", 1456164252}, {"Thu Jan 01 00:00:00 +0000 1970", 0},      {"Thu Jan 01 05:30:00 +0530 1970", 0},
      {"Mon Feb 29 23:59:59 +0000 2016", 1456790399}, {"Sun Sep 09 01:46:40 +0000 2001", 1000000000}, {"Sun Feb 07 06:28:15 +0000 2106", 4294967295},
      {"Tue Mar 1 7:05:09 -0700 2016", 1456841109},   {"Thu Dec 31 23:59:60 +0000 2015", 1451606400}};
  for (const auto& [text, seconds] : good) {
    INFO(text);
    CHECK(time_of(text) == seconds);
  }
  for (const char* text : {"", "Mon", "2016-02-22 10:04:12", "Mon Feb 30 10:04:12 -0800 2016", "Mon Fob 22 10:04:12 -0800 2016", "Mon Feb 22 24:04:12 -0800 2016",
                           "Mon Feb 22 10:04:12 0800 2016", "Mon Feb 22 10:04:12 -080 2016", "Mon Feb 22 10:04:12 -0800", "Mon Feb 22 10:04:12 -0800 2016 ",
                           "Mon Feb 22 10:04:12 -0800 2106a", "Thu Jan 01 00:00:00 +0100 1970", "Sun Feb 07 06:28:16 +0000 2106", "1456164252"}) {
    INFO(text);
    CHECK_THROWS_WITH(time_of(text), Catch::Contains("holds no interaction rated 4 or 5"));
  }
}

TEST_CASE("a slow script of another make counts the same, and orders the same", "[unit]") {
  if (std::system("python3 -c pass > /dev/null 2>&1") != 0) {
    WARN("skipped: no python3");
    return;
  }
  const TempFolder folder;
  make_files(folder.path, 3, 1500, 700);
  const fs::path script = fs::path(ONCEKIT_TREE) / "tests" / "data" / "goodreads_reference.py";
  const std::vector<Settings> cases{
      {},
      {{"unrated", std::string("negative")}, {"order", std::string("released")}, {"title", std::string("original_title")}, {"untitled", std::string("drop")}},
      {{"book_first_min", std::int64_t{20}}, {"book_max", std::int64_t{400}}, {"book_min", std::int64_t{30}}, {"reader_cap", std::int64_t{40}}},
      {{"reader_min", std::int64_t{25}}, {"reader_cap", std::int64_t{30}}, {"order", std::string("released")}}};
  for (const Settings& settings : cases) {
    std::string arguments;
    for (const auto& [name, value] : settings)
      arguments += " " + name + "=" + (std::holds_alternative<std::string>(value) ? std::get<std::string>(value) : std::to_string(std::get<std::int64_t>(value)));
    INFO(arguments);
    const fs::path order = folder.path / "order.txt", counted = folder.path / "counted.json";
    REQUIRE(std::system(("python3 '" + script.string() + "' '" + folder.path.string() + "'" + arguments + " 'sequences=" + order.string() + "' > '" + counted.string() + "'").c_str()) == 0);
    const auto expected = nlohmann::json::parse(slurp(counted));
    const Corpus corpus = load("goodreads", lenient(folder.path, settings));
    const auto n = counts(corpus);
    const auto count = [&](const char* reason) { return n.count(reason) ? n.at(reason) : 0; };
    CHECK(count("malformed lines, skipped") == expected["malformed"]);
    CHECK(count("blank lines, skipped") == expected["blank"]);
    CHECK(count("interactions without a rating, dropped") == expected["unrated"]);
    CHECK(count("interactions rated 3, dropped") == expected["middle"]);
    CHECK(count("interactions rated 4 or 5 without a readable date_added, dropped") + count("interactions rated 4 or 5 added before 1970 or after 2106, dropped") ==
          expected["dateless"]);
    CHECK(count("interactions of a reader with a book he had before in the file, dropped") == expected["twice"]);
    CHECK(count("readers who rated nothing 4 or 5, dropped") == expected["without_high"]);
    CHECK(corpus.facts.at("rated_interactions") == expected["rated_high"].get<double>() + expected["rated_low"].get<double>());
    CHECK(corpus.users.size() == expected["last_readers"]);
    CHECK(corpus.items.size() == expected["last_books"]);
    CHECK(corpus.users.size() > 100);
    CHECK(corpus.facts.at("kept_high_ratings") == expected["last_high"]);
    CHECK(corpus.facts.at("kept_low_ratings") == expected["last_low"]);
    CHECK(count("readers with too few high ratings at last, dropped") == expected["first_readers"].get<std::int64_t>() - expected["last_readers"].get<std::int64_t>());
    std::string lines;
    for (const auto& [user, books] : sequences(corpus)) {
      lines += user;
      for (const std::string& id : books) lines += " " + id;
      lines += "\n";
    }
    CHECK((lines == slurp(order)));
  }
}

TEST_CASE("histories are prefixes of the paper's lengths; the rest is cut 80/10/10, negatives too", "[unit]") {
  const TempFolder folder;
  make_files(folder.path, 4, 4000, 400);
  const Corpus corpus = load("goodreads", lenient(folder.path));
  REQUIRE(corpus.users.size() > 2500);
  CHECK(corpus.group == "user");
  std::vector<double> lengths(10, 0);
  for (std::size_t h = 0; h < corpus.histories.size(); ++h) {
    REQUIRE(corpus.histories.length(h) == static_cast<std::size_t>(corpus.clicks_before[h]));
    ++lengths[corpus.histories.length(h)];
  }
  const auto n = static_cast<double>(corpus.histories.size());
  CHECK(lengths[0] == 0);
  for (std::size_t k = 1; k <= 9; ++k) CHECK(lengths[k] / n == Approx(k == 9 ? 0.6 : k >= 6 ? 0.1 : 0.02).margin(0.03));

  std::map<UserId, std::array<std::array<std::size_t, 2>, 3>> parts;  // by user, split, label
  std::map<UserId, std::set<ItemId>> clicked;
  const std::array<const Impressions*, 3> splits{&corpus.train, &corpus.dev, &corpus.test};
  for (std::size_t s = 0; s < 3; ++s) {
    std::int64_t last_user = -1;
    for (std::size_t i = 0; i < splits[s]->size(); ++i) {
      const Impressions& rows = *splits[s];
      REQUIRE(rows.users[i] > last_user);  // one impression a reader and split
      last_user = rows.users[i];
      CHECK(rows.histories[i] == rows.users[i]);
      CHECK(rows.times[i] > 0);
      for (std::size_t c = 0; c < rows.candidates.length(i); ++c) {
        const std::uint8_t label = rows.labels[rows.candidates.offsets()[i] + c];
        ++parts[rows.users[i]][s][label];
        if (label) REQUIRE(clicked[rows.users[i]].insert(rows.candidates[i][c]).second);
      }
    }
  }
  for (const auto& [user, part] : parts) {
    for (const ItemId item : corpus.histories[static_cast<std::size_t>(user)]) REQUIRE(clicked[user].count(item) == 0);
    const std::size_t all = part[0][1] + part[1][1] + part[2][1];
    const std::size_t tenth = all >= 10 ? all / 10 : all >= 2 ? 1 : 0;
    REQUIRE(part[1][1] == tenth);
    REQUIRE(part[2][1] == (tenth ? tenth : all));
    if (part[0][1] && part[1][1]) {
      const std::size_t negatives = part[0][0] + part[1][0] + part[2][0];
      REQUIRE(negatives >= 10);
      REQUIRE(part[1][0] == negatives / 10);
      REQUIRE(part[2][0] == negatives / 10);
    }
  }
  // No negative is a book that its reader rated high.
  for (const Impressions* rows : splits)
    for (std::size_t i = 0; i < rows->size(); ++i) {
      std::set<ItemId> seen;
      for (std::size_t c = 0; c < rows->candidates.length(i); ++c) {
        const ItemId item = rows->candidates[i][c];
        REQUIRE(seen.insert(item).second);
        if (rows->labels[rows->candidates.offsets()[i] + c]) continue;
        REQUIRE(clicked[rows->users[i]].count(item) == 0);
        const auto history = corpus.histories[static_cast<std::size_t>(rows->users[i])];
        REQUIRE(std::find(history.begin(), history.end(), item) == history.end());
      }
    }
  CHECK(counts(load("goodreads", lenient(folder.path, {{"random_from", std::string("all")}}))).at("random negatives that their reader rated high, kept") > 0);
}

TEST_CASE("rating 0 is no opinion, or a low one; original titles need the work's best edition", "[unit]") {
  const Corpus paper = load("goodreads", sample({{"unrated", std::string("negative")}, {"title", std::string("original_title")}, {"untitled", std::string("drop")}}));
  std::vector<std::string> titles, ids;
  for (std::size_t i = 0; i < paper.items.size(); ++i) {
    ids.emplace_back(paper.items.ids[i]);
    titles.emplace_back(paper.items.attribute("title")[i]);
  }
  CHECK(ids == std::vector<std::string>{"104", "101", "106", "107", "109"});
  CHECK(titles == std::vector<std::string>{"Café", "The Harbour", "Rye", "Ebb", "Shelved"});
  CHECK(paper.items.attribute("authors")[0] == "Ada Reed");
  CHECK(counts(paper).count("interactions without a rating, dropped") == 0);
  CHECK(counts(paper).at("books without a title, dropped") == 1);
  CHECK(paper.facts.at("kept_low_ratings") == 3);
}

TEST_CASE("the same corpus on any number of threads, packed or not, in one member or many, with either line end", "[unit]") {
  const TempFolder folder;
  make_files(folder.path / "plain", 5, 9000, 800);
  const std::string text = slurp(folder.path / "plain" / kInteractions);
  REQUIRE(text.size() > (18u << 20));  // more than one round of blocks
  const auto content = [](Corpus corpus) {
    for (Count& count : corpus.counts) count.first.clear();
    return dump(corpus);
  };
  const std::string expected = content(load("goodreads", lenient(folder.path / "plain"), 1));
  for (const int threads : {2, 3, 8}) CHECK((content(load("goodreads", lenient(folder.path / "plain"), threads)) == expected));
  const auto beside = [&](const char* name) {
    for (const char* file : {"goodreads_books.json", "goodreads_book_works.json"}) spill(folder.path / name / file, slurp(folder.path / "plain" / file));
    return folder.path / name;
  };
  spill_gzip(beside("gz") / (kInteractions + ".gz"), text);
  for (const int threads : {1, 2}) CHECK((content(load("goodreads", lenient(folder.path / "gz"), threads)) == expected));
  const fs::path many = beside("many") / (kInteractions + ".gz");
  std::string members;
  for (std::size_t at = 0, step = 3000001; at < text.size(); at += step) {
    spill_gzip(folder.path / "member.gz", text.substr(at, step));
    members += slurp(folder.path / "member.gz");
  }
  spill(many, members + std::string(512, '\0'));
  CHECK((content(load("goodreads", lenient(folder.path / "many"))) == expected));
  std::string dos = "\xef\xbb\xbf";
  for (const char c : text) dos += c == '\n' ? "\r\n" : std::string(1, c);
  dos.resize(dos.size() - 2);  // and a last line without its end
  spill(beside("dos") / kInteractions, dos);
  CHECK((content(load("goodreads", lenient(folder.path / "dos"))) == expected));
}

TEST_CASE("readers and books are removed at random down to a size; another seed, other readers", "[unit]") {
  const TempFolder folder;
  make_files(folder.path, 6, 2500, 500);
  const Corpus all = load("goodreads", lenient(folder.path));
  std::set<std::string> different;
  for (const std::int64_t seed : {1, 2, 1}) {
    const Corpus cut = load("goodreads", lenient(folder.path, {{"users", std::int64_t{700}}, {"items", std::int64_t{300}}, {"seed", seed}}));
    CHECK(cut.users.size() <= 700);
    CHECK(cut.users.size() > 500);  // fewer books leave fewer readers with ten high ratings
    CHECK(cut.items.size() <= 300);
    CHECK(cut.items.size() > 280);
    CHECK(counts(cut).at("readers removed at random to come down to dataset.users") > 0);
    different.insert(dump(cut));
  }
  CHECK(different.size() == 2);
  // Targets that are met already change nothing.
  CHECK((dump(load("goodreads", lenient(folder.path, {{"users", std::int64_t{100000}}, {"items", std::int64_t{100000}}}))) == dump(all)));
}

TEST_CASE("what is damaged or absent is an error with its place", "[errors]") {
  const TempFolder folder;
  make_files(folder.path, 7, 300, 200);
  const std::string text = slurp(folder.path / kInteractions);
  const auto fails = [&](Settings settings, const std::vector<std::string>& parts) {
    try {
      load("goodreads", lenient(folder.path, std::move(settings)));
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.exit_code() == 4);
      for (const std::string& part : parts) CHECK_THAT(error.what(), Catch::Contains(part));
    }
  };
  fails({{"bad_lines", 0.0}}, {"lines are malformed", "dedup.json:", "cut off"});
  fails({{"book_min", std::int64_t{100000}}}, {"no reader is left after the last filters", "book_min = 100000"});
  fails({{"genre", std::string("poetry")}}, {"has no goodreads_interactions_poetry.json.gz", "datasets/goodreads/README.md"});
  spill(folder.path / "goodreads_interactions_poetry.json", text);
  fails({}, {"interactions of several kinds: dedup, poetry", "dataset.genre"});
  fs::remove(folder.path / "goodreads_interactions_poetry.json");

  fs::remove(folder.path / kInteractions);
  fails({}, {"has no goodreads_interactions_dedup.json.gz"});
  const fs::path packed = folder.path / (kInteractions + ".gz");
  spill_gzip(packed, text);
  const std::string bytes = slurp(packed);
  for (const std::size_t left : {std::size_t{0}, std::size_t{5}, bytes.size() / 2, bytes.size() - 1}) {
    spill(packed, bytes.substr(0, left));
    fails({}, {"is cut off", "at byte " + std::to_string(left) + " of " + std::to_string(left)});
  }
  std::string damaged = bytes;
  for (std::size_t i = bytes.size() / 2; i < bytes.size() / 2 + 40; ++i) damaged[i] = static_cast<char>(~damaged[i]);
  spill(packed, damaged);
  fails({}, {"is damaged", "at byte"});
  spill(packed, text);
  fails({}, {"is damaged"});
  fs::remove(packed);
  spill(folder.path / kInteractions, "");
  fails({}, {"holds no interaction rated 4 or 5"});
  std::string table;
  for (int i = 0; i < 100000; ++i) table += "some,other,table,with,more,columns\n";
  spill(folder.path / kInteractions, table);
  fails({}, {"expected a JSON object, one a line"});
  spill(folder.path / kInteractions, text);
  fs::remove(folder.path / "goodreads_books.json");
  fails({}, {"has no goodreads_books.json.gz"});
  fs::remove(folder.path / "goodreads_book_works.json");
  fails({{"title", std::string("original_title")}}, {"has no goodreads_book_works.json.gz"});
}

TEST_CASE("reading stops when the user asks for it", "[unit]") {
  const TempFolder folder;
  make_files(folder.path, 8, 100, 100);
  cancel_requested() = true;
  try {
    load("goodreads", lenient(folder.path));
    cancel_requested() = false;
    FAIL("went on");
  } catch (const Error& error) {
    cancel_requested() = false;
    CHECK(error.kind() == ErrorKind::kInterrupted);
  }
}

TEST_CASE("the toy in Goodreads' layout stays learnable, and says how far", "[unit]") {
  for (const std::int64_t seed : {2023, 1, 77}) {
    INFO("seed " << seed);
    const TempFolder cache;
    const Corpus corpus = load("goodreads", {{"toy", true}, {"seed", seed}}, 2, cache.path);
    const double best = corpus.facts.at("best_auc");
    CHECK(best >= 0.75);
    CHECK(best <= 0.85);
    CHECK(corpus.facts.at("dev_best_auc") == Approx(best).margin(0.03));
    CHECK(corpus.facts.at("history_auc") >= 0.5 + 0.85 * (best - 0.5));
    CHECK(corpus.users.size() > 1500);
    CHECK(corpus.items.size() > 1300);  // cold ones are rated too rarely for the filters, some of them
    HostWorkspace workspace{WorkspaceOptions{}};
    const EvaluateOptions options;
    const EvaluationContext context(corpus, options, workspace);
    const auto auc = [&](const char* ranker, const char* metric) { return evaluate(context, corpus.test, rank_untrained(context, ranker, corpus.test)).at(metric); };
    CHECK(auc("popularity", "auc") <= 0.55);
    CHECK(auc("tfidf", "auc") - 0.5 <= 0.4 * (best - 0.5));
    CHECK(auc("item_knn", "cold/auc") - 0.5 <= 0.2 * (best - 0.5));
  }
}
