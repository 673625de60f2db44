#include "interactions.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <deque>
#include <limits>

#include "json_line.h"

namespace oncekit::goodreads {
namespace {

constexpr std::uint32_t kLow = 1u << 31;  // set in Event::book while high and low ratings are mixed
constexpr std::uint32_t kGone = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t kPiece = 1 << 16;   // events of a piece of the list that grows while reading
constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};

// Digits at the front, at most `most`, taken off; -1 when there is none.
int digits(std::string_view& text, std::size_t most) {
  int value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + std::min(most, text.size()), value);
  if (code != std::errc() || value < 0) return -1;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool take(std::string_view& text, char expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(1);
  return true;
}

enum Oddity { kUnrated, kMiddle, kDateless, kDisplaced, kOddities };
constexpr std::array<const char*, kOddities> kOddityTexts{
    "interactions without a rating, dropped",
    "interactions rated 3, dropped",
    "interactions rated 4 or 5 without a readable date_added, dropped",
    "interactions rated 4 or 5 added before 1970 or after 2106, dropped"};

struct Row {
  std::string_view book;
  std::uint32_t reader;  // place in Block::readers
  std::uint32_t time;
  bool low;
};

struct Block {
  BlockReport report;
  std::vector<std::string_view> readers;  // of consecutive rows
  std::vector<Row> rows;
  std::array<std::int64_t, kOddities> counts{}, first{};
  void count(Oddity what, std::int64_t line) {
    if (counts[what]++ == 0) first[what] = line;
  }
};

class LineParser {
 public:
  LineParser(const Options& options) : wall_(options.order == "released"), keep_unrated_(options.unrated == "negative") {}

  const char* operator()(std::int64_t number, std::string_view line, Block& block) const {
    std::string_view user, book, date, rating;
    const char* wrong = scan_object(line, [&](std::string_view key, const JsonValue& value) {
      if (value.kind != JsonValue::Kind::kString && value.kind != JsonValue::Kind::kScalar) return;
      if (key == "user_id") user = value.raw;
      else if (key == "book_id") book = value.raw;
      else if (key == "rating") rating = value.raw;
      else if (key == "date_added") date = value.raw;
    });
    if (wrong) return wrong;
    if (user.empty()) return "expected a user_id";
    if (book.empty() || book.find(' ') != std::string_view::npos) return "expected a book_id without blanks";
    if (rating.size() != 1 || rating[0] < '0' || rating[0] > '5') return "expected a rating from 0 to 5";
    if (rating[0] == '3') return block.count(kMiddle, number), nullptr;
    if (rating[0] == '0') {
      if (!keep_unrated_) return block.count(kUnrated, number), nullptr;
    }
    const bool low = rating[0] < '3';
    std::int64_t time = 0;
    if (!low) {
      const std::optional<When> when = parse_date(date);
      if (!when) return block.count(kDateless, number), nullptr;
      time = wall_ ? when->wall : when->utc;
      if (time < 0 || time > std::numeric_limits<std::uint32_t>::max()) return block.count(kDisplaced, number), nullptr;
    }
    if (block.readers.empty() || block.readers.back() != user) block.readers.push_back(user);
    block.rows.push_back({book, static_cast<std::uint32_t>(block.readers.size() - 1), static_cast<std::uint32_t>(time), low});
    return nullptr;
  }

