// Checkpoints: damage is named, what does not fit is refused, a full disk and a kill at any moment leave the last good one.
#include <catch2/catch.hpp>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <set>

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "oncekit/error.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"
#include "score/scorer.h"
#include "train/tiny.h"
#include "train/trainer.h"
#include "weights/safetensors.h"

using namespace oncekit;
namespace fs = std::filesystem;

namespace {

struct Made {
  Corpus corpus = tiny::corpus();
  tiny::Folder folder;
  std::shared_ptr<Recommender> model;
  explicit Made(const tiny::Shape& shape = {}) : model(tiny::model(corpus, shape)) {}

  Optimizer optimizer() { return Optimizer(*model, model->groups(), TrainOptions{}); }
  fs::path checkpoints() const { return folder.path() / "checkpoints"; }
  void save(std::int64_t step, bool best) {
    TrainState state;
    state.step = step;
    state.best_step = best ? step : -1;
    CheckpointFolder(checkpoints()).save(*model, optimizer(), state, best);
  }
};

std::string error_text(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::set<std::string> entries(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

}  // namespace

TEST_CASE("a checkpoint holds trainable parameters and buffers, not frozen weights", "[unit]") {
  tiny::Shape shape;
  shape.frozen = true;
  Made made(shape);
  made.save(3, true);
  const SafetensorsFile file = read_safetensors(made.checkpoints() / "best" / "model.safetensors");
  std::string all;
  for (const std::string& name : file.names()) all += name + " ";
  CHECK_THAT(all, Catch::Contains("table") && Catch::Contains("scale") && Catch::Contains("nobody") && !Catch::Contains("pretrained"));
  CHECK(read_file(made.checkpoints() / "best" / "vocabulary.words.txt") == shape.vocabulary);
  const auto other = tiny::model(made.corpus, shape, 99);
  auto expected = tiny::snapshot(*made.model), loaded = expected;
  load_checkpoint(*other, made.checkpoints() / "best");
  loaded = tiny::snapshot(*other);
  for (auto* side : {&expected, &loaded}) std::erase_if(*side, [](const auto& entry) { return entry.first.find("pretrained") != std::string::npos; });
  CHECK(tiny::same_bits(expected, loaded));
}

TEST_CASE("only the folders that last and best point to are kept", "[unit]") {
  Made made;
  made.save(1, true);
  CHECK(entries(made.checkpoints()) == std::set<std::string>{"best", "last", "step-00000001"});
  made.save(2, false);
  made.save(3, false);
  CHECK(entries(made.checkpoints()) == std::set<std::string>{"best", "last", "step-00000001", "step-00000003"});
  made.save(3, true);  // the same step again, now after its dev check
  CHECK(entries(made.checkpoints()) == std::set<std::string>{"best", "last", "step-00000003b"});
  // What a kill leaves half done goes away with the next start.
  fs::create_directory(made.checkpoints() / "new.part");
  fs::create_directory(made.checkpoints() / "step-00000009");
  CheckpointFolder again(made.checkpoints());
  CHECK(entries(made.checkpoints()) == std::set<std::string>{"best", "last", "step-00000003b"});
}

TEST_CASE("a run folder copied with its links resolved still resumes", "[unit]") {
  Made made;
  made.save(1, true);
  const fs::path copy = made.folder.path() / "copy";
  fs::create_directory(copy);
  for (const char* name : {"last", "best"}) fs::copy(made.checkpoints() / name / "", copy / name, fs::copy_options::recursive);
  REQUIRE_FALSE(fs::is_symlink(copy / "last"));
  CheckpointFolder folder(copy);
  Optimizer optimizer = made.optimizer();
  CHECK(folder.load_last(*made.model, optimizer).step == 1);
  TrainState state;
  state.step = 2;
  folder.save(*made.model, optimizer, state, true);
  CHECK(entries(copy) == std::set<std::string>{"best", "last", "step-00000002"});
  CHECK(folder.load_last(*made.model, optimizer).step == 2);
}

TEST_CASE("every damaged or missing file is named", "[unit][errors]") {
  Made made;
  made.save(5, true);
  const fs::path folder = made.checkpoints() / "step-00000005";
  for (const std::string& name : entries(folder)) {
    const std::string whole = read_file(folder / name);
    for (const int damage : {0, 1, 2, 3}) {
      CAPTURE(name, damage);
      if (damage == 0) fs::remove(folder / name);
      if (damage == 1) fs::resize_file(folder / name, whole.size() / 2);
      if (damage == 2) fs::resize_file(folder / name, 0);
      if (damage == 3) {
        std::string flipped = whole;
        flipped[flipped.size() * 2 / 3] ^= 4;
        write_file(folder / name, flipped);
      }
      Optimizer optimizer = made.optimizer();
      const std::string text = error_text([&] { CheckpointFolder(made.checkpoints()).load_last(*made.model, optimizer); });
      // Without state.json it is no checkpoint at all; anything else is called damaged.
      CHECK_THAT(text, Catch::Contains(name));
      if (!(name == "state.json" && damage == 0)) CHECK_THAT(text, Catch::Contains("damaged checkpoint"));
      if (name == "model.safetensors") CHECK_THAT(error_text([&] { load_checkpoint(*made.model, made.checkpoints() / "best"); }), Catch::Contains(name));
      write_file(folder / name, whole);
    }
  }
  Optimizer optimizer = made.optimizer();
  CHECK_NOTHROW(CheckpointFolder(made.checkpoints()).load_last(*made.model, optimizer));
  CHECK_THAT(error_text([&] { load_checkpoint(*made.model, made.folder.path() / "nowhere"); }), Catch::Contains("no checkpoint here"));
}

TEST_CASE("another model, vocabulary or frozen part is refused before anything is overwritten", "[unit][errors]") {
  Made made;
  made.save(1, true);
  const auto refused = [&](const tiny::Shape& shape, const Corpus& corpus) {
    const auto other = tiny::model(corpus, shape, 77);
    const auto before = tiny::snapshot(*other);
    const std::string text = error_text([&] { load_checkpoint(*other, made.checkpoints() / "best"); });
    CHECK(tiny::same_bits(before, tiny::snapshot(*other)));
    return text;
  };
  tiny::Shape wide, words, frozen;
  wide.width = 16;
  words.vocabulary = "one\nthree\n";
  frozen.frozen = true;
  CHECK_THAT(refused(wide, made.corpus), Catch::Contains("does not fit") && Catch::Contains("[60, 8]") && Catch::Contains("[60, 16]"));
  CHECK_THAT(refused(words, made.corpus), Catch::Contains("vocabulary 'words' differs"));
  CHECK_THAT(refused(frozen, made.corpus), Catch::Contains("frozen part 'pretrained' is not in the checkpoint"));
  tiny::World larger;
  larger.items = 64;
  CHECK_THAT(refused({}, tiny::corpus(larger)), Catch::Contains("[60, 8]") && Catch::Contains("[64, 8]"));
}

TEST_CASE("a checkpoint of another recipe, seed or machine is not resumed silently", "[unit][errors]") {
  const Corpus c = tiny::corpus();
  tiny::TestWorkspace workspace;
  const tiny::Folder folder;
  TrainSetup s;
  s.folder = folder.path();
  s.recipe_hash = "abc";
  s.environment = "2 threads";
  s.options.epochs = 1;
  train(*tiny::model(c), c, s, {}, workspace);
  s.resume = true;
  const auto attempt = [&](const TrainSetup& changed) { return error_text([&] { train(*tiny::model(c), c, changed, {}, workspace); }); };
  CHECK(attempt(s) == "no error");
  TrainSetup recipe = s, seed = s, machine = s;
  recipe.recipe_hash = "def";
  seed.seed = 5;
  machine.environment = "4 threads";
  CHECK_THAT(attempt(recipe), Catch::Contains("another recipe"));
  CHECK_THAT(attempt(seed), Catch::Contains("seed 0, this run has 5"));
  CHECK_THAT(attempt(machine), Catch::Contains("2 threads") && Catch::Contains("4 threads"));
  machine.accept_environment = true;
  const TrainSummary summary = train(*tiny::model(c), c, machine, {}, workspace);
  REQUIRE(summary.notes.size() == 1);
  CHECK_THAT(summary.notes[0], Catch::Contains("4 threads instead of 2 threads"));
}

TEST_CASE("a full disk ends in a sentence, and the old checkpoint stays", "[fault]") {
  tiny::Shape shape;
  shape.width = 64;  // 31 KB of parameters
  Made made(shape);
  made.save(1, true);
  const std::string before = read_file(made.checkpoints() / "last" / "model.safetensors");

  rlimit old{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  for (const rlim_t limit : {0, 1000, 20000, 40000}) {
    CAPTURE(limit);
    rlimit small = old;
    small.rlim_cur = limit;
    setrlimit(RLIMIT_FSIZE, &small);
    const std::string text = error_text([&] { made.save(2, true); });
    setrlimit(RLIMIT_FSIZE, &old);
    CHECK_THAT(text, Catch::Contains("checkpoint of step 2 was not saved") && Catch::Contains("earlier checkpoints are untouched"));
    CHECK(entries(made.checkpoints()) == std::set<std::string>{"best", "last", "step-00000001"});
    CHECK(read_file(made.checkpoints() / "last" / "model.safetensors") == before);
  }
  std::signal(SIGXFSZ, handler);
  Optimizer optimizer = made.optimizer();
  CHECK(CheckpointFolder(made.checkpoints()).load_last(*made.model, optimizer).step == 1);
}

// Kills: a child process (this program, running the hidden test below) trains in a folder and is killed; the next one resumes.

TEST_CASE("child: trains in a folder", "[.][train-child]") {
  const char* folder = std::getenv("ONCEKIT_TEST_FOLDER");
  if (folder == nullptr) return;  // not started by a test
  const Corpus c = tiny::corpus();
  tiny::TestWorkspace workspace;
  TrainSetup s;
  s.folder = folder;
  s.seed = 4;
  s.resume = true;
  s.options.batch_size = 8;
  s.options.lr = 0.003;
  s.options.epochs = 12;
  s.options.check_every = 0.7;
  s.options.patience = 0;
  s.options.checkpoint_minutes = 0.05 / 60;  // saves between dev checks too
  if (const char* spec = std::getenv("ONCEKIT_TEST_KILL"); spec != nullptr && *spec != '\0') {
    // "POINT:N": dies at the N-th passing of a point.
    const std::string text = spec;
    const std::string point = text.substr(0, text.find(':'));
    checkpoint_fault_hook() = [point, left = std::stoi(text.substr(text.find(':') + 1))](std::string_view at) mutable {
      if (at == point && --left == 0) ::raise(SIGKILL);
    };
    s.options.checkpoint_minutes = 0;
  }
  const auto model = tiny::model(c, {}, fs::exists(fs::path(folder) / "checkpoints" / "last") ? 500 : 11);
  write_file(fs::path(folder) / "started", "");
  const TrainSummary summary = train(*model, c, s, [&](std::int64_t) {
    return std::map<std::string, double>{{"auc", tiny::auc(c.dev, score_impressions(*model, c, c.dev, 16, workspace))}};
  }, workspace);
  write_file(fs::path(folder) / "summary", std::to_string(summary.best_step) + " " + std::to_string(summary.best_dev));
}

namespace {

/// Runs the child; unless after < 0, kills it `after` microseconds from when it has made its model and saved `saves` times.
/// True when it was killed.
bool run_child(const fs::path& folder, const std::string& kill_point, long after, int saves = 0) {
  fs::remove(folder / "started");
  ::setenv("ONCEKIT_TEST_FOLDER", folder.c_str(), 1);
  ::setenv("ONCEKIT_TEST_KILL", kill_point.c_str(), 1);
  const std::string self = fs::read_symlink("/proc/self/exe").string();
  std::string name = "test", tag = "[train-child]";
  char* arguments[] = {name.data(), tag.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, (folder / "child.log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = 0;
  REQUIRE(posix_spawn(&pid, self.c_str(), &actions, nullptr, arguments, environ) == 0);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  bool ended = false;
  if (after >= 0) {
    const auto last = [&] {
      std::error_code none_yet;
      return fs::read_symlink(folder / "checkpoints" / "last", none_yet);
    };
    const auto wait_while = [&](auto condition) {
      for (; !ended && condition(); ::usleep(1000)) ended = waitpid(pid, &status, WNOHANG) == pid;
    };
    fs::path seen = last();
    wait_while([&] { return !fs::exists(folder / "started"); });
    for (; saves > 0; --saves) {
      wait_while([&] { return last() == seen; });
      seen = last();
    }
    if (!ended) {
      ::usleep(static_cast<useconds_t>(after));
      ::kill(pid, SIGKILL);
    }
  }
  while (!ended && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) return true;
  INFO(read_file(folder / "child.log"));
  REQUIRE(WEXITSTATUS(status) == 0);
  return false;
}

/// All that must not depend on kills. Times are left out.
std::map<std::string, std::string> outcome(const fs::path& folder) {
  std::map<std::string, std::string> all;
  for (const char* name : {"last", "best"}) {
    for (const char* file : {"model.safetensors", "optimizer.safetensors"}) {
      all[std::string(name) + "/" + file] = digest(read_file(folder / "checkpoints" / name / file));
    }
    const TrainState state = read_train_state(folder / "checkpoints" / name);
    all[std::string(name) + "/state"] = std::to_string(state.step) + " " + std::to_string(state.best_step) + " " + std::to_string(state.best) +
                                        " " + std::to_string(state.checks_without_gain) + " " + std::to_string(state.samples);
  }
  all["losses"] = read_file(folder / "losses.csv");
  std::ifstream curves(folder / "curves.csv");
  for (std::string line; std::getline(curves, line);) all["curves"] += line.substr(0, line.rfind(',')) + "\n";
  all["summary"] = read_file(folder / "summary");
  return all;
}

}  // namespace

TEST_CASE("killed at every point of saving and resumed: the same bits", "[fault]") {
  const tiny::Folder straight;
  REQUIRE_FALSE(run_child(straight.path(), "", -1));
  const auto expected = outcome(straight.path());
  int round = 0;
  for (const char* point : {"begin", "model written", "optimizer written", "written", "renamed", "last points to it", "best points to it", "done"}) {
    CAPTURE(point);
    const tiny::Folder folder;
    // First save, or one in the middle; then once more, so that a resumed run is killed too.
    const int first = round++ % 2 == 0 ? 1 : 9;
    REQUIRE(run_child(folder.path(), std::string(point) + ":" + std::to_string(first), -1));
    REQUIRE(run_child(folder.path(), std::string(point) + ":2", -1));
    REQUIRE_FALSE(run_child(folder.path(), "", -1));
    const auto result = outcome(folder.path());
    for (const auto& [name, value] : expected) {
      CAPTURE(name);
      CHECK(result.at(name) == value);
    }
  }
}

TEST_CASE("killed at 20 random moments and resumed: the same bits", "[fault]") {
  const tiny::Folder straight, folder;
  REQUIRE_FALSE(run_child(straight.path(), "", -1));
  const auto expected = outcome(straight.path());
  // Each run makes up to two saves, counted and not timed, since the machine may be slower by now; then up to a check's time more.
  const auto time = [&](const char* file) { return fs::last_write_time(straight.path() / file); };
  const auto check = static_cast<std::uint64_t>(std::chrono::duration<double, std::micro>(time("summary") - time("started")).count() / 17);
  Rng rng(2026);
  int kills = 0;
  std::set<std::int64_t> steps;
  for (int tries = 0; kills < 20 && tries < 60; ++tries) {
    const auto after = static_cast<long>(rng.below(check + 1));
    if (!run_child(folder.path(), "", after, static_cast<int>(rng.below(3)))) {
      // It came to its end first: compared, and another one is begun.
      CHECK(outcome(folder.path()) == expected);
      fs::remove_all(folder.path());
      fs::create_directories(folder.path());
      continue;
    }
    ++kills;
    if (fs::exists(folder.path() / "checkpoints" / "last")) steps.insert(read_train_state(folder.path() / "checkpoints" / "last").step);
  }
  CHECK(kills == 20);
  CAPTURE(steps);
  CHECK(steps.size() > 5);  // they fell all over training
  REQUIRE_FALSE(run_child(folder.path(), "", -1));
  const auto result = outcome(folder.path());
  for (const auto& [name, value] : expected) {
    CAPTURE(name);
    CHECK(result.at(name) == value);
  }
}
