#include "table.h"

#include <algorithm>
#include <optional>

#include "oncekit/toy.h"

namespace oncekit::table {
namespace fs = std::filesystem;
namespace {

constexpr int kToyVersion = 1;

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// The column names of a table. Throws Error(kData) when a name is empty or comes twice.
std::vector<std::string> header_of(const TextTable& table) {
  std::vector<std::string_view> fields;
  if (table.lines() > 0) split_fields(table.line(0), '\t', fields);
  std::vector<std::string> names(fields.begin(), fields.end());
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty() || std::find(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(i), names[i]) != names.begin() + static_cast<std::ptrdiff_t>(i))
      throw Error(ErrorKind::kData, "column " + std::to_string(i + 1) + " of the header " + (names[i].empty() ? "has no name" : "is '" + names[i] + "' again"),
                  "the first line names each column once, apart by tabs (docs/formats.md)", table.where(0));
  }
  return names;
}

// The header of items.tsv or users.tsv: "id", then attributes.
std::vector<std::string> attributes_of(const TextTable& table) {
  std::vector<std::string> names = header_of(table);
  if (names.empty() || names[0] != "id")
    throw Error(ErrorKind::kData, "expected a header whose first column is 'id', found " + (names.empty() ? "nothing" : "'" + names[0].substr(0, 40) + "'"),
                "see docs/formats.md", table.where(0));
  names.erase(names.begin());
  return names;
}

// Reads lines of train.tsv, dev.tsv or test.tsv, columns in any order.
class ImpressionReader {
 public:
  ImpressionReader(const TextTable& table, bool labels_needed) {
    static const std::vector<std::string> kKnown{"id", "user", "time", "history", "candidates", "labels"};
    const std::vector<std::string> names = header_of(table);
    Problems problems;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto known = std::find(kKnown.begin(), kKnown.end(), names[i]);
      if (known != kKnown.end()) {
        places_[static_cast<std::size_t>(known - kKnown.begin())] = static_cast<int>(i);
        continue;
      }
      const std::string near = nearest_name(names[i], kKnown);
      problems.add("unknown column '" + names[i].substr(0, 40) + "'; expected some of " + joined(kKnown), near.empty() ? "" : "did you mean '" + near + "'?", table.where(0));
    }
    for (const std::size_t needed : {std::size_t{1}, std::size_t{4}, std::size_t{5}}) {
      if (places_[needed] < 0 && (needed != 5 || labels_needed)) problems.add("the column '" + kKnown[needed] + "' is missing", "see docs/formats.md", table.where(0));
    }
    problems.raise(ErrorKind::kData);
    columns_ = names.size();
  }

  std::string operator()(std::string_view line, ImpressionRow& row) const {
    thread_local std::vector<std::string_view> fields, parts;
    if (split_fields(line, '\t', fields) != columns_)
      return "expected " + std::to_string(columns_) + " columns apart by tabs, as in the header, found " + std::to_string(fields.size());
    const auto field = [&](std::size_t i) { return places_[i] < 0 ? std::string_view() : fields[static_cast<std::size_t>(places_[i])]; };
    row.id = field(0);
    row.user = field(1);
    row.history = field(3);
    if (!field(2).empty()) {
      const std::optional<std::int64_t> time = parse_time(field(2));
      if (!time) return "expected a time such as 2019-11-11 09:05:58 or seconds since 1970, found '" + std::string(field(2).substr(0, 40)) + "'";
      row.time = *time;
    }
    split_fields(field(4), ' ', parts);
    for (const std::string_view part : parts) {
      if (!part.empty()) row.candidates.push_back(part);
    }
    if (places_[5] < 0) return {};
    split_fields(field(5), ' ', parts);
    for (const std::string_view part : parts) {
      if (part.empty()) continue;
      if (part != "0" && part != "1") return "expected labels 0 or 1, found '" + std::string(part.substr(0, 40)) + "'";
      row.labels.push_back(part == "1" ? 1 : 0);
    }
    if (row.labels.size() != row.candidates.size())
      return "expected one label a candidate, found " + std::to_string(row.labels.size()) + " labels and " + std::to_string(row.candidates.size()) + " candidates";
    return {};
  }

 private:
  int places_[6] = {-1, -1, -1, -1, -1, -1};
  std::size_t columns_ = 0;
};

}  // namespace

void Options::describe(Fields& f) {
  f.path("path", path).doc("folder with items.tsv, train.tsv, dev.tsv, test.tsv, perhaps users.tsv");
  f.list("attributes", attributes).doc("columns of items.tsv to load; none named: all");
  f.choice("split", split, {"files", "user", "time", "cold_item"}).doc("the files as they are, or all pooled and cut anew");
  f.real("dev_share", dev_share).range(0, 0.5).doc("of users, impressions or clicked items, with split user, time, cold_item");
  f.real("test_share", test_share).range(0, 0.5).doc("the same for test");
  f.integer("seed", seed).at_least(0).doc("of the split and of the toy; apart from run.seed");
  f.integer("history_limit", history_limit).range(0, 1e6).unit("clicks").doc("clicks kept of a history; 0 = all").under("paper", std::int64_t{30});
  f.choice("history_keep", history_keep, {"newest", "oldest"}).doc("which end of a longer history is kept").under("released", std::string("oldest"));
  f.choice("history_per", history_per, {"impression", "user_first"})
      .doc("each impression's own history, or for all of a user's impressions that of his first row in train, dev, test")
      .under("paper", std::string("user_first")).under("released", std::string("user_first"));
  f.choice("empty_history", empty_history, {"keep", "drop"}).doc("impressions whose history is empty")
      .under("paper", std::string("drop")).under("released", std::string("drop"));
  f.choice("group", group, {"impression", "user"}).doc("what metrics are averaged over unless [evaluate] group says otherwise");
  f.choice("on_bad_line", on_bad_line, {"error", "skip"}).doc("malformed lines: stop and list them, or skip and count them");
  f.boolean("toy", toy).doc("a small made-up corpus in the same layout instead of `path`").demo(true);
}

