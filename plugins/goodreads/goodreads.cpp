#include "goodreads.h"

#include <algorithm>
#include <set>

#include "catalogue.h"
#include "filters.h"
#include "interactions.h"
#include "oncekit/tables.h"
#include "oncekit/toy.h"
#include "readers.h"

namespace oncekit::goodreads {
namespace fs = std::filesystem;
namespace {

constexpr int kToyVersion = 1;
constexpr const char* kReadme = "how to get the files: datasets/goodreads/README.md";

// What stands between PREFIX and .json or .json.gz in the names of a folder, e.g. "dedup", "poetry"; "" for PREFIX itself.
std::set<std::string> endings(const fs::path& root, const std::string& prefix) {
  std::set<std::string> found;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(root, code)) {
    std::string name = entry.path().filename().string();
    if (name.ends_with(".gz")) name.resize(name.size() - 3);
    if (!name.starts_with(prefix) || !name.ends_with(".json")) continue;
    name = name.substr(prefix.size(), name.size() - prefix.size() - 5);
    if (name.empty()) found.insert(name);
    else if (name[0] == '_') found.insert(name.substr(1));
  }
  return found;
}

std::string joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + (name.empty() ? "(no ending)" : name);
  return text;
}

}  // namespace

void Options::describe(Fields& f) {
  f.path("path", path).doc("folder with goodreads_interactions_*.json.gz and goodreads_books*.json.gz");
  f.text("genre", genre).doc("which files, where several lie in the folder: \"dedup\" (all genres), \"poetry\", \"young_adult\", ...; empty: the only one");
  f.list("attributes", attributes).one_of({"title", "description", "authors"}).doc("texts to load; authors: names where goodreads_book_authors.json.gz is there, else ids");
  f.choice("title", title, {"title", "title_without_series", "original_title"})
      .doc("of the books file, or the work's original title, which only the edition named as a work's best has: other editions are dropped then")
      .under("paper", std::string("original_title")).under("released", std::string("original_title")).cite("github.com/Jyonn/Legommenders, process/goodreads");
  f.choice("untitled", untitled, {"keep", "drop"}).doc("books of the catalogue whose title is empty").under("paper", std::string("drop")).under("released", std::string("drop"));
  f.choice("unrated", unrated, {"drop", "negative"})
      .doc("rating 0, a book on a shelf without a rating: no opinion, or a low one as in the released scripts (0 < 3)")
      .under("paper", std::string("negative")).under("released", std::string("negative"));
  f.choice("order", order, {"time", "released"})
      .doc("of high ratings, by date_added: as times; or as the released scripts compare them, wall-clock seconds as text, zones passed over")
      .under("released", std::string("released"));
  f.integer("book_first_min", book_first_min).range(1, 1e9).unit("ratings").doc("first filter: books seen at least so often").cite("Liu et al. 2024, released scripts");
  f.integer("book_max", book_max).range(1, 4e9).unit("ratings").doc("first filter: books seen at most so often");
  f.integer("reader_cap", reader_cap).range(0, 1e9).unit("ratings").doc("high ratings, and low ratings, kept of a reader: the first ones; 0 = all");
  f.integer("reader_min", reader_min).range(2, 1e9).unit("high ratings").doc("readers with fewer are dropped");
  f.integer("book_min", book_min).range(1, 1e9).unit("ratings").doc("last filter: books seen at least so often");
  f.integer("users", users).at_least(0).doc("remove readers at random until no more than so many are left, where the released scripts ask a person; 0 = keep all");
  f.integer("items", items).at_least(0).doc("the same for books; either may come out below its number, since removing one takes of the other");
  f.integer("random_negatives", random_negatives).range(0, 10000).doc("random books added to a reader's low ratings");
  f.choice("random_from", random_from, {"unread", "all"})
      .doc("random books are none that the reader rated, or any, his own high ratings among them").under("released", std::string("all"));
  f.integer("seed", seed).at_least(0).doc("of histories, random books, random removal and the toy; apart from run.seed");
  f.real("bad_lines", bad_lines).range(0, 1).doc("share of malformed lines that are skipped and counted; more of them are an error");
  f.boolean("toy", toy).doc("a small made-up corpus in the same layout instead of `path`").demo(true);
}

void Options::validate(Problems& problems) const {
  if (attributes.empty()) problems.add("attributes is empty; expected at least one, e.g. [\"title\"]");
  if (path.empty() && !toy) problems.add("path is empty; expected the folder with goodreads_interactions_*.json.gz");
  if (book_max < book_first_min) problems.add("book_max is below book_first_min: no book could stay");
  if (reader_cap > 0 && reader_cap < reader_min) problems.add("reader_cap is below reader_min: no reader could stay");
}

bool Options::wants(const char* attribute) const { return std::find(attributes.begin(), attributes.end(), attribute) != attributes.end(); }

