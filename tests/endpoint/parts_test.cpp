// What needs no network: bodies, addresses, limits, pauses, verdicts, blanked keys.
#include <catch2/catch.hpp>

#include <cmath>
#include <ctime>
#include <deque>
#include <set>

#include <curl/curl.h>
#include <nlohmann/json.hpp>

#include "data/utf8.h"
#include "endpoint/key.h"
#include "endpoint/limits.h"
#include "endpoint/transfer.h"
#include "endpoint/verdict.h"
#include "oncekit/error.h"

using namespace oncekit;
using Kind = Verdict::Kind;

TEST_CASE("The body of a request is the same bytes for the same question", "[unit][endpoint]") {
  EndpointOptions options;
  options.model = "m";
  options.temperature = 0.5;
  const std::string body = chat_body(options, {"be brief", "what?", 12, 3});
  CHECK(body == R"({"model":"m","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"what?"}],"max_tokens":12,"temperature":0.5,"top_p":1.0,"seed":3})");
  CHECK(chat_body(options, {"", "what?", 12, 3}).find("system") == std::string::npos);
  // Neither the key's variable nor the address is part of it: the store's hash must not change with them.
  EndpointOptions elsewhere = options;
  elsewhere.url = "http://elsewhere";
  elsewhere.key = "OTHER";
  CHECK(chat_body(elsewhere, {"be brief", "what?", 12, 3}) == body);
  CHECK(chat_body(options, {"be brief", "what?", 12, 4}) != body);
  for (const std::string& odd : {std::string("\xff\xfe"), std::string("a\0b", 3), std::string("\"\\\n\x01"), std::string("caf\xc3\xa9")}) {
    const auto parsed = nlohmann::json::parse(chat_body(options, {"", odd, 1, 0}), nullptr, false);
    REQUIRE(parsed.is_object());
    CHECK(parsed["messages"][0]["content"].get<std::string>() == mend_utf8(odd));
  }
}

TEST_CASE("Base addresses", "[unit][endpoint]") {
  for (const auto& [given, url] : std::vector<std::pair<std::string, std::string>>{
           {"https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"},
           {"https://api.openai.com/v1/", "https://api.openai.com/v1/chat/completions"},
           {"https://api.openai.com/v1//", "https://api.openai.com/v1/chat/completions"},
           {"http://127.0.0.1:8080", "http://127.0.0.1:8080/chat/completions"},
           {"http://[::1]:8080/v1", "http://[::1]:8080/v1/chat/completions"},
           {"http://host/v1/chat/completions", "http://host/v1/chat/completions"},
           {"http://host/v1?api-version=2", "http://host/v1/chat/completions?api-version=2"},
           {"http://host/v1#part", "http://host/v1/chat/completions"}}) {
    INFO(given);
    CHECK(read_route(given).url == url);
  }
  for (const std::string bad : {"", "host/v1", "mock", "ftp://host/v1", "file:///etc/passwd", "http://", "https://me:hunter2@host/v1", "http://me@host", "http://ho st/v1"}) {
    INFO(bad);
    try {
      read_route(bad);
      FAIL("accepted");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kUsage);
      CHECK(std::string(e.what()).find("hunter2") == std::string::npos);
      CHECK(std::string(e.what()).find("endpoint.url") != std::string::npos);
    }
  }
  for (const auto& [url, loopback] : std::vector<std::pair<std::string, bool>>{{"http://127.0.0.1/v1", true}, {"http://127.8.8.8", true}, {"http://localhost:1/", true},
                                                                               {"http://[::1]/", true}, {"http://127.0.0.1.evil.org", false}, {"http://10.0.0.1", false}, {"https://api.openai.com", false}})
    CHECK(read_route(url).loopback == loopback);
}

TEST_CASE("No address in a recipe may hold a password", "[unit][endpoint]") {
  const auto problems = [](const std::string& url, const std::string& proxy) {
    EndpointOptions options;
    options.url = url;
    options.proxy = proxy;
    Problems found;
    options.validate(found);
    std::string text;
    for (const Error& problem : found.items()) text += std::string(problem.what()) + "\n";
    CHECK(text.find("hunter2") == std::string::npos);
    return text;
  };
  const std::string good = "https://api.openai.com/v1";
  for (const std::string& url : {good, std::string("mock"), std::string("http://127.0.0.1:8080"), std::string("https://host/@tenant/v1")})
    for (const std::string proxy : {"", "http://proxy:3128", "socks5h://127.0.0.1:9050", "proxy"}) CHECK(problems(url, proxy).empty());
  for (const std::string proxy : {"http://me:hunter2@proxy:3128", "me:hunter2@proxy:3128", "me@proxy", "http://me:hunter2/2@proxy"})
    CHECK_THAT(problems(good, proxy), Catch::Contains("[endpoint] proxy holds a user name or password") && Catch::Contains("https_proxy"));
  CHECK_THAT(problems("https://me:hunter2@host/v1", ""), Catch::Contains("[endpoint] url holds a user name or password"));
}

