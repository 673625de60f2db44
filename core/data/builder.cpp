// CorpusBuilder: rows of raw tables -> flat columns. Lines are parsed in chunks of a fixed size on all threads; what depends on
// order (users, histories, counts, messages) is put together on one thread, in the order of the file.
#include <algorithm>
#include <array>
#include <unordered_map>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "data/id_table.h"
#include "data/utf8.h"
#include "oncekit/error.h"
#include "oncekit/tables.h"

namespace oncekit {
namespace {

constexpr std::int64_t kChunk = 2048;  // lines

// Oddities that the chunks count; their texts are what the user sees.
enum Oddity {
  kBadLine, kBlankLine, kUnknownCandidate, kNoCandidateLeft, kTwice, kOneClass, kUnknownClick, kEmptyHistory, kOddities
};
constexpr std::array<const char*, kOddities> kOddityTexts{
    "malformed lines, skipped",
    "blank lines, skipped",
    "candidates unknown to the catalogue, dropped",
    "impressions without a known candidate, dropped",
    "candidates listed twice in one impression, kept",
    "impressions with one class only (all clicked or none), kept",
    "history items unknown to the catalogue, dropped",
    "impressions with an empty history, kept"};

struct Tally {
  std::int64_t n = 0;
  std::size_t line = 0;  // of the first
  void add(std::size_t at) {
    if (n++ == 0) line = at;
  }
};
using Tallies = std::array<Tally, kOddities>;

struct BadLine {
  std::size_t line;
  std::string what;
};

struct Row {
  std::size_t line;
  std::string_view id, user, history;
  std::int64_t time;
  std::uint32_t candidates;
  bool labelled;
};

struct Chunk {
  std::vector<Row> rows;
  std::vector<ItemId> candidates;
  std::vector<std::uint8_t> labels;
  std::vector<BadLine> bad;
  Tallies tallies;
};

struct Hash128 {
  std::uint64_t low, high;
  bool operator==(const Hash128&) const = default;
};
struct HashOfHash {
  std::size_t operator()(const Hash128& h) const noexcept { return h.low; }
};
Hash128 hash128(std::string_view text) {
  const XXH128_hash_t h = XXH3_128bits(text.data(), text.size());
  return {h.low64, h.high64};
}

}  // namespace

struct CorpusBuilder::State {
  CorpusRules rules;
  Workspace& workspace;
  Corpus corpus;
  IdTable items, users;
  std::vector<std::uint64_t> item_digests;  // of the loaded attributes, to tell whether a second listing differs
  Problems problems;
  std::unordered_map<Hash128, std::int32_t, HashOfHash> history_rows;  // by the raw text, or by user

  void count(std::string_view reason, std::string_view where, std::int64_t n) {
    if (n <= 0) return;
    for (Count& count : corpus.counts) {
      if (count.reason == reason) {
        count.count += n;
        return;
      }
    }
    corpus.counts.push_back({std::string(reason), n, std::string(where)});
  }
  void bad_line(const TextTable& table, const BadLine& bad) {
    if (rules.skip_bad_lines) count(kOddityTexts[kBadLine], table.where(bad.line), 1);
    else problems.add("malformed line: " + bad.what, "", table.where(bad.line));
  }
  void count_format(const TextTable& table) {
    if (table.byte_order_mark()) count("files with a byte-order mark, passed over", table.where(0), 1);
    if (table.carriage_returns()) count("files with \\r\\n line ends", table.where(0), 1);
  }
  Impressions& part(Part p) { return p == Part::kTrain ? corpus.train : p == Part::kDev ? corpus.dev : corpus.test; }