Files Files::find(const fs::path& root, const std::string& genre) {
  const auto file = [&](const std::string& prefix, const std::string& ending) {
    return TextTable::find(root / (prefix + (ending.empty() ? "" : "_" + ending) + ".json"));
  };
  std::string which = genre;
  if (which.empty()) {
    const std::set<std::string> there = endings(root, "goodreads_interactions");
    if (there.size() > 1) throw Error(ErrorKind::kData, "has interactions of several kinds: " + joined(there), "name one: dataset.genre = \"" + *there.rbegin() + "\"", shown(root));
    if (!there.empty()) which = *there.begin();
  }
  Files files;
  files.interactions = file("goodreads_interactions", which);
  const bool whole = which.empty() || which == "dedup";
  files.books = whole ? std::nullopt : file("goodreads_books", which);
  if (!files.books) files.books = file("goodreads_books", "");  // the whole catalogue holds every genre
  files.works = file("goodreads_book_works", "");
  files.authors = file("goodreads_book_authors", "");
  return files;
}

void Files::require(const Options& options, const fs::path& root) const {
  std::error_code ignored;
  if (!fs::is_directory(root, ignored)) throw Error(ErrorKind::kData, "no such folder", std::string("set dataset.path to the folder with the raw files; ") + kReadme, shown(root));
  Problems problems;
  const auto need = [&](const std::optional<fs::path>& file, const std::string& name, const std::string& why) {
    if (!file) problems.add("has no " + name + why, kReadme, shown(root));
  };
  const bool original = options.title == "original_title";
  const std::string& genre = options.genre;
  need(interactions, "goodreads_interactions_" + (genre.empty() ? "dedup" : genre) + ".json.gz", genre.empty() ? " (nor one of a genre)" : "");
  if (!original || options.wants("description") || options.wants("authors"))
    need(books, "goodreads_books" + (genre.empty() || genre == "dedup" ? "" : "_" + genre) + ".json.gz", " (nor .json)");
  if (original) need(works, "goodreads_book_works.json.gz", ", which title = \"original_title\" needs");
  problems.raise(ErrorKind::kData);
}

std::vector<std::string> Goodreads::gives(const Options& options) {
  std::vector<std::string> gives;
  for (const std::string& attribute : options.attributes) gives.push_back("item:" + attribute);
  return gives;
}

Description Goodreads::describe() const {
  Description description;
  description.item_attributes = options_.attributes;
  const fs::path root = options_.toy ? toy_folder_ : fs::path(options_.path);
  if (root.empty()) return description;
  const Files files = Files::find(root, options_.toy ? "" : options_.genre);
  const bool original = options_.title == "original_title", texts = options_.wants("description") || options_.wants("authors");
  const auto add = [&](const std::optional<fs::path>& file, bool read) {
    if (!file || !read) return;
    std::error_code code;
    description.files.push_back(*file);
    description.bytes += static_cast<std::int64_t>(fs::file_size(*file, code));
  };
  add(files.interactions, true);
  add(files.books, !original || texts);
  add(files.works, original);
  add(files.authors, options_.wants("authors"));
  return description;
}

Corpus Goodreads::load(Workspace& workspace) {
  fs::path root = options_.path;
  if (options_.toy) root = toy_folder_ = cached_toy(*this, "goodreads", kToyVersion, options_.seed, workspace);
  const Files files = Files::find(root, options_.toy ? "" : options_.genre);
  files.require(options_, root);

  Tally tally;
  Interactions all = read_interactions(*files.interactions, options_, workspace, tally);
  if (all.readers.size() == 0)
    throw Error(ErrorKind::kData, "holds no interaction rated 4 or 5", "expected lines with user_id, book_id, rating, date_added", shown(*files.interactions));
  const std::size_t rated = all.readers.events.size();
  filter_first(all.readers, all.books.size(), options_, workspace, tally);
  std::vector<std::uint8_t> wanted(all.books.size(), 0);
  for (const Event& event : all.readers.events) wanted[event.book] = 1;
  Catalogue catalogue = read_catalogue(files, all.books, wanted, options_, workspace, tally);
  filter_last(all.readers, catalogue.in, options_, workspace, tally);
  Corpus corpus = make_corpus(all, std::move(catalogue), options_, workspace, tally);

  corpus.counts = tally.take();
  for (const Count& count : corpus.counts) workspace.count(count.reason, count.first, count.count);
  corpus.facts = toy_facts(corpus, root);
  std::int64_t high = 0;
  for (std::size_t r = 0; r < all.readers.size(); ++r) high += all.readers.positives[r];
  corpus.facts["raw_interactions"] = static_cast<double>(all.lines);
  corpus.facts["rated_interactions"] = static_cast<double>(rated);
  corpus.facts["kept_high_ratings"] = static_cast<double>(high);
  corpus.facts["kept_low_ratings"] = static_cast<double>(static_cast<std::int64_t>(all.readers.events.size()) - high);
  return corpus;
}

}  // namespace oncekit::goodreads
