// oncekit answers: ls, show, export, import, verify.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <ctime>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "answers/once_logs.h"
#include "answers/rows.h"
#include "answers/store.h"
#include "base/files.h"
#include "base/human.h"
#include "cli/commands.h"
#include "data/utf8.h"
#include "oncekit/error.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

fs::path store_file(const fs::path& given) {
  const char* named = std::getenv("ONCEKIT_ANSWERS");
  return !given.empty() ? given : named && *named ? fs::path(named) : fs::path("answers/answers.db");
}

void add_store(CLI::App& command, fs::path& store) {
  command.add_option("--store", store, "the answer store (default: $ONCEKIT_ANSWERS, or answers/answers.db)")->type_name("FILE");
}

std::string count_of(std::int64_t n, const char* one, const char* many) { return human_count(n) + " " + (n == 1 ? one : many); }
std::string usd(double amount) { return fmt::format("{:.{}f} USD", amount, amount != 0 && amount < 0.01 ? 6 : 4); }

// Text on one line of a table: control characters are spaces, and what is too long ends in dots.
std::string shortened(const std::string& text, std::size_t width) {
  std::string line, mended = mend_utf8(text);
  std::size_t length = 0;
  for (std::size_t i = 0; i < mended.size(); ++length) {
    std::size_t n = 1;
    while (i + n < mended.size() && (static_cast<unsigned char>(mended[i + n]) & 0xC0u) == 0x80u) ++n;
    if (length == width) return line + "...";
    if (n == 1 && static_cast<unsigned char>(mended[i]) < ' ') line += ' ';
    else line.append(mended, i, n);
    i += n;
  }
  return line;
}

std::string padded(const std::string& text, std::size_t width) {
  const std::size_t length = utf8_length(text);
  return text + std::string(width > length ? width - length : 0, ' ');
}

std::string when(std::int64_t seconds) {
  std::tm time{};
  const std::time_t t = seconds;
  if (gmtime_r(&t, &time) == nullptr) return std::to_string(seconds);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &time)};
}

Json totals_json(const StoreTotals& t) {
  return {{"answers", t.answers}, {"accepted", t.accepted}, {"repaired", t.repaired}, {"rejected", t.rejected}, {"refused", t.refused}, {"gave_up", t.gave_up},
          {"imported", t.imported}, {"prompt_tokens", t.prompt_tokens}, {"completion_tokens", t.completion_tokens}, {"cost", t.cost},
          {"set_aside", t.set_aside}, {"possibly_billed", t.possibly_billed}};
}

Json billed_json(const PossiblyBilled& b) {
  return {{"request", b.request}, {"draw", b.draw}, {"attempt", b.attempt}, {"task", b.task}, {"key", b.key}, {"why", b.why}, {"price", b.price}, {"at", b.at}};
}

void print_totals(std::ostream& out, const fs::path& file, const StoreTotals& t, const std::vector<PossiblyBilled>& billed) {
  out << display_path(file) << ": " << count_of(t.answers, "answer", "answers");
  const char* separator = " (";
  for (const auto& [n, name] : {std::pair{t.accepted, "accepted"}, {t.repaired, "repaired"}, {t.rejected, "rejected"}, {t.refused, "refused"}, {t.gave_up, "gave_up"}}) {
    if (n == 0) continue;
    out << std::exchange(separator, ", ") << human_count(n) << " " << name;
  }
  if (t.answers > 0) out << ")";
  if (t.imported > 0) out << ", " << human_count(t.imported) << " of them imported";
  out << "\n" << human_count(t.prompt_tokens) << " tokens of prompts, " << human_count(t.completion_tokens) << " of answers, " << usd(t.cost);
  if (t.set_aside > 0) out << "; " << usd(t.set_aside) << " set aside for what is being asked";
  out << "\n";
  if (billed.empty()) return;
  std::map<std::string, std::int64_t> why;
  for (const PossiblyBilled& b : billed) ++why[b.why];
  out << count_of(static_cast<std::int64_t>(billed.size()), "request was", "requests were") << " sent and never answered, and possibly billed: " << usd(t.possibly_billed) << " at most";
  separator = " (";
  for (const auto& [reason, n] : why) out << std::exchange(separator, ", ") << human_count(n) << " " << reason;
  out << ")\n";
}

struct LsFlags {
  fs::path store;
  AnswerFilter filter;
};

