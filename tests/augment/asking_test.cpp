// What goes wrong while asking: lost answers, refusals, servers that are down, budgets that run short, Ctrl-C, equal questions.
#include <chrono>
#include <set>
#include <thread>

#include "augment/repeater.h"
#include "endpoint/raw_server.h"

using namespace oncekit;
using namespace oncekit::test;

namespace {

std::vector<StoredAnswer> all_of(const World& w) {
  std::vector<StoredAnswer> all;
  w.store().each({}, [&](const StoredAnswer& answer) { all.push_back(answer); });
  return all;
}

// A later run against a server that is well has all answers, each at the first place.
void recovers(World& w) {
  MockServer server({.answers = "echo"});
  CHECK(w.run(server).figures[0].covered == kItems);
  CHECK(server.requests() == kItems);
  const std::vector<StoredAnswer> all = all_of(w);
  CHECK(all.size() == kItems);
  for (const StoredAnswer& answer : all) CHECK(answer.attempt == 0);
  CHECK(w.store().totals().gave_up == 0);
  CHECK(w.store().verify().empty());
}

// The user's Ctrl-C, taken back at the end.
struct Cancel {
  void now() const { cancel_requested() = true; }
  ~Cancel() { cancel_requested() = false; }
};

ErrorKind kind_of(World& w) {
  try {
    w.run();
  } catch (const Error& e) {
    return e.kind();
  }
  FAIL("no error");
  return ErrorKind::kRun;
}

}  // namespace

TEST_CASE("the same question about several users is asked once, and answers all of them", "[unit][augment]") {
  for (const bool picky : {false, true}) {
    World w;
    w.options.value.about_users = true;
    w.options.value.picky = picky;
    w.setup.answers.min_coverage = 0;
    w.corpus.histories = {};
    for (int u = 0; u < 4; ++u) w.corpus.histories.push_back(std::vector<ItemId>{5});
    w.corpus.clicks_before.assign(4, 1);
    MockServer server({.latency_ms = 200, .answers = "echo"});
    const AugmentFigures figures = w.run(server).figures[0];
    CHECK(figures.wanted == 4);
    CHECK(figures.missing == 1);
    CHECK(figures.covered == (picky ? 0 : 4));
    CHECK(figures.guard.given == (picky ? 0 : 4));
    CHECK(server.requests() == (picky ? w.setup.answers.attempts : 1));
    CHECK(figures.rejects == (picky ? std::map<std::string, std::int64_t>{{"no title", server.requests()}} : std::map<std::string, std::int64_t>{}));
    CHECK(w.store().possibly_billed().empty());
    CHECK(w.store().verify().empty());
  }
}

TEST_CASE("every try whose answer is lost is booked when it happens", "[fault][augment]") {
  World w;
  w.setup.limit = 1;
  w.setup.endpoint.input_price = 0;
  w.setup.endpoint.output_price = 1000;  // 0.032 USD at most
  std::vector<std::size_t> booked;
  RawServer server([&](const std::string&, int n) {
    booked.push_back(AnswerStore::open_read_only(w.setup.store).possibly_billed().size());
    return n < 2 ? Say{"", true} : n < 3 ? Say{http(504, "")} : Say{ok("title: one")};
  });
  const AugmentFigures figures = w.run(server).figures[0];
  CHECK(booked == std::vector<std::size_t>{0, 1, 2, 3});
  CHECK(figures.possibly_billed == 3);
  CHECK(figures.covered == 1);
  const std::vector<PossiblyBilled> billed = w.store().possibly_billed();
  REQUIRE(billed.size() == 3);
  for (const PossiblyBilled& b : billed) CHECK(b.price == Approx(0.032));
  CHECK(billed[1].why == "connection cut");
  CHECK(billed[2].why == "server error 504");
  CHECK(w.store().totals().possibly_billed == Approx(0.096));
  CHECK(w.store().totals().set_aside == 0);
}