TEST_CASE("No minute holds more requests or tokens than its limit", "[unit][endpoint]") {
  for (const std::int64_t limit : {1, 2, 3, 59, 60, 61, 500, 601, 3500, 30000}) {
    RateLimit requests = RateLimit::of_requests(limit);
    std::deque<double> times;
    std::int64_t taken = 0;
    // 200 s of asking as often as is let through.
    for (double now = 1000; now < 1200;) {
      const double hold = requests.wait_s(1, now);
      if (hold > 0) {
        now += std::max(hold, 1e-4);
        continue;
      }
      requests.take(1, now);
      times.push_back(now);
      ++taken;
      while (times.front() <= now - 60) times.pop_front();
      REQUIRE(static_cast<std::int64_t>(times.size()) <= limit);
    }
    INFO("limit " << limit);
    CHECK(static_cast<double>(taken) >= 0.95 * 200.0 / 60 * static_cast<double>(limit) - 1);  // and it is made use of
  }
  Rng rng(3);
  for (const std::int64_t limit : {1000, 90000, 2000000}) {
    RateLimit tokens = RateLimit::of_tokens(limit);
    std::deque<std::pair<double, double>> taken;
    double sum = 0, all = 0;
    for (double now = 0; now < 300;) {
      const double cost = 1 + std::floor(rng.uniform() * static_cast<double>(limit) / 10);
      double hold;
      while ((hold = tokens.wait_s(cost, now)) > 0) now += hold + 1e-6;
      tokens.take(cost, now);
      taken.emplace_back(now, cost);
      sum += cost;
      all += cost;
      while (taken.front().first <= now - 60) sum -= taken.front().second, taken.pop_front();
      REQUIRE(sum <= static_cast<double>(limit) + 1);
    }
    CHECK(all >= 0.8 * 5 * static_cast<double>(limit));
  }
  // One request above all that fits into the bucket goes when it is full, and is paid off.
  RateLimit small = RateLimit::of_tokens(60);
  CHECK(small.wait_s(600, 0) == 0);
  small.take(600, 0);
  CHECK(small.wait_s(1, 0) > 600);
  RateLimit none = RateLimit::of_requests(0);
  for (int i = 0; i < 100000; ++i) none.take(1, 0);
  CHECK(none.wait_s(1, 0) == 0);
}

TEST_CASE("Pauses between tries", "[unit][endpoint]") {
  for (int tries = 1; tries <= 100; ++tries) {
    double most = 0;
    for (std::uint64_t i = 0; i < 300; ++i) {
      const double pause = back_off_s(1, 60, tries, Rng(i));
      CHECK(pause >= 0);
      CHECK(pause <= std::min(60.0, std::exp2(tries - 1)));
      most = std::max(most, pause);
      CHECK(pause == back_off_s(1, 60, tries, Rng(i)));
    }
    CHECK(most > 0.8 * std::min(60.0, std::exp2(tries - 1)));
  }
  CHECK(back_off_s(0, 60, 3, Rng(1)) == 0);

  const std::time_t now = 784111777;  // Sun, 06 Nov 1994 08:49:37 GMT
  for (const auto& [value, seconds] : std::vector<std::pair<std::string, double>>{{"0", 0}, {"7", 7}, {" 12 \r\n", 12}, {"1.5", 1.5}, {"Sun, 06 Nov 1994 08:49:47 GMT", 10},
                                                                                 {"Sunday, 06-Nov-94 08:50:37 GMT", 60}, {"Sun, 06 Nov 1994 08:00:00 GMT", 0}}) {
    INFO(value);
    REQUIRE(retry_after_s(value, "", now));
    CHECK(*retry_after_s(value, "", now) == seconds);
  }
  // By the server's clock, when it tells.
  CHECK(*retry_after_s("Sun, 06 Nov 1994 08:49:47 GMT", "Sun, 06 Nov 1994 08:49:45 GMT", now) == 2);
  for (const std::string bad : {"", " ", "-1", "+3", "soon", "1.2.3", ".5", "99999999999999999999", "1e9", "0x10", "\xff\xff"}) {
    INFO(bad);
    CHECK_FALSE(retry_after_s(bad, "", now));
  }
}