  void parse_chunk(const TextTable& table, std::size_t begin, std::size_t end, const ImpressionParser& parser, Chunk& chunk) const;
  std::vector<std::int32_t> read_histories(const std::vector<Chunk>& chunks, Tallies& tallies);
  void append(Part part, const std::vector<Chunk>& chunks, const std::vector<std::int32_t>& histories, Tallies& tallies,
              std::vector<BadLine>& bad);
};

CorpusBuilder::CorpusBuilder(std::string name, CorpusRules rules, Workspace& workspace)
    : state_(new State{std::move(rules), workspace, {}, {}, {}, {}, {}, {}}) {
  state_->corpus.name = std::move(name);
  for (const std::string& attribute : state_->rules.attributes) state_->corpus.items.attributes[attribute];
}

CorpusBuilder::~CorpusBuilder() = default;

void CorpusBuilder::count(std::string_view reason, std::string_view where, std::int64_t n) { state_->count(reason, where, n); }

void CorpusBuilder::read_items(const TextTable& table, std::size_t first_line, const ItemParser& parser) {
  State& s = *state_;
  s.count_format(table);
  std::vector<StringColumn*> columns;
  for (const std::string& attribute : s.rules.attributes) columns.push_back(&s.corpus.items.attributes[attribute]);
  ItemRow row;
  for (std::size_t i = first_line; i < table.lines(); ++i) {
    const std::string_view line = table.line(i);
    if (line.empty()) {
      s.count(kOddityTexts[kBlankLine], table.where(i), 1);
      continue;
    }
    std::string wrong = parser(line, row);
    if (wrong.empty() && row.id.empty()) wrong = "expected an item id in the first column, found nothing";
    if (wrong.empty() && row.id.find(' ') != std::string_view::npos) wrong = "expected an item id without spaces";
    if (!wrong.empty()) {
      s.bad_line(table, {i, std::move(wrong)});
      continue;
    }
    std::uint64_t digest = 0;
    for (const std::string_view value : row.values) digest = mix64(digest ^ XXH3_64bits(value.data(), value.size()));
    bool fresh = false;
    const std::int32_t id = s.items.insert(row.id, &fresh);
    if (!fresh) {
      const bool same = s.item_digests[static_cast<std::size_t>(id)] == digest;
      s.count(same ? "items listed again with the same content" : "items listed again with other content, the first kept", table.where(i), 1);
      continue;
    }
    s.item_digests.push_back(digest);
    bool foreign = false;
    for (std::size_t c = 0; c < columns.size(); ++c) {
      const std::string_view value = row.values[c];
      const std::string& name = s.rules.attributes[c];
      if (value.empty() && (name == "title" || name == "abstract")) s.count("items with an empty " + name, table.where(i), 1);
      if (is_ascii(value)) {
        columns[c]->push_back(value);
      } else if (is_utf8(value)) {
        columns[c]->push_back(value);
        foreign = true;
      } else {
        columns[c]->push_back(mend_utf8(value));
        s.count("item texts that are not UTF-8, mended with U+FFFD", table.where(i), 1);
      }
    }
    if (foreign) s.count("items with non-ASCII text", table.where(i), 1);
  }
}

void CorpusBuilder::read_users(const TextTable& table, std::size_t first_line, const std::vector<std::string>& attributes) {
  State& s = *state_;
  s.count_format(table);
  std::vector<IdTable> vocabularies(attributes.size());
  std::vector<std::vector<std::vector<std::int32_t>>> values(attributes.size());  // by attribute, user, value
  std::vector<std::string_view> fields, parts;
  for (std::size_t i = first_line; i < table.lines(); ++i) {
    if (table.line(i).empty()) {
      s.count(kOddityTexts[kBlankLine], table.where(i), 1);
      continue;
    }
    if (split_fields(table.line(i), '\t', fields) != attributes.size() + 1) {
      s.bad_line(table, {i, "expected " + std::to_string(attributes.size() + 1) + " columns apart by tabs, found " + std::to_string(fields.size())});
      continue;
    }
    bool fresh = false;
    const std::int32_t user = s.users.insert(fields[0], &fresh);
    if (!fresh) {
      s.count("users listed again, the first kept", table.where(i), 1);
      continue;
    }
    for (std::size_t a = 0; a < attributes.size(); ++a) {
      values[a].resize(static_cast<std::size_t>(user) + 1);
      if (fields[a + 1].empty()) continue;
      split_fields(fields[a + 1], '|', parts);
      for (const std::string_view part : parts) values[a].back().push_back(vocabularies[a].insert(part));
    }
  }
  for (std::size_t a = 0; a < attributes.size(); ++a) {
    ListAttribute& column = s.corpus.users.attributes[attributes[a]];
    column.vocabulary = vocabularies[a].take();
    values[a].resize(s.users.size());
    for (const std::vector<std::int32_t>& row : values[a]) column.values.push_back(row);
  }
}

void CorpusBuilder::State::parse_chunk(const TextTable& table, std::size_t begin, std::size_t end, const ImpressionParser& parser,
                                       Chunk& chunk) const {
  ImpressionRow row;
  std::vector<std::size_t> seen_at(items.size(), 0);  // 1 + line where an item was last a candidate
  for (std::size_t i = begin; i < end; ++i) {
    const std::string_view line = table.line(i);
    if (line.empty()) {
      chunk.tallies[kBlankLine].add(i);
      continue;
    }
    row.candidates.clear();
    row.labels.clear();
    row.time = -1;
    std::string wrong = parser(line, row);
    if (wrong.empty() && row.user.empty()) wrong = "expected a user id, found nothing";
    if (wrong.empty() && row.candidates.empty()) wrong = "expected candidates, found none";
    if (!wrong.empty()) {
      chunk.bad.push_back({i, std::move(wrong)});
      continue;
    }
    std::uint32_t known = 0, clicked = 0;
    for (std::size_t c = 0; c < row.candidates.size(); ++c) {
      const ItemId item = items.find(row.candidates[c]);
      if (item < 0) {
        chunk.tallies[kUnknownCandidate].add(i);
        continue;
      }
      if (std::exchange(seen_at[static_cast<std::size_t>(item)], i + 1) == i + 1) chunk.tallies[kTwice].add(i);
      chunk.candidates.push_back(item);
      if (!row.labels.empty()) {
        chunk.labels.push_back(row.labels[c]);
        clicked += row.labels[c];
      }
      ++known;
    }
    if (known > 0 && !row.labels.empty() && (clicked == 0 || clicked == known)) chunk.tallies[kOneClass].add(i);
    chunk.rows.push_back({i, row.id, row.user, row.history, row.time, known, !row.labels.empty()});
  }
}

// The row in corpus.histories of each impression, new histories read on the way.
std::vector<std::int32_t> CorpusBuilder::State::read_histories(const std::vector<Chunk>& chunks, Tallies& tallies) {
  std::vector<std::int32_t> rows;
  std::vector<std::pair<std::string_view, std::size_t>> fresh;  // text and line of histories not met before
  const auto old = static_cast<std::int32_t>(corpus.histories.size());
  for (const Chunk& chunk : chunks) {
    for (const Row& row : chunk.rows) {
      const std::string_view key = rules.first_history_only ? row.user : row.history;
      const auto [at, inserted] = history_rows.try_emplace(hash128(key), old + static_cast<std::int32_t>(fresh.size()));
      if (inserted) fresh.emplace_back(row.history, row.line);
      rows.push_back(at->second);
    }
  }
  struct Read {
    std::vector<ItemId> items;
    std::int64_t unknown = 0;
  };
  std::vector<Read> read(fresh.size());
  workspace.parallel_for(static_cast<std::int64_t>(fresh.size()), kChunk, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::string_view> parts;
    for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      split_fields(fresh[i].first, ' ', parts);
      for (const std::string_view part : parts) {
        if (part.empty()) continue;
        const ItemId item = items.find(part);
        if (item < 0) ++read[i].unknown;
        else read[i].items.push_back(item);
      }
    }
  });
  for (std::size_t i = 0; i < read.size(); ++i) {
    std::span<const ItemId> clicks = read[i].items;
    corpus.clicks_before.push_back(static_cast<std::int32_t>(clicks.size()));
    const auto limit = static_cast<std::size_t>(rules.history_limit);
    if (limit > 0 && clicks.size() > limit) clicks = rules.keep_newest ? clicks.last(limit) : clicks.first(limit);
    corpus.histories.push_back(clicks);
    Tally& unknown = tallies[kUnknownClick];
    if (read[i].unknown > 0 && unknown.n == 0) unknown.line = fresh[i].second;
    unknown.n += read[i].unknown;
  }
  return rows;
}

