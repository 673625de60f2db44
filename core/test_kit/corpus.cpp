// What every dataset and every augmenter must do, and what makes a corpus sane.
#include <algorithm>
#include <set>

#include "oncekit/augmenter.h"
#include "test_kit/checks.h"

namespace oncekit::test_kit {
namespace {

constexpr std::size_t kMost = 20;

struct List {
  std::vector<std::string> texts;
  void add(const std::string& text) {
    if (texts.size() < kMost) texts.push_back(text);
  }
};

void check_impressions(const Corpus& corpus, const Impressions& part, const std::string& split, List& list) {
  const std::size_t n = part.size();
  const auto column = [&](std::size_t size, const char* what) {
    if (size != n) list.add(split + "." + what + " has " + std::to_string(size) + " rows, users has " + std::to_string(n));
  };
  column(part.ids.size(), "ids");
  column(part.histories.size(), "histories");
  column(part.times.size(), "times");
  column(part.candidates.size(), "candidates");
  if (!part.labels.empty() && !part.labelled()) list.add(split + ".labels has " + std::to_string(part.labels.size()) + " values, candidates " + std::to_string(part.candidates.values().size()));
  for (std::size_t i = 0; i < n; ++i) {
    if (part.users[i] < 0 || static_cast<std::size_t>(part.users[i]) >= corpus.users.size()) list.add(split + ": impression " + std::to_string(i) + " has a user out of range");
    if (i < part.histories.size() && (part.histories[i] < 0 || static_cast<std::size_t>(part.histories[i]) >= corpus.histories.size()))
      list.add(split + ": impression " + std::to_string(i) + " has a history out of range");
    if (i < part.candidates.size() && part.candidates.length(i) == 0) list.add(split + ": impression " + std::to_string(i) + " has no candidates");
  }
  for (const ItemId item : part.candidates.values())
    if (item < 0 || static_cast<std::size_t>(item) >= corpus.items.listed) list.add(split + ": candidate " + std::to_string(item) + " is no listed item");
  for (const std::uint8_t label : part.labels)
    if (label > 1) list.add(split + ": a label is " + std::to_string(label));
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : "; ") + text;
  return all;
}

class NoAnswers final : public Answers {
 public:
  std::span<const Parsed> about_item(ItemId) const override { return {}; }
  std::span<const Parsed> about_history(std::int32_t) const override { return {}; }
};

bool same(const Impressions& a, const Impressions& b) {
  const auto equal = [](auto x, auto y) { return std::equal(x.begin(), x.end(), y.begin(), y.end()); };
  return a.ids.bytes() == b.ids.bytes() && a.users == b.users && a.histories == b.histories && a.times == b.times && a.labels == b.labels &&
         equal(a.candidates.values(), b.candidates.values()) && equal(a.candidates.offsets(), b.candidates.offsets());
}

std::string corpora_differ(const Corpus& a, const Corpus& b) {
  const auto equal = [](auto x, auto y) { return std::equal(x.begin(), x.end(), y.begin(), y.end()); };
  if (a.items.ids.bytes() != b.items.ids.bytes()) return "item ids differ";
  if (a.users.ids.bytes() != b.users.ids.bytes()) return "user ids differ";
  for (const auto& [name, column] : a.items.attributes)
    if (!b.items.attributes.count(name) || b.items.attributes.at(name).bytes() != column.bytes()) return "item attribute '" + name + "' differs";
  if (!equal(a.histories.values(), b.histories.values()) || !equal(a.histories.offsets(), b.histories.offsets())) return "histories differ";
  if (!same(a.train, b.train)) return "train differs";
  if (!same(a.dev, b.dev)) return "dev differs";
  return same(a.test, b.test) ? "" : "test differs";
}

}  // namespace

