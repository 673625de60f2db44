#include "augment/augment.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <stdlib.h>

#include "augment/asker.h"
#include "base/files.h"
#include "oncekit/augmenter.h"
#include "oncekit/error.h"
#include "oncekit/log.h"
#include "plugin/guard.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

// Before the first request: what it may cost, and what leaves the machine.
void announce(const AugmentFigures& figures, const AugmentSetup& setup, double price) {
  if (figures.wanted == 0) return;
  std::string text = fmt::format("{}: {} answers wanted, {} missing", figures.name, figures.wanted, figures.missing);
  if (figures.missing > 0 && setup.answers.ask && setup.answers.imports != "only") {
    text += fmt::format("; asks {} at {}", setup.endpoint.model, shown_host(setup.endpoint.url));
    if (!on_this_machine(setup.endpoint.url)) {
      text += fmt::format(", at most {:.2f} USD", price);
      if (figures.about_users > 0) text += "; what readers have read leaves this machine, for that host";
    }
  }
  log::info(text);
}

void check_allowed(const AugmentFigures& figures, const AugmentSetup& setup, double price) {
  const EndpointOptions& e = setup.endpoint;
  if (on_this_machine(e.url) || e.budget > 0 || (e.input_price == 0 && e.output_price == 0)) return;
  throw Error(ErrorKind::kUsage,
              fmt::format("[augmenter.{}] would ask {} {} questions, which may cost {:.2f} USD, and [endpoint] sets no budget", figures.name, shown_host(e.url), figures.missing, price),
              "set endpoint.budget=USD, or answers.ask=false to go on with what the store has; `oncekit augment RECIPE --dry-run` shows all figures");
}

/// A recipe's answer store. Where there is none, a dry run looks into an empty one and leaves nothing behind.
class OpenStore {
 public:
  explicit OpenStore(const AugmentSetup& setup)
      : scratch_(setup.dry_run && !fs::exists(setup.store) ? scratch_folder() : fs::path()),
        store_(AnswerStore::open(scratch_.empty() ? setup.store : scratch_ / "answers.db")) {}
  ~OpenStore() {
    std::error_code ignored;
    if (!scratch_.empty()) fs::remove_all(scratch_, ignored);
  }
  OpenStore(const OpenStore&) = delete;
  AnswerStore& operator*() { return store_; }

 private:
  static fs::path scratch_folder() {
    std::string name = (fs::temp_directory_path() / "oncekit-dry-run-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw Error(ErrorKind::kRun, std::string("cannot make a folder for temporary files: ") + std::strerror(errno), "set TMPDIR", display_path(name));
    return name;
  }
  fs::path scratch_;
  AnswerStore store_;
};

std::string main_reasons(const AugmentFigures& figures) {
  std::vector<std::pair<std::int64_t, std::string>> reasons;
  for (const auto& [reason, count] : figures.rejects) reasons.emplace_back(-count, reason);
  std::sort(reasons.begin(), reasons.end());
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, reasons.size()); ++i) text += fmt::format("{}{} x {}", i ? ", " : "", -reasons[i].first, reasons[i].second);
  return text;
}

void check_coverage(const AugmentFigures& figures, const AugmentSetup& setup) {
  if (setup.dry_run || setup.limit > 0 || figures.coverage() >= setup.answers.min_coverage) return;
  const std::string reasons = main_reasons(figures);
  throw Error(ErrorKind::kRun,
              fmt::format("[augmenter.{}]: {} of {} answers are there ({:.1f}%), and answers.min_coverage asks for {:.1f}%{}", figures.name, figures.covered,
                          figures.wanted, 100 * figures.coverage(), 100 * setup.answers.min_coverage, reasons.empty() ? "" : "; most failed so: " + reasons),
              "run it again to ask for what is missing (kept answers are not asked again), look at `oncekit answers ls --task " + figures.name +
                  " --state rejected`, raise answers.attempts, or lower answers.min_coverage");
}

}  // namespace

bool Augmented::leaky() const {
  return std::any_of(figures.begin(), figures.end(), [](const AugmentFigures& f) { return f.leaky; });
}

Augmented augment(Corpus&& corpus, const AugmentSetup& setup, Workspace& workspace) {
  Augmented out{std::move(corpus), {}};
  if (setup.steps.empty()) return out;
  (void)on_this_machine(setup.endpoint.url);  // an address that is none is said before anything is asked or read
  own_histories(out.corpus);
  OpenStore store(setup);
  Endpoint endpoint(setup, workspace);
  for (const AugmentStep& step : setup.steps) {
    workspace.check_cancelled();
    AugmentFigures& figures = out.figures.emplace_back();
    figures.name = step.name;
    figures.component = step.spec->name;
    const auto augmenter = call_plugin(*step.spec, "construct", [&] { return step.spec->make_augmenter(*step.options); });
    std::optional<Rng> shuffle;
    if (setup.answers.shuffle_users) shuffle = workspace.rng("shuffle_users").at(step.name);
    GuardedAnswers answers(out.corpus, setup.answers.allow_leak, shuffle);
    {
      Asker asker(step, *augmenter, out.corpus, setup, *store, workspace, figures);
      asker.plan();
      const double price = asker.missing_price();
      announce(figures, setup, price);
      if (!setup.dry_run && figures.missing > 0 && setup.answers.ask && setup.answers.imports != "only") {
        check_allowed(figures, setup, price);
        asker.ask(endpoint);
      }
      asker.collect(answers);
    }
    figures.guard = answers.figures();
    if (figures.about_users > 0 || figures.guard.histories > 0) {
      figures.leaks["train"] = answers.leaks(out.corpus.train);
      figures.leaks["dev"] = answers.leaks(out.corpus.dev);
      figures.leaks["test"] = answers.leaks(out.corpus.test);
    }
    figures.leaky = setup.answers.allow_leak && figures.guard.withheld > 0;
    check_coverage(figures, setup);
    out.corpus = call_plugin(*step.spec, "apply", [&] { return augmenter->apply(std::move(out.corpus), answers); });
  }
  return out;
}

}  // namespace oncekit
