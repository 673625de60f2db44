// What the mock server says to one request: the protocol, without the network.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mock_llm/faults.h"
#include "mock_llm/server.h"

namespace oncekit {

struct MockRequest {
  std::string_view method, target, authorization, body;
};

/// Ready to be sent, but for what the fault does to it.
struct MockReply {
  int status = 200;
  std::string headers;        ///< extra ones, each with its line end
  std::string body;
  std::string type = "application/json";
  MockFault fault = MockFault::kNone;
  bool no_http = false;       ///< the body alone is sent, and the connection closed
};

/// OpenAI's protocol: POST /v1/chat/completions, GET /v1/models, and its errors. `attempt`: how often this body came before, from 0.
/// Pure.
MockReply mock_reply(const MockRequest& request, std::uint64_t body_hash, std::int64_t attempt, const MockOptions& options);

/// The bytes of an HTTP answer.
std::string http_bytes(const MockReply& reply, bool keep_alive);

}  // namespace oncekit
