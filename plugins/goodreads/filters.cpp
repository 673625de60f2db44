#include "filters.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "oncekit/error.h"

namespace oncekit::goodreads {
namespace {

constexpr std::size_t kNoCap = std::numeric_limits<std::size_t>::max();
constexpr std::size_t kFirstCap = 30000;  // where the released scripts begin; each step takes a fifth

struct Dropped {
  std::int64_t rare = 0, beyond_cap = 0, readers = 0;
};

// Keeps events of kept books, the first `cap` high and low ratings each, readers with at least `least` high ones. In place.
void keep(Readers& readers, const std::vector<std::uint8_t>& kept, std::size_t cap, std::size_t least, Dropped& dropped) {
  std::size_t to = 0, reader = 0;
  for (std::size_t r = 0; r < readers.size(); ++r) {
    const std::size_t from = readers.begin[r], middle = from + readers.positives[r], end = readers.begin[r + 1], start = to;
    const auto copy = [&](std::size_t i, std::size_t stop) {
      std::size_t n = 0;
      for (; i < stop; ++i) {
        const Event event = readers.events[i];
        if (!kept[event.book]) ++dropped.rare;
        else if (n == cap) ++dropped.beyond_cap;
        else ++n, readers.events[to++] = event;
      }
      return n;
    };
    const std::size_t positives = copy(from, middle);
    if (positives < least) {
      to = start;
      ++dropped.readers;
      continue;
    }
    copy(middle, end);
    // reader <= r, so what is written here is read no more; begin[r + 1] stays for the next.
    readers.names[reader] = readers.names[r];
    readers.positives[reader] = static_cast<std::uint32_t>(positives);
    readers.begin[reader] = start;
    ++reader;
  }
  readers.begin.resize(reader + 1);
  readers.begin[reader] = to;
  readers.names.resize(reader);
  readers.positives.resize(reader);
  readers.events.resize(to);
}

std::vector<std::uint8_t> within(const std::vector<std::uint32_t>& counts, std::int64_t least, std::int64_t most, std::size_t& size) {
  std::vector<std::uint8_t> kept(counts.size(), 0);
  size = 0;
  for (std::size_t b = 0; b < counts.size(); ++b) size += kept[b] = counts[b] > 0 && counts[b] >= least && counts[b] <= most;
  return kept;
}

// Rounds until the set of books is the same twice.
void settle(Readers& readers, std::size_t books, std::int64_t book_min, std::int64_t reader_min, Workspace& workspace, Dropped& dropped) {
  std::size_t last = kNoCap, size = 0;
  for (;;) {
    workspace.check_cancelled();
    const std::vector<std::uint8_t> kept = within(count_books(readers, books), book_min, std::numeric_limits<std::uint32_t>::max(), size);
    if (size == last) return;
    last = size;
    keep(readers, kept, kNoCap, static_cast<std::size_t>(reader_min), dropped);
  }
}

// `n` of [0, size), chosen at random.
std::vector<std::uint8_t> chosen(std::size_t size, std::size_t n, Rng rng) {
  std::vector<std::uint32_t> order(size);
  std::iota(order.begin(), order.end(), 0);
  rng.shuffle(order.data(), size);
  std::vector<std::uint8_t> mark(size, 0);
  for (std::size_t i = 0; i < n; ++i) mark[order[i]] = 1;
  return mark;
}

void remove_readers(Readers& readers, std::size_t n, Rng rng) {
  const std::vector<std::uint8_t> gone = chosen(readers.size(), n, rng);
  Readers left;
  left.events.reserve(readers.events.size());
  for (std::size_t r = 0; r < readers.size(); ++r) {
    if (gone[r]) continue;
    left.names.push_back(readers.names[r]);
    left.positives.push_back(readers.positives[r]);
    left.events.insert(left.events.end(), readers.events.begin() + static_cast<std::ptrdiff_t>(readers.begin[r]),
                       readers.events.begin() + static_cast<std::ptrdiff_t>(readers.begin[r + 1]));
    left.begin.push_back(left.events.size());
  }
  readers = std::move(left);
}

void remove_books(Readers& readers, std::size_t books, std::size_t n, std::size_t least, Rng rng, Dropped& dropped) {
  const std::vector<std::uint32_t> counts = count_books(readers, books);
  std::vector<std::uint32_t> present;
  for (std::size_t b = 0; b < books; ++b)
    if (counts[b] > 0) present.push_back(static_cast<std::uint32_t>(b));
  const std::vector<std::uint8_t> gone = chosen(present.size(), n, rng);
  std::vector<std::uint8_t> kept(books, 0);
  for (std::size_t i = 0; i < present.size(); ++i) kept[present[i]] = !gone[i];
  keep(readers, kept, kNoCap, least, dropped);
}

std::size_t distinct(const Readers& readers, std::size_t books) {
  const std::vector<std::uint32_t> counts = count_books(readers, books);
  return static_cast<std::size_t>(std::count_if(counts.begin(), counts.end(), [](std::uint32_t n) { return n > 0; }));
}

[[noreturn]] void nobody_left(const std::string& after, const Options& options) {
  throw Error(ErrorKind::kData, "no reader is left after " + after,
              "book_first_min = " + std::to_string(options.book_first_min) + ", book_min = " + std::to_string(options.book_min) + " and reader_min = " +
                  std::to_string(options.reader_min) + " under [dataset] ask for more than these files hold; lower them for a small subset");
}

}  // namespace

std::vector<std::uint32_t> count_books(const Readers& readers, std::size_t books) {
  std::vector<std::uint32_t> counts(books, 0);
  for (const Event& event : readers.events) ++counts[event.book];
  return counts;
}

void filter_first(Readers& readers, std::size_t books, const Options& options, Workspace& workspace, Tally& tally) {
  Dropped dropped;
  const std::size_t last_cap = options.reader_cap == 0 ? kNoCap : static_cast<std::size_t>(options.reader_cap);
  std::size_t cap = std::max(kFirstCap, last_cap), last = kNoCap, size = 0;
  for (;;) {
    workspace.check_cancelled();
    const std::vector<std::uint8_t> kept = within(count_books(readers, books), options.book_first_min, options.book_max, size);
    if (size == last) {
      if (cap == last_cap) break;
      cap = std::max(cap / 5, last_cap);
    }
    last = size;
    keep(readers, kept, cap, 1, dropped);
  }
  settle(readers, books, options.book_first_min, options.reader_min, workspace, dropped);
  tally.add("interactions with books seen too rarely or too often, dropped", dropped.rare);
  tally.add("interactions beyond a reader's first " + std::to_string(options.reader_cap) + " high or low ratings, dropped", dropped.beyond_cap);
  tally.add("readers with too few high ratings, dropped", dropped.readers);
  if (readers.size() == 0) nobody_left("the first filters", options);
}

void filter_last(Readers& readers, const std::vector<std::uint8_t>& in_catalogue, const Options& options, Workspace& workspace, Tally& tally) {
  Dropped dropped, outside, removed;
  const std::size_t books = in_catalogue.size();
  const auto least = static_cast<std::size_t>(options.reader_min);
  keep(readers, in_catalogue, kNoCap, least, outside);
  settle(readers, books, options.book_min, options.reader_min, workspace, dropped);
  const Rng rng = Rng(static_cast<std::uint64_t>(options.seed)).at("goodreads removal");
  std::int64_t readers_removed = 0, books_removed = 0;
  const auto users = static_cast<std::size_t>(options.users), items = static_cast<std::size_t>(options.items);
  for (std::uint64_t round = 0;; ++round) {
    workspace.check_cancelled();
    const std::size_t have = distinct(readers, books);
    const double too_many_readers = users > 0 ? static_cast<double>(readers.size()) / static_cast<double>(users) : 0;
    const double too_many_books = items > 0 ? static_cast<double>(have) / static_cast<double>(items) : 0;
    if (too_many_readers <= 1 && too_many_books <= 1) break;
    // Half of what is too many, rounded up, of whichever is further off: removing one takes of the other as well, and neither is to
    // end far below its target.
    if (too_many_books > too_many_readers) {
      const std::size_t n = (have - items + 1) / 2;
      books_removed += static_cast<std::int64_t>(n);
      remove_books(readers, books, n, least, rng.at("books").at(round), removed);
    } else {
      const std::size_t n = (readers.size() - users + 1) / 2;
      readers_removed += static_cast<std::int64_t>(n);
      remove_readers(readers, n, rng.at("readers").at(round));
    }
    settle(readers, books, options.book_min, options.reader_min, workspace, dropped);
  }
  tally.add("interactions with books outside the catalogue, dropped", outside.rare);
  tally.add("books removed at random to come down to dataset.items", books_removed);
  tally.add("readers removed at random to come down to dataset.users", readers_removed);
  tally.add("interactions with books seen too rarely at last, dropped", dropped.rare);
  tally.add("readers with too few high ratings at last, dropped", dropped.readers + outside.readers + removed.readers);
  if (readers.size() == 0) nobody_left("the last filters", options);
}

}  // namespace oncekit::goodreads
