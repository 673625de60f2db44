#include "mind.h"

#include <algorithm>
#include <array>

#include "oncekit/toy.h"

namespace oncekit::mind {
namespace fs = std::filesystem;
namespace {

constexpr std::array<const char*, 8> kColumns{"id", "category", "subcategory", "title", "abstract", "url", "title_entities", "abstract_entities"};
constexpr int kToyVersion = 1;

std::optional<fs::path> folder(const fs::path& root, const std::string& part) {
  std::error_code ignored;
  for (const char* prefix : {"", "MINDsmall_", "MINDlarge_", "MINDdemo_"}) {
    const fs::path candidate = root / (prefix + part);
    if (fs::is_directory(candidate, ignored)) return candidate;
  }
  return std::nullopt;
}

std::string columns_expected(std::size_t wanted, std::size_t found) {
  return "expected " + std::to_string(wanted) + " columns apart by tabs, found " + std::to_string(found);
}

// What is wrong, with the part of the line that shows it.
std::string quoted(std::string_view text) {
  constexpr std::size_t kShown = 40;
  return "'" + std::string(text.substr(0, kShown)) + (text.size() > kShown ? "..." : "") + "'";
}

}  // namespace

void Options::describe(Fields& f) {
  f.path("path", path).doc("folder with train/ and dev/ (or MINDsmall_train/ and MINDsmall_dev/), test/ if there is one");
  f.choice("split", split, {"released", "files", "user", "time", "cold_item"})
      .doc("released: a test folder is the test set, else dev is cut 5:5 into dev and test; files: the folders as they are; "
           "user, time, cold_item: all pooled and cut anew")
      .cite("Liu et al. 2024, section 5.1 (5:5)");
  f.path("split_list", split_list)
      .doc("impression ids of dev, first half dev, rest test (the released mind_imp_list.json); a bare name lies beside the data; empty: a shuffle by `seed`")
      .cite("github.com/Jyonn/ONCE");
  f.real("dev_share", dev_share).range(0, 0.5).doc("of users, impressions or clicked items, with split user, time, cold_item");
  f.real("test_share", test_share).range(0, 0.5).doc("the same for test");
  f.integer("seed", seed).at_least(0).doc("of the split and of the toy; apart from run.seed");
  f.integer("history_limit", history_limit).range(0, 1e6).unit("clicks").doc("clicks kept of a history; 0 = all")
      .under("paper", std::int64_t{30}).cite("Liu et al. 2024, section 5.1");
  f.choice("history_keep", history_keep, {"newest", "oldest"}).doc("which end of a longer history is kept")
      .under("released", std::string("oldest")).cite("Legommenders truncates to the first 50");
  f.choice("history_per", history_per, {"impression", "user_first"})
      .doc("each impression's own history, or for all of a user's impressions that of his first row in train, dev, test")
      .under("paper", std::string("user_first")).under("released", std::string("user_first"));
  f.choice("empty_history", empty_history, {"keep", "drop"}).doc("impressions whose history is empty")
      .under("paper", std::string("drop")).under("released", std::string("drop"));
  f.list("attributes", attributes).one_of({"title", "category", "subcategory", "abstract", "url", "title_entities", "abstract_entities"})
      .doc("columns of news.tsv to load");
  f.choice("group", group, {"impression", "user"}).doc("what metrics are averaged over unless [evaluate] group says otherwise");
  f.choice("on_bad_line", on_bad_line, {"error", "skip"}).doc("malformed lines: stop and list them, or skip and count them");
  f.boolean("toy", toy).doc("a small made-up corpus in the same layout instead of `path`").demo(true);
}

void Options::validate(Problems& problems) const {
  if (attributes.empty()) problems.add("attributes is empty; expected at least one, e.g. [\"title\"]");
  if (path.empty() && !toy) problems.add("path is empty; expected the folder with train/ and dev/");
  if (!split_list.empty() && split != "released") problems.add("split_list is only used with split = \"released\"");
  if (dev_share + test_share >= 1) problems.add("dev_share and test_share leave nothing for training");
}

Folders Folders::find(const fs::path& root) {
  const std::optional<fs::path> train = folder(root, "train");
  if (!train) {
    std::error_code ignored;
    const bool exists = fs::is_directory(root, ignored);
    throw Error(ErrorKind::kData, exists ? "has no folder train/ (nor MINDsmall_train/ or MINDlarge_train/)" : "no such folder",
                "set dataset.path to the folder that holds them; how to get MIND: datasets/mind/README.md", root.string());
  }
  return {*train, folder(root, "dev"), folder(root, "test")};
}

ItemParser news_parser(const std::vector<std::string>& attributes) {
  std::vector<std::size_t> columns;
  for (const std::string& name : attributes)
    columns.push_back(static_cast<std::size_t>(std::find(kColumns.begin(), kColumns.end(), name) - kColumns.begin()));
  return [columns](std::string_view line, ItemRow& row) -> std::string {
    thread_local std::vector<std::string_view> fields;
    if (split_fields(line, '\t', fields) != kColumns.size()) return columns_expected(kColumns.size(), fields.size()) +
        " (id, category, subcategory, title, abstract, url, title entities, abstract entities)";
    row.id = fields[0];
    row.values.clear();
    for (const std::size_t column : columns) row.values.push_back(fields[column]);
    return {};
  };
}

std::string parse_behavior(std::string_view line, ImpressionRow& row) {
  thread_local std::vector<std::string_view> fields, shown;
  if (split_fields(line, '\t', fields) != 5)
    return columns_expected(5, fields.size()) + " (impression id, user, time, history, candidates)";
  row.id = fields[0];
  row.user = fields[1];
  row.history = fields[3];
  if (!fields[2].empty()) {
    const std::optional<std::int64_t> time = parse_time(fields[2]);
    if (!time) return "expected a time such as 11/11/2019 9:05:58 AM, found " + quoted(fields[2]);
    row.time = *time;
  }
  split_fields(fields[4], ' ', shown);
  bool unlabelled = false;
  for (const std::string_view candidate : shown) {
    if (candidate.empty()) continue;
    const std::size_t n = candidate.size();
    const bool labelled = n > 2 && candidate[n - 2] == '-' && (candidate[n - 1] == '0' || candidate[n - 1] == '1');
    if (!labelled && candidate.back() == '-') return "expected candidates such as N123-0 or N123-1, found " + quoted(candidate);
    if (row.candidates.empty()) unlabelled = !labelled;
    if (labelled == unlabelled) return "expected a 0 or 1 with each candidate, as in N123-0, or with none, found " + quoted(candidate);
    row.candidates.push_back(labelled ? candidate.substr(0, n - 2) : candidate);
    if (labelled) row.labels.push_back(candidate[n - 1] == '1' ? 1 : 0);
  }
  return {};
}

std::vector<std::string> Mind::gives(const Options& options) {
  std::vector<std::string> gives;
  for (const std::string& attribute : options.attributes) gives.push_back("item:" + attribute);
  return gives;
}

Description Mind::describe() const {
  Description description;
  description.item_attributes = options_.attributes;
  const fs::path root = options_.toy ? toy_folder_ : fs::path(options_.path);
  for (const char* part : {"train", "dev", "test"}) {
    const std::optional<fs::path> at = root.empty() ? std::nullopt : folder(root, part);
    if (!at) continue;
    for (const char* name : {"news.tsv", "behaviors.tsv"}) {
      std::error_code code;
      if (const auto file = TextTable::find(*at / name)) {
        description.files.push_back(*file);
        description.bytes += static_cast<std::int64_t>(fs::file_size(*file, code));
      }
    }
  }
  return description;
}

Corpus Mind::load(Workspace& workspace) {
  fs::path root = options_.path;
  if (options_.toy) root = toy_folder_ = cached_toy(*this, "mind", kToyVersion, options_.seed, workspace);
  const Folders folders = Folders::find(root);
  const bool pooled = options_.split == "user" || options_.split == "time" || options_.split == "cold_item";
  if (!folders.dev && !pooled)
    throw Error(ErrorKind::kData, "has no folder dev/ (nor MINDsmall_dev/ or MINDlarge_dev/)",
                "split = \"user\", \"time\" or \"cold_item\" makes dev and test out of train", root.string());

  CorpusRules rules;
  rules.attributes = options_.attributes;
  rules.history_limit = options_.history_limit;
  rules.keep_newest = options_.history_keep == "newest";
  rules.first_history_only = options_.history_per == "user_first";
  rules.drop_empty_histories = options_.empty_history == "drop";
  rules.skip_bad_lines = options_.on_bad_line == "skip";
  CorpusBuilder builder("mind", rules, workspace);
  std::vector<fs::path> parts{folders.train};
  if (folders.dev) parts.push_back(*folders.dev);
  if (folders.test) parts.push_back(*folders.test);
  const ItemParser news = news_parser(options_.attributes);
  for (const fs::path& part : parts) {
    // Items may all be listed with train; other folders need no list of their own.
    if (part == folders.train || TextTable::find(part / "news.tsv")) builder.read_items(TextTable(part / "news.tsv"), 0, news);
  }
  builder.read_impressions(Part::kTrain, TextTable(folders.train / "behaviors.tsv"), 0, parse_behavior);
  if (folders.dev) builder.read_impressions(Part::kDev, TextTable(*folders.dev / "behaviors.tsv"), 0, parse_behavior);
  if (folders.test) builder.read_impressions(Part::kTest, TextTable(*folders.test / "behaviors.tsv"), 0, parse_behavior);
  Corpus corpus = builder.finish();
  corpus.group = options_.group;
  split(corpus, folders.test.has_value());
  if (!pooled) corpus.facts = read_toy_facts(root);  // the facts are about the toy's own test
  return corpus;
}

void Mind::split(Corpus& corpus, bool has_test) const {
  const Rng rng = Rng(static_cast<std::uint64_t>(options_.seed)).at("split");
  const SplitShares shares{options_.dev_share, options_.test_share};
  if (options_.split == "user") return split_by_user(corpus, shares, rng);
  if (options_.split == "time") return split_by_time(corpus, shares);
  if (options_.split == "cold_item") return split_by_cold_item(corpus, shares, rng);
  if (options_.split == "files" || has_test) return;
  if (options_.split_list.empty()) return halve_dev(corpus, rng);
  fs::path list = options_.split_list;
  if (!list.has_parent_path()) list = fs::path(options_.path) / list;
  std::error_code code;
  if (!fs::exists(list, code))
    throw Error(ErrorKind::kData, "the list that cuts dev into dev and test is not there",
                "it is mind_imp_list.json of github.com/Jyonn/ONCE, in LegoV2/processor: put it there, or take a seeded shuffle by '~dataset.split_list' (another "
                "split than the paper's)",
                list.string());
  halve_dev(corpus, list);
}

}  // namespace oncekit::mind
