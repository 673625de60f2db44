// The toy in Goodreads' raw layout: clicks are ratings of 4 and 5, what was shown and not clicked 1 and 2. Impressions are made anew by
// load(), so what can be known of them (the best possible AUC) is computed there, from the tastes that toy_tastes.tsv keeps.
#include "oncekit/toy.h"

#include <zlib.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <set>

#include "goodreads.h"
#include "oncekit/error.h"
#include "oncekit/tables.h"
#include "stream.h"

namespace oncekit::goodreads {
namespace fs = std::filesystem;
namespace {

constexpr const char* kTastes = "toy_tastes.tsv";
constexpr std::size_t kMostLow = 30;        // low ratings a reader; the toy shows far more than anybody rates
constexpr std::size_t kSmallWorld = 200;    // readers; below, the filters' least numbers are made up for
constexpr std::size_t kEnough = 12;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

// Text in quotes, all but ASCII as \uXXXX: as in the files as distributed.
std::string json_string(std::string_view text) {
  std::string out = "\"";
  const auto unit = [&](std::uint32_t u) {
    static constexpr char kHex[] = "0123456789abcdef";
    out += "\\u";
    for (int shift = 12; shift >= 0; shift -= 4) out += kHex[u >> shift & 15];
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '"' || byte == '\\') (out += '\\') += text[i];
    else if (byte < 0x20) unit(byte);
    else if (byte < 0x80) out += text[i];
    else {
      const std::size_t tail = byte >= 0xF0 ? 3 : byte >= 0xE0 ? 2 : 1;
      std::uint32_t c = byte & (0x3Fu >> tail);
      for (std::size_t k = 0; k < tail && i + 1 < text.size(); ++k) c = c << 6 | (static_cast<unsigned char>(text[++i]) & 0x3Fu);
      if (c >= 0x10000) {
        unit(0xD800 + ((c - 0x10000) >> 10));
        unit(0xDC00 + ((c - 0x10000) & 0x3FF));
      } else {
        unit(c);
      }
    }
  }
  return out + '"';
}

void write_gzip(const fs::path& file, const std::string& text) {
  const gzFile out = gzopen(file.c_str(), "wb1");
  const bool written = out && gzwrite(out, text.data(), static_cast<unsigned>(text.size())) == static_cast<int>(text.size());
  if (!out || (gzclose(out) != Z_OK) || !written)
    throw Error(ErrorKind::kRun, "cannot be written whole", "check the folder's permissions and the room on the disk", shown(file));
}

void write_plain(const fs::path& file, const std::string& text) {
  std::ofstream out(file, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw Error(ErrorKind::kRun, "cannot be written whole", "check the folder's permissions and the room on the disk", shown(file));
}

std::string reader_id(std::string_view name) {
  char text[40];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(hash_name(name)),
                static_cast<unsigned long long>(mix64(hash_name(name))));
  return text;
}

// Book ids are numbers: those within the items' ids where they differ, else 1, 2, ...
std::vector<std::string> book_ids(const Items& items) {
  std::vector<std::string> ids;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string_view id = items.ids[i];
    const std::size_t digit = id.find_first_of("0123456789");
    ids.emplace_back(digit == std::string_view::npos ? "" : id.substr(digit));
    if (ids.back().find_first_not_of("0123456789") != std::string::npos || ids.back().empty() || !seen.insert(ids.back()).second) break;
  }
  if (seen.size() == items.size()) return ids;
  ids.clear();
  for (std::size_t i = 0; i < items.size(); ++i) ids.push_back(std::to_string(i + 1));
  return ids;
}

struct Reader {
  std::vector<std::pair<ItemId, std::int64_t>> high;  // oldest first, each item once
  std::vector<ItemId> low;
  bool has(ItemId item) const {
    return std::any_of(high.begin(), high.end(), [&](const auto& h) { return h.first == item; }) || std::find(low.begin(), low.end(), item) != low.end();
  }
};

