// The entry of a plugin: one C function that hands the host a descriptor. Exactly one ONCEKIT_PLUGIN a library, in one .cpp.
#pragma once

#include "oncekit/registrar.h"

namespace oncekit {

struct PluginDescriptor {
  const char* name;                         ///< as in the stamp and the file name oncekit_<name>.so
  void (*register_components)(Registrar&);  ///< may throw; called once, before anything else
};

}  // namespace oncekit

#define ONCEKIT_PLUGIN(plugin_name, register_function)                                                            \
  extern "C" __attribute__((visibility("default"))) const ::oncekit::PluginDescriptor* oncekit_plugin_entry() { \
    static const ::oncekit::PluginDescriptor descriptor{plugin_name, register_function};                          \
    return &descriptor;                                                                                           \
  }
