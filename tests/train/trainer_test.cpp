// The training loop: it learns, it stops in time, and whatever interrupts it, the end is the same to the last bit.
#include <catch2/catch.hpp>

#include <cmath>
#include <fstream>
#include <sstream>

#include <c10/core/GradMode.h>

#include "oncekit/error.h"
#include "train/batcher.h"
#include "train/checkpoint.h"
#include "train/loss.h"
#include "train/optimizer.h"
#include "score/scorer.h"
#include "train/tiny.h"
#include "train/trainer.h"

using namespace oncekit;
namespace fs = std::filesystem;

namespace {

TrainSetup setup(const fs::path& folder) {
  TrainSetup s;
  s.folder = folder;
  s.seed = 9;
  s.recipe_hash = "abc";
  s.environment = "cpu, 2 threads";
  s.options.batch_size = 16;
  s.options.lr = 0.01;
  s.options.epochs = 6;
  s.options.check_every = 0.5;
  s.options.patience = 0;
  return s;
}

DevCheck dev_auc(Recommender& model, const Corpus& corpus, Workspace& workspace) {
  return [&](std::int64_t) {
    return std::map<std::string, double>{{"auc", tiny::auc(corpus.dev, score_impressions(model, corpus, corpus.dev, 16, workspace))}};
  };
}

struct Row {
  std::vector<std::string> cells;
};
std::vector<Row> rows(const fs::path& file) {
  std::vector<Row> all;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    Row row;
    std::stringstream cells(line);
    for (std::string cell; std::getline(cells, cell, ',');) row.cells.push_back(cell);
    all.push_back(row);
  }
  return all;
}

}  // namespace

TEST_CASE("training learns the planted taste, and keeps the best weights", "[unit]") {
  const Corpus c = tiny::corpus();
  const auto model = tiny::model(c);
  tiny::TestWorkspace workspace;
  const tiny::Folder folder;
  const double before = tiny::auc(c.test, score_impressions(*model, c, c.test, 16, workspace));
  TrainSetup s = setup(folder.path());
  s.options.epochs = 30;
  const TrainSummary summary = train(*model, c, s, dev_auc(*model, c, workspace), workspace);
  const double after = tiny::auc(c.test, score_impressions(*model, c, c.test, 16, workspace));
  CHECK(before < 0.7);
  CHECK(after > 0.85);
  CHECK(summary.steps == 30 * 8);
  CHECK(summary.samples == 30 * 120);
  CHECK(summary.epochs == Approx(30));
  CHECK(summary.seconds > 0);
  for (const char* stage : {"batch", "forward", "backward", "optimizer", "dev", "save"}) CHECK(summary.stage_s.contains(stage));
  CHECK(dev_auc(*model, c, workspace)(0).at("auc") == summary.best_dev);

  // The best checkpoint gives the same model.
  const auto other = tiny::model(c, {}, 999);
  load_checkpoint(*other, folder.path() / "checkpoints" / "best");
  CHECK(tiny::same_bits(tiny::snapshot(*other), tiny::snapshot(*model)));

  const auto table = rows(folder.path() / "curves.csv");
  REQUIRE(table.size() == 1 + 60);
  CHECK(table[0].cells == std::vector<std::string>{"step", "epoch", "loss", "lr", "auc", "seconds"});
  CHECK(table[1].cells[0] == "4");
  CHECK(table[60].cells[0] == "240");
  CHECK(std::stod(table[60].cells[2]) < std::stod(table[1].cells[2]));
  CHECK(rows(folder.path() / "losses.csv").size() == 1 + 240);
}

TEST_CASE("shuffled labels teach nothing", "[unit]") {
  double sum = 0, gain = 0;
  const int runs = 4;
  for (int run = 0; run < runs; ++run) {
    tiny::World world;
    world.seed = static_cast<std::uint64_t>(100 + run);
    const Corpus c = tiny::corpus(world);
    for (const bool permute : {true, false}) {
      const auto model = tiny::model(c);
      tiny::TestWorkspace workspace;
      const tiny::Folder folder;
      TrainSetup s = setup(folder.path());
      s.options.permute_labels = permute;
      s.options.epochs = 20;
      s.options.check_every = 20;
      train(*model, c, s, {}, workspace);
      (permute ? sum : gain) += tiny::auc(c.test, score_impressions(*model, c, c.test, 16, workspace)) / runs;
    }
  }
  // 160 test impressions with one click among five: the AUC of one has a deviation of 0.35, their mean one of 0.028.
  CHECK(std::abs(sum - 0.5) < 2 * 0.028);
  CHECK(gain > 0.8);
}

