// What augmentation may cost and what it came to, for people.
#include <fmt/format.h>

#include "augment/asker.h"
#include "augment/augment.h"
#include "base/files.h"
#include "base/human.h"

namespace oncekit {
namespace {

std::string share(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? fmt::format("{:.1f}%", 100.0 * static_cast<double>(part) / static_cast<double>(whole)) : "-";
}

}  // namespace

std::string price_text(double first_attempts, const AugmentSetup& setup) {
  return fmt::format("{:.4f} USD for a first attempt at each, {:.4f} with all {} attempts", first_attempts, first_attempts * static_cast<double>(setup.answers.attempts), setup.answers.attempts);
}

std::string guard_summary(const AugmentFigures& f) {
  return fmt::format("{} of {} histories get an answer; {} {}{}", human_count(f.guard.given), human_count(f.guard.histories), human_count(f.guard.withheld),
                     f.leaky ? "only because answers.allow_leak overrides the guard: results are leaky/" : "withheld",
                     f.guard.unknown > 0 ? fmt::format(" ({} because the prompt is not known)", human_count(f.guard.unknown)) : "");
}

namespace {

std::string one(const AugmentFigures& f, const AugmentSetup& setup) {
  std::string text = fmt::format("{} (augmenter/{})\n", f.name, f.component);
  const auto line = [&](const std::string& what, const std::string& value) { text += fmt::format("  {:<18}{}\n", what, value); };
  if (f.wanted == 0) {
    line("questions", "none");
    return text;
  }
  line("questions", fmt::format("{}, {} answers wanted{}", human_count(f.prompts), human_count(f.wanted), f.about_users > 0 ? "; they show what users clicked" : ""));
  if (setup.dry_run) {
    line("to be asked", fmt::format("{}{} of {} at {}", f.provisional ? "about " : "", human_count(f.missing), setup.endpoint.model, shown_host(setup.endpoint.url)));
    if (f.provisional) line("", "an augmenter before it lacks answers: with them these questions will be others, and all may be asked");
    line("at most", fmt::format("{} prompt tokens, {} answer tokens, {}", human_count(f.prompt_tokens), human_count(f.completion_tokens), price_text(f.cost, setup)));
  } else if (f.asked > 0) {
    line("asked", fmt::format("{} requests, {} answers, {} tries again{}, in {:.1f} s ({:.1f} answers/s)", human_count(f.asked), human_count(f.answered), human_count(f.retried),
                              f.possibly_billed > 0 ? fmt::format(", {} tries unanswered and possibly billed", human_count(f.possibly_billed)) : "", f.seconds,
                              f.seconds > 0 ? static_cast<double>(f.answered) / f.seconds : 0.0));
    line("cost", fmt::format("{:.4f} USD: {} prompt tokens, {} answer tokens", f.cost, human_count(f.prompt_tokens), human_count(f.completion_tokens)));
  }
  line("there", fmt::format("{} of {} ({}){}{}", human_count(f.covered), human_count(f.wanted), share(f.covered, f.wanted), f.repaired > 0 ? fmt::format(", {} repaired", human_count(f.repaired)) : "",
                            f.imported > 0 ? fmt::format(", {} imported (prompt unknown: may leak)", human_count(f.imported)) : ""));
  if (f.imports_withheld > 0) line("  withheld", fmt::format("{} imported: their prompts had shown more than the history, or nobody knows what", human_count(f.imports_withheld)));
  for (const auto& [model, count] : f.models) line("  from", fmt::format("{}: {}", model.empty() ? "a model without a name" : model, human_count(count)));
  for (const auto& [reason, count] : f.rejects) {
    line("  rejected", fmt::format("{} x {}", human_count(count), reason));
    if (const auto found = f.examples.find(reason); found != f.examples.end() && !found->second.empty()) {
      std::string example = found->second.front();
      for (char& c : example)
        if (static_cast<unsigned char>(c) < 0x20) c = ' ';
      if (!example.empty()) line("", "e.g. " + example);
    }
  }
  for (const auto& [reason, count] : f.faults) line("  tries failed", fmt::format("{} x {}", human_count(count), reason));
  if (f.guard.histories > 0) {
    line("leak guard", guard_summary(f));
    for (const auto& [split, leaks] : f.leaks)
      if (leaks.seen_positive > 0)
        line("  " + split, fmt::format("{} of {} impressions ask for something that a prompt about the user had shown; used: {}", human_count(leaks.seen_positive), human_count(leaks.impressions), human_count(leaks.used)));
  }
  return text;
}

}  // namespace

nlohmann::ordered_json augment_record(const std::vector<AugmentFigures>& figures, const AugmentSetup& setup) {
  nlohmann::ordered_json steps = nlohmann::ordered_json::array();
  for (const AugmentFigures& f : figures) {
    nlohmann::ordered_json step = {
        {"name", f.name}, {"component", f.component}, {"prompts", f.prompts}, {"questions_digest", f.questions}, {"wanted", f.wanted}, {"missing", f.missing},
        {"provisional", f.provisional}, {"covered", f.covered}, {"imports_withheld", f.imports_withheld},
        {"coverage", f.coverage()}, {"repaired", f.repaired}, {"imported", f.imported}, {"models", f.models}, {"asked", f.asked},
        {"answered", f.answered}, {"retried", f.retried}, {"possibly_billed", f.possibly_billed}, {"prompt_tokens", f.prompt_tokens},
        {"completion_tokens", f.completion_tokens}, {"cost_usd", f.cost}, {"seconds", f.seconds}, {"rejects", f.rejects}, {"faults", f.faults},
        {"examples", f.examples}};
    if (f.guard.histories > 0) {
      step["leak_guard"] = {{"histories", f.guard.histories}, {"given", f.guard.given}, {"withheld", f.guard.withheld},
                            {"prompt_unknown", f.guard.unknown}, {"overridden", f.leaky}};
      for (const auto& [split, leaks] : f.leaks)
        step["leak_guard"]["positives_seen"][split] = {{"impressions", leaks.impressions}, {"with_answer", leaks.with_answer}, {"seen", leaks.seen_positive}, {"used", leaks.used}};
    }
    steps.push_back(std::move(step));
  }
  return {{"model", setup.endpoint.model}, {"host", shown_host(setup.endpoint.url)},
          {"store", display_path(setup.store)}, {"steps", std::move(steps)}};
}

std::string augment_text(const std::vector<AugmentFigures>& figures, const AugmentSetup& setup) {
  std::string text;
  double cost = 0;
  for (const AugmentFigures& f : figures) {
    text += one(f, setup);
    cost += f.cost;
  }
  if (figures.size() > 1 && cost > 0) text += fmt::format("in all             {:.4f} USD\n", cost);
  return text;
}

}  // namespace oncekit