std::vector<Reader> readers_of(const ToyWorld& world) {
  std::vector<Reader> readers(world.user_ids.size());
  std::vector<std::vector<const ToyWorld::Row*>> rows(readers.size());
  for (const auto* part : {&world.train, &world.dev, &world.test})
    for (const ToyWorld::Row& row : *part) rows[at(row.user)].push_back(&row);
  for (std::size_t u = 0; u < readers.size(); ++u) {
    Reader& reader = readers[u];
    std::stable_sort(rows[u].begin(), rows[u].end(), [](const auto* a, const auto* b) { return a->time < b->time; });
    if (rows[u].empty()) continue;
    const std::vector<ItemId>& history = rows[u].front()->history;
    for (std::size_t i = 0; i < history.size(); ++i)
      if (!reader.has(history[i])) reader.high.emplace_back(history[i], rows[u].front()->time - static_cast<std::int64_t>(86400 * (history.size() - i)));
    for (const ToyWorld::Row* row : rows[u])
      for (std::size_t c = 0; c < row->shown.size(); ++c)
        if (row->clicked[c] && !reader.has(row->shown[c])) reader.high.emplace_back(row->shown[c], row->time);
    for (const ToyWorld::Row* row : rows[u])
      for (const ItemId item : row->shown)
        if (!reader.has(item)) reader.low.push_back(item);
    Rng rng = Rng(hash_name(world.user_ids[u])).at("low ratings");
    rng.shuffle(reader.low.data(), reader.low.size());
    reader.low.resize(std::min(reader.low.size(), kMostLow));
  }
  return readers;
}

// A world as small as the test kit's would not outlive the filters: more readings make up for it.
void top_up(std::vector<Reader>& readers, std::size_t items) {
  std::vector<std::size_t> seen(items, 0);
  for (std::size_t u = 0; u < readers.size(); ++u) {
    Rng rng = Rng(hash_name("top up")).at(u);
    for (std::size_t tries = 0; readers[u].high.size() < std::min(kEnough, items) && tries < 100 * items; ++tries) {
      const auto item = static_cast<ItemId>(rng.below(items));
      const std::int64_t last = readers[u].high.empty() ? 1573344000 : readers[u].high.back().second;
      if (!readers[u].has(item)) readers[u].high.emplace_back(item, last + 3600);
    }
    for (const auto& [item, time] : readers[u].high) ++seen[at(item)];
    for (const ItemId item : readers[u].low) ++seen[at(item)];
  }
  for (std::size_t i = 0; i < items; ++i) {
    for (std::size_t u = 0; u < readers.size() && seen[i] < kEnough; ++u) {
      const auto item = static_cast<ItemId>(i);
      if (readers[u].has(item)) continue;
      readers[u].low.push_back(item);
      ++seen[i];
    }
  }
}

// The topic of each item by the public table of words; -1 where its title holds none of them.
std::vector<int> topics_of(const Items& items) {
  const ToyVocabulary vocabulary = toy_vocabulary({});
  std::map<std::string, int, std::less<>> topic_of;
  for (std::size_t t = 0; t < vocabulary.words.size(); ++t)
    for (const std::string& word : vocabulary.words[t]) topic_of[word] = static_cast<int>(t);
  std::vector<int> topics(items.size(), -1);
  std::vector<std::string_view> words;
  for (std::size_t i = 0; i < items.size(); ++i) {
    split_fields(items.attribute("title")[i], ' ', words);
    for (const std::string_view word : words)
      if (const auto found = topic_of.find(word); found != topic_of.end()) topics[i] = found->second;
  }
  return topics;
}