TEST_CASE("a step of several batches has the gradients of one large batch", "[unit]") {
  for (const char* loss : {"softmax", "bce"}) {
    const Corpus c = tiny::corpus();
    tiny::Shape shape;
    shape.dropout = 0;
    shape.aux = 0.3;
    TrainOptions o;
    o.loss = loss;
    o.aux_weight = 0.7;
    const Sampler sampler(c, o, 4);
    std::vector<std::map<std::string, Tensor>> gradients;
    std::vector<double> losses;
    for (const auto& [batch, accumulate] : {std::pair<std::int64_t, std::int64_t>{100, 1}, {25, 4}, {64, 2}, {1, 100}}) {
      const auto model = tiny::model(c, shape);
      // The last case ends in a smaller batch: 100 = 64 + 36.
      Prefetcher batches(c, model->content(), sampler, {100, batch, accumulate}, 0, 1);
      double sum = 0;
      for (bool more = true; more;) {
        const auto next = batches.next();
        const Tensor part = batch_loss(*model, next.samples, o, next.step_samples);
        part.backward();
        sum += part.item<double>();
        more = !next.ends_step;
      }
      losses.push_back(sum);
      gradients.emplace_back();
      for (const auto& named : model->named_parameters()) gradients.back()[named.key()] = named.value().grad().clone();
    }
    for (std::size_t i = 1; i < gradients.size(); ++i) {
      CHECK(losses[i] == Approx(losses[0]).epsilon(1e-6));
      for (const auto& [name, gradient] : gradients[i]) {
        const double scale = gradients[0].at(name).norm().item<double>();
        CHECK((gradient - gradients[0].at(name)).norm().item<double>() <= 1e-5 * scale);
      }
    }
  }
}

TEST_CASE("training stops after `patience` checks without gain, and at max_steps", "[unit]") {
  const Corpus c = tiny::corpus();
  tiny::TestWorkspace workspace;
  // Dev values by check: best at the third.
  const std::vector<double> script{0.5, 0.6, 0.7, 0.7, 0.65, 0.6, 0.9};
  for (const auto& [patience, checks] : {std::pair<std::int64_t, std::size_t>{1, 4}, {2, 5}, {3, 6}, {0, 7}}) {
    CAPTURE(patience);
    const auto model = tiny::model(c);
    const tiny::Folder folder;
    TrainSetup s = setup(folder.path());
    s.options.epochs = 3.5;
    s.options.patience = patience;
    std::size_t calls = 0;
    std::map<std::string, Tensor> best;
    const DevCheck dev = [&](std::int64_t step) {
      CHECK(step == static_cast<std::int64_t>(calls + 1) * 4);
      const double value = script.at(calls++);
      if (calls == 3 || value == 0.9) best = tiny::snapshot(*model);
      return std::map<std::string, double>{{"auc", value}};
    };
    const TrainSummary summary = train(*model, c, s, dev, workspace);
    CHECK(calls == checks);
    CHECK(summary.stopped_early == (checks < 7));
    CHECK(summary.best_dev == (checks < 7 ? 0.7 : 0.9));
    CHECK(summary.best_step == (checks < 7 ? 12 : 28));
    CHECK(tiny::same_bits(tiny::snapshot(*model), best));
  }
  const auto model = tiny::model(c);
  const tiny::Folder folder;
  TrainSetup s = setup(folder.path());
  s.options.max_steps = 11;
  std::vector<std::int64_t> checks;
  const TrainSummary summary = train(*model, c, s, [&](std::int64_t step) {
    checks.push_back(step);
    return std::map<std::string, double>{{"auc", 0.5}};
  }, workspace);
  CHECK(summary.steps == 11);
  CHECK(checks == std::vector<std::int64_t>{4, 8, 11});
}