void ls(LsFlags& flags, Context& context) {
  const fs::path file = store_file(flags.store);
  if (!fs::exists(file) && flags.store.empty() && !context.json) {
    context.out << "no answers are stored in " << display_path(file) << "; `oncekit augment RECIPE` and `oncekit answers import FILE` store them\n";
    return;
  }
  const AnswerStore store = AnswerStore::open_read_only(file);
  if (context.json) {
    Json json{{"store", file.string()}, {"totals", totals_json(store.totals())}, {"possibly_billed", Json::array()}, {"answers", Json::array()}};
    for (const PossiblyBilled& b : store.possibly_billed()) json["possibly_billed"].push_back(billed_json(b));
    store.each(flags.filter, [&](const StoredAnswer& answer) {
      Json row = answer_json(answer);
      row.erase("body");  // `show` and `export` have it
      json["answers"].push_back(std::move(row));
    });
    context.out << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
    return;
  }
  const StoreTotals totals = store.totals();
  struct Row { std::string task, key, draw, state, tokens, source, text; };
  std::vector<Row> rows;
  std::array<std::size_t, 6> width{4, 3, 4, 5, 6, 6};
  store.each(flags.filter, [&](const StoredAnswer& a) {
    Row row{shortened(a.task, 24), shortened(a.key, 40), a.attempt == 0 ? std::to_string(a.draw) : fmt::format("{}+{}", a.draw, a.attempt), state_name(a.state),
            std::to_string(a.prompt_tokens + a.completion_tokens), shortened(a.source, 32), shortened(a.reason.empty() ? a.raw : a.reason + ": " + a.raw, 60)};
    const std::array<const std::string*, 6> cells{&row.task, &row.key, &row.draw, &row.state, &row.tokens, &row.source};
    for (std::size_t i = 0; i < cells.size(); ++i) width[i] = std::max(width[i], utf8_length(*cells[i]));
    rows.push_back(std::move(row));
  });
  print_totals(context.out, file, totals, store.possibly_billed());
  const auto print = [&](const Row& r) {
    const std::array<const std::string*, 6> cells{&r.task, &r.key, &r.draw, &r.state, &r.tokens, &r.source};
    for (std::size_t i = 0; i < cells.size(); ++i) context.out << padded(*cells[i], width[i]) << "  ";
    context.out << r.text << "\n";
  };
  if (rows.empty()) {
    if (totals.answers > 0) context.out << "none of them is as asked for\n";
    return;
  }
  print({"task", "key", "draw", "state", "tokens", "source", "answer"});
  for (const Row& row : rows) print(row);
  if (flags.filter.limit > 0 && static_cast<std::int64_t>(rows.size()) == flags.filter.limit && totals.answers > flags.filter.limit)
    context.out << "the first " << human_count(flags.filter.limit) << "; --limit 0 shows all\n";
}

void add_ls(CLI::App& answers, Context& context) {
  auto flags = std::make_shared<LsFlags>();
  flags->filter.limit = 20;
  CLI::App* command = answers.add_subcommand("ls", "what is stored, what it cost, and the answers themselves, cut short");
  add_store(*command, flags->store);
  command->add_option("--task", flags->filter.task, "those of this augmenter")->type_name("NAME");
  command->add_option("--key", flags->filter.key, "those about this item or user")->type_name("ID");
  command->add_option("--model", flags->filter.model, "those of this model")->type_name("NAME");
  command->add_option("--state", flags->filter.state, "accepted, repaired, rejected, refused or gave_up")->type_name("STATE");
  command->add_option("--source", flags->filter.source, "endpoint, or \"import: FILE\"")->type_name("TEXT");
  command->add_option("--limit", flags->filter.limit, "so many at most; 0 = all")->check(CLI::NonNegativeNumber)->capture_default_str();
  context.add_json(*command);
  examples(*command, {"oncekit answers ls", "oncekit answers ls --state rejected --limit 0"});
  command->callback([flags, &context] { ls(*flags, context); });
}

// The messages of a request, as they were sent.
void print_prompt(std::ostream& out, const StoredAnswer& answer) {
  if (answer.body.empty()) {
    out << "prompt: unknown (an import): it may have shown what is to be predicted\n";
    return;
  }
  const Json body = Json::parse(answer.body, nullptr, false);
  const auto messages = body.is_object() ? body.find("messages") : body.end();
  if (!body.is_object() || messages == body.end() || !messages->is_array()) {
    out << "request:\n" << mend_utf8(answer.body) << "\n";
    return;
  }
  for (const Json& message : *messages)
    if (message.is_object() && message.contains("role") && message.contains("content") && message["role"].is_string() && message["content"].is_string())
      out << "--- " << message["role"].get<std::string>() << "\n" << message["content"].get<std::string>() << "\n";
}

