// The templates of `oncekit plugins new`. Each is a whole plugin that builds, passes the test kit and does something simple; a test
// builds and checks them all.
#include <map>
#include <string>

#include "plugin/scaffold.h"

namespace oncekit {
namespace {

constexpr const char* kCMake = R"(cmake_minimum_required(VERSION 3.25)
project(@NAME@ LANGUAGES CXX)

find_package(oncekit REQUIRED)

oncekit_add_plugin(NAME @NAME@
  COMPONENTS @KIND@/@NAME@
  SOURCES @NAME@.cpp@TIER0@)
)";

constexpr const char* kReadme = R"(# @KIND@/@NAME@

A plugin for oncekit. Build it, check it, use it:

    oncekit plugins build .
    oncekit plugins test build/oncekit_@NAME@.so
    oncekit --plugin-path build plugins info @KIND@/@NAME@

and in a recipe, run with `oncekit --plugin-path build run RECIPE` (or with ONCEKIT_PLUGIN_PATH):

    [@TABLE@]
    use = "@NAME@"

What the host promises, what it expects, and what each check of the test kit means: oncekit's docs/plugin-guide.md.
)";

constexpr const char* kUserEncoder = R"(// user_encoder/@NAME@: a linear layer over the mean of a user's clicks. Change encode() into what you have in mind.
#include <ATen/ATen.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>

#include "oncekit/model.h"
#include "oncekit/plugin.h"

namespace {

struct Options {
  double dropout = 0.1;

  void describe(oncekit::Fields& f) { f.real("dropout", dropout).range(0, 1).doc("on the user vector"); }
};

class @CLASS@ final : public oncekit::UserEncoder {
 public:
  using Options = ::Options;

  @CLASS@(const Options& options, const oncekit::Dims& dims)
      : width_(dims.width),
        project_(register_module("project", torch::nn::Linear(dims.item_width, dims.width))),
        dropout_(register_module("dropout", torch::nn::Dropout(options.dropout))) {}

  std::int64_t width() const override { return width_; }

  oncekit::UserState encode(const oncekit::Clicks& clicks) override {
    const auto [clicks_BHD, mask_BH] = clicks.padded();  // zeros where masked
    const at::Tensor lengths_B1 = mask_BH.sum(1, /*keepdim=*/true).clamp_min(1);  // no clicks: a sum of zeros, divided by 1
    const at::Tensor mean_BD = clicks_BHD.sum(1) / lengths_B1;
    oncekit::UserState state;
    state.users_BMD = dropout_(project_(mean_BD)).unsqueeze(1);  // M = 1
    return state;
  }

 private:
  std::int64_t width_;
  torch::nn::Linear project_;
  torch::nn::Dropout dropout_;
};

void register_components(oncekit::Registrar& r) {
  r.user_encoder<@CLASS@>("@NAME@").doc("a linear layer over the mean of a user's clicks").cite("");
}

}  // namespace

ONCEKIT_PLUGIN("@NAME@", register_components)
)";

constexpr const char* kContentEncoder = R"(// content_encoder/@NAME@: the mean of trained vectors of a title's words, which are hashed into a table.
#include <ATen/ATen.h>

#include "oncekit/model.h"
#include "oncekit/plugin.h"
#include "oncekit/rng.h"

namespace {

struct Options {
  std::int64_t rows = 10000;

  void describe(oncekit::Fields& f) { f.integer("rows", rows).range(1, 1 << 24).doc("rows of the table of words").demo(std::int64_t{500}); }
};

// Made by gather() ahead of time on another thread: plain memory, no tensors. Words end to end, no padding.
struct Batch final : oncekit::ItemBatch {
  std::vector<std::int64_t> words_T, lengths_U;
};

class @CLASS@ final : public oncekit::ContentEncoder {
 public:
  using Options = ::Options;

  @CLASS@(const Options& options, const oncekit::Dims& dims) : options_(options), width_(dims.width) {}

  static std::vector<std::string> needs(const Options&) { return {"item:title"}; }
  std::int64_t width() const override { return width_; }

