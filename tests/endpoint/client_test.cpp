// The client against servers that misbehave, byte by byte.
#include <catch2/catch.hpp>

#include <map>
#include <set>

#include "endpoint/client.h"
#include "endpoint/raw_server.h"
#include "oncekit/error.h"
#include "oncekit/prompt.h"

using namespace oncekit;
using namespace oncekit::test;
using Kind = ChatReply::Kind;

namespace {

EndpointOptions quick(const std::string& url) {
  EndpointOptions options;
  options.url = url;
  options.model = "m";
  options.key.clear();
  options.first_wait_s = 0.001;
  options.longest_wait_s = 0.01;
  options.timeout_s = 20;
  options.tries = 3;
  options.in_flight = 8;
  return options;
}

struct Asked {
  std::map<std::int64_t, ChatReply> replies;
  std::map<std::int64_t, int> done, sending;
  std::map<std::int64_t, std::vector<std::string>> unanswered;
  ChatClient::Hooks hooks() {
    ChatClient::Hooks made;
    made.sending = [this](std::int64_t id, int) { ++sending[id]; };
    made.unanswered = [this](std::int64_t id, const std::string& reason) {
      CHECK(sending[id] == static_cast<int>(unanswered[id].size()) + 1);  // at once, before the next try
      unanswered[id].push_back(reason);
    };
    made.done = [this](std::int64_t id, ChatReply&& reply) {
      ++done[id];
      replies[id] = std::move(reply);
    };
    return made;
  }
};

ChatReply ask_one(const EndpointOptions& options) {
  Asked asked;
  ChatClient client(options, 1, asked.hooks());
  client.submit(0, {"system", "user", 50, 0});
  client.drain();
  REQUIRE(asked.done[0] == 1);
  CHECK(client.under_way() == 0);
  return asked.replies[0];
}

}  // namespace

