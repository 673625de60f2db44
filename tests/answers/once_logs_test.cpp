// Logs of the ONCE release: samples of every format written for these tests, and the real ones where they are.
#include <sstream>

#include <nlohmann/json.hpp>

#include "answers/once_logs.h"
#include "answers_kit.h"

using namespace oncekit;
using namespace oncekit::test;
namespace fs = std::filesystem;

namespace {

struct Import {
  TempFolder temp;
  AnswerStore store = AnswerStore::open(temp.path / "a.db");

  fs::path file(const std::string& name, const std::string& content) const {
    write_file(temp.path / name, content);
    return temp.path / name;
  }
  OnceLogCounts run(const std::string& name, const std::string& content, const std::string& task, const fs::path& users = {}, std::int64_t draw = 0) {
    return import_once_log(store, {file(name, content), task, "gpt-3.5-turbo", users, draw});
  }
  std::string raw(const std::string& task, const std::string& key, std::size_t i = 0) const {
    const auto found = store.imported(task, key);
    return i < found.size() ? found[i].raw : "none";
  }
};

}  // namespace

TEST_CASE("summaries: id, tab, answer; the last of an id wins, lines of an answer are joined", "[unit]") {
  Import import;
  const OnceLogCounts c = import.run("news_summarizer.log",
                                     "N1\t[newtitle] A first title\n"
                                     "N20\t[newtitle] Two lines\n"
                                     "of one answer\n"
                                     "\n"
                                     "topic\twith a tab\n"
                                     "N3\t\n"
                                     "N1\t[newtitle] A better title\n"
                                     "N4\t  \n"
                                     "but here it comes\r\n"
                                     "N5\tlast, without an end",
                                     "gpt_summarizer");
  CHECK(c.lines == 10);
  CHECK(c.answers == 5);
  CHECK(c.ids == 4);
  CHECK(c.asked_again == 1);
  CHECK(c.joined == 3);
  CHECK(c.malformed == 1);
  CHECK(c.first_malformed == 6);
  CHECK(c.first_reason == "no answer");
  CHECK(c.added == 4);
  CHECK(import.raw("gpt_summarizer", "N1") == "[newtitle] A better title");
  CHECK(import.raw("gpt_summarizer", "N20") == "[newtitle] Two lines\nof one answer\n\ntopic\twith a tab");
  CHECK(import.raw("gpt_summarizer", "N3") == "none");
  CHECK(import.raw("gpt_summarizer", "N4") == "  \nbut here it comes");
  CHECK(import.raw("gpt_summarizer", "N5") == "last, without an end");
  const StoredAnswer a = import.store.imported("gpt_summarizer", "N1").at(0);
  CHECK(a.source == "import: news_summarizer.log");
  CHECK(a.body.empty());
  CHECK_FALSE(a.seen.has_value());
  CHECK(a.state == StoredAnswer::State::kAccepted);
  CHECK(a.model == "gpt-3.5-turbo");
  CHECK(a.cost == 0);
  CHECK(import.store.verify().empty());
}

