// The mock server: its protocol, its answers to our own prompts, its faults, and the client that gets through them.
#include <catch2/catch.hpp>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "endpoint/client.h"
#include "mock_llm/answer.h"
#include "mock_llm/faults.h"
#include "mock_llm/reply.h"
#include "mock_llm/server.h"
#include "oncekit/error.h"
#include "oncekit/prompt.h"
#include "support/temp_folder.h"

using namespace oncekit;
using oncekit::test::TempFolder;

namespace {

const ToyVocabulary& toy() { return ToyWords::get().vocabulary(); }

std::string prompt_file(const std::string& name) { return std::string(ONCEKIT_TREE) + "/prompts/" + name + ".toml"; }

struct Messages {
  std::string system, user;
};
Messages fill(const std::string& name, const PromptTemplate::Values& values) {
  std::vector<std::string> allowed;
  for (const auto& [key, value] : values) allowed.push_back(key);
  const std::vector<std::string> in_click{"title", "category", "description"};
  const PromptTemplate prompt = PromptTemplate::load(prompt_file(name), allowed, values.contains("history") ? in_click : std::vector<std::string>{});
  return {prompt.system(values), prompt.user(values)};
}

std::string answer(const Messages& messages, std::uint64_t draw = 0, const MockOptions& options = {}) { return mock_answer(messages.system, messages.user, draw, options); }

Messages news_profile(const std::string& history, const std::string& topics = "astronomy, gardening, sailing, cooking, chess, pottery") {
  return fill("news_profile", {{"topics", topics}, {"regions", "Ohio, New York, Texas"}, {"most", "5"}, {"history", history}});
}

EndpointOptions to(const MockServer& server) {
  EndpointOptions options;
  options.url = server.url();
  options.model = "mock";
  options.key.clear();
  options.first_wait_s = 0.01;
  options.longest_wait_s = 0.05;
  options.timeout_s = 30;
  return options;
}

}  // namespace

TEST_CASE("The mock knows our prompts by what they ask for", "[unit][mock]") {
  CHECK(task_of(fill("news_summary", {{"title", "t"}, {"abstract", "a"}, {"category", "c"}, {"subcategory", "s"}}).system) == MockTask::kNewsSummary);
  CHECK(task_of(fill("book_description", {{"title", "t"}}).system) == MockTask::kBookDescription);
  CHECK(task_of(news_profile("1. x").system) == MockTask::kNewsProfile);
  CHECK(task_of(fill("book_profile", {{"most", "5"}, {"history", "1. x"}}).system) == MockTask::kBookProfile);
  CHECK(task_of(fill("news_item", {{"categories", "a, b"}, {"interests", ""}, {"history", "1. x"}}).system) == MockTask::kNewsItem);
  CHECK(task_of(fill("book", {{"categories", ""}, {"interests", ""}, {"history", "1. x"}}).system) == MockTask::kBook);
  CHECK(task_of("Tell me a joke.") == MockTask::kOther);
}

TEST_CASE("Helpful answers about the toy world", "[unit][mock]") {
  for (std::size_t t = 0; t < toy().topics.size(); ++t) {
    const std::vector<std::string>& w = toy().words[t];
    const std::string other = toy().words[(t + 1) % toy().words.size()][0];
    INFO(toy().topics[t]);
    const std::string title = "the " + w[0] + " today " + w[1];
    const Unwrapped summary = tagged(answer(fill("news_summary", {{"title", title}, {"abstract", w[2] + " over " + other}, {"category", "section1"}, {"subcategory", ""}})), "[title]");
    CHECK_FALSE(summary.repaired);
    CHECK(summary.text == title + " about " + toy().topics[t]);

    const std::string history = "1. (section1) big " + w[0] + " " + w[1] + "\n2. (section2) " + w[2] + " " + w[3] + " why\n3. (section2) the " + other + " old\n4. (section3) guide " + w[4];
    const std::string profile = answer(news_profile(history));
    CHECK(profile.starts_with("[topics]\n- " + toy().topics[t] + "\n- " + toy().topics[(t + 1) % toy().topics.size()] + "\n[regions]"));
    const auto interests = find_object(answer(fill("book_profile", {{"most", "1"}, {"history", history}})));
    REQUIRE(interests);
    CHECK(interests->fields.at("interests") == std::vector<std::string>{toy().topics[t]});

    std::set<std::string> titles;
    for (std::uint64_t draw = 0; draw < 4; ++draw) {
      const Messages messages = fill("news_item", {{"categories", "section1, section2"}, {"interests", ""}, {"history", history}});
      const auto item = find_object(answer(messages, draw));
      REQUIRE(item);
      CHECK_FALSE(item->repaired);
      const std::string made = item->fields.at("title")[0];
      titles.insert(made);
      CHECK(ToyWords::get().majority(made) == static_cast<int>(t));
      CHECK(ToyWords::get().majority(item->fields.at("abstract")[0]) == static_cast<int>(t));
      for (const std::string& word : words_of(made))
        if (ToyWords::get().topic_of(word) >= 0) CHECK(history.find(word) == std::string::npos);
      CHECK(item->fields.at("category")[0] == "section2");
    }
    CHECK(titles.size() == 4);
  }
  // A profile that was made before leads the way.
  const Messages chain = fill("book", {{"categories", ""}, {"interests", "chess"}, {"history", "1. " + toy().words[0][0] + " | a book"}});
  const auto book = find_object(answer(chain));
  REQUIRE(book);
  CHECK(toy().topics[static_cast<std::size_t>(ToyWords::get().majority(book->fields.at("title")[0]))] == "chess");
  CHECK_FALSE(book->fields.at("description")[0].empty());
}

