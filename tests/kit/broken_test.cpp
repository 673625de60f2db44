// The test kit finds what it is there to find: good components pass, and each broken one fails the check that names its fault.
#include <random>

#include <ATen/ATen.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>

#include <catch2/catch.hpp>

#include "oncekit/model.h"
#include "oncekit/test_kit.h"

using namespace oncekit;

namespace {

enum class Fault {
  kNone, kPaddingLeaks, kOtherUsers, kEmptyIsNan, kDeadParameter, kNotSaved, kOwnSeed, kNoise, kOverflow, kAllRows, kWrongWidth,
  kWrongShape, kThrows, kNoGradient, kSetsThreads, kOtherWhenNew
};

struct Options {
  double dropout = 0.2;
  void describe(Fields& f) { f.real("dropout", dropout).range(0, 1).doc("on the user vector"); }
};

// Softmax-pooled clicks behind a linear layer.
template <Fault fault>
class Users final : public UserEncoder {
 public:
  using Options = ::Options;
  Users(const Options& options, const Dims& dims)
      : width_(dims.width), linear_(register_module("linear", torch::nn::Linear(dims.item_width, dims.width))),
        dropout_(register_module("dropout", torch::nn::Dropout(options.dropout))) {
    score_ = at::randn({dims.item_width}).set_requires_grad(true);
    if (fault != Fault::kNotSaved) register_parameter("score", score_);
    if (fault == Fault::kDeadParameter) register_parameter("unused", at::randn({3}));
    if (fault == Fault::kOwnSeed) {
      at::NoGradGuard no_grad;
      score_.fill_(static_cast<double>(std::random_device{}()) / 1e10);
    }
  }
  std::int64_t width() const override { return fault == Fault::kWrongWidth ? width_ + 1 : width_; }

  UserState encode(const Clicks& clicks) override {
    if (fault == Fault::kThrows) throw std::runtime_error("not today\nat line 12");
    const auto [clicks_BHD, mask_BH] = clicks.padded();
    Tensor logits_BH = at::matmul(clicks_BHD, score_);
    if (fault != Fault::kPaddingLeaks) logits_BH = logits_BH.masked_fill(mask_BH.logical_not(), -1e30);
    Tensor weights_BH = fault == Fault::kOverflow ? logits_BH.exp() / (logits_BH.exp().sum(1, true) + 1e-9) : logits_BH.softmax(1);
    if (fault != Fault::kPaddingLeaks) weights_BH = weights_BH * mask_BH;
    if (fault == Fault::kEmptyIsNan) weights_BH = weights_BH / mask_BH.any(1, true);
    Tensor users_BD = dropout_(linear_(at::bmm(weights_BH.unsqueeze(1), clicks_BHD).squeeze(1)));
    if (fault == Fault::kOtherUsers) users_BD = users_BD - users_BD.mean(0, true);
    if (fault == Fault::kAllRows) users_BD = users_BD + clicks.items_UD.sum();
    if (fault == Fault::kNoise) users_BD = users_BD + at::rand({1});
    if (fault == Fault::kNoGradient) users_BD = users_BD.detach();
    UserState state;
    state.users_BMD = fault == Fault::kWrongShape ? users_BD : users_BD.unsqueeze(1);
    return state;
  }

 private:
  std::int64_t width_;
  torch::nn::Linear linear_;
  torch::nn::Dropout dropout_;
  Tensor score_;
};

struct WordBatch final : ItemBatch {
  std::vector<std::int64_t> words, lengths;
};

// Mean of word vectors of the title; words are hashed into 50 rows.
template <Fault fault>
class Words final : public ContentEncoder {
 public:
  using Options = ::Options;
  Words(const Options& options, const Dims& dims)
      : width_(dims.width), dropout_(register_module("dropout", torch::nn::Dropout(options.dropout))) {}
  static std::vector<std::string> needs(const Options&) { return {"item:title"}; }
  std::int64_t width() const override { return width_; }