void CorpusBuilder::State::append(Part p, const std::vector<Chunk>& chunks, const std::vector<std::int32_t>& histories,
                                  Tallies& tallies, std::vector<BadLine>& bad) {
  Impressions& to = part(p);
  bool any_labelled = to.size() > 0 && to.labelled();
  for (const Chunk& chunk : chunks) any_labelled = any_labelled || std::any_of(chunk.rows.begin(), chunk.rows.end(), [](const Row& r) { return r.labelled; });
  const bool labels_wanted = any_labelled || p != Part::kTest;
  std::size_t next = 0;
  for (const Chunk& chunk : chunks) {
    std::size_t candidate = 0, label = 0;
    for (const Row& row : chunk.rows) {
      const std::int32_t history = histories[next++];
      const std::span<const ItemId> shown(chunk.candidates.data() + candidate, row.candidates);
      candidate += row.candidates;
      const std::size_t first_label = label;
      label += row.labelled ? row.candidates : 0;
      const std::int32_t user = users.insert(row.user);
      if (row.labelled != labels_wanted) {
        bad.push_back({row.line, "expected a 0 or 1 with each candidate, as in the other lines, found none"});
        continue;
      }
      if (row.candidates == 0) {
        tallies[kNoCandidateLeft].add(row.line);
        continue;
      }
      if (corpus.histories.length(static_cast<std::size_t>(history)) == 0) {
        tallies[kEmptyHistory].add(row.line);
        if (rules.drop_empty_histories) continue;
      }
      to.ids.push_back(row.id);
      to.users.push_back(user);
      to.histories.push_back(history);
      to.times.push_back(row.time);
      to.candidates.push_back(shown);
      if (row.labelled) to.labels.insert(to.labels.end(), chunk.labels.begin() + static_cast<std::ptrdiff_t>(first_label), chunk.labels.begin() + static_cast<std::ptrdiff_t>(label));
    }
  }
}

