// What goes wrong at the mock server, and when: a pure function of the request, of how often it came, and of the seed.
#pragma once

#include <cstdint>
#include <string_view>

namespace oncekit {

enum class MockFault {
  kNone,
  // of the transport: there is no answer, or not in time
  kRateLimited,    ///< 429 with Retry-After: 0 or 1
  kError500,
  kError503,
  kCutBefore,      ///< the connection is closed instead of an answer
  kCutWithin,      ///< ... in the middle of one
  kGarbage,        ///< bytes that are no HTTP, or a page that is no JSON
  kTruncatedJson,  ///< a whole HTTP answer around half of the JSON
  kSlowDrip,       ///< a few bytes at a time, two seconds in all
  // of the model: an answer that is no use as it is
  kEmptyAnswer,
  kDeclined,
  kFenced,         ///< in a code fence, with a trailing comma where it is JSON
  kCutByLength,    ///< half of it, finish_reason "length"
};
constexpr int kMockFaults = 12;  ///< kinds beside kNone

/// As written in the log.
std::string_view fault_name(MockFault fault);
constexpr bool of_transport(MockFault fault) { return fault >= MockFault::kRateLimited && fault <= MockFault::kSlowDrip; }

/// share: of tries that go wrong. attempt: how often this body came before, from 0. Three faults of the transport in a row are followed by a
/// try that has none, so that a client with four tries gets through.
MockFault draw_fault(std::uint64_t body, std::int64_t attempt, std::uint64_t seed, double share);

}  // namespace oncekit