TEST_CASE("a list of the profiler becomes the JSON that the model was asked for; text stays as it was", "[unit]") {
  Import import;
  const fs::path users = import.file("users.tsv", "3\tu-three\n12\tu-twelve\n");
  const OnceLogCounts c = import.run("user_profiler.log",
                                     "{\"uid\": 3, \"interest\": [\"sea stories\", \"caf\\u00e9s\"]}\n"
                                     "{\"uid\": 12, \"interest\": []}\n"
                                     "{\"uid\": 99, \"interest\": [\"nobody knows\"]}\n"
                                     "not JSON\n"
                                     "{\"uid\": 3}\n"
                                     "{\"interest\": [\"x\"]}\n"
                                     "{\"uid\": null, \"interest\": [\"x\"]}\n"
                                     "{\"uid\": 3, \"interest\": [\"x\"], \"more\": 1}\n",
                                     "gpt_profiler", users);
  CHECK(c.answers == 3);
  CHECK(c.ids == 3);
  CHECK(c.malformed == 5);
  CHECK(c.first_malformed == 4);
  CHECK(c.unknown_users == 1);
  CHECK(c.added == 2);
  CHECK(nlohmann::json::parse(import.raw("gpt_profiler", "u-three")) == nlohmann::json{{"interests", {"sea stories", "cafés"}}});
  CHECK(import.raw("gpt_profiler", "u-twelve") == "{\"interests\":[]}");
  // MIND's profiler kept the text.
  import.run("mind_profiler.log", "{\"interest\": \"[topics]\\n- health\\n[region]\\n- Texas\", \"uid\": 12}\n", "mind", users);
  CHECK(import.raw("mind", "u-twelve") == "[topics]\n- health\n[region]\n- Texas");
  // Bytes that are not UTF-8 are mended, not lost.
  import.run("bad_bytes.log", "{\"uid\": 3, \"interest\": \"caf\xe9\"}\n", "bytes", users);
  CHECK(import.raw("bytes", "u-three") == "caf\xef\xbf\xbd");
}

TEST_CASE("two logs of generated items are two draws, in order", "[unit]") {
  Import import;
  const fs::path users = import.file("uids.txt", "zero\none\ntwo\n");  // one token a line
  import.run("generator_v2.log", "{\"uid\": 2, \"book\": \"{\\\"title\\\": \\\"B\\\"}\"}\n", "gpt_generator", users, 1);
  import.run("generator_v1.log", "{\"uid\": 2, \"book\": \"{\\n \\\"title\\\": \\\"A\\\"}\"}\n{\"uid\": 0, \"news\": {\"title\": \"C\"}}\n", "gpt_generator", users, 0);
  REQUIRE(import.store.imported("gpt_generator", "two").size() == 2);
  CHECK(import.raw("gpt_generator", "two", 0) == "{\n \"title\": \"A\"}");
  CHECK(import.raw("gpt_generator", "two", 1) == "{\"title\": \"B\"}");
  CHECK(import.raw("gpt_generator", "zero") == "{\"title\":\"C\"}");
}

TEST_CASE("the same log again changes nothing; one of the same name with other answers replaces them", "[unit]") {
  Import import;
  CHECK(import.run("a.log", "1\tone\n2\ttwo\n", "t").added == 2);
  const OnceLogCounts same = import.run("a.log", "1\tone\n2\ttwo\n", "t");
  CHECK(same.there == 2);
  CHECK(same.added + same.changed == 0);
  const OnceLogCounts other = import.run("a.log", "1\tone\n2\tTWO\n3\tthree\n", "t");
  CHECK(other.there == 1);
  CHECK(other.changed == 1);
  CHECK(other.added == 1);
  CHECK(import.raw("t", "2") == "TWO");
  CHECK(import.store.totals().answers == 3);
  CHECK(import.store.totals().imported == 3);
  // Another task, or another name, is something else.
  CHECK(import.run("a.log", "1\tone\n", "u").added == 1);
  CHECK(import.run("b.log", "1\tone\n", "t").added == 1);
  CHECK(import.store.verify().empty());
}

