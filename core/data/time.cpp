// Times of raw files <-> seconds since 1970. No locale, no time zone of the machine.
#include <array>
#include <charconv>
#include <cstdio>

#include "oncekit/tables.h"

namespace oncekit {
namespace {

// Days since 1970-01-01 of a date of the Gregorian calendar: 400-year cycles of 146,097 days, years that begin in March.
std::int64_t days_of(std::int64_t year, std::int64_t month, std::int64_t day) {
  if (month <= 2) --year;
  const std::int64_t cycle = (year >= 0 ? year : year - 399) / 400;
  const std::int64_t year_of_cycle = year - cycle * 400;
  const std::int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return cycle * 146097 + year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year - 719468;
}

struct Date {
  std::int64_t year, month, day;
};

Date date_of(std::int64_t days) {
  days += 719468;
  const std::int64_t cycle = (days >= 0 ? days : days - 146096) / 146097;
  const std::int64_t day_of_cycle = days - cycle * 146097;
  const std::int64_t year = (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36524 - day_of_cycle / 146096) / 365;
  const std::int64_t day_of_year = day_of_cycle - (365 * year + year / 4 - year / 100);
  const std::int64_t shifted = (5 * day_of_year + 2) / 153;
  const std::int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  return {year + cycle * 400 + (month <= 2 ? 1 : 0), month, day_of_year - (153 * shifted + 2) / 5 + 1};
}

// Reads numbers and separators by a pattern: 'n' stands for a number of 1 to 4 digits, any other character for itself.
bool scan(std::string_view text, std::string_view pattern, std::array<std::int64_t, 6>& numbers, std::string_view& rest) {
  std::size_t next = 0;
  for (const char expected : pattern) {
    if (expected != 'n') {
      if (text.empty() || text[0] != expected) return false;
      text.remove_prefix(1);
      continue;
    }
    const auto [end, code] = std::from_chars(text.data(), text.data() + std::min<std::size_t>(4, text.size()), numbers[next]);
    if (code != std::errc() || numbers[next] < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    ++next;
  }
  rest = text;
  return true;
}

std::optional<std::int64_t> seconds_of(std::int64_t year, std::int64_t month, std::int64_t day, std::int64_t hour, std::int64_t minute,
                                       std::int64_t second) {
  static constexpr std::array<int, 12> kDays{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (month < 1 || month > 12 || day < 1 || day > kDays[static_cast<std::size_t>(month - 1)] + (leap && month == 2 ? 1 : 0)) return {};
  if (hour > 23 || minute > 59 || second > 59) return {};
  return days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
}

}  // namespace

std::optional<std::int64_t> parse_time(std::string_view text) {
  std::array<std::int64_t, 6> n{};
  std::string_view rest;
  if (scan(text, "n/n/n n:n:n ", n, rest) && (rest == "AM" || rest == "PM")) {
    if (n[3] < 1 || n[3] > 12) return {};
    return seconds_of(n[2], n[0], n[1], n[3] % 12 + (rest == "PM" ? 12 : 0), n[4], n[5]);
  }
  if ((scan(text, "n-n-n n:n:n", n, rest) && rest.empty()) || (scan(text, "n-n-nTn:n:n", n, rest) && (rest.empty() || rest == "Z")))
    return seconds_of(n[0], n[1], n[2], n[3], n[4], n[5]);
  if (scan(text, "n-n-n", n, rest) && rest.empty()) return seconds_of(n[0], n[1], n[2], 0, 0, 0);
  std::int64_t seconds = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (!text.empty() && code == std::errc() && end == text.data() + text.size() && seconds >= 0) return seconds;
  return {};
}

std::string mind_time(std::int64_t seconds) {
  const std::int64_t days = (seconds >= 0 ? seconds : seconds - 86399) / 86400;
  const std::int64_t of_day = seconds - days * 86400;
  const Date date = date_of(days);
  const std::int64_t hour = of_day / 3600;
  char text[64];
  std::snprintf(text, sizeof text, "%d/%d/%d %d:%02d:%02d %s", static_cast<int>(date.month), static_cast<int>(date.day),
                static_cast<int>(date.year), static_cast<int>(hour % 12 == 0 ? 12 : hour % 12), static_cast<int>(of_day / 60 % 60),
                static_cast<int>(of_day % 60), hour < 12 ? "AM" : "PM");
  return text;
}

}  // namespace oncekit