TEST_CASE("Answers about real texts keep to the format", "[unit][mock]") {
  for (const std::string title : {"Bears beat Packers in overtime", "Caf\xc3\xa9 society", "\xe6\x97\xa5\xe6\x9c\xac", "12", "\xff\xfe", "it is"}) {
    INFO(title);
    const Unwrapped summary = tagged(answer(fill("news_summary", {{"title", title}, {"abstract", "Chicago won a game of football against Green Bay"}, {"category", "sports"}, {"subcategory", ""}})), "[title]");
    CHECK(summary.text.find(title) == 0);
    CHECK_FALSE(tagged(answer(fill("book_description", {{"title", title}})), "[description]").text.empty());
    const std::string history = "1. (sports) " + title + "\n2. (news) Fire in New York spreads";
    const std::string profile = answer(news_profile(history, "sports, travel, news"));
    CHECK(profile.find("- sports\n") != std::string::npos);
    CHECK(profile.ends_with("[regions]\n- New York"));
    const auto interests = find_object(answer(fill("book_profile", {{"most", "3"}, {"history", history}})));
    REQUIRE(interests);
    CHECK(interests->fields.at("interests").size() <= 3);
    CHECK_FALSE(interests->fields.at("interests").empty());
    const auto item = find_object(answer(fill("news_item", {{"categories", "news, sports"}, {"interests", ""}, {"history", history}})));
    REQUIRE(item);
    CHECK_FALSE(item->fields.at("title")[0].empty());
    CHECK_FALSE(item->fields.at("abstract")[0].empty());
  }
}

TEST_CASE("Answers are a function of what was asked, and of the kind of mock", "[unit][mock]") {
  const Messages messages = fill("book", {{"categories", ""}, {"interests", ""}, {"history", "1. " + toy().words[2][5]}});
  CHECK(answer(messages, 3) == answer(messages, 3));
  CHECK(answer(messages, 3) != answer(messages, 4));
  MockOptions other;
  other.seed = 2;
  CHECK(answer(messages, 3, other) != answer(messages, 3));
  other.answers = "echo";
  CHECK(answer(messages, 3, other) == messages.user);
  // Random answers know the format, and nothing of the reader: over many readers of one topic all topics are drawn.
  other.answers = "random";
  std::set<int> topics;
  for (int i = 0; i < 60; ++i) {
    const auto book = find_object(answer(fill("book", {{"categories", ""}, {"interests", ""}, {"history", "1. " + toy().words[2][0] + " " + std::to_string(i)}}), 0, other));
    REQUIRE(book);
    topics.insert(ToyWords::get().majority(book->fields.at("title")[0]));
  }
  CHECK(topics.size() == toy().topics.size());
}

