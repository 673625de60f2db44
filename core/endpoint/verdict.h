// What an HTTP answer, or the lack of one, means for the request that was sent: pure, no network.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "endpoint/client.h"

namespace oncekit {

/// Of one try.
struct Verdict {
  enum class Kind { kAnswer, kTryAgain, kRefused, kUnusable } kind = Kind::kAnswer;
  std::string text, finish_reason;
  std::string reason;          ///< of anything but an answer; one of few fixed texts
  std::string detail;          ///< the server's words, at any length and as they came
  Usage usage;                 ///< reported, or zeros
  bool may_be_billed = false;  ///< the server may have answered and charged, and what it answered is lost
};

/// Of a whole HTTP answer. Error formats: OpenAI's {"error": {"message", "type", "code"}}, {"error": "..."}, FastAPI's {"detail": ...}.
Verdict judge(std::int64_t status, std::string_view body);

/// Of a transfer that failed. code: libcurl's CURLcode. begun: the request's bytes had begun to leave. proxy_status: of CONNECT, 0 = none.
Verdict judge_failure(int code, bool begun, std::int64_t proxy_status, std::string_view words);

/// Server words as they may be shown and stored: well-formed UTF-8, one line, at most 300 bytes, the key blanked out.
std::string shown_detail(std::string_view words, std::string_view key);

}  // namespace oncekit
