#include "plugin/guard.h"

#include <exception>
#include <map>
#include <mutex>
#include <tuple>

#include "base/allocator.h"

namespace oncekit {
namespace {

struct Origins {
  std::mutex mutex;
  std::map<const void*, std::pair<std::string, std::string>> of;  // an address used again is written over
};
Origins& origins() {
  static auto& all = *new Origins;  // objects may outlive static destruction
  return all;
}

}  // namespace

void note_origin(const void* object, const std::string& plugin, const std::string& component) {
  const std::lock_guard lock(origins().mutex);
  origins().of[object] = {plugin, component};
}

void rethrow_from_object(const void* object, std::string_view call) {
  std::string plugin, component;
  {
    const std::lock_guard lock(origins().mutex);
    const auto found = origins().of.find(object);
    if (found == origins().of.end()) throw;
    std::tie(plugin, component) = found->second;
  }
  rethrow_from_plugin(plugin, component, call);
}

void rethrow_from_plugin(const std::string& plugin, const std::string& component, std::string_view call) {
  const std::string subject = component.empty() ? "plugin '" + plugin + "'" : component + " (plugin '" + plugin + "')";
  const std::string failed = subject + " failed in " + std::string(call) + "(): ";
  const std::string hint = "this is an error inside the plugin; check it with: oncekit plugins test " + plugin;
  try {
    throw;
  } catch (const Error& error) {
    if (!error.where().empty() || error.kind() == ErrorKind::kInterrupted) throw;
    throw Error(error.kind(), error.message(), error.hint(), component.empty() ? subject : component);
  } catch (const std::exception& error) {
    if (is_out_of_memory(error)) throw Error(ErrorKind::kRun, failed + "out of memory", "lower the batch size or [run] memory_gib");
    // LibTorch appends a stack trace after the first line.
    const std::string_view text = error.what();
    throw Error(ErrorKind::kPlugin, failed + std::string(text.substr(0, text.find('\n'))), hint);
  } catch (...) {
    throw Error(ErrorKind::kPlugin, failed + "an exception of unknown type", hint);
  }
}

}  // namespace oncekit