void print_answer(std::ostream& out, const StoredAnswer& a, bool with_prompt) {
  out << fmt::format("request {}, draw {}, attempt {}\n", a.request, a.draw, a.attempt);
  out << fmt::format("task {}, key {}, model {}, source {}, {}\n", mend_utf8(a.task), mend_utf8(a.key), mend_utf8(a.model), mend_utf8(a.source), when(a.at));
  if (!is_import(a))
    out << fmt::format("{} + {} tokens{}, {}, {}\n", human_count(a.prompt_tokens), human_count(a.completion_tokens), a.usage_reported ? "" : " (estimated)", usd(a.cost),
                       human_seconds(a.seconds));
  if (!a.seen) {
    out << "clicks in the prompt: not known\n";
  } else if (!a.seen->empty()) {
    out << "clicks in the prompt:";
    for (const std::string& id : *a.seen) out << " " << id;
    out << "\n";
  }
  if (with_prompt) print_prompt(out, a);
  out << "--- answer, " << state_name(a.state) << (a.reason.empty() ? "" : ": " + mend_utf8(a.reason)) << "\n" << mend_utf8(a.raw) << "\n";
  if (!a.parsed.empty()) out << "--- parsed\n" << mend_utf8(a.parsed) << "\n";
}

void show(const fs::path& given, const std::string& what, Context& context) {
  const fs::path file = store_file(given);
  const AnswerStore store = AnswerStore::open_read_only(file);
  std::vector<StoredAnswer> found;
  const bool request = what.size() >= 6 && what.find_first_not_of("0123456789abcdef") == std::string::npos;
  AnswerFilter by_key;
  by_key.key = what;
  store.each(by_key, [&](const StoredAnswer& answer) { found.push_back(answer); });
  if (found.empty() && request)
    store.each({}, [&](const StoredAnswer& answer) {
      if (answer.request.starts_with(what)) found.push_back(answer);
    });
  if (found.empty())
    throw Error(ErrorKind::kData, "there is no answer about '" + what + "', and none to a request of that name",
                "`oncekit answers ls` shows keys; a request is named by 6 or more of its digits", display_path(file));
  if (context.json) {
    Json json = Json::array();
    for (const StoredAnswer& answer : found) json.push_back(answer_json(answer));
    context.out << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
    return;
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (i > 0) context.out << "\n";
    print_answer(context.out, found[i], i == 0 || found[i].body != found[i - 1].body || found[i].body.empty());
  }
}

void add_show(CLI::App& answers, Context& context) {
  auto store = std::make_shared<fs::path>();
  auto what = std::make_shared<std::string>();
  CLI::App* command = answers.add_subcommand("show", "prompt, answer, fields and all attempts, of an item, a user or a request");
  command->add_option("what", *what, "id of an item or user, or a request: 6 or more of its digits")->required()->type_name("REQUEST|KEY");
  add_store(*command, *store);
  context.add_json(*command);
  examples(*command, {"oncekit answers show N12345", "oncekit answers show 5f0c9ab27e --json"});
  command->callback([store, what, &context] { show(*store, *what, context); });
}

void add_export(CLI::App& answers, Context& context) {
  auto store = std::make_shared<fs::path>();
  auto file = std::make_shared<fs::path>();
  CLI::App* command = answers.add_subcommand("export", "write all answers as JSON lines, in a fixed order");
  command->add_option("file", *file, "the file to write")->required()->type_name("FILE");
  add_store(*command, *store);
  examples(*command, {"oncekit answers export answers.jsonl"});
  command->callback([store, file, &context] {
    const AnswerStore answers = AnswerStore::open_read_only(store_file(*store));
    answers.export_lines(*file);
    context.out << "wrote " << count_of(answers.totals().answers, "answer", "answers") << " to " << display_path(*file) << "\n";
  });
}

struct ImportFlags {
  fs::path store;
  OnceLog log;
  std::string format = "auto";
};