  void prepare(const oncekit::Items& items, oncekit::Workspace&) override {
    table_VD_ = register_parameter("table", at::randn({options_.rows, width_}) * 0.1);
    const oncekit::StringColumn& titles = items.attribute("title");
    std::vector<std::int64_t> words;
    for (std::size_t i = 0; i < titles.size(); ++i) {
      words.clear();
      std::string_view rest = titles[i];
      while (!rest.empty()) {
        const std::size_t end = std::min(rest.find(' '), rest.size());
        if (end > 0) words.push_back(static_cast<std::int64_t>(oncekit::hash_name(rest.substr(0, end)) % static_cast<std::uint64_t>(options_.rows)));
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
      words_.push_back(words);
    }
  }

  std::unique_ptr<oncekit::ItemBatch> gather(std::span<const oncekit::ItemId> ids_U) const override {
    auto batch = std::make_unique<Batch>();
    batch->ids_U.assign(ids_U.begin(), ids_U.end());
    for (const oncekit::ItemId id : ids_U) {
      const auto words = words_[static_cast<std::size_t>(id)];
      batch->words_T.insert(batch->words_T.end(), words.begin(), words.end());
      batch->lengths_U.push_back(static_cast<std::int64_t>(words.size()));
    }
    return batch;
  }

  at::Tensor encode(const oncekit::ItemBatch& any) override {
    const auto& batch = static_cast<const Batch&>(any);  // made by this object's gather()
    const at::Tensor words_TD = table_VD_.index_select(0, at::tensor(batch.words_T, at::kLong).to(table_VD_.device()));
    const at::Tensor lengths_U = at::tensor(batch.lengths_U, at::kLong).to(table_VD_.device());
    const at::Tensor sums_UD = at::zeros({lengths_U.size(0), width_}, table_VD_.options()).index_add(0, at::repeat_interleave(lengths_U), words_TD);
    return sums_UD / lengths_U.clamp_min(1).unsqueeze(1);  // no words: zeros
  }

 private:
  Options options_;
  std::int64_t width_;
  oncekit::Ragged<std::int64_t> words_;
  at::Tensor table_VD_;
};

void register_components(oncekit::Registrar& r) {
  r.content_encoder<@CLASS@>("@NAME@").doc("the mean of trained vectors of a title's words").cite("");
}

}  // namespace

ONCEKIT_PLUGIN("@NAME@", register_components)
)";

constexpr const char* kInteraction = R"(// interaction/@NAME@: an inner product with one trained weight a dimension.
#include <ATen/ATen.h>

#include "oncekit/model.h"
#include "oncekit/plugin.h"

namespace {

class @CLASS@ final : public oncekit::Interaction {
 public:
  using Options = oncekit::NoOptions;

  @CLASS@(const Options&, const oncekit::Dims& dims) : weight_D_(register_parameter("weight", at::ones({dims.width}))) {}

  at::Tensor score(const oncekit::UserState& user, const oncekit::Candidates& candidates) override {
    const std::int64_t B = candidates.rows_BC.size(0), C = candidates.rows_BC.size(1);
    const at::Tensor items_BCD = candidates.items_UD.index_select(0, candidates.rows_BC.flatten()).view({B, C, -1});
    const at::Tensor users_BD1 = (user.users_BMD.select(1, 0) * weight_D_).unsqueeze(2);
    return at::bmm(items_BCD, users_BD1).squeeze(2);
  }

 private:
  at::Tensor weight_D_;
};

void register_components(oncekit::Registrar& r) {
  r.interaction<@CLASS@>("@NAME@").doc("an inner product with one trained weight a dimension").cite("");
}

}  // namespace

ONCEKIT_PLUGIN("@NAME@", register_components)
)";

constexpr const char* kDataset = R"(// dataset/@NAME@: three files of tab-separated lines in a folder.
//   items.tsv       item, title
//   train.tsv, dev.tsv, test.tsv   user, history ("i1 i2", oldest first), candidates ("i3-1 i4-0", 1 = clicked)
#include <fstream>

