// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace oncekit {

/// "3.2 s", "4 min 05 s", "2 h 10 min".
std::string human_seconds(double seconds);
/// "1,234,567".
std::string human_count(std::int64_t n);
/// "269.1 MiB".
std::string human_bytes(double bytes);

}  // namespace oncekit