void CorpusBuilder::read_impressions(Part part, const TextTable& table, std::size_t first_line, const ImpressionParser& parser) {
  State& s = *state_;
  s.count_format(table);
  const auto lines = static_cast<std::int64_t>(table.lines() - std::min(first_line, table.lines()));
  std::vector<Chunk> chunks(static_cast<std::size_t>((lines + kChunk - 1) / kChunk));
  const auto first = static_cast<std::int64_t>(first_line);
  s.workspace.parallel_for(lines, kChunk, [&](std::int64_t begin, std::int64_t end) {
    s.parse_chunk(table, static_cast<std::size_t>(first + begin), static_cast<std::size_t>(first + end), parser,
                  chunks[static_cast<std::size_t>(begin / kChunk)]);
  });
  s.workspace.check_cancelled();
  Tallies tallies;
  const std::vector<std::int32_t> histories = s.read_histories(chunks, tallies);
  std::vector<BadLine> bad;
  s.append(part, chunks, histories, tallies, bad);
  for (const Chunk& chunk : chunks) {
    bad.insert(bad.end(), chunk.bad.begin(), chunk.bad.end());
    for (std::size_t o = 0; o < kOddities; ++o) {
      if (tallies[o].n == 0) tallies[o].line = chunk.tallies[o].line;
      tallies[o].n += chunk.tallies[o].n;
    }
  }
  std::sort(bad.begin(), bad.end(), [](const BadLine& a, const BadLine& b) { return a.line < b.line; });
  for (const BadLine& b : bad) s.bad_line(table, b);
  for (std::size_t o = 0; o < kOddities; ++o) {
    std::string text = kOddityTexts[o];
    if (o == kEmptyHistory && s.rules.drop_empty_histories) text = "impressions with an empty history, dropped";
    if (tallies[o].n > 0) s.count(text, table.where(tallies[o].line), tallies[o].n);
  }
}

Corpus CorpusBuilder::finish() {
  State& s = *state_;
  if (!s.problems.empty()) s.problems.raise(ErrorKind::kData);
  for (const Count& count : s.corpus.counts) s.workspace.count(count.reason, count.first, count.count);
  for (auto& [name, column] : s.corpus.users.attributes) {
    while (column.values.size() < s.users.size()) column.values.push_back({});
  }
  s.corpus.items.ids = s.items.take();
  s.corpus.items.listed = s.corpus.items.ids.size();
  s.corpus.users.ids = s.users.take();
  return std::move(s.corpus);
}

}  // namespace oncekit