TEST_CASE("lost answers do not pass the budget", "[fault][augment]") {
  World w;
  w.setup.endpoint.input_price = 0;
  w.setup.endpoint.output_price = 1000;  // 0.032 USD at most
  SECTION("all are lost") {
    w.setup.endpoint.budget = 0.2;
    RawServer server([](const std::string&, int) { return Say{"", true}; });
    CHECK_THROWS_WITH(w.run(server), Catch::Contains("budget of 0.20 USD is spent"));
    CHECK(server.requests() == 6);
    CHECK(w.store().totals().possibly_billed == Approx(6 * 0.032));
  }
  SECTION("one is lost, and its next try waits until others have cost less than they might") {
    w.setup.endpoint.budget = 0.35;  // an answer costs 0.007
    RawServer server([](const std::string&, int n) { return n == 0 ? Say{"", true} : Say{ok("title: one")}; });
    CHECK(w.run(server).figures[0].covered == kItems);
    CHECK(server.requests() == kItems + 1);
    CHECK(w.store().totals().possibly_billed == Approx(0.032));
  }
  CHECK(w.store().totals().cost + w.store().totals().possibly_billed <= w.setup.endpoint.budget);
  CHECK(w.store().totals().set_aside == 0);
  CHECK(w.store().verify().empty());
}

TEST_CASE("a reject that finds no room in the budget is asked again when there is some", "[unit][augment]") {
  World w;
  w.options.value.picky = true;
  w.setup.answers.attempts = 2;
  w.setup.answers.min_coverage = 0;
  w.setup.endpoint.input_price = 0;
  w.setup.endpoint.output_price = 1000;  // 0.032 USD are set aside, 0.003 spent: 0.24 in all
  w.setup.endpoint.budget = 0.3;
  MockServer server({.latency_ms = 10, .answers = "echo"});
  CHECK(w.run(server).figures[0].rejects.at("no title") == 2 * kItems);
  CHECK(server.requests() == 2 * kItems);
  CHECK(w.store().totals().set_aside == 0);
}

TEST_CASE("a limit counts second attempts too", "[unit][augment]") {
  World w;
  w.options.value.picky = true;
  w.setup.answers.attempts = 5;
  w.setup.limit = 7;
  MockServer server({.answers = "echo"});
  CHECK(w.run(server).figures[0].asked == 7);
  CHECK(server.requests() == 7);
}

TEST_CASE("Ctrl-C: what is under way comes in, nothing else is asked", "[fault][augment]") {
  const Cancel cancel;
  World w;
  w.options.value.picky = true;
  w.setup.answers.attempts = 5;
  w.setup.endpoint.in_flight = 8;
  RawServer server([&](const std::string&, int) {
    cancel.now();
    return Say{ok("title: one"), false, 50};
  });
  w.setup.endpoint.url = server.url();
  CHECK(kind_of(w) == ErrorKind::kInterrupted);
  CHECK(server.requests() <= 8);
  CHECK(w.store().totals().rejected == server.requests());
  CHECK(w.store().totals().set_aside == 0);
  CHECK(w.store().possibly_billed().empty());
}

TEST_CASE("Ctrl-C: nobody waits for a time to try again", "[fault][augment]") {
  const Cancel cancel;
  World w;
  w.setup.endpoint.in_flight = 4;
  w.setup.endpoint.longest_wait_s = 1000;
  RawServer server([](const std::string&, int) { return Say{http(429, "", "Retry-After: 1000\r\n")}; });
  w.setup.endpoint.url = server.url();
  const std::jthread user([&] {
    for (int i = 0; i < 3000 && server.requests() < 4; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    cancel.now();
  });
  const auto start = std::chrono::steady_clock::now();
  CHECK(kind_of(w) == ErrorKind::kInterrupted);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(100));
  CHECK(w.store().totals().answers == 0);
  CHECK(w.store().totals().set_aside == 0);
  CHECK(w.store().possibly_billed().empty());
}

