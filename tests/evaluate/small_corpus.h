// A hand-made corpus and a workspace for the tests of this room.
#pragma once

#include <atomic>
#include <exception>
#include <map>
#include <thread>

#include "evaluate/evaluate.h"
#include "oncekit/error.h"

namespace oncekit::test {

class TestWorkspace final : public Workspace {
 public:
  explicit TestWorkspace(int threads = 1) : threads_(threads) {}
  std::filesystem::path cache(const CacheKey&, const std::function<void(const std::filesystem::path&)>&, CacheBuild, const std::function<BuildEstimate()>&) override {
    throw Error(ErrorKind::kRun, "no cache in this test");
  }
  std::optional<std::filesystem::path> find_cache(const CacheKey&) const override { return std::nullopt; }
  std::filesystem::path model(std::string_view) const override { throw Error(ErrorKind::kData, "no language models in this test"); }
  void parallel_for(std::int64_t n, std::int64_t grain, const std::function<void(std::int64_t, std::int64_t)>& body) override {
    const std::int64_t chunks = (n + grain - 1) / grain;
    std::vector<std::exception_ptr> errors(static_cast<std::size_t>(chunks));
    std::atomic<std::int64_t> next{0};
    const auto work = [&] {
      for (std::int64_t c; (c = next++) < chunks;) {
        const std::int64_t chunk = threads_ > 1 ? chunks - 1 - c : c;  // another order on several threads
        try {
          body(chunk * grain, std::min(n, (chunk + 1) * grain));
        } catch (...) {
          errors[static_cast<std::size_t>(chunk)] = std::current_exception();
        }
      }
    };
    std::vector<std::thread> threads;
    for (int i = 1; i < threads_; ++i) threads.emplace_back(work);
    work();
    for (std::thread& t : threads) t.join();
    for (const auto& error : errors)
      if (error) std::rethrow_exception(error);
  }
  std::unique_ptr<Progress> progress(std::string_view, std::int64_t, std::string_view, std::int64_t = 0) override { return nullptr; }
  void check_cancelled() const override {}
  std::int64_t memory_budget() const override { return std::int64_t{1} << 30; }
  std::string device() const override { return "cpu"; }
  Rng rng(std::string_view name) const override { return Rng(1).at(name); }
  void count(std::string_view reason, std::string_view, std::int64_t n) override { counts[std::string(reason)] += n; }

  std::map<std::string, std::int64_t> counts;

 private:
  int threads_;
};

struct Shown {
  int user = 0;
  std::vector<ItemId> history;
  int clicks_before = 0;
  std::vector<ItemId> items;
  std::vector<int> clicked;  ///< parallel to items
};

inline void add(Corpus& corpus, Impressions& split, const std::vector<Shown>& rows) {
  for (const Shown& row : rows) {
    split.ids.push_back(std::to_string(split.size() + 1));
    split.users.push_back(row.user);
    split.histories.push_back(static_cast<std::int32_t>(corpus.histories.size()));
    split.times.push_back(-1);
    corpus.histories.push_back(row.history);
    corpus.clicks_before.push_back(row.clicks_before);
    split.candidates.push_back(row.items);
    for (int label : row.clicked) split.labels.push_back(static_cast<std::uint8_t>(label));
  }
}

inline Corpus corpus_of(const std::vector<std::string>& titles, std::size_t users, const std::vector<Shown>& train, const std::vector<Shown>& test) {
  Corpus corpus;
  corpus.name = "small";
  StringColumn column;
  for (const std::string& title : titles) {
    corpus.items.ids.push_back("N" + std::to_string(corpus.items.ids.size()));
    column.push_back(title);
  }
  corpus.items.attributes["title"] = column;
  corpus.items.listed = titles.size();
  for (std::size_t u = 0; u < users; ++u) corpus.users.ids.push_back("U" + std::to_string(u));
  add(corpus, corpus.train, train);
  add(corpus, corpus.test, test);
  return corpus;
}

// As augmenters leave it: behind the clicks of every history stand the whole catalogue and a generated item with the title of the first.
inline Corpus augmented(Corpus corpus) {
  const auto listed = static_cast<ItemId>(corpus.items.listed);
  corpus.items.ids.push_back("generated");
  for (auto& [name, column] : corpus.items.attributes) column.push_back(std::string(column[0]));
  Ragged<ItemId> histories;
  for (std::size_t row = 0; row < corpus.histories.size(); ++row) {
    std::vector<ItemId> items(corpus.histories[row].begin(), corpus.histories[row].end());
    corpus.real_clicks.push_back(static_cast<std::int32_t>(items.size()));
    for (ItemId item = 0; item <= listed; ++item) items.push_back(item);
    histories.push_back(items);
  }
  corpus.histories = std::move(histories);
  return corpus;
}

}  // namespace oncekit::test