TEST_CASE("What HTTP answers mean", "[unit][endpoint]") {
  const auto error = [](const std::string& message, const std::string& code, const std::string& type = "t") {
    return R"({"error":{"message":")" + message + R"(","type":")" + type + R"(","code":)" + (code.empty() ? "null" : "\"" + code + "\"") + "}}";
  };
  struct Row {
    int status;
    std::string body;
    Kind kind;
    std::string reason;
  };
  for (const Row& row : std::vector<Row>{
           {400, error("This model's maximum context length is 4097 tokens", "context_length_exceeded"), Kind::kRefused, "context too long"},
           {400, error("the request exceeds the available context size", ""), Kind::kRefused, "context too long"},
           {400, error("filtered", "content_filter"), Kind::kRefused, "content filter"},
           {400, error("no", "content_policy_violation"), Kind::kRefused, "content filter"},
           {403, error("flagged", "moderation_blocked"), Kind::kRefused, "content filter"},
           {400, error("max_tokens must be positive", ""), Kind::kRefused, "invalid request"},
           {400, "not even JSON", Kind::kRefused, "invalid request"},
           {400, "", Kind::kRefused, "invalid request"},
           {400, error("bad key", "invalid_api_key"), Kind::kUnusable, "key refused"},
           {413, "<html>too large</html>", Kind::kRefused, "request too large"},
           {422, R"({"detail":[{"loc":["body"],"msg":"field required"}]})", Kind::kRefused, "invalid request"},
           {401, error("Incorrect API key provided", "invalid_api_key"), Kind::kUnusable, "key refused"},
           {401, "", Kind::kUnusable, "key refused"},
           {403, R"({"error":"forbidden"})", Kind::kUnusable, "key refused"},
           {402, "", Kind::kUnusable, "quota used up"},
           {404, error("The model `x` does not exist", "model_not_found"), Kind::kUnusable, "unknown model"},
           {404, "<html>Not Found</html>", Kind::kUnusable, "nothing at this address"},
           {405, "", Kind::kUnusable, "nothing at this address"},
           {407, "", Kind::kUnusable, "proxy refused"},
           {429, error("slow down", "rate_limit_exceeded"), Kind::kTryAgain, "rate limited"},
           {429, "", Kind::kTryAgain, "rate limited"},
           {429, error("You exceeded your current quota", "insufficient_quota"), Kind::kUnusable, "quota used up"},
           {429, error("You exceeded your current quota", "", "insufficient_quota"), Kind::kUnusable, "quota used up"},
           {408, "", Kind::kTryAgain, "server error 408"},
           {500, error("oops", ""), Kind::kTryAgain, "server error 500"},
           {502, "<html>Bad Gateway</html>", Kind::kTryAgain, "server error 502"},
           {503, "", Kind::kTryAgain, "server error 503"},
           {504, "<html>Gateway Time-out</html>", Kind::kTryAgain, "server error 504"},
           {520, "", Kind::kTryAgain, "server error 520"},
           {524, "", Kind::kTryAgain, "server error 524"},
           {525, "", Kind::kTryAgain, "server error 525"},
           {529, "", Kind::kTryAgain, "server error 529"},
           {301, "", Kind::kUnusable, "redirected"},
           {307, "", Kind::kUnusable, "redirected"},
           {200, "", Kind::kTryAgain, "answer is not JSON"},
           {200, "It works!", Kind::kTryAgain, "answer is not JSON"},
           {200, R"({"choices":[{"message":{"content":"cut he)", Kind::kTryAgain, "answer is not JSON"},
           {200, "[]", Kind::kTryAgain, "answer is not JSON"},
           {200, "null", Kind::kTryAgain, "answer is not JSON"},
           {200, "{}", Kind::kTryAgain, "no choices in the answer"},
           {200, R"({"choices":[]})", Kind::kTryAgain, "no choices in the answer"},
           {200, R"({"choices":7})", Kind::kTryAgain, "no choices in the answer"},
           {200, R"({"choices":[null]})", Kind::kTryAgain, "no message in the answer"},
           {200, R"({"choices":[{"message":"text"}]})", Kind::kTryAgain, "no message in the answer"},
           {200, R"({"error":{"message":"upstream","code":502}})", Kind::kTryAgain, "server error 502"},
           {200, R"({"error":{"message":"bad key","code":401}})", Kind::kUnusable, "key refused"},
           {200, R"({"error":"overloaded"})", Kind::kTryAgain, "server error 500"},
           {200, std::string(3'000'000, '['), Kind::kTryAgain, "answer is not JSON"},
           {200, R"({"choices":[{"message":{"content":""},"finish_reason":"content_filter"}]})", Kind::kRefused, "content filter"},
       }) {
    INFO(row.status << " " << row.body.substr(0, 200));
    const Verdict verdict = judge(row.status, row.body);
    CHECK(verdict.kind == row.kind);
    CHECK(verdict.reason == row.reason);
    const bool gateway = std::set<std::string>{"server error 408", "server error 502", "server error 504", "server error 520", "server error 524"}.count(row.reason) > 0;
    const bool unread = row.status == 200 && row.kind == Kind::kTryAgain && !row.reason.starts_with("server error");
    CHECK(verdict.may_be_billed == (gateway || unread));
  }

  struct Answer {
    std::string body, text, finish;
    bool reported;
  };
  const auto wrap = [](const std::string& message, const std::string& rest = "") { return R"({"choices":[{"message":)" + message + "}]" + rest + "}"; };
  for (const Answer& row : std::vector<Answer>{
           {R"({"choices":[{"message":{"content":"hi"},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2}})", "hi", "length", true},
           {wrap(R"({"content":"hi"})"), "hi", "", false},
           {wrap(R"({"content":null})"), "", "", false},
           {wrap("{}"), "", "", false},
           {wrap(R"({"content":null,"refusal":"I cannot"})"), "I cannot", "", false},
           {wrap(R"({"content":[{"type":"text","text":"a"},{"type":"image"},{"type":"text","text":"b"}]})"), "ab", "", false},
           {wrap(R"({"content":"hi"})", R"(,"usage":null)"), "hi", "", false},
           {wrap(R"({"content":"hi"})", R"(,"usage":{"prompt_tokens":-5,"completion_tokens":2})"), "hi", "", false},
           {wrap(R"({"content":"hi"})", R"(,"usage":{"prompt_tokens":1e300,"completion_tokens":2})"), "hi", "", false},
           {wrap(R"({"content":"hi"})", R"(,"usage":{"prompt_tokens":"3","completion_tokens":2})"), "hi", "", false},
           {wrap(R"({"content":"hi"})", R"(,"usage":{"prompt_tokens":3,"completion_tokens":0})"), "hi", "", true},
           {wrap(R"({"content":"hi"})", R"(,"error":null)"), "hi", "", false},
           {wrap("{\"content\":\"broken \xff byte\"}"), "broken \xef\xbf\xbd byte", "", false},
       }) {
    INFO(row.body);
    const Verdict verdict = judge(200, row.body);
    CHECK(verdict.kind == Kind::kAnswer);
    CHECK(verdict.text == row.text);
    CHECK(verdict.finish_reason == row.finish);
    CHECK(verdict.usage.reported == row.reported);
  }
}

