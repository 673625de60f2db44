// Progress on stderr: a bar with rate and time left on a terminal, a plain line now and then elsewhere.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "oncekit/workspace.h"
#include "run/workspace.h"

namespace oncekit {

std::unique_ptr<Progress> make_progress(std::string_view stage, std::int64_t total, std::string_view unit, std::int64_t done, WorkspaceOptions::Show show);

}  // namespace oncekit