TEST_CASE("Faults come at their rate, all kinds alike, never too many of the transport in a row", "[unit][mock]") {
  for (const double share : {0.0, 0.1, 0.5, 1.0}) {
    std::map<MockFault, int> kinds;
    int faults = 0, firsts = 0;
    for (std::uint64_t body = 0; body < 3000; ++body) {
      int run = 0;
      for (std::int64_t attempt = 0; attempt < 12; ++attempt) {
        const MockFault fault = draw_fault(mix64(body), attempt, 1, share);
        REQUIRE(fault == draw_fault(mix64(body), attempt, 1, share));
        if (attempt == 0) ++firsts, faults += fault != MockFault::kNone, ++kinds[fault];
        run = of_transport(fault) ? run + 1 : 0;
        REQUIRE(run <= 3);
      }
    }
    INFO(share);
    CHECK(std::abs(faults / static_cast<double>(firsts) - share) < 0.03);
    for (int kind = 1; kind <= kMockFaults && share > 0; ++kind) CHECK(kinds[static_cast<MockFault>(kind)] > firsts * share / kMockFaults / 2.5);
  }
  CHECK(draw_fault(5, 0, 1, 0.5) == draw_fault(5, 0, 1, 0.5));
  int differ = 0;
  for (std::uint64_t body = 0; body < 100; ++body) differ += draw_fault(body, 0, 1, 0.5) != draw_fault(body, 0, 2, 0.5);
  CHECK(differ > 20);
}

TEST_CASE("The mock's protocol", "[unit][mock]") {
  MockOptions options;
  const auto reply = [&](const std::string& method, const std::string& target, const std::string& body, const std::string& key = "") {
    return mock_reply({method, target, key, body}, 1, 0, options);
  };
  const std::string chat = "/v1/chat/completions";
  const std::string good = R"({"model":"any","messages":[{"role":"user","content":"one two three"}],"max_tokens":50})";
  const MockReply fine = reply("POST", chat, good);
  CHECK(fine.status == 200);
  const auto json = nlohmann::json::parse(fine.body);
  CHECK(json["usage"]["prompt_tokens"] == 3);
  CHECK(json["usage"]["completion_tokens"].get<int>() > 0);
  CHECK(json["choices"][0]["finish_reason"] == "stop");
  CHECK(nlohmann::json::parse(reply("GET", "/v1/models", "").body)["data"][0]["id"] == "mock");
  for (const auto& [method, target, body, status] : std::vector<std::tuple<std::string, std::string, std::string, int>>{
           {"GET", chat, "", 405}, {"POST", "/v1/models", "", 405}, {"POST", "/v1/embeddings", good, 404}, {"POST", chat, "", 400}, {"POST", chat, "[]", 400},
           {"POST", chat, "{}", 400}, {"POST", chat, R"({"model":"m","messages":[]})", 400}, {"POST", chat, R"({"model":"m","messages":[{"role":"user"}]})", 400},
           {"POST", chat, R"({"model":7,"messages":[{"role":"user","content":"x"}]})", 400},
           {"POST", chat, R"({"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":0})", 400},
           {"POST", chat, R"({"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":"9"})", 400},
           {"POST", chat, R"({"model":"m","messages":[{"role":"user","content":"x"}],"seed":1.5})", 400},
           {"POST", chat, R"({"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":20000})", 400},
           {"POST", chat, R"({"model":"m","messages":[{"role":"user","content":"x"}],"stream":true})", 400}}) {
    INFO(method << " " << target << " " << body);
    const MockReply refused = reply(method, target, body);
    CHECK(refused.status == status);
    CHECK(nlohmann::json::parse(refused.body)["error"]["message"].is_string());
  }
  const auto cut = nlohmann::json::parse(reply("POST", chat, R"({"model":"m","messages":[{"role":"user","content":"one two three"}],"max_tokens":2})").body);
  CHECK(cut["choices"][0]["finish_reason"] == "length");
  CHECK(cut["usage"]["completion_tokens"] == 2);
  options.key = "right";
  CHECK(reply("POST", chat, good, "Bearer right").status == 200);
  CHECK(reply("POST", chat, good, "Bearer wrong").status == 401);
  CHECK(reply("POST", chat, good, "Bearer wrong").body.find("wrong") != std::string::npos);
  CHECK(reply("POST", chat, good).status == 401);
}

TEST_CASE("A port that is taken is said, and so are wrong options", "[unit][mock]") {
  const MockServer first({});
  MockOptions options;
  options.port = first.port();
  CHECK_THROWS_AS(MockServer(options), Error);
  options.port = 70000;
  CHECK_THROWS_AS(MockServer(options), Error);
  options.port = 0;
  options.answers = "wise";
  CHECK_THROWS_AS(MockServer(options), Error);
  options.answers = "echo";
  options.log = "/no/such/folder/log";
  CHECK_THROWS_AS(MockServer(options), Error);
}

