#include "oncekit/log.h"

#include <mutex>

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "base/log_sink.h"
#include "oncekit/error.h"

namespace oncekit::log {
namespace {

struct Logs {
  std::mutex mutex;
  std::shared_ptr<spdlog::sinks::stderr_sink_mt> screen = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  std::shared_ptr<spdlog::logger> logger = std::make_shared<spdlog::logger>("oncekit", screen);
  std::shared_ptr<spdlog::sinks::basic_file_sink_mt> file;

  Logs() {
    screen->set_pattern("%v");
    logger->set_level(spdlog::level::debug);
    screen->set_level(spdlog::level::info);
  }
};

// Never destroyed: other statics may log while the process ends.
Logs& logs() {
  static Logs* instance = new Logs;
  return *instance;
}

spdlog::level::level_enum native(Level level) {
  switch (level) {
    case Level::kDebug: return spdlog::level::debug;
    case Level::kInfo: return spdlog::level::info;
    case Level::kWarn: return spdlog::level::warn;
    default: return spdlog::level::off;
  }
}

}  // namespace

void debug(std::string_view message) { logs().logger->debug("{}", message); }
void info(std::string_view message) { logs().logger->info("{}", message); }
void warn(std::string_view message) { logs().logger->warn("warning: {}", message); }

void set_level(Level level) {
  Logs& l = logs();
  l.screen->set_level(native(level));
}

void set_file(const std::filesystem::path& path) {
  Logs& l = logs();
  std::lock_guard lock(l.mutex);
  if (l.file) std::erase(l.logger->sinks(), std::static_pointer_cast<spdlog::sinks::sink>(l.file));
  l.file.reset();
  if (path.empty()) return;
  try {
    l.file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
  } catch (const spdlog::spdlog_ex& e) {
    throw Error(ErrorKind::kRun, std::string("the log file cannot be opened: ") + e.what(), "check space and permissions", path.string());
  }
  l.file->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  l.file->set_level(spdlog::level::info);
  l.logger->sinks().push_back(l.file);
  l.logger->flush_on(spdlog::level::info);
}

}  // namespace oncekit::log