 private:
  bool wall_, keep_unrated_;
};

// Times as the released scripts compare them: decimal numbers as text, so that 999999999 (2001) stands behind 1000000000.
bool text_before(std::uint32_t a, std::uint32_t b) {
  const auto scaled = [](std::uint64_t x) {
    for (; x > 0 && x < 1'000'000'000; x *= 10) {}
    return x;
  };
  const std::uint64_t x = scaled(a), y = scaled(b);
  return x != y ? x < y : a < b;
}

// High ratings in order of time, then low ratings; of a book that comes again only the first in the file stays. Returns how many went.
std::int64_t put_in_order(std::span<Event> events, bool as_text, std::uint32_t& positives, std::vector<std::pair<std::uint32_t, std::uint32_t>>& scratch) {
  scratch.clear();
  for (std::size_t i = 0; i < events.size(); ++i) scratch.emplace_back(events[i].book & ~kLow, static_cast<std::uint32_t>(i));
  std::sort(scratch.begin(), scratch.end());
  std::int64_t gone = 0;
  for (std::size_t i = 1; i < scratch.size(); ++i) {
    if (scratch[i].first != scratch[i - 1].first) continue;
    events[scratch[i].second].book = kGone;
    ++gone;
  }
  const auto rank = [](const Event& e) { return e.book == kGone ? 2 : e.book & kLow ? 1 : 0; };
  std::stable_sort(events.begin(), events.end(), [&](const Event& a, const Event& b) {
    const int x = rank(a), y = rank(b);
    if (x != y || x > 0) return x < y;
    return as_text ? text_before(a.time, b.time) : a.time < b.time;
  });
  positives = 0;
  for (Event& e : events) {
    positives += rank(e) == 0;
    if (e.book != kGone) e.book &= ~kLow;
  }
  return gone;
}

}  // namespace

std::optional<When> parse_date(std::string_view text) {
  if (text.size() < 4 || text[3] != ' ') return {};  // the day of the week says nothing new
  text.remove_prefix(4);
  const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(0, 3));
  if (month == kMonths.end()) return {};
  text.remove_prefix(3);
  if (!take(text, ' ')) return {};
  const int day = digits(text, 2);
  if (!take(text, ' ')) return {};
  const int hour = digits(text, 2);
  if (!take(text, ':')) return {};
  const int minute = digits(text, 2);
  if (!take(text, ':')) return {};
  const int second = digits(text, 2);
  if (!take(text, ' ') || text.empty()) return {};
  const int sign = text[0] == '-' ? -1 : 1;
  if (!take(text, '+') && !take(text, '-')) return {};
  const int zone = text.size() > 4 && text[4] == ' ' ? digits(text, 4) : -1;
  if (!take(text, ' ')) return {};
  const int year = digits(text, 4);
  if (!text.empty() || day < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60 || zone < 0 || zone % 100 > 59 || year < 0) return {};
  namespace ch = std::chrono;
  const ch::year_month_day date{ch::year{year}, ch::month{static_cast<unsigned>(month - kMonths.begin()) + 1}, ch::day{static_cast<unsigned>(day)}};
  if (!date.ok()) return {};
  When when;
  when.wall = static_cast<std::int64_t>(ch::sys_days{date}.time_since_epoch().count()) * 86400 + hour * 3600 + minute * 60 + second;
  when.utc = when.wall - sign * (zone / 100 * 3600 + zone % 100 * 60);
  return when;
}

std::string format_date(std::int64_t utc, int zone_hours) {
  namespace ch = std::chrono;
  const std::int64_t wall = utc + zone_hours * 3600;
  const ch::sys_days day = ch::floor<ch::days>(ch::sys_seconds{ch::seconds{wall}});
  const ch::year_month_day date{day};
  const auto of_day = static_cast<int>(wall - ch::sys_seconds{day}.time_since_epoch().count());
  char text[64];
  std::snprintf(text, sizeof text, "%s %s %02u %02d:%02d:%02d %c%02d00 %d", kDays[ch::weekday{day}.c_encoding()].data(),
                kMonths[static_cast<unsigned>(date.month()) - 1].data(), static_cast<unsigned>(date.day()), of_day / 3600, of_day / 60 % 60, of_day % 60,
                zone_hours < 0 ? '-' : '+', std::abs(zone_hours), static_cast<int>(date.year()));
  return text;
}

std::int32_t Names::find(std::string_view name) const noexcept {
  if (slots_.empty()) return -1;
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = std::hash<std::string_view>{}(name) & mask;; at = (at + 1) & mask) {
    if (slots_[at] < 0 || names_[static_cast<std::size_t>(slots_[at])] == name) return slots_[at];
  }
}

std::int32_t Names::insert(std::string_view name) {
  if (const std::int32_t known = find(name); known >= 0) return known;
  const auto place = [&](std::string_view text) -> std::int32_t& {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = std::hash<std::string_view>{}(text) & mask;
    while (slots_[at] >= 0) at = (at + 1) & mask;
    return slots_[at];
  };
  if (2 * (names_.size() + 1) > slots_.size()) {
    slots_.assign(std::max<std::size_t>(1024, 2 * slots_.size()), -1);
    for (std::size_t i = 0; i < names_.size(); ++i) place(names_[i]) = static_cast<std::int32_t>(i);
  }
  place(name) = static_cast<std::int32_t>(names_.size());
  names_.push_back(name);
  return static_cast<std::int32_t>(names_.size()) - 1;
}

