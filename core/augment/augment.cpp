#include "augment/augment.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <stdlib.h>

#include "augment/asker.h"
#include "base/files.h"
#include "base/human.h"
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
  std::string text = fmt::format("{}: {} answers wanted, {}{} missing", figures.name, human_count(figures.wanted), figures.provisional ? "about " : "", human_count(figures.missing));
  if (figures.missing > 0 && setup.asks()) {
    text += fmt::format("; asks {} at {}", setup.endpoint.model, shown_host(setup.endpoint.url));
    if (!on_this_machine(setup.endpoint.url)) {
      text += ", at most " + price_text(price, setup);
      if (figures.about_users > 0) text += "; what readers have read leaves this machine, for that host";
    }
  }
  log::info(text);
}

void check_allowed(const AugmentFigures& figures, const AugmentSetup& setup, double price) {
  const EndpointOptions& e = setup.endpoint;
  if (on_this_machine(e.url) || e.budget > 0 || (e.input_price == 0 && e.output_price == 0)) return;
  throw Error(ErrorKind::kUsage,
              fmt::format("[augmenter.{}] would ask {} {} questions (at most {}), and [endpoint] sets no budget", figures.name, shown_host(e.url), human_count(figures.missing), price_text(price, setup)),
              "set endpoint.budget=USD, or answers.ask=false to go on with what the store has; `oncekit augment RECIPE --dry-run` shows all figures");
}

/// A recipe's answer store, opened for writing only when something may be asked. Whoever asks nothing finds an empty one where there is none, and
/// leaves nothing behind.
class OpenStore {
 public:
  explicit OpenStore(const AugmentSetup& setup)
      : reads_(setup.dry_run || !setup.asks()), scratch_(reads_ && !fs::exists(setup.store) ? scratch_folder() : fs::path()),
        store_(!reads_ ? AnswerStore::open(setup.store) : scratch_.empty() ? AnswerStore::open_read_only(setup.store) : AnswerStore::open(scratch_ / "answers.db")) {}
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
  const bool reads_;
  fs::path scratch_;
  AnswerStore store_;
};

std::string main_reasons(const AugmentFigures& figures) {
  std::vector<std::pair<std::int64_t, std::string>> reasons;
  for (const auto& [reason, count] : figures.rejects) reasons.emplace_back(-count, reason);
  std::sort(reasons.begin(), reasons.end());
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, reasons.size()); ++i) text += fmt::format("{}{} x {}", i ? ", " : "", human_count(-reasons[i].first), reasons[i].second);
  return text;
}

void check_coverage(const AugmentFigures& figures, const AugmentSetup& setup) {
  if (setup.dry_run || setup.limit > 0 || figures.coverage() >= setup.answers.min_coverage) return;
  const std::string reasons = main_reasons(figures);
  std::string message = fmt::format("[augmenter.{}]: {} of {} answers are there ({:.1f}%), and answers.min_coverage asks for {:.1f}%", figures.name, human_count(figures.covered),
                                    human_count(figures.wanted), 100 * figures.coverage(), 100 * setup.answers.min_coverage);
  if (figures.imports_withheld > 0) message += fmt::format("; for {} more there are imported answers, which the leak guard withholds", human_count(figures.imports_withheld));
  if (!reasons.empty()) message += "; most failed so: " + reasons;
  const std::string hint = "look at `oncekit answers ls --task " + figures.name + " --state rejected`, raise answers.attempts, or lower answers.min_coverage";
  throw Error(ErrorKind::kRun, std::move(message),
              figures.imports_withheld > 0 ? "say with answers.imports_saw what the prompts of imported answers had shown; or " + hint
                                           : "run it again to ask for what is missing (kept answers are not asked again), " + hint);
}

// The clicks of each history. From here on they are told from what augmenters put behind them.
Ragged<ItemId> mark_clicks(Corpus& corpus) {
  Ragged<ItemId> clicks;
  for (std::size_t row = 0; row < corpus.histories.size(); ++row) clicks.push_back(corpus.clicks(static_cast<std::int32_t>(row)));
  corpus.real_clicks.clear();
  for (std::size_t row = 0; row < clicks.size(); ++row) corpus.real_clicks.push_back(static_cast<std::int32_t>(clicks.length(row)));
  return clicks;
}

void check_clicks(const Corpus& corpus, const Ragged<ItemId>& clicks) {
  bool kept = corpus.histories.size() == clicks.size() && corpus.real_clicks.size() == clicks.size();
  for (std::size_t row = 0; kept && row < clicks.size(); ++row) {
    const auto before = clicks[row], now = corpus.histories[row];
    kept = static_cast<std::size_t>(corpus.real_clicks[row]) == before.size() && now.size() >= before.size() && std::equal(before.begin(), before.end(), now.begin());
  }
  if (kept) return;
  throw Error(ErrorKind::kPlugin, "apply() changed what users clicked",
              "an augmenter may put items behind the clicks of a history; the clicks and Corpus::real_clicks stay as they are");
}

}  // namespace

bool Augmented::leaky() const {
  return std::any_of(figures.begin(), figures.end(), [](const AugmentFigures& f) { return f.leaky; });
}

Augmented augment(Corpus&& corpus, const AugmentSetup& setup, Workspace& workspace) {
  Augmented out{std::move(corpus), {}};
  if (setup.steps.empty()) return out;
  // What is wrong with the address is said before anything is asked or read.
  (void)on_this_machine(setup.endpoint.url);
  if (setup.asks() && setup.endpoint.url == "mock" && !setup.endpoint.model.starts_with("mock")) throw mock_in_the_name_of(setup.endpoint.model);
  own_histories(out.corpus);
  const Ragged<ItemId> clicks = mark_clicks(out.corpus);
  OpenStore store(setup);
  Endpoint endpoint(setup, workspace);
  bool complete = true;
  for (const AugmentStep& step : setup.steps) {
    workspace.check_cancelled();
    AugmentFigures& figures = out.figures.emplace_back();
    figures.name = step.name;
    figures.component = step.spec->name;
    figures.provisional = !complete;
    const auto augmenter = call_plugin(*step.spec, "construct", [&] { return step.spec->make_augmenter(*step.options); });
    std::optional<Rng> shuffle;
    if (setup.answers.shuffle_users) shuffle = workspace.rng("shuffle_users").at(step.name);
    GuardedAnswers answers(out.corpus, setup.answers.allow_leak, shuffle);
    {
      Asker asker(step, *augmenter, out.corpus, setup, *store, workspace, figures);
      asker.plan();
      const double price = asker.missing_price();
      announce(figures, setup, price);
      if (setup.dry_run) {
        complete = complete && (figures.missing == 0 || !setup.asks());
      } else if (figures.missing > 0 && setup.asks()) {
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
    if (figures.guard.histories > 0 && figures.guard.given == 0)
      log::warn("[augmenter." + figures.name + "]: none of its answers is used: their prompts had shown more than any history holds, or nobody knows what (answers.imports_saw)");
    check_coverage(figures, setup);
    out.corpus = call_plugin(*step.spec, "apply", [&] {
      Corpus richer = augmenter->apply(std::move(out.corpus), answers);
      check_clicks(richer, clicks);
      return richer;
    });
  }
  return out;
}

}  // namespace oncekit