TEST_CASE("What failed transfers mean", "[unit][endpoint]") {
  for (int code = 1; code < CURL_LAST; ++code) {
    if (code == CURLE_OUT_OF_MEMORY) continue;
    for (const bool begun : {false, true}) {
      const Verdict verdict = judge_failure(code, begun, 0, "words");
      INFO(code);
      CHECK((verdict.kind == Kind::kTryAgain || verdict.kind == Kind::kUnusable));
      CHECK_FALSE(verdict.reason.empty());
      CHECK(verdict.may_be_billed == begun);
    }
  }
  CHECK(judge_failure(CURLE_PEER_FAILED_VERIFICATION, false, 0, "").kind == Kind::kUnusable);
  CHECK(judge_failure(CURLE_RECV_ERROR, false, 407, "").reason == "proxy refused");
  CHECK(judge_failure(CURLE_RECV_ERROR, false, 503, "").kind == Kind::kTryAgain);
  CHECK(judge_failure(CURLE_OPERATION_TIMEDOUT, true, 0, "").reason == "timed out");
  CHECK(judge_failure(CURLE_OPERATION_TIMEDOUT, false, 0, "").reason == "connecting timed out");
}

TEST_CASE("A server's words are shown short, whole and without the key", "[unit][endpoint]") {
  const std::string key = "sk-abcdefghijklmnop1234";
  CHECK(shown_detail("wrong key " + key + "!", key) == "wrong key [key]!");
  CHECK(shown_detail("  a\r\n\tb \x1b[31m c  ", key) == "a b [31m c");
  CHECK(shown_detail("", key).empty());
  // Cut off in the middle of the key, at any place: what is left of it does not stay.
  for (std::size_t n = 4; n <= key.size(); ++n) CHECK(shown_detail("your key " + key.substr(0, n), key) == "your key [key]");
  for (std::size_t n = 280; n < 310; ++n) {
    const std::string shown = shown_detail(std::string(n, 'x') + key + std::string(100, 'y'), key);
    CHECK(shown.size() <= 300);
    CHECK(shown.find("sk-") == std::string::npos);
  }
  for (std::size_t n = 290; n < 305; ++n) {
    const std::string shown = shown_detail(std::string(n, 'x') + "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", "");
    CHECK(shown.size() <= 300);
    CHECK(is_utf8(shown));
  }
  CHECK(is_utf8(shown_detail("\xff\xfe\x80 no", key)));
  CHECK(without_key("none of it", "") == "none of it");
  CHECK(without_key(key + key, key) == "[key][key]");
}
