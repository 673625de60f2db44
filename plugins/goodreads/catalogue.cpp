#include "catalogue.h"

#include <algorithm>

#include "json_line.h"

namespace oncekit::goodreads {
namespace fs = std::filesystem;
namespace {

// Of the blocks of one file: what each found, in the order of its lines.
template <class Row>
struct Block {
  BlockReport report;
  std::vector<Row> rows;
};

/// Calls parse_line(line, rows) on all threads and take(row) in the order of the file.
template <class Row, class ParseLine, class Take>
void read_rows(const fs::path& file, std::string_view stage, const Options& options, Workspace& workspace, Tally& tally, const ParseLine& parse_line,
               const Take& take) {
  std::vector<Block<Row>> blocks(kBlocks);
  read_blocks(
      file, stage, options.bad_lines, workspace, tally,
      [&](std::size_t i, std::string_view text) {
        blocks[i].rows.clear();
        each_line(text, blocks[i].report, [&](std::int64_t number, std::string_view line) { return parse_line(number, line, blocks[i].rows); });
      },
      [&](std::size_t i) -> BlockReport& { return blocks[i].report; },
      [&](std::size_t i, std::int64_t first_line) {
        for (Row& row : blocks[i].rows) take(row, first_line);
      });
}

struct BookRow {
  std::int32_t book;
  std::int64_t line;
  std::string title, description, authors;  // authors: ids apart by one blank
};

// Ids of those who wrote the book; translators, illustrators and others have a role, and stand in only where nobody is without one.
std::string author_ids(std::string_view raw) {
  std::string writers, others;
  scan_array(raw, [&](const JsonValue& element) {
    std::string_view id, role;
    scan_object(element.raw, [&](std::string_view key, const JsonValue& value) {
      if (key == "author_id") id = value.raw;
      else if (key == "role") role = value.raw;
    });
    std::string& list = role.empty() ? writers : others;
    if (!id.empty()) (list += list.empty() ? "" : " ") += id;
  });
  return writers.empty() ? others : writers;
}

namespace {

// A row for this book with its title, or null when nobody needs the book.
BookRow* add_wanted(std::vector<BookRow>& rows, std::int32_t book, const std::vector<std::uint8_t>& wanted, std::int64_t line, std::string_view title) {
  if (book < 0 || !wanted[static_cast<std::size_t>(book)]) return nullptr;
  BookRow& row = rows.emplace_back();
  row.book = book;
  row.line = line;
  clean_text(title, row.title);
  return &row;
}

}  // namespace

// Original titles stand with works; a work's title is that of the edition named as its best, as in the released scripts.
void read_works(const fs::path& file, const Names& books, const std::vector<std::uint8_t>& wanted, const Options& options, Workspace& workspace,
                Tally& tally, const std::function<void(BookRow&, std::int64_t)>& take) {
  read_rows<BookRow>(file, "reading works", options, workspace, tally, [&](std::int64_t number, std::string_view line, std::vector<BookRow>& rows) -> const char* {
    std::string_view id, title;
    const char* wrong = scan_object(line, [&](std::string_view key, const JsonValue& value) {
      if (key == "best_book_id") id = value.raw;
      else if (key == "original_title") title = value.raw;
    });
    if (wrong) return wrong;
    if (id.empty()) return "expected a best_book_id";
    add_wanted(rows, books.find(id), wanted, number, title);
    return nullptr;
  }, take);
}

void read_books(const fs::path& file, const Names& books, const std::vector<std::uint8_t>& wanted, const Options& options, Workspace& workspace,
                Tally& tally, const std::function<void(BookRow&, std::int64_t)>& take) {
  const bool descriptions = options.wants("description"), authors = options.wants("authors");
  read_rows<BookRow>(file, "reading books", options, workspace, tally, [&](std::int64_t number, std::string_view line, std::vector<BookRow>& rows) -> const char* {
    std::string_view id, title, description, writers;
    const char* wrong = scan_object(line, [&](std::string_view key, const JsonValue& value) {
      if (key == "book_id") id = value.raw;
      else if (key == options.title) title = value.raw;
      else if (key == "description") description = value.raw;
      else if (key == "authors" && value.kind == JsonValue::Kind::kArray) writers = value.raw;
    });
    if (wrong) return wrong;
    if (id.empty()) return "expected a book_id";
    BookRow* row = add_wanted(rows, books.find(id), wanted, number, title);
    if (row && descriptions) clean_text(description, row->description);
    if (row && authors) row->authors = author_ids(writers);
    return nullptr;
  }, take);
}

struct AuthorRow {
  std::int32_t author;
  std::string name;
};

// Ids -> names, apart by a comma. Whose name is not to be had keeps his id.
void name_authors(const fs::path& file, std::vector<std::string>& authors, const Options& options, Workspace& workspace, Tally& tally) {
  Names ids;
  std::vector<std::string_view> parts;
  const auto each = [](std::string_view list, const auto& one) {
    while (!list.empty()) {
      const std::size_t end = list.find(' ');
      one(list.substr(0, end));
      list.remove_prefix(end == std::string_view::npos ? list.size() : end + 1);
    }
  };
  for (const std::string& list : authors) each(list, [&](std::string_view id) { ids.insert(id); });
  std::vector<std::string> names(ids.size());
  read_rows<AuthorRow>(file, "reading authors", options, workspace, tally, [&](std::int64_t, std::string_view line, std::vector<AuthorRow>& rows) -> const char* {
    std::string_view id, name;
    const char* wrong = scan_object(line, [&](std::string_view key, const JsonValue& value) {
      if (key == "author_id") id = value.raw;
      else if (key == "name") name = value.raw;
    });
    if (wrong) return wrong;
    const std::int32_t author = ids.find(id);
    if (author >= 0) clean_text(name, rows.emplace_back(AuthorRow{author, {}}).name);
    return nullptr;
  }, [&](AuthorRow& row, std::int64_t) { names[static_cast<std::size_t>(row.author)] = std::move(row.name); });
  std::int64_t nameless = 0;
  for (std::size_t a = 0; a < names.size(); ++a) {
    if (!names[a].empty()) continue;
    names[a] = ids[a];
    ++nameless;
  }
  tally.add("authors without a name, their ids kept", nameless, shown(file));
  for (std::string& list : authors) {
    std::string text;
    each(list, [&](std::string_view id) { (text += text.empty() ? "" : ", ") += names[static_cast<std::size_t>(ids.find(id))]; });
    list = std::move(text);
  }
}

}  // namespace

Catalogue read_catalogue(const Files& files, const Names& books, const std::vector<std::uint8_t>& wanted, const Options& options,
                         Workspace& workspace, Tally& tally) {
  Catalogue catalogue;
  catalogue.in.assign(books.size(), 0);
  catalogue.titles.resize(books.size());
  const bool descriptions = options.wants("description"), authors = options.wants("authors");
  if (descriptions) catalogue.descriptions.resize(books.size());
  if (authors) catalogue.authors.resize(books.size());
  const bool original = options.title == "original_title";
  const fs::path& listing = original ? *files.works : *files.books;
  const auto list = [&](BookRow& row, std::int64_t first_line) {
    const auto book = static_cast<std::size_t>(row.book);
    const std::string where = shown(listing) + ":" + std::to_string(first_line + row.line + 1);
    if (catalogue.in[book]) return tally.add("books listed again, the first kept", 1, where);
    if (row.title.empty()) {
      if (options.untitled == "drop") return tally.add("books without a title, dropped", 1, where);
      tally.add("books without a title, kept", 1, where);
    }
    catalogue.in[book] = 1;
    catalogue.order.push_back(row.book);
    catalogue.titles[book] = std::move(row.title);
    if (original) return;
    if (descriptions) catalogue.descriptions[book] = std::move(row.description);
    if (authors) catalogue.authors[book] = std::move(row.authors);
  };
  if (original) {
    read_works(listing, books, wanted, options, workspace, tally, list);
    if (descriptions || authors) {
      read_books(*files.books, books, wanted, options, workspace, tally, [&](BookRow& row, std::int64_t) {
        const auto book = static_cast<std::size_t>(row.book);
        if (descriptions && catalogue.descriptions[book].empty()) catalogue.descriptions[book] = std::move(row.description);
        if (authors && catalogue.authors[book].empty()) catalogue.authors[book] = std::move(row.authors);
      });
    }
  } else {
    read_books(listing, books, wanted, options, workspace, tally, list);
  }
  if (authors && files.authors) name_authors(*files.authors, catalogue.authors, options, workspace, tally);
  std::int64_t absent = 0;
  for (std::size_t b = 0; b < wanted.size(); ++b) absent += wanted[b] && !catalogue.in[b];
  tally.add("books rated but not in the catalogue (or without a title there), dropped", absent, shown(listing));
  return catalogue;
}

}  // namespace oncekit::goodreads