void import_file(const ImportFlags& flags, Context& context) {
  const bool lines = flags.format == "jsonl" || (flags.format == "auto" && is_store_export(flags.log.file));
  const fs::path file = store_file(flags.store);
  if (!lines && flags.log.task.empty())
    throw Error(ErrorKind::kUsage, "a log of the ONCE release does not say what was asked", "name the augmenter with --task, e.g. --task gpt_summarizer",
                display_path(flags.log.file));
  if (lines) {
    if (!flags.log.task.empty() || !flags.log.users.empty())
      throw Error(ErrorKind::kUsage, "lines of an export say task and keys themselves", "leave out --task and --users", display_path(flags.log.file));
    AnswerStore store = AnswerStore::open(file);
    const std::int64_t added = store.import_lines(flags.log.file);
    if (context.json) context.out << Json{{"store", file.string()}, {"added", added}}.dump(2) << "\n";
    else context.out << count_of(added, "new answer", "new answers") << " in " << display_path(file) << "\n";
    return;
  }
  AnswerStore store = AnswerStore::open(file);
  const OnceLogCounts c = import_once_log(store, flags.log);
  if (context.json) {
    context.out << Json{{"store", file.string()}, {"lines", c.lines}, {"answers", c.answers}, {"joined_lines", c.joined}, {"ids", c.ids}, {"asked_again", c.asked_again},
                        {"malformed", c.malformed}, {"first_malformed", c.first_malformed}, {"first_reason", c.first_reason}, {"unknown_users", c.unknown_users},
                        {"added", c.added}, {"changed", c.changed}, {"there", c.there}}.dump(2) << "\n";
    return;
  }
  context.out << display_path(flags.log.file) << ": " << count_of(c.lines, "line", "lines") << ", " << count_of(c.answers, "answer", "answers") << " about "
              << count_of(c.ids, "id", "ids") << "\n";
  if (c.asked_again > 0) context.out << human_count(c.asked_again) << " asked again; the last answer counts\n";
  if (c.joined > 0) context.out << count_of(c.joined, "line was", "lines were") << " joined to the answer before\n";
  if (c.malformed > 0)
    context.out << count_of(c.malformed, "malformed line", "malformed lines") << " left out; the first: line " << c.first_malformed << ", " << c.first_reason << "\n";
  if (c.unknown_users > 0) context.out << count_of(c.unknown_users, "user is", "users are") << " not in " << display_path(flags.log.users) << ", and left out\n";
  context.out << display_path(file) << ": " << human_count(c.added) << " new, " << human_count(c.changed) << " changed, " << human_count(c.there)
              << " there before; their prompts are unknown, and may have shown what is to be predicted\n";
}

void add_import(CLI::App& answers, Context& context) {
  auto flags = std::make_shared<ImportFlags>();
  CLI::App* command = answers.add_subcommand("import", "take answers from an export of another store, or from a log of the ONCE release");
  command->add_option("file", flags->log.file, "the file to read")->required()->type_name("FILE");
  command->add_option("--format", flags->format, "jsonl: an export; once: a log of the ONCE release; auto: by its first line")
      ->check(CLI::IsMember({"auto", "jsonl", "once"}))->capture_default_str()->type_name("FORMAT");
  command->add_option("--task", flags->log.task, "of a log: the augmenter whose answers these are")->type_name("NAME");
  command->add_option("--model", flags->log.model, "of a log: the model that answered")->type_name("NAME")->capture_default_str();
  command->add_option("--users", flags->log.users, "of a log about users: row number, tab, user id on each line; or one user id a line")->type_name("FILE");
  command->add_option("--draw", flags->log.draw, "of a log: which of several answers to one question; the second log of generated items is 1")
      ->check(CLI::NonNegativeNumber)->type_name("N")->capture_default_str();
  add_store(*command, flags->store);
  context.add_json(*command);
  examples(*command, {"oncekit answers import answers.jsonl", "oncekit answers import book_summarizer.log --task description",
                      "oncekit answers import generator_v2.log --task items --users users.tsv --draw 1"});
  command->callback([flags, &context] { import_file(*flags, context); });
}

void add_verify(CLI::App& answers, Context& context) {
  auto file = std::make_shared<fs::path>();
  CLI::App* command = answers.add_subcommand("verify", "read the whole store again: SQLite's own check, every row's digest, costs, claims");
  add_store(*command, *file);
  context.add_json(*command);
  examples(*command, {"oncekit answers verify"});
  command->callback([file, &context] {
    const fs::path path = store_file(*file);
    const AnswerStore store = AnswerStore::open_read_only(path);
    const std::vector<std::string> problems = store.verify();
    if (context.json) context.out << Json{{"store", path.string()}, {"problems", problems}}.dump(2) << "\n";
    else if (problems.empty()) context.out << display_path(path) << ": " << count_of(store.totals().answers, "answer", "answers") << ", all is well\n";
    if (problems.empty()) return;
    context.out.flush();
    std::string all;
    for (const std::string& problem : problems) all += "\n" + problem;
    throw Error(ErrorKind::kData, count_of(static_cast<std::int64_t>(problems.size()), "problem", "problems") + " in the answer store:" + all,
                "what is damaged is best restored from a copy, or from a file that `oncekit answers export` wrote", display_path(path));
  });
}

}  // namespace

void add_answers(CLI::App& app, Context& context) {
  CLI::App* answers = app.add_subcommand("answers", "look at, check, export and import the answers of language models");
  answers->require_subcommand(1);
  add_ls(*answers, context);
  add_show(*answers, context);
  add_export(*answers, context);
  add_import(*answers, context);
  add_verify(*answers, context);
}

}  // namespace oncekit