void Options::validate(Problems& problems) const {
  if (path.empty() && !toy) problems.add("path is empty; expected the folder with items.tsv");
  if (dev_share + test_share >= 1) problems.add("dev_share and test_share leave nothing for training");
}

std::vector<std::string> Table::gives(const Options& options) {
  std::vector<std::string> gives;
  const Description description = Table(options).describe();
  for (const std::string& attribute : description.item_attributes) gives.push_back("item:" + attribute);
  for (const std::string& attribute : description.user_attributes) gives.push_back("user:" + attribute);
  return gives;
}

Description Table::describe() const {
  Description description;
  description.item_attributes = options_.attributes;
  const fs::path root = options_.toy ? toy_folder_ : fs::path(options_.path);
  if (options_.toy && options_.attributes.empty()) description.item_attributes = {"title", "abstract", "category", "subcategory"};
  for (const char* name : {"items.tsv", "users.tsv", "train.tsv", "dev.tsv", "test.tsv"}) {
    const auto file = root.empty() ? std::nullopt : TextTable::find(root / name);
    if (!file) continue;
    description.files.push_back(*file);
    std::error_code code;
    description.bytes += static_cast<std::int64_t>(fs::file_size(*file, code));
    if (name == std::string("items.tsv") && options_.attributes.empty()) description.item_attributes = attributes_of(TextTable(*file));
    if (name == std::string("users.tsv")) description.user_attributes = attributes_of(TextTable(*file));
  }
  description.known = options_.toy || !description.files.empty();
  return description;
}

Corpus Table::load(Workspace& workspace) {
  fs::path root = options_.path;
  if (options_.toy) root = toy_folder_ = cached_toy(*this, "table", kToyVersion, options_.seed, workspace);
  const TextTable items(root / "items.tsv");
  const std::vector<std::string> header = attributes_of(items);
  CorpusRules rules;
  rules.attributes = options_.attributes.empty() ? header : options_.attributes;
  std::vector<std::size_t> columns;
  for (const std::string& name : rules.attributes) {
    const auto at = std::find(header.begin(), header.end(), name);
    if (at == header.end()) {
      const std::string near = nearest_name(name, header);
      throw Error(ErrorKind::kData, "has no column '" + name + "'; it has id, " + joined(header), near.empty() ? "" : "did you mean '" + near + "'?", items.where(0));
    }
    columns.push_back(static_cast<std::size_t>(at - header.begin()) + 1);
  }
  rules.history_limit = options_.history_limit;
  rules.keep_newest = options_.history_keep == "newest";
  rules.first_history_only = options_.history_per == "user_first";
  rules.drop_empty_histories = options_.empty_history == "drop";
  rules.skip_bad_lines = options_.on_bad_line == "skip";

  CorpusBuilder builder("table", rules, workspace);
  builder.read_items(items, 1, [&](std::string_view line, ItemRow& row) -> std::string {
    thread_local std::vector<std::string_view> fields;
    if (split_fields(line, '\t', fields) != header.size() + 1)
      return "expected " + std::to_string(header.size() + 1) + " columns apart by tabs, as in the header, found " + std::to_string(fields.size());
    row.id = fields[0];
    row.values.clear();
    for (const std::size_t column : columns) row.values.push_back(fields[column]);
    return {};
  });
  if (TextTable::find(root / "users.tsv")) {
    const TextTable users(root / "users.tsv");
    builder.read_users(users, 1, attributes_of(users));
  }
  const bool pooled = options_.split != "files";
  const auto read = [&](Part part, const char* name, bool needed) {
    if (!needed && !TextTable::find(root / name)) return;
    const TextTable table(root / name);
    builder.read_impressions(part, table, 1, ImpressionReader(table, part != Part::kTest));
  };
  read(Part::kTrain, "train.tsv", true);
  read(Part::kDev, "dev.tsv", !pooled);
  read(Part::kTest, "test.tsv", false);
  Corpus corpus = builder.finish();
  corpus.group = options_.group;
  const Rng rng = Rng(static_cast<std::uint64_t>(options_.seed)).at("split");
  const SplitShares shares{options_.dev_share, options_.test_share};
  if (options_.split == "user") split_by_user(corpus, shares, rng);
  if (options_.split == "time") split_by_time(corpus, shares);
  if (options_.split == "cold_item") split_by_cold_item(corpus, shares, rng);
  if (!pooled) corpus.facts = read_toy_facts(root);
  return corpus;
}

}  // namespace oncekit::table