#include "oncekit/dataset.h"
#include "oncekit/plugin.h"
#include "oncekit/tables.h"

namespace {

namespace fs = std::filesystem;

struct Options {
  std::string path = "data/@NAME@";
  std::int64_t history_limit = 50;

  void describe(oncekit::Fields& f) {
    f.path("path", path).doc("folder with items.tsv, train.tsv, dev.tsv, test.tsv");
    f.integer("history_limit", history_limit).at_least(0).unit("clicks").doc("newest clicks kept of a history; 0 = all");
  }
};

// Both return "" or what is wrong with the line; the host adds file and line number.
std::string parse_item(std::string_view line, oncekit::ItemRow& row) {
  thread_local std::vector<std::string_view> parts;
  if (const std::size_t n = oncekit::split_fields(line, '\t', parts); n != 2) return "expected 2 columns (item, title), found " + std::to_string(n);
  row.id = parts[0];
  row.values.assign(1, parts[1]);
  return "";
}

std::string parse_impression(std::string_view line, oncekit::ImpressionRow& row) {
  thread_local std::vector<std::string_view> parts, shown;
  if (const std::size_t n = oncekit::split_fields(line, '\t', parts); n != 3) return "expected 3 columns (user, history, candidates), found " + std::to_string(n);
  row.user = parts[0];
  row.history = parts[1];
  row.candidates.clear();
  row.labels.clear();
  oncekit::split_fields(parts[2], ' ', shown);
  for (const std::string_view candidate : shown) {
    if (candidate.size() < 3 || (!candidate.ends_with("-0") && !candidate.ends_with("-1"))) return "expected ITEM-0 or ITEM-1, found '" + std::string(candidate) + "'";
    row.candidates.push_back(candidate.substr(0, candidate.size() - 2));
    row.labels.push_back(candidate.back() == '1');
  }
  return "";
}

class @CLASS@ final : public oncekit::Dataset {
 public:
  using Options = ::Options;

  explicit @CLASS@(const Options& options) : options_(options) {}

  static std::vector<std::string> gives(const Options&) { return {"item:title"}; }

  oncekit::Description describe() const override {
    oncekit::Description description;
    description.item_attributes = {"title"};
    for (const char* name : {"items.tsv", "train.tsv", "dev.tsv", "test.tsv"})
      if (const auto file = oncekit::TextTable::find(fs::path(options_.path) / name)) {
        description.files.push_back(*file);
        description.bytes += static_cast<std::int64_t>(fs::file_size(*file));
      }
    return description;
  }

  oncekit::Corpus load(oncekit::Workspace& workspace) override {
    oncekit::CorpusRules rules;
    rules.attributes = {"title"};
    rules.history_limit = options_.history_limit;
    oncekit::CorpusBuilder builder("@NAME@", rules, workspace);
    const fs::path folder = options_.path;
    builder.read_items(oncekit::TextTable(folder / "items.tsv"), 0, parse_item);
    builder.read_impressions(oncekit::Part::kTrain, oncekit::TextTable(folder / "train.tsv"), 0, parse_impression);
    builder.read_impressions(oncekit::Part::kDev, oncekit::TextTable(folder / "dev.tsv"), 0, parse_impression);
    builder.read_impressions(oncekit::Part::kTest, oncekit::TextTable(folder / "test.tsv"), 0, parse_impression);
    return builder.finish();
  }

  // For the test kit: the same layout, written from a small made-up world.
  void write_toy(const oncekit::ToyWorld& world, const fs::path& folder) const override {
    std::ofstream items(folder / "items.tsv");
    for (std::size_t i = 0; i < world.items.size(); ++i) items << world.items.ids[i] << '\t' << world.items.attribute("title")[i] << '\n';
    write_rows(world, world.train, folder / "train.tsv");
    write_rows(world, world.dev, folder / "dev.tsv");
    write_rows(world, world.test, folder / "test.tsv");
  }

