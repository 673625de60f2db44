// Finds plugins, reads their stamps without loading them, refuses what cannot work, loads the rest, keeps their components.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "recipe/catalog.h"

namespace oncekit {

/// The text stamp of a plugin file: see docs/stamp.md. Fields are absent ("") when the stamp lacks them.
struct Stamp {
  std::string name;                     ///< plugin
  std::vector<std::string> components;  ///< "user_encoder/nrms"
  std::vector<std::pair<std::string, std::string>> build;  ///< sdk_version, sdk_hash, torch, cxx_abi, stdlib, arch, sanitizers
};

struct FoundPlugin {
  std::filesystem::path file;
  Stamp stamp;
  std::string refused;  ///< why it cannot be loaded (the table), or ""
  std::vector<std::string> shadowed;  ///< its components that another file, earlier in the search order, gives already
};

class PluginHost final : public Catalog {
 public:
  /// Search order: `paths` (--plugin-path), ONCEKIT_PLUGIN_PATH, the installed or build folder.
  /// A path is a folder, of which the files oncekit_*.so count, or one plugin file. A missing one among `paths` is an Error(kUsage).
  explicit PluginHost(std::vector<std::filesystem::path> paths);
  ~PluginHost() override;

  /// All plugin files found, in search order, stamps read, nothing loaded. The first file that gives a component is the one used, even
  /// when it is refused: a file put in front is meant.
  const std::vector<FoundPlugin>& found() const;
  const ComponentSpec& find(const std::string& kind, const std::string& name) override;
  /// Those of refused plugins too: find() then says why.
  std::vector<std::string> names(const std::string& kind) const override;
  /// The plugin that a component comes from, refused or not, without loading it; null when there is none.
  const FoundPlugin* plugin_of(const std::string& kind, const std::string& name) const;
  /// What was searched, and what was odd about it (a folder of ONCEKIT_PLUGIN_PATH that is missing).
  const std::vector<std::filesystem::path>& folders() const;
  const std::vector<std::string>& notes() const;
  /// Plugins loaded so far, for run.json.
  std::vector<const FoundPlugin*> loaded() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// What this build of oncekit has, field by field, as in Stamp::build.
const std::vector<std::pair<std::string, std::string>>& host_build();

}  // namespace oncekit