// What a reader likes shows in what he rated high: nine of ten are of his one to three topics, the rest fall anywhere.
void write_tastes(const ToyWorld& world, const std::vector<Reader>& readers, const std::vector<std::string>& books, const fs::path& file) {
  const std::vector<int> topics = topics_of(world.items);
  if (std::any_of(topics.begin(), topics.end(), [](int topic) { return topic < 0; })) return;  // not a planted world
  std::string text;
  for (std::size_t i = 0; i < topics.size(); ++i) text += "book\t" + books[i] + '\t' + std::to_string(topics[i]) + '\n';
  for (std::size_t u = 0; u < readers.size(); ++u) {
    std::map<int, std::size_t> counts;
    for (const auto& [item, time] : readers[u].high) ++counts[topics[at(item)]];
    text += "reader\t" + reader_id(world.user_ids[u]) + '\t';
    std::string own;
    for (const auto& [topic, n] : counts)
      if (n >= 2 && 100 * n >= 15 * readers[u].high.size()) own += (own.empty() ? "" : " ") + std::to_string(topic);
    text += own + '\n';
  }
  write_plain(file, text);
}

std::string interactions_of(const Reader& reader, const std::string& id, const std::vector<std::string>& books, Rng rng) {
  std::string lines;
  const auto add = [&](ItemId item, int rating, std::int64_t time) {
    const std::string date = json_string(format_date(time, rng.below(2) ? -8 : -7));
    char review[40];
    std::snprintf(review, sizeof review, "%016llx%016llx", static_cast<unsigned long long>(rng()), static_cast<unsigned long long>(rng()));
    lines += "{\"user_id\": \"" + id + "\", \"book_id\": \"" + books[at(item)] + "\", \"review_id\": \"" + review + "\", \"is_read\": " +
             (rating > 0 ? "true" : "false") + ", \"rating\": " + std::to_string(rating) + ", \"review_text_incomplete\": \"\", \"date_added\": " + date +
             ", \"date_updated\": " + date + ", \"read_at\": \"\", \"started_at\": \"\"}\n";
  };
  const std::int64_t last = reader.high.empty() ? 1573344000 : reader.high.back().second;
  // Newest first, as in the files as distributed; a book rated 3 and one that is only on a shelf among them.
  for (int rating : {0, 3})
    for (int tries = 0; tries < 20; ++tries) {
      const auto item = static_cast<ItemId>(rng.below(books.size()));
      if (reader.has(item)) continue;
      if (rating == 3 && tries == 0) continue;  // not the one that the shelf may have got
      add(item, rating, last + 60);
      break;
    }
  for (std::size_t i = reader.low.size(); i-- > 0;) add(reader.low[i], rng.below(2) ? 1 : 2, last - static_cast<std::int64_t>(rng.below(5 * 86400)));
  for (std::size_t i = reader.high.size(); i-- > 0;) add(reader.high[i].first, rng.below(3) ? 5 : 4, reader.high[i].second);
  return lines;
}

}  // namespace

void Goodreads::write_toy(const ToyWorld& world, const fs::path& folder) const {
  const std::vector<std::string> books = book_ids(world.items);
  std::vector<Reader> readers = readers_of(world);
  if (readers.size() < kSmallWorld) top_up(readers, world.items.size());

  const auto value = [&](const char* name, std::size_t i) -> std::string_view {
    const auto column = world.items.attributes.find(name);
    return column == world.items.attributes.end() ? std::string_view() : column->second[i];
  };
  std::map<std::string_view, std::size_t> sections;  // categories stand in as authors
  std::string book_lines, work_lines, author_lines, lines;
  for (std::size_t i = 0; i < world.items.size(); ++i) {
    const std::string title = json_string(value("title", i)), work = std::to_string(500000 + i);
    std::string authors;
    if (!value("category", i).empty()) {
      const std::size_t author = sections.try_emplace(value("category", i), 900 + sections.size()).first->second;
      authors = "{\"author_id\": \"" + std::to_string(author) + "\", \"role\": \"\"}";
    }
    book_lines += "{\"isbn\": \"\", \"text_reviews_count\": \"1\", \"series\": [], \"country_code\": \"US\", \"language_code\": \"eng\", \"popular_shelves\": [{\"count\": \"3\", \"name\": \"to-read\"}], \"description\": " +
                  json_string(value("abstract", i)) + ", \"authors\": [" + authors + "], \"book_id\": \"" + books[i] + "\", \"ratings_count\": \"10\", \"work_id\": \"" + work +
                  "\", \"title\": " + title + ", \"title_without_series\": " + title + "}\n";
    work_lines += "{\"books_count\": \"1\", \"best_book_id\": \"" + books[i] + "\", \"original_title\": " + title + ", \"work_id\": \"" + work + "\"}\n";
  }
  for (const auto& [name, author] : sections) author_lines += "{\"average_rating\": \"4.0\", \"author_id\": \"" + std::to_string(author) + "\", \"name\": " + json_string(name) + "}\n";
  for (std::size_t u = 0; u < readers.size(); ++u) {
    const std::string id = reader_id(world.user_ids[u]);
    lines += interactions_of(readers[u], id, books, Rng(hash_name(id)));
  }
  write_gzip(folder / "goodreads_interactions_dedup.json.gz", lines);
  write_gzip(folder / "goodreads_books.json.gz", book_lines);
  write_plain(folder / "goodreads_book_works.json", work_lines);
  write_plain(folder / "goodreads_book_authors.json", author_lines);
  write_tastes(world, readers, books, folder / kTastes);
}

