// A language model that is none: an OpenAI-compatible server on loopback, deterministic, for --demo, tests and practice.
// It may know which words belong to which topic (oncekit/toy.h), never tastes, users' ids or labels.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

namespace oncekit {

struct MockOptions {
  int port = 0;                    ///< 0 = any free one
  double latency_ms = 0;           ///< of an answer; each request waits on its own
  double faults = 0;               ///< share of tries that go wrong, all kinds alike; a function of (request, attempt, seed)
  std::uint64_t seed = 1;
  std::string answers = "helpful"; ///< "helpful" | "random" (words and topics drawn at random) | "echo"
  std::string key{};               ///< when not empty, another key gets 401, and the answer echoes the key that was sent
  std::filesystem::path log{};     ///< one JSON line a request: hash of body, try, outcome; "" = none
};

/// Runs in threads of its own from construction to destruction. Throws Error(kRun) when the port is taken.
class MockServer {
 public:
  explicit MockServer(const MockOptions& options);
  ~MockServer();
  int port() const;
  std::string url() const;           ///< "http://127.0.0.1:PORT/v1"
  std::int64_t requests() const;     ///< served so far
  /// Blocks until `stop` says so, looked at every tenth of a second.
  void run_until(const std::function<bool()>& stop);

 private:
  class State;
  std::unique_ptr<State> state_;
};

/// The answer to a pair of messages: pure. Knows our prompts by the output format that they ask for.
std::string mock_answer(const std::string& system, const std::string& user, std::uint64_t draw, const MockOptions& options);

}  // namespace oncekit