TEST_CASE("without dev data, or with a NaN for a metric, training goes to its end", "[unit]") {
  const Corpus c = tiny::corpus();
  tiny::TestWorkspace workspace;
  for (const int kind : {0, 1, 2}) {
    const auto model = tiny::model(c);
    const tiny::Folder folder;
    TrainSetup s = setup(folder.path());
    s.options.epochs = 1;
    DevCheck dev;
    if (kind == 1) dev = [](std::int64_t) { return std::map<std::string, double>{}; };
    if (kind == 2) dev = [](std::int64_t) { return std::map<std::string, double>{{"auc", std::nan("")}}; };
    const TrainSummary summary = train(*model, c, s, dev, workspace);
    CHECK(summary.steps == 8);
    CHECK(fs::exists(folder.path() / "checkpoints" / "best" / "model.safetensors"));
  }
}

TEST_CASE("a monitor that dev does not give is named", "[unit][errors]") {
  const Corpus c = tiny::corpus();
  const auto model = tiny::model(c);
  tiny::TestWorkspace workspace;
  const tiny::Folder folder;
  TrainSetup s = setup(folder.path());
  s.options.monitor = "ndcg@5";
  CHECK_THROWS_WITH(train(*model, c, s, dev_auc(*model, c, workspace), workspace), Catch::Contains("'ndcg@5'") && Catch::Contains("gives auc"));
}

TEST_CASE("a loss that is no number ends the run with the step and what to do", "[unit][errors]") {
  const Corpus c = tiny::corpus();
  const auto model = tiny::model(c);
  tiny::TestWorkspace workspace;
  const tiny::Folder folder;
  TrainSetup s = setup(folder.path());
  bool poisoned = false;
  const DevCheck dev = [&](std::int64_t step) {
    if (step == 8) {  // as if an update had gone wrong
      poisoned = true;
      const c10::AutoGradMode no_gradients(false);
      for (auto& p : model->parameters()) p.fill_(std::nan(""));
    }
    return std::map<std::string, double>{{"auc", 0.5}};
  };
  try {
    train(*model, c, s, dev, workspace);
    FAIL("trained on NaN");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kRun);
    CHECK_THAT(error.what(), Catch::Contains("step 8") && Catch::Contains("lr") && Catch::Contains("not saved"));
  }
  CHECK(poisoned);
  CHECK(read_train_state(folder.path() / "checkpoints" / "last").step == 4);

  const auto diverging = tiny::model(c);
  const tiny::Folder second;
  TrainSetup t = setup(second.path());
  t.options.lr = 10;
  t.options.schedule = "constant";
  for (auto& p : diverging->parameters()) {
    const c10::AutoGradMode no_gradients(false);
    p.mul_(1e30);
  }
  CHECK_THROWS_WITH(train(*diverging, c, t, {}, workspace), Catch::Contains("training loss is") && Catch::Contains("at step 1 "));
}

TEST_CASE("stopped by the user at any step and resumed: the same bits as without", "[unit]") {
  const Corpus c = tiny::corpus();
  tiny::TestWorkspace calm;
  const tiny::Folder straight;
  const auto model = tiny::model(c);
  TrainSetup s = setup(straight.path());
  s.options.accumulate = 2;  // 4 steps an epoch
  s.options.batch_size = 16;
  s.options.clip = 0.5;
  s.options.patience = 3;
  s.options.epochs = 5;
  const TrainSummary expected = train(*model, c, s, dev_auc(*model, c, calm), calm);
  const auto weights = tiny::snapshot(*model);

  for (std::int64_t every : {1, 2, 3, 9, 23}) {
    CAPTURE(every);
    const tiny::Folder folder;
    TrainSetup t = s;
    t.folder = folder.path();
    TrainSummary summary;
    std::map<std::string, Tensor> end;
    int stops = 0;
    for (;; ++stops) {
      REQUIRE(stops < 200);
      const auto fresh = tiny::model(c, {}, stops == 0 ? 11 : 1000 + static_cast<std::uint64_t>(stops));  // later ones: all from the file
      tiny::TestWorkspace workspace;
      workspace.cancel_after = every;
      t.resume = true;
      try {
        summary = train(*fresh, c, t, dev_auc(*fresh, c, every < 9 ? calm : workspace), workspace);  // 9 and 23: stops in dev checks too
        end = tiny::snapshot(*fresh);
        break;
      } catch (const Error& error) {
        REQUIRE(error.kind() == ErrorKind::kInterrupted);
      }
    }
    CHECK(stops > 0);
    CHECK(summary.best_dev == expected.best_dev);
    CHECK(summary.best_step == expected.best_step);
    CHECK(summary.steps == expected.steps);
    CHECK(tiny::same_bits(end, weights));
  }
}