  void prepare(const Items& items, Workspace&) override {
    table_ = register_parameter("table", at::randn({50, width_}));
    if (fault == Fault::kSetsThreads) at::set_num_threads(at::get_num_threads() + 1);
    const StringColumn& titles = items.attribute("title");
    for (std::size_t i = 0; i < titles.size(); ++i) {
      words_.emplace_back();
      for (const char c : titles[i])
        if (c == ' ') words_.back().push_back(static_cast<std::int64_t>(words_.back().size() * 7 % 50));
    }
  }
  std::unique_ptr<ItemBatch> gather(std::span<const ItemId> ids_U) const override {
    auto batch = std::make_unique<WordBatch>();
    batch->ids_U.assign(ids_U.begin(), ids_U.end());
    std::size_t longest = 1;
    for (const ItemId id : ids_U) longest = std::max(longest, words_[static_cast<std::size_t>(id)].size());
    for (const ItemId id : ids_U) {
      const auto& words = words_[static_cast<std::size_t>(id)];
      batch->words.insert(batch->words.end(), words.begin(), words.end());
      batch->lengths.push_back(static_cast<std::int64_t>(words.size()));
      if (fault == Fault::kPaddingLeaks) {
        batch->words.insert(batch->words.end(), longest - words.size(), 0);
        batch->lengths.back() = static_cast<std::int64_t>(longest);
      }
    }
    return batch;
  }
  Tensor encode(const ItemBatch& any) override {
    const auto& batch = static_cast<const WordBatch&>(any);
    const Tensor vectors = table_.index_select(0, at::tensor(batch.words, at::kLong));
    const Tensor lengths_U = at::tensor(batch.lengths, at::kLong);
    const Tensor rows = at::repeat_interleave(lengths_U);
    Tensor sums_UD = at::zeros({lengths_U.size(0), width_}).index_add(0, rows, vectors);
    sums_UD = sums_UD / (fault == Fault::kEmptyIsNan ? lengths_U : lengths_U.clamp_min(1)).unsqueeze(1);
    return dropout_(sums_UD);
  }
  Tensor encode_new(ItemId id) override { return ContentEncoder::encode_new(id) + (fault == Fault::kOtherWhenNew ? 1 : 0); }
  std::vector<ParamGroup> groups() override {
    if (fault == Fault::kDeadParameter) return {{"mine", {table_}}};
    return ContentEncoder::groups();
  }

 private:
  std::int64_t width_;
  torch::nn::Dropout dropout_;
  std::vector<std::vector<std::int64_t>> words_;
  Tensor table_;
};

template <Fault fault>
class Dot final : public Interaction {
 public:
  using Options = NoOptions;
  Dot(const Options&, const Dims&) {}
  Tensor score(const UserState& user, const Candidates& candidates) override {
    const auto B = candidates.rows_BC.size(0), C = candidates.rows_BC.size(1), D = candidates.items_UD.size(1);
    const Tensor items = candidates.items_UD.index_select(0, candidates.rows_BC.flatten()).view({B, C, D});
    Tensor users = user.users_BMD.select(1, 0);
    if (fault == Fault::kOtherUsers) users = users - users.mean(0, true);
    Tensor scores = at::bmm(items, users.unsqueeze(2)).squeeze(2);
    if (fault == Fault::kPaddingLeaks) scores = scores - scores.mean(1, true);
    return scores;
  }
};

template <Fault fault>
void users(Registrar& r) { r.user_encoder<Users<fault>>("x").doc("a test"); }
template <Fault fault>
void words(Registrar& r) { r.content_encoder<Words<fault>>("x").doc("a test"); }
template <Fault fault>
void dot(Registrar& r) { r.interaction<Dot<fault>>("x").doc("a test"); }

test_kit::Report report_of(void (*registers)(Registrar&)) { return test_kit::check_all(registers).at(0); }

std::string failures_of(const test_kit::Report& report) {
  std::string text;
  for (const auto& failure : report.failures) text += failure.check + ": " + failure.text + "\n";
  return text;
}

}  // namespace

TEST_CASE("good components pass the kit", "[unit]") {
  for (auto* registers : {users<Fault::kNone>, words<Fault::kNone>, dot<Fault::kNone>}) {
    const auto report = report_of(registers);
    INFO(report.component);
    CHECK(failures_of(report) == "");
    CHECK(report.good());
    CHECK(report.passed.size() > 10);
    CHECK(report.skipped.empty());
  }
}

TEST_CASE("the kit names the fault of a broken user encoder", "[unit]") {
  const std::vector<std::pair<void (*)(Registrar&), std::string>> cases = {
      {users<Fault::kPaddingLeaks>, "a batch of one: padding changes nothing: sample "},
      {users<Fault::kOtherUsers>, "other users' clicks change nothing: the state of sample 0 differs by"},
      {users<Fault::kEmptyIsNan>, "users are finite, an empty history included: has 32 values of 160 that are NaN or infinite"},
      {users<Fault::kDeadParameter>, "parameter 'unused' gets no gradient"},
      {users<Fault::kNotSaved>, "saved and loaded, it gives equal users: differs by"},
      {users<Fault::kOwnSeed>, "the same seed gives the same weights and, with dropout, the same bits: 'score' differs by"},
      {users<Fault::kNoise>, "the same call gives the same bits: differs by"},
      {users<Fault::kOverflow>, "large vectors overflow nothing: has"},
      {users<Fault::kAllRows>, "items that nobody clicked change nothing: differs by"},
      {users<Fault::kWrongWidth>, "shapes: users_BMD is [5, 1, 32], expected [5, M, 33] (samples, vectors, width())"},
      {users<Fault::kWrongShape>, "shapes: users_BMD is [5, 32], expected [5, M, 32] (samples, vectors, width())"},
      {users<Fault::kThrows>, "shapes: threw: not today\n"},
      {users<Fault::kNoGradient>, "the result has no gradient"},
  };
  for (const auto& [registers, expected] : cases) {
    const auto report = report_of(registers);
    CHECK(!report.good());
    CHECK_THAT(failures_of(report), Catch::Contains(expected));
  }
}