TEST_CASE("An answer comes with its usage, and the request is what was meant", "[fault][endpoint]") {
  std::string seen;
  RawServer server([&](const std::string& request, int) {
    seen = request;
    return Say{ok("h\\u00e9llo")};
  });
  EndpointOptions options = quick(server.url() + "/");
  const ChatReply reply = ask_one(options);
  CHECK(reply.kind == Kind::kAnswer);
  CHECK(reply.text == "h\xc3\xa9llo");
  CHECK(reply.finish_reason == "stop");
  CHECK(reply.status == 200);
  CHECK(reply.tries == 1);
  CHECK(reply.possibly_billed == 0);
  CHECK(reply.usage.reported);
  CHECK(reply.usage.prompt_tokens == 11);
  CHECK(reply.usage.completion_tokens == 7);
  CHECK(seen.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"));
  CHECK(seen.find("User-Agent: oncekit/") != std::string::npos);
  CHECK(seen.find("Authorization") == std::string::npos);
  CHECK(seen.ends_with(chat_body(options, {"system", "user", 50, 0})));
}

TEST_CASE("Every fault of a try has one meaning, is tried again, and given up when it stays", "[fault][endpoint]") {
  struct Row {
    std::string reason;
    Say say;
    bool billed;  ///< it may have been
  };
  for (const Row& row : std::vector<Row>{
           {"rate limited", {http(429, R"({"error":{"message":"slow"}})")}, false},
           {"rate limited", {http(429, "", "Retry-After: 0\r\n")}, false},
           {"rate limited", {http(429, "", "Retry-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n")}, false},
           {"rate limited", {http(429, "", "Retry-After: never\r\n")}, false},
           {"server error 500", {http(500, "oops")}, false},
           {"server error 503", {http(503, "")}, false},
           {"server error 504", {http(504, "")}, true},
           {"server error 502", {http(200, R"({"error":{"message":"upstream","code":502}})")}, true},
           {"connection cut", {"", true}, true},
           {"connection cut", {"HTTP/1.1 200 OK\r\nContent-Le", true}, true},
           {"connection cut", {ok().substr(0, ok().size() - 10), true}, true},
           {"garbage", {"\x16\x03\x01 no HTTP at all\r\n\r\n", true}, true},
           {"answer is not JSON", {http(200, "<html>hello</html>")}, true},
           {"answer is not JSON", {http(200, answer_json("x").substr(0, 40))}, true},
           {"answer is not JSON", {"HTTP/1.1 200 OK\r\n\r\n" + answer_json("x").substr(0, 40), true}, true},
           {"no choices in the answer", {http(200, R"({"choices":[]})")}, true},
           {"timed out", {ok(), false, 1500}, true},
           {"timed out", {ok(), false, 0, 20}, true},
           {"answer too large", {http(200, std::string(9 << 20, ' '))}, true},
           {"answer too large", {"HTTP/1.1 200 OK\r\nX: " + std::string(90000, 'a') + "\r\nX: " + std::string(90000, 'a') + "\r\nX: " + std::string(90000, 'a') + "\r\n\r\n", true}, true},
       }) {
    INFO(row.reason << ": " << row.say.bytes.substr(0, 60));
    for (const bool stays : {false, true}) {
      RawServer server([&](const std::string&, int n) { return stays || n < 2 ? row.say : Say{ok()}; });
      EndpointOptions options = quick(server.url());
      if (row.reason == "timed out") options.timeout_s = 0.3;
      Asked asked;
      ChatClient client(options, 1, asked.hooks());
      client.submit(7, {"", "user", 50, 0});
      client.drain();
      const ChatReply& reply = asked.replies[7];
      CHECK(asked.done[7] == 1);
      CHECK(reply.kind == (stays ? Kind::kGaveUp : Kind::kAnswer));
      CHECK(reply.reason == (stays ? row.reason : ""));
      CHECK(reply.tries == 3);
      CHECK(reply.possibly_billed == (row.billed ? stays ? 3 : 2 : 0));
      CHECK(asked.unanswered[7] == std::vector<std::string>(static_cast<std::size_t>(reply.possibly_billed), row.reason));
      CHECK(asked.sending[7] == 3);
      CHECK(server.requests() == 3);  // what libcurl would send once more by itself is counted here
      CHECK(client.figures().sent == 3);
      CHECK(client.figures().retried == 2);
      CHECK(client.figures().faults.at(row.reason) == (stays ? 3 : 2));
      CHECK(client.figures().gave_up == (stays ? 1 : 0));
      CHECK_FALSE(client.unusable());
    }
  }
}

TEST_CASE("A try that may not be followed by another ends the request as held back", "[fault][endpoint]") {
  RawServer server([](const std::string&, int) { return Say{http(503, "")}; });
  Asked asked;
  ChatClient::Hooks hooks = asked.hooks();
  int allowed = 1;
  hooks.again = [&](std::int64_t) { return allowed-- > 0; };
  ChatClient client(quick(server.url()), 1, hooks);
  client.submit(0, {"system", "user", 50, 0});
  client.drain();
  CHECK(server.requests() == 2);
  REQUIRE(asked.done[0] == 1);
  CHECK(asked.replies[0].kind == Kind::kHeldBack);
  CHECK(client.figures().retried == 1);
  CHECK(client.figures().gave_up == 0);
}

TEST_CASE("A kept connection that the server has closed costs a counted try, not a hidden one", "[fault][endpoint]") {
  // Answers once a connection, keeps it open, and cuts it at the second request.
  RawServer server([](const std::string&, int n) { return n % 2 == 0 ? Say{ok()} : Say{"", true}; });
  EndpointOptions options = quick(server.url());
  options.in_flight = 1;
  options.tries = 100;
  Asked asked;
  ChatClient client(options, 1, asked.hooks());
  for (int i = 0; i < 20; ++i) client.submit(i, {"", "user", 50, 0});
  client.drain();
  int tries = 0;
  for (int i = 0; i < 20; ++i) {
    CHECK(asked.replies[i].kind == Kind::kAnswer);
    CHECK(asked.replies[i].possibly_billed == asked.replies[i].tries - 1);
    tries += asked.replies[i].tries;
  }
  CHECK(server.requests() == tries);
  CHECK(client.figures().sent == tries);
}

TEST_CASE("Answers without usage are charged at their highest", "[fault][endpoint]") {
  for (const std::string usage : {"", R"(,"usage":null)", R"(,"usage":{"prompt_tokens":-1,"completion_tokens":1})"}) {
    RawServer server([&](const std::string&, int) { return Say{http(200, R"({"choices":[{"message":{"content":"yes"}}])" + usage + "}")}; });
    const ChatReply reply = ask_one(quick(server.url()));
    CHECK(reply.kind == Kind::kAnswer);
    CHECK_FALSE(reply.usage.reported);
    CHECK(reply.usage.prompt_tokens >= token_bound("system") + token_bound("user"));
    CHECK(reply.usage.completion_tokens == 50);
  }
}

TEST_CASE("A refused request is not sent again, and does not stop the others", "[fault][endpoint]") {
  const std::string too_long = R"({"error":{"message":"maximum context length is 10","code":"context_length_exceeded"}})";
  const std::string filtered = R"({"error":{"message":"filtered","code":"content_filter"}})";
  for (const auto& [bytes, reason, paid] : std::vector<std::tuple<std::string, std::string, bool>>{{http(400, too_long), "context too long", false},
                                                                                                  {http(400, filtered), "content filter", false},
                                                                                                  {http(200, answer_json("", "content_filter")), "content filter", true},
                                                                                                  {http(422, "{}"), "invalid request", false},
                                                                                                  {http(413, ""), "request too large", false}}) {
    RawServer server([&, bytes = bytes](const std::string& request, int) { return Say{request.find("\"odd\"") != std::string::npos ? bytes : ok()}; });
    Asked asked;
    ChatClient client(quick(server.url()), 1, asked.hooks());
    for (int i = 0; i < 6; ++i) client.submit(i, {"", i % 2 ? "odd" : "even", 50, 0});
    client.drain();
    for (int i = 0; i < 6; ++i) {
      CHECK(asked.replies[i].tries == 1);
      CHECK(asked.replies[i].kind == (i % 2 ? Kind::kRefused : Kind::kAnswer));
      if (i % 2 == 0) continue;
      CHECK(asked.replies[i].reason == reason);
      CHECK((asked.replies[i].usage.prompt_tokens > 0) == paid);
    }
    CHECK(client.figures().refused == 3);
  }
}

TEST_CASE("What no request can survive stops all of them", "[fault][endpoint]") {
  RawServer elsewhere([](const std::string&, int) { return Say{ok("stolen")}; });
  const std::string there = "Location: http://localhost:" + std::to_string(elsewhere.port()) + "/v1/chat/completions\r\n";
  for (const auto& [bytes, reason] : std::vector<std::pair<std::string, std::string>>{
           {http(401, R"({"error":{"message":"Incorrect API key","code":"invalid_api_key"}})"), "key refused"},
           {http(403, ""), "key refused"},
           {http(404, R"({"error":{"message":"The model does not exist","code":"model_not_found"}})"), "unknown model"},
           {http(429, R"({"error":{"message":"no money","type":"insufficient_quota"}})"), "quota used up"},
           {http(301, "", there), "redirected"},
           {http(302, "", there), "redirected"},
           {http(307, "", there), "redirected"},
           {http(308, "", there), "redirected"}}) {
    INFO(reason);
    RawServer server([&, bytes = bytes](const std::string&, int n) { return n < 5 ? Say{ok()} : Say{bytes}; });
    EndpointOptions options = quick(server.url());
    options.in_flight = 1;
    Asked asked;
    ChatClient client(options, 1, asked.hooks());
    for (int i = 0; i < 50; ++i) client.submit(i, {"", "user", 50, 0});
    client.drain();
    CHECK(client.unusable());
    CHECK(server.requests() == 6);
    for (int i = 0; i < 50; ++i) {
      CHECK(asked.done[i] == 1);
      CHECK(asked.replies[i].kind == (i < 5 ? Kind::kAnswer : Kind::kUnusable));
      CHECK(asked.replies[i].reason == (i < 5 ? "" : reason));
    }
    CHECK(client.under_way() == 0);
  }
  CHECK(elsewhere.requests() == 0);
}

TEST_CASE("Never more at once than in_flight, and connections are used again", "[fault][endpoint]") {
  for (const int in_flight : {1, 3, 16}) {
    RawServer server([](const std::string&, int) { return Say{ok(), false, 10}; });
    EndpointOptions options = quick(server.url());
    options.in_flight = in_flight;
    Asked asked;
    ChatClient client(options, 1, asked.hooks());
    for (int i = 0; i < 64; ++i) {
      client.submit(i, {"", "user", 50, 0});
      CHECK(client.under_way() <= in_flight);
    }
    client.drain();
    CHECK(asked.done.size() == 64);
    CHECK(server.most_at_once() <= in_flight);
    CHECK(server.connections() <= in_flight);
    if (in_flight > 1) CHECK(server.most_at_once() > 1);
  }
}

TEST_CASE("Requests queued from inside done() are answered too", "[fault][endpoint]") {
  RawServer server([](const std::string&, int) { return Say{ok()}; });
  ChatClient* one = nullptr;
  std::map<std::int64_t, int> done;
  ChatClient::Hooks hooks;
  hooks.done = [&](std::int64_t id, ChatReply&&) {
    ++done[id];
    if (id < 300) one->submit_later(id + 100, {"", "again", 50, id});
  };
  ChatClient client(quick(server.url()), 1, std::move(hooks));
  one = &client;
  for (int i = 0; i < 100; ++i) client.submit(i, {"", "user", 50, 0});
  client.drain();
  CHECK(done.size() == 400);
  CHECK(std::all_of(done.begin(), done.end(), [](const auto& entry) { return entry.second == 1; }));
}

TEST_CASE("Hooks may throw, and the client is still whole", "[fault][endpoint]") {
  std::atomic<bool> cuts{false};
  RawServer server([&](const std::string&, int) { return cuts ? Say{"", true} : Say{ok(), false, 30}; });
  for (const std::string where : {"sending", "unanswered", "done", "idle"}) {
    INFO(where);
    cuts = where == "unanswered";
    ChatClient::Hooks hooks;
    hooks.sending = [&](std::int64_t, int) {
      if (where == "sending") throw Error(ErrorKind::kRun, "disk full");
    };
    hooks.unanswered = [&](std::int64_t, const std::string&) { throw Error(ErrorKind::kRun, "disk full"); };
    hooks.done = [&](std::int64_t, ChatReply&&) {
      if (where == "done") throw Error(ErrorKind::kRun, "disk full");
    };
    hooks.idle = [&] {
      if (where == "idle") throw Error(ErrorKind::kRun, "disk full");
    };
    const int before = server.requests();
    {
      ChatClient client(quick(server.url()), 1, std::move(hooks));
      const auto all = [&] {
        for (int i = 0; i < 20; ++i) client.submit(i, {"", "user", 50, 0});
        client.drain();
      };
      CHECK_THROWS_AS(all(), Error);
    }
    if (where == "sending") CHECK(server.requests() == before);  // nothing was sent that nobody knows of
  }
}

TEST_CASE("Servers that are not there are given up after all tries", "[fault][endpoint]") {
  int port = 0;
  {
    RawServer gone([](const std::string&, int) { return Say{ok()}; });
    port = gone.port();
  }
  EndpointOptions options = quick("http://127.0.0.1:" + std::to_string(port));
  const ChatReply reply = ask_one(options);
  CHECK(reply.kind == Kind::kGaveUp);
  CHECK(reply.reason == "cannot connect");
  CHECK(reply.tries == 3);
  CHECK(reply.possibly_billed == 0);
  CHECK(reply.status == 0);
}

TEST_CASE("Limits a minute hold, retries included", "[fault][endpoint]") {
  // Two seconds' worth; the server counts what arrives, and half of it fails.
  RawServer server([](const std::string&, int n) { return n % 2 ? Say{ok()} : Say{http(500, "")}; });
  EndpointOptions options = quick(server.url());
  options.tries = 100;
  const auto start = std::chrono::steady_clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  SECTION("requests") {
    options.requests_per_minute = 600;
    Asked asked;
    ChatClient client(options, 1, asked.hooks());
    for (int i = 0; i < 10; ++i) {
      client.submit(i, {"", "user", 50, 0});
      CHECK(server.requests() <= 1 + passed() * 10 + 1);
    }
    client.drain();
    CHECK(server.requests() == 20);
    CHECK(server.requests() <= 1 + passed() * 10 + 1);
  }
  SECTION("tokens") {
    const double each = static_cast<double>(token_bound("user")) + 16 + 84;
    options.tokens_per_minute = 60000;
    Asked asked;
    ChatClient client(options, 1, asked.hooks());
    for (int i = 0; i < 40; ++i) client.submit(i, {"", "user", 84, 0});
    client.drain();
    CHECK(server.requests() == 80);
    CHECK(server.requests() * each <= 6000 + passed() * 900 + each);
  }
}

TEST_CASE("A longer Retry-After is kept, up to the longest wait", "[fault][endpoint]") {
  // By order, not by the clock: the request that was told to wait comes after all others.
  std::vector<std::string> order;
  RawServer server([&](const std::string& request, int n) {
    const std::string who = request.find("\"first\"") != std::string::npos ? "first" : "other";
    order.push_back(who);
    return n == 0 ? Say{http(429, "", "Retry-After: 1\r\n")} : Say{ok()};
  });
  EndpointOptions options = quick(server.url());
  options.longest_wait_s = 60;
  options.in_flight = 1;
  Asked asked;
  ChatClient client(options, 1, asked.hooks());
  client.submit(0, {"", "first", 50, 0});
  for (int i = 1; i < 20; ++i) client.submit(i, {"", "other", 50, 0});
  client.drain();
  CHECK(order.front() == "first");
  CHECK(order.back() == "first");
  CHECK(asked.replies[0].tries == 2);
}

TEST_CASE("stop() begins no try; what is under way comes to its end, what waits is handed back", "[fault][endpoint]") {
  RawServer server([](const std::string& request, int) { return request.find("\"later\"") != std::string::npos ? Say{http(429, "", "Retry-After: 1000\r\n")} : Say{ok(), false, 300}; });
  EndpointOptions options = quick(server.url());
  options.longest_wait_s = 1000;
  options.in_flight = 2;
  Asked asked;
  ChatClient client(options, 1, asked.hooks());
  const auto start = std::chrono::steady_clock::now();
  client.submit(0, {"", "later", 50, 0});
  while (client.figures().retried == 0) client.submit(100, {"", "now", 50, 0});
  for (int i = 1; i <= 2; ++i) client.submit(i, {"", "now", 50, 0});
  client.stop();
  client.submit(3, {"", "now", 50, 0});
  CHECK(asked.replies[3].kind == Kind::kStopped);
  CHECK(asked.sending[3] == 0);
  client.drain();
  CHECK(asked.replies[0].kind == Kind::kStopped);
  CHECK(asked.replies[0].tries == 1);
  for (int i = 0; i <= 3; ++i) CHECK(asked.done[i] == 1);
  for (int i = 1; i <= 2; ++i) CHECK(asked.replies[i].kind == (asked.sending[i] == 1 ? Kind::kAnswer : Kind::kStopped));
  CHECK(client.under_way() == 0);
  CHECK(server.requests() == client.figures().sent);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(100));  // not the 1000 that it was told to wait
}

TEST_CASE("A wrong set-up is said before the first request", "[unit][endpoint]") {
  const auto refused = [](EndpointOptions options, const std::string& word) {
    try {
      ChatClient client(options, 1, {});
      FAIL("accepted");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kUsage);
      CHECK_FALSE(e.hint().empty());
      CHECK(std::string(e.what()).find(word) != std::string::npos);
    }
  };
  EndpointOptions options = quick("https://api.example.org/v1");
  options.key = "ONCEKIT_TEST_NO_SUCH_KEY";
  refused(options, "ONCEKIT_TEST_NO_SUCH_KEY");
  options.key.clear();
  options.ca_file = "/no/such/file.pem";
  refused(options, "ca_file");
  refused(quick("gopher://host/"), "http");
  options = quick("http://127.0.0.1:1");
  options.proxy = "http://me:hunter2@proxy:3128";
  refused(options, "https_proxy");
  options = quick("http://127.0.0.1:1");
  options.key = "ONCEKIT_TEST_NO_SUCH_KEY";  // none is needed on this machine
  CHECK_NOTHROW(ChatClient(options, 1, {}));
}