TEST_CASE("a server that refuses everything alike is asked no further, and asked again by the next run", "[fault][augment]") {
  World w;
  w.setup.endpoint.in_flight = 4;
  RawServer server([](const std::string&, int n) {
    return Say{http(400, R"({"error":{"message":"maximum context length is 10, request )" + std::to_string(n) + R"(","code":"context_length_exceeded"}})")};
  });
  CHECK_THROWS_WITH(w.run(server), Catch::Contains("[augmenter.repeat]: 127.0.0.1 refuses every request: context too long (maximum context length"));
  CHECK(server.requests() >= 10);
  CHECK(server.requests() < 10 + 4 + 1);
  for (const StoredAnswer& answer : all_of(w)) {
    CHECK(answer.reason == "context too long");
    CHECK_THAT(answer.raw, Catch::Contains("maximum context length is 10"));
  }
  recovers(w);
}

TEST_CASE("a refusal is for good when a content filter spoke, else for one run", "[fault][augment]") {
  for (const std::string code : {"content_filter", "invalid_value"}) {
    INFO(code);
    World w;
    RawServer server([&](const std::string& request, int) {
      return Say{request.find("story 7\"") != std::string::npos ? http(400, R"({"error":{"message":"no","code":")" + code + "\"}}") : ok("title: one")};
    });
    const AugmentFigures first = w.run(server).figures[0];
    CHECK(first.covered == kItems - 1);
    CHECK(first.rejects.at(code == "content_filter" ? "content filter" : "invalid request") == 1);
    CHECK(server.requests() == kItems);
    CHECK(w.run(server).figures[0].covered == kItems - 1);
    CHECK(server.requests() == kItems + (code == "content_filter" ? 0 : 1));
  }
}

TEST_CASE("a server that is down is asked no further, and nothing is lost", "[fault][augment]") {
  World w;
  w.setup.endpoint.in_flight = 4;
  w.setup.endpoint.tries = 1;
  RawServer server([](const std::string&, int n) { return Say{http(500, R"({"error":"down, request )" + std::to_string(n) + "\"}")}; });
  CHECK_THROWS_WITH(w.run(server), Catch::Contains("127.0.0.1 has answered none of 20 requests in a row: server error 500 (down, request "));
  CHECK(server.requests() >= 20);
  CHECK(server.requests() < 20 + 4 + 1);
  CHECK(w.store().totals().gave_up == server.requests());
  recovers(w);
}

TEST_CASE("failures are counted by what they are, whatever the server says besides", "[fault][augment]") {
  World w;
  w.setup.endpoint.in_flight = 1;
  w.setup.endpoint.tries = 1;
  RawServer server([](const std::string&, int n) { return n % 10 == 9 ? Say{ok("title: one")} : Say{http(500, "request " + std::to_string(n))}; });
  CHECK_THROWS_WITH(w.run(server), Catch::Contains("4 of 40 answers are there") && Catch::Contains("36 x server error 500"));
  CHECK(server.requests() == kItems);
  std::set<std::string> details;
  for (const StoredAnswer& answer : all_of(w))
    if (answer.state == StoredAnswer::State::kGaveUp) details.insert(answer.raw);
  CHECK(details.size() == 36);
}

TEST_CASE("an answer that the augmenter cannot read is kept for the day when it can", "[fault][augment]") {
  World w;
  w.options.value.broken = true;
  w.setup.endpoint.in_flight = 4;
  MockServer server({.answers = "echo"});
  w.setup.endpoint.url = server.url();
  CHECK(kind_of(w) == ErrorKind::kPlugin);
  const std::vector<StoredAnswer> kept = all_of(w);
  CHECK_FALSE(kept.empty());
  CHECK(static_cast<std::int64_t>(kept.size()) == server.requests());
  for (const StoredAnswer& answer : kept) {
    CHECK(answer.state == StoredAnswer::State::kRejected);
    CHECK(answer.reason == "the augmenter failed");
    CHECK(answer.raw.starts_with("title: story"));
  }
  w.options.value.broken = false;
  CHECK(w.run().figures[0].covered == kItems);
  CHECK(server.requests() == kItems);
  CHECK(w.store().possibly_billed().empty());
}