TEST_CASE("logs and users files that cannot be used say why", "[errors]") {
  Import import;
  const fs::path users = import.file("users.tsv", "1\tu\n");
  const auto message = [&](const std::string& log, const fs::path& users_file, ErrorKind kind) {
    const Error error = error_of([&] { import.run("x.log", log, "t", users_file); });
    INFO(error.what());
    CHECK(error.kind() == kind);
    return std::string(error.what());
  };
  CHECK_THAT(message("", {}, ErrorKind::kData), Catch::Contains("is empty"));
  CHECK_THAT(message("\n \n", {}, ErrorKind::kData), Catch::Contains("holds no answer"));
  CHECK_THAT(message("no tab here\nnor here\n", {}, ErrorKind::kData), Catch::Contains("x.log:1") && Catch::Contains("no tab"));
  CHECK_THAT(message("two words\tx\n", {}, ErrorKind::kData), Catch::Contains("no id before the tab"));
  CHECK_THAT(message("{\"uid\": 1, \"interest\": []}\n", {}, ErrorKind::kUsage), Catch::Contains("--users"));
  CHECK_THAT(message("b1\t[description] A book.\n", users, ErrorKind::kUsage), Catch::Contains("leave --users out"));
  CHECK_THAT(message("{\"uid\": 7, \"interest\": []}\n", users, ErrorKind::kData), Catch::Contains("knows none of the 1 users"));
  const std::string log = "{\"uid\": 1, \"interest\": []}\n";
  for (const auto& [content, expected] : {std::pair{"1\tu\n1\tv\n", "users.tsv:2: row 1 again"}, {"1\tu\nx\tv\n", "users.tsv:2: expected a row number"},
                                          {"1\tu\n2\n", "users.tsv:2: expected a row number"}, {"1\t\n", "users.tsv:1"}, {"", "users file is empty"},
                                          {"a\n\nb\n", "users.tsv:2: an empty line"}, {"a b\n", "users.tsv:1: expected one user id"}})
    CHECK_THAT(message(log, import.file("users.tsv", content), ErrorKind::kData), Catch::Contains(expected));
  CHECK(error_of([&] { import_once_log(import.store, {import.temp.path / "none", "t", "m", {}, 0}); }).kind() == ErrorKind::kData);
  CHECK(import.store.totals().answers == 0);
}

TEST_CASE("an export is told from a log by its first line", "[unit]") {
  Import import;
  import.store.put(answer_of(1));
  import.store.export_lines(import.temp.path / "lines");
  CHECK(is_store_export(import.temp.path / "lines"));
  for (const char* log : {"", "1\tone\n", "{\"uid\": 1, \"interest\": []}\n", "nonsense"}) CHECK_FALSE(is_store_export(import.file("log", log)));
}

TEST_CASE("the release's own logs of book readers", "[slow]") {
  const fs::path logs = fs::path(ONCEKIT_TREE) / "../shared/data/books/once_logs";
  if (!fs::exists(logs)) {
    WARN("the logs are not here: skipped");
    return;
  }
  const TempFolder temp;
  AnswerStore store = AnswerStore::open(temp.path / "a.db");
  const auto take = [&](const char* name, const char* task, bool of_users, std::int64_t draw) {
    return import_once_log(store, {logs / name, task, "gpt-3.5-turbo", of_users ? logs / "users.tsv" : fs::path(), draw});
  };
  const OnceLogCounts books = take("book_summarizer.log", "gpt_summarizer", false, 0);
  CHECK(books.lines == 17925);
  CHECK(books.answers == 17925);
  CHECK(books.ids == 16833);
  CHECK(books.asked_again == 1092);
  CHECK(books.malformed + books.joined == 0);
  CHECK(books.added == 16833);
  const OnceLogCounts profiles = take("user_profiler.log", "gpt_profiler", true, 0);
  CHECK(profiles.added == profiles.lines);  // users.tsv maps all of these
  CHECK(profiles.added == 11601);
  for (const std::int64_t draw : {0, 1}) {
    const OnceLogCounts items = take(draw == 0 ? "generator_v1.log" : "generator_v2.log", "gpt_generator", true, draw);
    CHECK(items.added == 1130);
    CHECK(items.malformed + items.unknown_users == 0);
  }
  CHECK(store.totals().answers == 16833 + 11601 + 2 * 1130);
  AnswerFilter profiler;
  profiler.task = "gpt_profiler";
  store.each(profiler, [](const StoredAnswer& a) { REQUIRE(nlohmann::json::parse(a.raw).at("interests").is_array()); });
  std::istringstream users(read_file(logs / "users.tsv"));
  std::size_t with_items = 0;
  for (std::string row, user; users >> row >> user;)
    if (const auto items = store.imported("gpt_generator", user); !items.empty()) {
      CHECK(items.size() == 2);
      CHECK(nlohmann::json::parse(items[1].raw).contains("title"));
      ++with_items;
    }
  CHECK(with_items == 1130);
  CHECK(store.verify().empty());
}
