// `oncekit answers` as a user types it: what is printed, and the exit codes.
#include <cstdio>

#include <nlohmann/json.hpp>

#include "answers_kit.h"
#include "support/gallery.h"

using namespace oncekit;
using namespace oncekit::test;
namespace fs = std::filesystem;

namespace {

const fs::path kProgram = fs::path(ONCEKIT_BUILD) / "bin" / "oncekit";

struct Outcome {
  std::string text;  ///< stdout and stderr
  int code = 0;
};

// In `folder`, with its own answers/answers.db.
Outcome run(const fs::path& folder, const std::string& arguments) {
  Outcome outcome;
  FILE* pipe = ::popen(("cd '" + folder.string() + "' && unset ONCEKIT_ANSWERS && NO_COLOR=1 '" + kProgram.string() + "' answers " + arguments + " 2>&1").c_str(), "r");
  REQUIRE(pipe != nullptr);
  char buffer[4096];
  for (std::size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) outcome.text.append(buffer, n);
  outcome.code = WEXITSTATUS(::pclose(pipe));
  return outcome;
}

bool no_program() {
  if (fs::exists(kProgram)) return false;
  WARN("the program is not built: skipped");
  return true;
}

}  // namespace

TEST_CASE("answers: from a log to a list, a page, an export and back", "[unit]") {
  if (no_program()) return;
  const TempFolder temp;
  Outcome o = run(temp.path, "ls");
  CHECK(o.code == 0);
  CHECK_THAT(o.text, Catch::Contains("no answers are stored"));
  write_file(temp.path / "news.log", "N1\t[newtitle] Old\nN2\t[newtitle] Two\nlines\nN1\t[newtitle] New\n\nN3\t\n");
  o = run(temp.path, "import news.log --task gpt_summarizer");
  CHECK(o.code == 0);
  CHECK_THAT(o.text, Catch::Contains("6 lines, 3 answers about 2 ids") && Catch::Contains("1 asked again; the last answer counts") &&
                         Catch::Contains("1 malformed line left out; the first: line 6, no answer") && Catch::Contains("2 new, 0 changed, 0 there before"));
  o = run(temp.path, "ls");
  CHECK(o.code == 0);
  CHECK_THAT(o.text, Catch::Contains("answers/answers.db: 2 answers (2 accepted), 2 of them imported") && Catch::Contains("[newtitle] Two lines"));
  o = run(temp.path, "show N1");
  CHECK(o.code == 0);
  CHECK_THAT(o.text, Catch::Contains("[newtitle] New") && Catch::Contains("prompt: unknown"));
  o = run(temp.path, "export lines.jsonl");
  CHECK(o.code == 0);
  CHECK_THAT(o.text, Catch::Contains("wrote 2 answers to lines.jsonl"));
  CHECK(run(temp.path, "import lines.jsonl --store other.db").text == "2 new answers in other.db\n");
  CHECK(run(temp.path, "import lines.jsonl --store other.db").text == "0 new answers in other.db\n");
  CHECK(run(temp.path, "verify --store other.db").text == "other.db: 2 answers, all is well\n");
}

TEST_CASE("answers: JSON of all that lists or shows", "[unit]") {
  if (no_program()) return;
  const TempFolder temp;
  {
    AnswerStore store = AnswerStore::open(temp.path / "answers" / "answers.db");
    for (int n = 0; n < 30; ++n) answer_through(store, n);
    StoredAnswer a = answer_of(3);
    a.attempt = 1;
    a.state = StoredAnswer::State::kRejected;
    a.reason = "no title";
    a.raw = "\xff";
    store.put(a);
    CHECK(claim_of(store, 50) == Claim::kTaken);
    store.sending(request_of(50), 0, 0);
  }
  const auto json = [&](const std::string& arguments) {
    const Outcome o = run(temp.path, arguments + " --json");
    INFO(o.text);
    CHECK(o.code == 0);
    return nlohmann::json::parse(o.text);
  };
  const auto list = json("ls --limit 0");
  CHECK(list["totals"]["answers"] == 31);
  CHECK(list["totals"]["possibly_billed"] == 0.001);
  CHECK(list["answers"].size() == 31);
  CHECK(list["possibly_billed"][0]["why"] == "stopped");
  CHECK(json("ls")["answers"].size() == 20);
  CHECK(json("ls --state rejected")["answers"][0]["reason"] == "no title");
  for (const std::string& what : {std::string("N3"), request_of(3), request_of(3).substr(0, 8)}) {
    const auto attempts = json("show " + what);
    REQUIRE(attempts.size() == 2);
    CHECK(attempts[0]["parsed"]["title"][0] == "The story of number 3");
    CHECK(attempts[1]["raw_base64"] == "/w==");
  }
  CHECK(json("verify")["problems"].empty());
  const Outcome page = run(temp.path, "show N3");
  CHECK_THAT(page.text, Catch::Contains("--- user\n[title] number 3\n") && Catch::Contains("--- answer, rejected: no title"));
  const Outcome rows = run(temp.path, "ls");
  CHECK_THAT(rows.text, Catch::Contains("1 request was sent and never answered, and possibly billed: 0.001000 USD at most (1 stopped)") &&
                            Catch::Contains("the first 20; --limit 0 shows all"));
}

TEST_CASE("answers: what cannot be done, word for word", "[errors]") {
  if (no_program()) return;
  const TempFolder temp;
  std::string all;
  const auto refuse = [&](const std::string& arguments, int code) {
    const Outcome o = run(temp.path, arguments);
    CHECK(o.code == code);
    all += "$ oncekit answers " + arguments + "\n" + o.text;
  };
  refuse("verify", 4);
  write_file(temp.path / "text.db", "this is a text, and by no means an SQLite file");
  refuse("ls --store text.db", 4);
  refuse("import text.db --task t --store text.db", 4);
  meddle(temp.path / "foreign.db", "CREATE TABLE t(x)");
  refuse("verify --store foreign.db", 4);
  { AnswerStore::open(temp.path / "newer.db"); }
  meddle(temp.path / "newer.db", "PRAGMA user_version = 2");
  refuse("ls --store newer.db", 4);
  {
    AnswerStore store = AnswerStore::open(temp.path / "a.db");
    for (int n = 0; n < 3; ++n) answer_through(store, n);
  }
  refuse("ls --store a.db --state refusd", 2);
  refuse("show N99 --store a.db", 4);
  refuse("export nowhere/lines.jsonl --store a.db", 1);
  write_file(temp.path / "profiles.log", "{\"uid\": 3, \"interest\": [\"sea\"]}\n");
  refuse("import profiles.log --store a.db", 2);
  refuse("import profiles.log --task gpt_profiler --store a.db", 2);
  write_file(temp.path / "users.tsv", "1\tann\n2\tbob\n2\tcid\nx\n");
  refuse("import profiles.log --task gpt_profiler --users users.tsv --store a.db", 4);
  write_file(temp.path / "lines.jsonl", "{\"request\": \"x\", \"draw\": 0, \"raw\": \"\"}\nnonsense\n");
  refuse("import lines.jsonl --store a.db", 4);
  meddle(temp.path / "a.db", "UPDATE answers SET raw = 'changed' WHERE key = 'N1'");
  refuse("verify --store a.db", 4);
  check_gallery("answers/commands", all);
}
