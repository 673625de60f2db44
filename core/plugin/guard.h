// Around every call into a plugin: what leaves it is an Error that names plugin, component and call.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "oncekit/registrar.h"

namespace oncekit {

/// REQUIRES: called inside a catch block. Rethrows the exception in flight:
///   Error            as it is; without a place (where) it gets "KIND/NAME"
///   std::bad_alloc   Error(kRun): out of memory
///   anything else    Error(kPlugin) with the first line of what(), the plugin, the component and the call
[[noreturn]] void rethrow_from_plugin(const std::string& plugin, const std::string& component, std::string_view call);

/// return call_plugin(spec, "prepare", [&] { encoder.prepare(items, workspace); });
template <class F>
decltype(auto) call_plugin(const ComponentSpec& spec, std::string_view call, F&& body) {
  try {
    return std::forward<F>(body)();
  } catch (...) {
    rethrow_from_plugin(spec.plugin, spec.kind + "/" + spec.name, call);
  }
}

}  // namespace oncekit
