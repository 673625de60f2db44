// The log of a run. Thread-safe. Goes to stderr and, inside a run, to the run folder's log.txt.
#pragma once

#include <string_view>

namespace oncekit::log {

void debug(std::string_view message);
void info(std::string_view message);
void warn(std::string_view message);

}  // namespace oncekit::log
