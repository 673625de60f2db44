// Where the log goes; set up by the CLI and by a run.
#pragma once

#include <filesystem>

namespace oncekit::log {

enum class Level { kDebug, kInfo, kWarn, kOff };

/// The least level shown on stderr. The log file, when there is one, holds everything from info up (debug too when shown).
void set_level(Level level);
/// Appends to this file from now on; an empty path closes it. Throws Error(kRun) when it cannot be opened.
void set_file(const std::filesystem::path& file);

}  // namespace oncekit::log
