#include "plugin/guard.h"

#include <exception>
#include <new>

namespace oncekit {

void rethrow_from_plugin(const std::string& plugin, const std::string& component, std::string_view call) {
  const std::string subject = component.empty() ? "plugin '" + plugin + "'" : component + " (plugin '" + plugin + "')";
  const std::string failed = subject + " failed in " + std::string(call) + "(): ";
  const std::string hint = "this is an error inside the plugin; check it with: oncekit plugins test " + plugin;
  try {
    throw;
  } catch (const Error& error) {
    if (!error.where().empty() || error.kind() == ErrorKind::kInterrupted) throw;
    throw Error(error.kind(), error.message(), error.hint(), component.empty() ? subject : component);
  } catch (const std::bad_alloc&) {
    throw Error(ErrorKind::kRun, failed + "out of memory", "lower the batch size or [run] memory_gib");
  } catch (const std::exception& error) {
    // LibTorch appends a stack trace after the first line.
    const std::string_view text = error.what();
    throw Error(ErrorKind::kPlugin, failed + std::string(text.substr(0, text.find('\n'))), hint);
  } catch (...) {
    throw Error(ErrorKind::kPlugin, failed + "an exception of unknown type", hint);
  }
}

}  // namespace oncekit