std::map<std::string, double> toy_facts(const Corpus& corpus, const fs::path& folder) {
  if (!TextTable::find(folder / kTastes)) return {};
  const TextTable table(folder / kTastes);
  std::map<std::string, int, std::less<>> topic_of;
  std::map<std::string, std::set<int>, std::less<>> likes_of;
  std::vector<std::string_view> fields, parts;
  for (std::size_t l = 0; l < table.lines(); ++l) {
    if (table.line(l).empty()) continue;
    if (split_fields(table.line(l), '\t', fields) != 3)
      throw Error(ErrorKind::kData, "expected 3 columns apart by tabs", "write the toy anew: oncekit data toy DIR --layout goodreads", table.where(l));
    split_fields(fields[2], ' ', parts);
    for (const std::string_view part : parts) {
      if (part.empty()) continue;
      const int topic = std::atoi(std::string(part).c_str());
      if (fields[0] == "book") topic_of[std::string(fields[1])] = topic;
      else likes_of[std::string(fields[1])].insert(topic);
    }
  }
  std::vector<int> topics;
  for (std::size_t i = 0; i < corpus.items.size(); ++i) {
    const auto found = topic_of.find(corpus.items.ids[i]);
    topics.push_back(found == topic_of.end() ? -1 : found->second);
  }
  // Mean over impressions of the share of (clicked, other) pairs that a score puts in the right order, ties half.
  const auto auc = [&](const Impressions& rows, const auto& score) {
    double sum = 0;
    std::size_t n = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::size_t first = rows.candidates.offsets()[i];
      std::vector<double> clicked, other;
      for (std::size_t c = 0; c < rows.candidates.length(i); ++c) (rows.labels[first + c] ? clicked : other).push_back(score(i, rows.candidates[i][c]));
      if (clicked.empty() || other.empty()) continue;
      double right = 0;
      for (const double a : clicked)
        for (const double b : other) right += a > b ? 1.0 : a == b ? 0.5 : 0.0;
      sum += right / static_cast<double>(clicked.size() * other.size());
      ++n;
    }
    return n ? sum / static_cast<double>(n) : 0.5;
  };
  const auto liked = [&](const Impressions& rows) {
    return auc(rows, [&](std::size_t i, ItemId item) -> double {
      const auto found = likes_of.find(corpus.users.ids[at(rows.users[i])]);
      return found != likes_of.end() && found->second.count(topics[at(item)]) ? 1 : 0;
    });
  };
  std::map<std::string, double> facts;
  facts["best_auc"] = liked(corpus.test);
  facts["dev_best_auc"] = liked(corpus.dev);
  facts["history_auc"] = auc(corpus.test, [&](std::size_t i, ItemId item) {
    const auto history = corpus.histories[at(corpus.test.histories[i])];
    const auto same = std::count_if(history.begin(), history.end(), [&](ItemId click) { return topics[at(click)] == topics[at(item)]; });
    return static_cast<double>(std::min<std::ptrdiff_t>(2, same));
  });
  return facts;
}

}  // namespace oncekit::goodreads