TEST_CASE("the kit names the fault of a broken content encoder", "[unit]") {
  const std::vector<std::pair<void (*)(Registrar&), std::string>> cases = {
      {words<Fault::kPaddingLeaks>, "alone differs by"},
      {words<Fault::kEmptyIsNan>, "vectors are finite, items without text included: has"},
      {words<Fault::kDeadParameter>, "parameter groups: group 'mine' is neither \"lm\" nor \"rest\""},
      {words<Fault::kOtherWhenNew>, "an item as if it were new: encode_new() of item 0 differs by"},
      {words<Fault::kSetsThreads>, "the number of threads was changed"},
  };
  for (const auto& [registers, expected] : cases) CHECK_THAT(failures_of(report_of(registers)), Catch::Contains(expected));
}

TEST_CASE("the kit names the fault of a broken interaction", "[unit]") {
  CHECK_THAT(failures_of(report_of(dot<Fault::kOtherUsers>)), Catch::Contains("other users change nothing: differs by"));
  CHECK_THAT(failures_of(report_of(dot<Fault::kPaddingLeaks>)), Catch::Contains("masked candidates change nothing: differs by"));
}

TEST_CASE("options are checked and set by name", "[unit]") {
  test_kit::Setup setup;
  setup.options["dropout"] = 0.9;
  CHECK(test_kit::check_all(users<Fault::kNone>, setup).at(0).good());
  setup.options.clear();
  setup.options["dropuot"] = 0.9;
  CHECK_THAT(failures_of(test_kit::check_all(users<Fault::kNone>, setup).at(0)), Catch::Contains("there is no option 'dropuot'; did you mean 'dropout'?"));
}

TEST_CASE("a corpus with faults is told apart from a sane one", "[unit]") {
  Corpus corpus;
  corpus.name = "x";
  corpus.items.ids.push_back("a");
  corpus.items.ids.push_back("b");
  corpus.items.listed = 2;
  corpus.users.ids.push_back("u");
  corpus.histories.push_back(std::vector<ItemId>{0, 1});
  corpus.clicks_before = {2};
  corpus.train.ids.push_back("1");
  corpus.train.users = {0};
  corpus.train.histories = {0};
  corpus.train.times = {-1};
  corpus.train.candidates.push_back(std::vector<ItemId>{0, 1});
  corpus.train.labels = {0, 1};
  CHECK(test_kit::corpus_problems(corpus).empty());
  const auto broken = [&](auto&& change) {
    Corpus copy = corpus;
    change(copy);
    return test_kit::corpus_problems(copy).size();
  };
  CHECK(broken([](Corpus& c) { c.items.listed = 1; }) == 1);
  CHECK(broken([](Corpus& c) { c.train.labels = {0, 2}; }) == 1);
  CHECK(broken([](Corpus& c) { c.train.labels = {0}; }) == 1);
  CHECK(broken([](Corpus& c) { c.train.users = {1}; }) == 1);
  CHECK(broken([](Corpus& c) { c.train.histories = {1}; }) == 1);
  CHECK(broken([](Corpus& c) { c.train.times.clear(); }) == 1);
  CHECK(broken([](Corpus& c) { c.histories.push_back(std::vector<ItemId>{5}); }) == 2);
  CHECK(broken([](Corpus& c) { c.real_clicks = {1}; }) == 0);
  CHECK(broken([](Corpus& c) { c.real_clicks = {3}; }) == 1);
  CHECK(broken([](Corpus& c) { c.real_clicks = {1, 1}; }) == 1);
  CHECK(broken([](Corpus& c) { c.items.attributes["title"].push_back("one"); }) == 1);
  CHECK(broken([](Corpus& c) { c.users.ids.push_back("u"); }) == 1);
  CHECK(broken([](Corpus& c) { c.group = "session"; }) == 1);
}
