// 20,000 requests: memory stays flat, each is done once. Prints what it took; nothing is asserted of time.
#include <catch2/catch.hpp>

#include <chrono>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "endpoint/client.h"
#include "mock_llm/server.h"

using namespace oncekit;

namespace {

double resident_mib() {
  std::ifstream in("/proc/self/statm");
  long size = 0, resident = 0;
  in >> size >> resident;
  return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

}  // namespace

TEST_CASE("20,000 requests at 200 ms with a tenth gone wrong: memory stays flat", "[slow][endpoint]") {
  int port[2];
  REQUIRE(::pipe(port) == 0);
  const pid_t child = ::fork();  // a process of its own: its memory is not the client's
  REQUIRE(child >= 0);
  if (child == 0) {
    MockOptions options;
    options.latency_ms = 200;
    options.faults = 0.1;
    const MockServer server(options);
    const int number = server.port();
    if (::write(port[1], &number, sizeof number) != sizeof number) ::_exit(1);
    for (;;) ::pause();
  }
  int number = 0;
  REQUIRE(::read(port[0], &number, sizeof number) == sizeof number);
  EndpointOptions endpoint;
  endpoint.url = "http://127.0.0.1:" + std::to_string(number) + "/v1";
  endpoint.model = "mock";
  endpoint.key.clear();
  endpoint.in_flight = 128;
  constexpr std::int64_t kRequests = 20000, kEarly = 2000;
  std::vector<int> done(kRequests);
  std::int64_t answers = 0, all = 0;
  double early = 0;
  ChatClient::Hooks hooks;
  hooks.done = [&](std::int64_t id, ChatReply&& reply) {
    ++done[static_cast<std::size_t>(id)];
    answers += reply.kind == ChatReply::Kind::kAnswer;
    if (++all == kEarly) early = resident_mib();
  };
  const auto start = std::chrono::steady_clock::now();
  {
    ChatClient client(endpoint, 1, std::move(hooks));
    const std::string text(800, 'x');
    for (std::int64_t i = 0; i < kRequests; ++i) client.submit(i, {"Answer in one line.", "question " + std::to_string(i) + " " + text, 64, 0});
    client.drain();
    const double late = resident_mib(), seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::cout << kRequests << " requests in " << seconds << " s, " << client.figures().sent << " tries; one after the other at 200 ms each: "
              << 0.2 * static_cast<double>(client.figures().sent) << " s; resident " << early << " MiB at " << kEarly << ", " << late << " MiB at the end\n";
    for (const auto& [reason, n] : client.figures().faults) std::cout << "  " << n << " " << reason << "\n";
    CHECK(late - early <= 32);
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(answers == kRequests);
  CHECK(std::all_of(done.begin(), done.end(), [](int n) { return n == 1; }));
}
