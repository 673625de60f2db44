// Words, vocabularies, packed texts.
#include <catch2/catch.hpp>

#include <algorithm>
#include <thread>

#include "oncekit/text.h"

using namespace oncekit;
using Words = std::vector<std::string>;

namespace {

// Chunks on two threads, the last chunk first: the result must not show it.
class BackwardWorkspace final : public Workspace {
 public:
  std::filesystem::path cache(const CacheKey&, const std::function<void(const std::filesystem::path&)>&, CacheBuild, const std::function<BuildEstimate()>&) override { return {}; }
  std::optional<std::filesystem::path> find_cache(const CacheKey&) const override { return std::nullopt; }
  std::filesystem::path model(std::string_view) const override { return {}; }
  void parallel_for(std::int64_t n, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& body) override {
    std::vector<std::int64_t> begins;
    for (std::int64_t at = 0; at < n; at += grain) begins.push_back(at);
    std::reverse(begins.begin(), begins.end());
    const auto half = static_cast<std::ptrdiff_t>(begins.size() / 2);
    const auto run = [&](auto first, auto last) {
      for (; first != last; ++first) body(*first, std::min(n, *first + grain));
    };
    std::thread other([&] { run(begins.begin(), begins.begin() + half); });
    run(begins.begin() + half, begins.end());
    other.join();
  }
  std::unique_ptr<Progress> progress(std::string_view, std::int64_t, std::string_view, std::int64_t = 0) override { return nullptr; }
  void check_cancelled() const override {}
  std::int64_t memory_budget() const override { return 1 << 30; }
  std::string device() const override { return "cpu"; }
  Rng rng(std::string_view name) const override { return Rng(1).at(name); }
  void count(std::string_view, std::string_view, std::int64_t) override {}
};

}  // namespace

TEST_CASE("words are cut and lowered by Unicode's rules", "[unit]") {
  struct Story {
    const char* text;
    Words words;
  };
  for (const Story& story : std::vector<Story>{
           {"", {}},
           {"   \t\n", {}},
           {"?! -- ...", {}},
           {"The Quick  brown-fox", {"the", "quick", "brown", "fox"}},
           {"Don't stop the reader's cat", {"do", "n't", "stop", "the", "reader", "'s", "cat"}},
           {"We\u2019ve won", {"we", "'ve", "won"}},
           {"'s", {"s"}},
           {"3.14 and 1,000 in the U.S.", {"3.14", "and", "1,000", "in", "the", "u.s"}},
           {"Dune:The Story", {"dune", "the", "story"}},
           {"ÉCOLE Straße ΣΊΣΥΦΟΣ", {"école", "straße", "σίσυφος"}},
           {"ﬁre Ｆｕｌｌ e\u0301", {"fire", "full", "é"}},
           {"co\u00adoperate", {"cooperate"}},
           {"日本", {"日本"}},
           {"harry\xffpotter", {"harry", "potter"}},
           {"\xc3", {}},
           {"cat 😀 dog", {"cat", "dog"}},
       }) {
    INFO(story.text);
    CHECK(split_words(story.text) == story.words);
  }
}

TEST_CASE("punctuation becomes words when asked for", "[unit]") {
  CHECK(split_words("Hi, you: #1!", true) == Words{"hi", ",", "you", ":", "#", "1", "!"});
  CHECK(split_words("a:b", true) == Words{"a", ":", "b"});
}

TEST_CASE("a packed column is cut, unpadded, and the same on any number of threads", "[unit]") {
  StringColumn column;
  for (int i = 0; i < 9000; ++i) column.push_back(i % 3 == 0 ? "" : "word" + std::to_string(i * 7919 % 1000) + " and More words " + std::to_string(i));
  Vocabulary vocabulary;
  BackwardWorkspace workspace;
  const PackedText packed = tokenize_words(column, 4, vocabulary, workspace);
  REQUIRE(packed.size() == column.size());
  Vocabulary expected;
  for (std::size_t i = 0; i < column.size(); ++i) {
    Words words = split_words(column[i]);
    words.resize(std::min<std::size_t>(words.size(), 4));
    std::vector<std::int32_t> ids;
    for (const std::string& word : words) ids.push_back(expected.add(word));
    CHECK(std::equal(ids.begin(), ids.end(), packed[i].begin(), packed[i].end()));
  }
  CHECK(vocabulary.words() == expected.words());
  CHECK(vocabulary.find("more") >= 0);
  CHECK(vocabulary.find("8999") == -1);  // beyond the fourth word
  CHECK(tokenize_words(column, 0, vocabulary, workspace)[8999 - 1].size() == 5);
}

TEST_CASE("single values are tokens as they stand", "[unit]") {
  StringColumn column;
  for (const char* value : {"Sci Fi", "", "sci fi", "Sci Fi"}) column.push_back(value);
  Vocabulary vocabulary;
  const PackedText packed = tokenize_values(column, vocabulary);
  CHECK(packed.offsets == std::vector<std::int64_t>{0, 1, 1, 2, 3});
  CHECK(packed.ids == std::vector<std::int32_t>{0, 1, 0});
  CHECK(vocabulary.lines() == "Sci Fi\nsci fi\n");
}