TEST_CASE("Client and mock: 2,000 requests with every tenth gone wrong are each done exactly once", "[fault][endpoint][mock]") {
  const TempFolder folder;
  MockOptions options;
  options.faults = 0.1;
  options.latency_ms = 5;
  options.log = folder.path / "log.jsonl";
  options.answers = "echo";
  MockServer server(options);
  EndpointOptions endpoint = to(server);
  std::map<std::int64_t, int> done, sending;
  std::map<ChatReply::Kind, int> kinds;
  std::int64_t tries = 0, right = 0;
  ChatClient::Hooks hooks;
  hooks.sending = [&](std::int64_t id, int) { ++sending[id]; };
  hooks.done = [&](std::int64_t id, ChatReply&& reply) {
    ++done[id];
    ++kinds[reply.kind];
    tries += reply.tries;
    CHECK(reply.usage.reported);
    right += reply.text == "question " + std::to_string(id);
  };
  ChatClient client(endpoint, 1, std::move(hooks));
  for (int i = 0; i < 2000; ++i) client.submit(i, {"", "question " + std::to_string(i), 64, 0});
  client.drain();
  CHECK(done.size() == 2000);
  CHECK(std::all_of(done.begin(), done.end(), [](const auto& entry) { return entry.second == 1; }));
  CHECK(kinds[ChatReply::Kind::kAnswer] == 2000);
  CHECK(right > 1900);  // but for answers that the model itself spoils
  CHECK(client.figures().sent == tries);
  CHECK(client.figures().retried == tries - 2000);
  CHECK(tries > 2100);
  CHECK(server.requests() == tries);

  // The log has a line for each request that was read, with the store's own hash.
  std::ifstream log(options.log);
  std::map<std::string, std::int64_t> lines;
  std::int64_t total = 0;
  for (std::string line; std::getline(log, line); ++total) {
    const auto json = nlohmann::json::parse(line);
    CHECK(json["try"] == ++lines[json["body"]]);
  }
  CHECK(total == tries);
  CHECK(lines.size() == 2000);
  CHECK(lines.contains(digest128(chat_body(endpoint, {"", "question 7", 64, 0}))));
}

TEST_CASE("Client and mock: hundreds at once, and a wrong key", "[fault][endpoint][mock]") {
  MockOptions options;
  options.latency_ms = 300;
  {
    MockServer server(options);
    EndpointOptions endpoint = to(server);
    endpoint.in_flight = 600;
    int answered = 0;
    ChatClient::Hooks hooks;
    hooks.done = [&](std::int64_t, ChatReply&& reply) { answered += reply.kind == ChatReply::Kind::kAnswer; };
    ChatClient client(endpoint, 1, std::move(hooks));
    for (int i = 0; i < 600; ++i) client.submit(i, {"", "question " + std::to_string(i), 64, 0});
    CHECK(client.under_way() > 0);
    client.drain();
    CHECK(answered == 600);
    CHECK(server.requests() == 600);
  }
  options.key = "the right one";
  options.latency_ms = 0;
  MockServer server(options);
  ChatReply last;
  ChatClient::Hooks hooks;
  hooks.done = [&](std::int64_t, ChatReply&& reply) { last = std::move(reply); };
  ChatClient client(to(server), 1, std::move(hooks));
  client.submit(0, {"", "question", 64, 0});
  client.drain();
  CHECK(last.kind == ChatReply::Kind::kUnusable);
  CHECK(last.reason == "key refused");
  CHECK(client.unusable());
}

TEST_CASE("The mock says what it is, and the client takes no answer of it in another model's name", "[unit][endpoint][mock]") {
  for (const double faults : {0.0, 1.0}) {
    MockOptions options;
    options.faults = faults;
    MockServer server(options);
    for (const std::string model : {"gpt-3.5-turbo", "mock", "mock-random"}) {
      INFO(model << ", faults " << faults);
      EndpointOptions endpoint = to(server);
      endpoint.model = model;
      std::map<ChatReply::Kind, int> kinds;
      std::set<std::string> reasons;
      ChatClient::Hooks hooks;
      hooks.done = [&](std::int64_t, ChatReply&& reply) {
        ++kinds[reply.kind];
        reasons.insert(reply.reason);
      };
      ChatClient client(endpoint, 1, std::move(hooks));
      for (int i = 0; i < 20; ++i) client.submit(i, {"", "question " + std::to_string(i), 64, 0});
      client.drain();
      CHECK(kinds[model.starts_with("mock") ? ChatReply::Kind::kAnswer : ChatReply::Kind::kUnusable] == 20);
      CHECK(reasons == std::set<std::string>{model.starts_with("mock") ? "" : kMockAnswers});
    }
  }
}
