// Around every call into a plugin: what leaves it is an Error that names plugin, component and call.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "oncekit/registrar.h"

namespace oncekit {

/// REQUIRES: called inside a catch block. Rethrows the exception in flight:
///   Error            as it is; without a place (where) it gets "KIND/NAME"
///   out of memory    Error(kRun), LibTorch's own exceptions of that kind too
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

/// The host's factories note which component made an object, so that calls can be guarded where only the object is at hand. Thread-safe.
void note_origin(const void* object, const std::string& plugin, const std::string& component);

/// The same for an object that note_origin() knows; what another object throws is rethrown as it is. REQUIRES: called inside a catch block.
[[noreturn]] void rethrow_from_object(const void* object, std::string_view call);

/// return call_object(encoder, "encode", [&] { return encoder.encode(batch); });   encoder: a reference to the interface
template <class T, class F>
decltype(auto) call_object(const T& object, std::string_view call, F&& body) {
  try {
    return std::forward<F>(body)();
  } catch (...) {
    rethrow_from_object(static_cast<const void*>(&object), call);
  }
}

}  // namespace oncekit
