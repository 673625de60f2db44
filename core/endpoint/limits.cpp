#include "endpoint/limits.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <curl/curl.h>

namespace oncekit {

RateLimit::RateLimit(double per_minute, double burst) : limited_(per_minute > 0), burst_(burst), per_second_(per_minute / 60), level_(burst) {}

// The full bucket counts within the first minute: what trickles in besides is the rest. Requests are whole, and the last one of a minute
// needs no more than the bucket's fill: hence the one.
RateLimit RateLimit::of_requests(std::int64_t per_minute) {
  const auto limit = static_cast<double>(per_minute);
  const double burst = std::max(1.0, std::floor(limit / 600));
  RateLimit made(limit, burst);
  made.per_second_ = (limit - (burst - 1)) / 60;
  return made;
}

RateLimit RateLimit::of_tokens(std::int64_t per_minute) {
  const auto limit = static_cast<double>(per_minute);
  RateLimit made(limit, limit / 10);
  made.per_second_ = (limit - limit / 10) / 60;
  return made;
}

void RateLimit::refill(double now_s) {
  if (started_) level_ = std::min(burst_, level_ + std::max(0.0, now_s - at_s_) * per_second_);
  started_ = true;
  at_s_ = std::max(at_s_, now_s);
}

double RateLimit::wait_s(double cost, double now_s) {
  if (!limited_) return 0;
  refill(now_s);
  const double missing = std::min(cost, burst_) - level_;
  return missing <= 1e-9 * burst_ ? 0 : missing / per_second_;
}

void RateLimit::take(double cost, double now_s) {
  if (!limited_) return;
  refill(now_s);
  level_ -= cost;
}

double back_off_s(double first_s, double longest_s, int tries, Rng rng) {
  return rng.uniform() * std::min(longest_s, first_s * std::exp2(std::min(tries - 1, 60)));
}

std::optional<double> retry_after_s(std::string_view value, std::string_view date, std::time_t now) {
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t' || value.back() == '\r' || value.back() == '\n')) value.remove_suffix(1);
  if (value.empty()) return std::nullopt;
  // Some servers send fractions of a second.
  if (value.find_first_not_of("0123456789.") == std::string_view::npos && value.front() != '.') {
    if (std::count(value.begin(), value.end(), '.') > 1 || value.size() > 15) return std::nullopt;
    return std::stod(std::string(value));
  }
  if (value.front() == '-' || value.front() == '+') return std::nullopt;
  const std::time_t then = ::curl_getdate(std::string(value).c_str(), nullptr);
  if (then < 0) return std::nullopt;
  const std::time_t theirs = date.empty() ? -1 : ::curl_getdate(std::string(date).c_str(), nullptr);
  return static_cast<double>(std::max<std::time_t>(0, then - (theirs < 0 ? now : theirs)));
}

}  // namespace oncekit
