// How fast a server may be asked, and when a failed request is tried again. Time comes in as a number, so that all of it can be tested
// without waiting.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string_view>

#include "oncekit/rng.h"

namespace oncekit {

/// A token bucket: what is taken within any minute adds up to at most `per_minute`. A single cost above `burst` may be taken when the bucket
/// is full, and is then paid off before the next one; a minute may exceed the limit by what that one cost was above `burst`.
class RateLimit {
 public:
  /// per_minute = 0: no limit. burst: what may be taken at once after a pause.
  RateLimit(double per_minute, double burst);
  static RateLimit of_requests(std::int64_t per_minute);
  static RateLimit of_tokens(std::int64_t per_minute);

  /// Seconds until `cost` may be taken, 0 = now. now_s: of any clock that never goes back.
  double wait_s(double cost, double now_s);
  /// REQUIRES: wait_s(cost, now_s) == 0.
  void take(double cost, double now_s);

 private:
  void refill(double now_s);
  bool limited_;
  double burst_, per_second_, level_, at_s_ = 0;
  bool started_ = false;
};

/// Before try `tries` + 1: uniform in [0, min(longest, first * 2^(tries - 1))], "full jitter" (Brooker 2015, "Exponential backoff and
/// jitter"). A pure function of the stream. REQUIRES: tries >= 1.
double back_off_s(double first_s, double longest_s, int tries, Rng rng);

/// The header Retry-After (RFC 9110, section 10.2.3): seconds, or a date, which is measured against the server's own Date header when it
/// sent one. Nothing for what is neither; never negative.
std::optional<double> retry_after_s(std::string_view value, std::string_view date, std::time_t now);

}  // namespace oncekit