Interactions read_interactions(const std::filesystem::path& file, const Options& options, Workspace& workspace, Tally& tally) {
  struct Raw {
    std::uint32_t user;
    Event event;
  };
  Interactions all;
  std::deque<std::vector<Raw>> pieces;
  std::vector<std::uint32_t> of_user;
  std::vector<Block> blocks(kBlocks);
  const LineParser parse_line(options);
  std::array<std::int64_t, kOddities> counts{}, first{};
  const auto parse = [&](std::size_t i, std::string_view text) {
    Block& block = blocks[i];
    block.rows.clear();
    block.readers.clear();
    block.counts = {};
    each_line(text, block.report, [&](std::int64_t number, std::string_view line) { return parse_line(number, line, block); });
  };
  const auto merge = [&](std::size_t i, std::int64_t first_line) {
    const Block& block = blocks[i];
    for (std::size_t o = 0; o < kOddities; ++o) {
      if (counts[o] == 0) first[o] = first_line + block.first[o];
      counts[o] += block.counts[o];
    }
    std::uint32_t reader = kGone, user = 0;
    for (const Row& row : block.rows) {
      if (row.reader != reader) {
        reader = row.reader;
        user = static_cast<std::uint32_t>(all.users.insert(block.readers[reader]));
        if (user == of_user.size()) of_user.push_back(0);
      }
      const auto book = static_cast<std::uint32_t>(all.books.insert(row.book));
      if (pieces.empty() || pieces.back().size() == kPiece) pieces.emplace_back().reserve(kPiece);
      pieces.back().push_back({user, {row.low ? book | kLow : book, row.time}});
      ++of_user[user];
    }
  };
  all.lines = read_blocks(file, "reading interactions", options.bad_lines, workspace, tally, parse, [&](std::size_t i) -> BlockReport& { return blocks[i].report; }, merge);
  for (std::size_t o = 0; o < kOddities; ++o) tally.add(kOddityTexts[o], counts[o], shown(file) + ":" + std::to_string(first[o] + 1));
  blocks = {};

  // By reader: each has his place; what is copied is freed.
  const std::size_t users = all.users.size();
  std::vector<std::size_t> begin(users + 1, 0);
  for (std::size_t u = 0; u < users; ++u) begin[u + 1] = begin[u] + of_user[u];
  std::vector<Event> events(begin[users]);
  for (std::vector<std::size_t> next(begin.begin(), begin.end() - 1); !pieces.empty(); pieces.pop_front())
    for (const Raw& raw : pieces.front()) events[next[raw.user]++] = raw.event;
  std::vector<std::uint32_t> positives(users, 0);
  constexpr std::int64_t kGrain = 4096;
  std::vector<std::int64_t> gone((users + kGrain - 1) / kGrain, 0);
  workspace.parallel_for(static_cast<std::int64_t>(users), kGrain, [&](std::int64_t from, std::int64_t to) {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> scratch;
    for (auto u = static_cast<std::size_t>(from); u < static_cast<std::size_t>(to); ++u)
      gone[static_cast<std::size_t>(from / kGrain)] += put_in_order(std::span(events).subspan(begin[u], begin[u + 1] - begin[u]), options.order == "released", positives[u], scratch);
  });
  std::int64_t twice = 0, never = 0;
  for (const std::int64_t n : gone) twice += n;
  tally.add("interactions of a reader with a book he had before in the file, dropped", twice);

  Readers& readers = all.readers;
  std::size_t to = 0;
  for (std::size_t u = 0; u < users; ++u) {
    if (positives[u] == 0) {
      ++never;
      continue;
    }
    for (std::size_t i = begin[u]; i < begin[u + 1] && events[i].book != kGone; ++i) events[to++] = events[i];
    readers.names.push_back(static_cast<std::int32_t>(u));
    readers.positives.push_back(positives[u]);
    readers.begin.push_back(to);
  }
  events.resize(to);
  readers.events = std::move(events);
  tally.add("readers who rated nothing 4 or 5, dropped", never);
  return all;
}

}  // namespace oncekit::goodreads
