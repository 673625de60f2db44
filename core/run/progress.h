// Progress on stderr: a bar with rate and time left on a terminal, a plain line now and then elsewhere.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "oncekit/workspace.h"
#include "run/workspace.h"

namespace oncekit {

std::unique_ptr<Progress> make_progress(std::string_view stage, std::int64_t total, std::string_view unit, WorkspaceOptions::Show show);

/// "3.2 s", "4 min 05 s", "2 h 10 min".
std::string human_seconds(double seconds);
/// "1,234,567".
std::string human_count(std::int64_t n);
/// "269.1 MiB".
std::string human_bytes(double bytes);

}  // namespace oncekit