std::vector<std::string> corpus_problems(const Corpus& corpus) {
  List list;
  if (corpus.name.empty()) list.add("the corpus has no name");
  if (corpus.items.size() == 0) list.add("there are no items");
  if (corpus.items.listed > corpus.items.size()) list.add("items.listed is larger than the number of items");
  for (const auto& [name, column] : corpus.items.attributes)
    if (column.size() != corpus.items.size()) list.add("item attribute '" + name + "' has " + std::to_string(column.size()) + " rows, there are " + std::to_string(corpus.items.size()) + " items");
  const auto check_lists = [&](const std::map<std::string, ListAttribute>& attributes, std::size_t rows, const std::string& what, const char* whose) {
    for (const auto& [name, attribute] : attributes) {
      if (attribute.values.size() != rows) list.add(what + " '" + name + "' has another number of rows than there are " + whose);
      for (const std::int32_t value : attribute.values.values())
        if (value < 0 || static_cast<std::size_t>(value) >= attribute.vocabulary.size()) list.add(what + " '" + name + "' has a value out of its vocabulary");
    }
  };
  check_lists(corpus.users.attributes, corpus.users.size(), "user attribute", "users");
  check_lists(corpus.profiles, corpus.histories.size(), "profile", "histories");
  if (!corpus.history_users.empty() && corpus.history_users.size() != corpus.histories.size())
    list.add("history_users has " + std::to_string(corpus.history_users.size()) + " rows, there are " + std::to_string(corpus.histories.size()) + " histories");
  const auto unique = [&](const StringColumn& ids, const char* what) {
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < ids.size(); ++i)
      if (!seen.insert(ids[i]).second) list.add(std::string(what) + " id '" + std::string(ids[i]) + "' stands twice");
  };
  unique(corpus.items.ids, "item");
  unique(corpus.users.ids, "user");
  if (corpus.clicks_before.size() != corpus.histories.size()) list.add("clicks_before has " + std::to_string(corpus.clicks_before.size()) + " rows, there are " + std::to_string(corpus.histories.size()) + " histories");
  for (const std::int32_t clicks : corpus.clicks_before)
    if (clicks < 0) list.add("clicks_before has a negative number");
  if (!corpus.real_clicks.empty() && corpus.real_clicks.size() != corpus.histories.size())
    list.add("real_clicks has " + std::to_string(corpus.real_clicks.size()) + " rows, there are " + std::to_string(corpus.histories.size()) + " histories");
  for (std::size_t row = 0; row < std::min(corpus.real_clicks.size(), corpus.histories.size()); ++row)
    if (corpus.real_clicks[row] < 0 || static_cast<std::size_t>(corpus.real_clicks[row]) > corpus.histories.length(row))
      list.add("history " + std::to_string(row) + " has " + std::to_string(corpus.histories.length(row)) + " items, real_clicks says " + std::to_string(corpus.real_clicks[row]));
  for (const ItemId item : corpus.histories.values())
    if (item < 0 || static_cast<std::size_t>(item) >= corpus.items.size()) list.add("a history has item " + std::to_string(item) + ", out of range");
  check_impressions(corpus, corpus.train, "train", list);
  check_impressions(corpus, corpus.dev, "dev", list);
  check_impressions(corpus, corpus.test, "test", list);
  if (corpus.group != "impression" && corpus.group != "user") list.add("group is '" + corpus.group + "', neither \"impression\" nor \"user\"");
  return list.texts;
}

void check_dataset(Bench& bench) {
  const auto options = bench.options.clone();
  Fields fields;
  options->describe(fields);
  Field* path = fields.find("path");
  if (!path || path->type != Field::Type::kPath) {
    bench.skip("write and load", "the dataset has no path option 'path', so the kit cannot write a toy for it");
    return;
  }
  const ToyWorld world = kit_world();
  const auto folder = bench.setup.scratch / "toy";
  std::filesystem::create_directories(folder);
  bool has_toy = true;
  if (!bench.check("writes a toy in its own layout", [&]() -> std::string {
        const auto dataset = bench.spec.make_dataset(*options);
        try {
          dataset->write_toy(world, folder);
        } catch (const Error& error) {
          if (error.kind() != ErrorKind::kUsage) throw;
          has_toy = false;
        }
        return "";
      }) || !has_toy) {
    if (!has_toy) bench.skip("load", "the dataset writes no toy (write_toy)");
    return;
  }
  path->assign(folder.string());
  bench.check("says what it would read", [&]() -> std::string {
    const Description description = bench.spec.make_dataset(*options)->describe();
    if (description.files.empty()) return "describe() names no files";
    if (description.item_attributes.empty()) return "describe() names no item attributes";
    std::int64_t bytes = 0;
    for (const auto& file : description.files) bytes += static_cast<std::int64_t>(std::filesystem::file_size(file));
    return bytes == description.bytes ? "" : "describe() says " + std::to_string(description.bytes) + " bytes, its files have " + std::to_string(bytes);
  });
  Corpus corpus;
  if (!bench.check("loads its toy", [&]() -> std::string {
        corpus = bench.spec.make_dataset(*options)->load(bench.workspace);
        return joined(corpus_problems(corpus));
      }))
    return;
  bench.check("every split has labelled impressions", [&]() -> std::string {
    for (const auto& [part, name] : {std::pair{&corpus.train, "train"}, std::pair{&corpus.dev, "dev"}, std::pair{&corpus.test, "test"}})
      if (part->size() == 0 || !part->labelled()) return std::string(name) + " has " + std::to_string(part->size()) + " impressions" + (part->labelled() ? "" : ", not labelled");
    return "";
  });
  bench.check("titles come back as they were written", [&]() -> std::string {
    std::set<std::string_view> titles;
    const StringColumn& written = world.items.attribute("title");
    for (std::size_t i = 0; i < written.size(); ++i) titles.insert(written[i]);
    const StringColumn& read = corpus.items.attribute("title");
    if (read.size() != written.size()) return std::to_string(read.size()) + " items came back, " + std::to_string(written.size()) + " were written";
    for (std::size_t i = 0; i < read.size(); ++i)
      if (!titles.count(read[i])) return "item " + std::to_string(i) + " has title '" + std::string(read[i]) + "', which was not written";
    return "";
  });
  bench.check("gives the attributes that it describes", [&]() -> std::string {
    for (const std::string& name : bench.spec.make_dataset(*options)->describe().item_attributes)
      if (!corpus.items.attributes.count(name)) return "describe() names '" + name + "', the corpus lacks it";
    for (const std::string& what : bench.spec.gives(*options))
      if (what.starts_with("item:") && !corpus.items.attributes.count(what.substr(5))) return "gives() names '" + what + "', the corpus lacks it";
    return "";
  });
  bench.check("the same files give the same corpus", [&] { return corpora_differ(bench.spec.make_dataset(*options)->load(bench.workspace), corpus); });
}

