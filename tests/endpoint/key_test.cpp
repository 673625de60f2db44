// The key: nowhere but in the header of requests. The checks run in a process of their own that got it in its environment, as a user's does.
#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "endpoint/client.h"
#include "endpoint/raw_server.h"
#include "oncekit/error.h"

using namespace oncekit;
using namespace oncekit::test;

namespace {

constexpr const char* kVariable = "ONCEKIT_TEST_KEY";
constexpr const char* kMarker = "ONCEKIT_TEST_KEY_CHILD";  // without it the children's tests have nothing to do
// Written backwards: the program itself does not hold it.
std::string secret() {
  std::string text = "zyx9876543210-tset-terces-ks";
  std::reverse(text.begin(), text.end());
  return text;
}

std::string output_of(const char* command) {
  std::string text;
  FILE* pipe = ::popen(command, "r");
  REQUIRE(pipe);
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, n);
  ::pclose(pipe);
  return text;
}

// Runs this very program with the key in its environment; 0 = all its checks held.
int run_child(const std::string& test, const std::string& key) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::setenv(kVariable, key.c_str(), 1);
    ::setenv(kMarker, "1", 1);
    ::setenv("ASAN_OPTIONS", "detect_leaks=0", 1);  // LeakSanitizer cannot look into a process that is closed to others
    ::execl("/proc/self/exe", "test_endpoint", test.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

}  // namespace

TEST_CASE("The key is found nowhere but in the requests", "[unit][endpoint]") { CHECK(run_child("child: the key", secret()) == 0); }

TEST_CASE("A key with blanks around it is trimmed, one with blanks inside refused", "[unit][endpoint]") {
  CHECK(run_child("child: the key", " " + secret() + "\r\n") == 0);
  CHECK(run_child("child: a broken key", "two words") == 0);
  CHECK(run_child("child: a broken key", "line\nX-Evil: 1") == 0);
  CHECK(run_child("child: a broken key", "caf\xc3\xa9") == 0);
}

TEST_CASE("child: a broken key", "[.child]") {
  if (!std::getenv(kMarker)) return;
  const std::string value = std::getenv(kVariable);
  EndpointOptions options;
  options.key = kVariable;
  try {
    ChatClient client(options, 1, {});
    FAIL("accepted");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kUsage);
    CHECK(std::string(e.what()).find(value) == std::string::npos);
    CHECK(std::string(e.what()).find(kVariable) != std::string::npos);
  }
  CHECK_FALSE(std::getenv(kVariable));
}

TEST_CASE("child: the key", "[.child]") {
  if (!std::getenv(kMarker)) return;
  const std::string key = secret();
  std::vector<std::string> headers;
  const std::string echo = R"({"error":{"message":"wrong: )" + key + "\"}}";
  RawServer server([&](const std::string& request, int n) {
    headers.push_back(request.substr(0, request.find("\r\n\r\n")));
    switch (n) {
      case 0: return Say{ok("your key is " + key + ", is it?")};
      case 1: return Say{http(400, echo)};
      case 2: return Say{http(500, "no JSON: " + key)};
      case 3: return Say{http(200, std::string(290, 'x') + key)};
      case 4: return Say{"HTTP/1.1 " + key + " what\r\n\r\n", true};
      case 5: return Say{http(200, answer_json("x", key))};
      default: return Say{http(401, echo)};
    }
  });
  EndpointOptions options;
  options.url = server.url();
  options.key = kVariable;
  options.first_wait_s = 0;
  options.in_flight = options.tries = 1;
  std::string all;
  ChatClient::Hooks hooks;
  hooks.done = [&](std::int64_t, ChatReply&& reply) { all += reply.text + "|" + reply.reason + "|" + reply.detail + "|" + reply.finish_reason + "\n"; };
  {
    ChatClient client(options, 1, hooks);
    for (int i = 0; i < 8; ++i) client.submit(i, {"", "user", 10, 0});
    client.drain();
    for (const auto& [reason, n] : client.figures().faults) all += reason;
    CHECK(client.unusable());
  }
  REQUIRE(headers.size() == 7);
  for (const std::string& header : headers) CHECK(header.find("\r\nAuthorization: Bearer " + key + "\r\n") != std::string::npos);
  INFO(all);
  CHECK(all.find(key) == std::string::npos);
  CHECK(all.find(key.substr(0, 8)) == std::string::npos);
  CHECK(all.find("your key is [key], is it?") != std::string::npos);

  CHECK_FALSE(std::getenv(kVariable));
  CHECK(output_of("env").find(key) == std::string::npos);
  CHECK(::prctl(PR_GET_DUMPABLE) == 0);
  rlimit core{};
  CHECK(::getrlimit(RLIMIT_CORE, &core) == 0);
  CHECK(core.rlim_cur == 0);
  for (const char* file : {"/proc/self/environ", "/proc/self/cmdline"}) {
    std::ifstream in(file, std::ios::binary);  // only root may still read the first
    std::stringstream content;
    content << in.rdbuf();
    CHECK(content.str().find(key) == std::string::npos);
  }
  // A second client of the process still has it, though the environment does not.
  headers.clear();
  ChatClient second(options, 1, hooks);
  second.submit(0, {"", "user", 10, 0});
  second.drain();
  REQUIRE(headers.size() == 1);
  CHECK(headers[0].find(key) != std::string::npos);
}