 private:
  static void write_rows(const oncekit::ToyWorld& world, const std::vector<oncekit::ToyWorld::Row>& rows, const fs::path& file) {
    std::ofstream out(file);
    const auto id = [&](oncekit::ItemId item) { return world.items.ids[static_cast<std::size_t>(item)]; };
    for (const auto& row : rows) {
      out << world.user_ids[static_cast<std::size_t>(row.user)] << '\t';
      for (std::size_t i = 0; i < row.history.size(); ++i) out << (i ? " " : "") << id(row.history[i]);
      out << '\t';
      for (std::size_t i = 0; i < row.shown.size(); ++i) out << (i ? " " : "") << id(row.shown[i]) << '-' << int{row.clicked[i]};
      out << '\n';
    }
  }

  Options options_;
};

void register_components(oncekit::Registrar& r) { r.dataset<@CLASS@>("@NAME@").doc("items, users and impressions from tab-separated files").cite(""); }

}  // namespace

ONCEKIT_PLUGIN("@NAME@", register_components)
)";

constexpr const char* kAugmenter = R"(// augmenter/@NAME@: asks for a clearer title of every item. The core sends the questions, pays and remembers the answers.
#include "oncekit/augmenter.h"
#include "oncekit/plugin.h"

namespace {

struct Options {
  std::int64_t longest = 200;

  void describe(oncekit::Fields& f) { f.integer("longest", longest).range(1, 10000).unit("bytes").doc("longer answers are rejected"); }
};

class @CLASS@ final : public oncekit::Augmenter {
 public:
  using Options = ::Options;

  explicit @CLASS@(const Options& options) : options_(options) {}

  static std::vector<std::string> needs(const Options&) { return {"item:title"}; }

  // Pure: the same corpus, the same questions. Empty titles have nothing to ask about.
  void prompts(const oncekit::Corpus& corpus, const Sink& sink) const override {
    const oncekit::StringColumn& titles = corpus.items.attribute("title");
    for (std::size_t i = 0; i < titles.size(); ++i) {
      if (titles[i].empty()) continue;
      oncekit::Prompt prompt;
      prompt.key = corpus.items.ids[i];
      prompt.system = "You rewrite titles. Answer with the new title alone, on one line.";
      prompt.user = "Make this title clearer: " + std::string(titles[i]);
      sink(std::move(prompt));
    }
  }

  oncekit::Parsed parse(const oncekit::Prompt&, std::string_view answer) const override {
    oncekit::Parsed parsed;
    if (answer.empty()) parsed.reject_reason = "empty answer";
    else if (answer.size() > static_cast<std::size_t>(options_.longest)) parsed.reject_reason = "longer than " + std::to_string(options_.longest) + " bytes";
    else if (answer.find_first_of("\n\t") != std::string_view::npos) parsed.reject_reason = "more than one line";
    else {
      parsed.accepted = true;
      parsed.fields["title"] = {std::string(answer)};
    }
    return parsed;
  }

  oncekit::Corpus apply(oncekit::Corpus&& corpus, const oncekit::Answers& answers) const override {
    oncekit::StringColumn titles;
    for (std::size_t i = 0; i < corpus.items.size(); ++i) {
      const auto found = answers.about_item(static_cast<oncekit::ItemId>(i));
      titles.push_back(found.empty() ? corpus.items.attribute("title")[i] : std::string_view(found[0].fields.at("title").at(0)));
    }
    corpus.items.attributes["title"] = std::move(titles);
    return std::move(corpus);
  }

 private:
  Options options_;
};

void register_components(oncekit::Registrar& r) { r.augmenter<@CLASS@>("@NAME@").doc("clearer titles").cite(""); }

}  // namespace

ONCEKIT_PLUGIN("@NAME@", register_components)
)";

}  // namespace

const char* plugin_template(const std::string& kind) {
  static const std::map<std::string, const char*> templates = {{"", kCMake},
                                                               {"readme", kReadme},
                                                               {"user_encoder", kUserEncoder},
                                                               {"content_encoder", kContentEncoder},
                                                               {"interaction", kInteraction},
                                                               {"dataset", kDataset},
                                                               {"augmenter", kAugmenter}};
  return templates.at(kind);
}

}  // namespace oncekit