void check_augmenter(Bench& bench) {
  std::unique_ptr<Augmenter> augmenter;
  if (!bench.check("constructs", [&]() -> std::string {
        augmenter = bench.spec.make_augmenter(bench.options);
        return augmenter ? "" : "the factory returned no object";
      }))
    return;
  const auto make_corpus = [] {
    Corpus corpus;
    const ToyWorld world = kit_world();
    corpus.name = "kit";
    corpus.items = world.items;
    corpus.users.ids = world.user_ids;
    for (const auto& [rows, part] : {std::pair{&world.train, &corpus.train}, std::pair{&world.dev, &corpus.dev}, std::pair{&world.test, &corpus.test}})
      for (const ToyWorld::Row& row : *rows) {
        part->histories.push_back(static_cast<std::int32_t>(corpus.histories.size()));
        corpus.histories.push_back(row.history);
        corpus.history_users.push_back(row.user);
        corpus.clicks_before.push_back(static_cast<std::int32_t>(row.history.size()));
        corpus.real_clicks.push_back(static_cast<std::int32_t>(row.history.size()));
        part->ids.push_back(std::to_string(part->size() + 1));
        part->users.push_back(row.user);
        part->times.push_back(row.time);
        part->candidates.push_back(row.shown);
        part->labels.insert(part->labels.end(), row.clicked.begin(), row.clicked.end());
      }
    return corpus;
  };
  const Corpus corpus = make_corpus();
  std::vector<Prompt> prompts;
  bench.check("prompts are pure: the same twice, with keys and texts", [&]() -> std::string {
    std::vector<Prompt> again;
    augmenter->prompts(corpus, [&](Prompt&& prompt) { prompts.push_back(std::move(prompt)); });
    augmenter->prompts(corpus, [&](Prompt&& prompt) { again.push_back(std::move(prompt)); });
    if (prompts.size() != again.size()) return "the second time it asks another number of questions";
    std::set<std::pair<std::string, std::vector<ItemId>>> keys;
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const Prompt &a = prompts[i], &b = again[i];
      if (a.key != b.key || a.system != b.system || a.user != b.user || a.draws != b.draws || a.seen != b.seen) return "the second time prompt " + std::to_string(i) + " differs";
      if (a.key.empty() || a.user.empty() || a.draws < 1 || a.max_tokens < 1) return "prompt " + std::to_string(i) + " has no key, no text, no draws or no tokens to answer with";
      if (!keys.insert({a.key, a.seen}).second) return "two prompts have key '" + a.key + "' and the same clicks";
    }
    return "";
  });
  bench.check("parse() rejects nonsense with a reason and throws nothing", [&]() -> std::string {
    if (prompts.empty()) return "";
    for (const std::string& answer : {std::string(), std::string("\0\xff\xfe", 3), std::string(100000, '{'), std::string("I cannot help with that.")}) {
      const Parsed parsed = augmenter->parse(prompts[0], answer);
      if (!parsed.accepted && parsed.reject_reason.empty()) return "a rejected answer has no reason";
      if (answer.empty() && parsed.accepted) return "an empty answer is accepted";
    }
    return "";
  });
  bench.check("without answers the corpus stays sane", [&]() -> std::string {
    Corpus out = augmenter->apply(make_corpus(), NoAnswers());
    if (out.items.listed != corpus.items.listed) return "the number of listed items changed";
    if (prompts.empty() && corpora_differ(out, corpus).empty() && out.profiles.empty()) return "it asks nothing and changes nothing";
    if (const auto problems = corpus_problems(out); !problems.empty()) return joined(problems);
    if (out.real_clicks != corpus.real_clicks) return "Corpus::real_clicks changed";
    for (std::int32_t row = 0; row < static_cast<std::int32_t>(corpus.histories.size()); ++row) {
      const auto before = corpus.clicks(row), now = out.clicks(row);
      if (!std::equal(before.begin(), before.end(), now.begin(), now.end())) return "the clicks of history " + std::to_string(row) + " changed; what is added goes behind them";
    }
    return "";
  });
}

}  // namespace oncekit::test_kit
