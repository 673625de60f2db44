#include "plugin/host.h"

#include <cxxabi.h>

#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <cstdlib>
#include <deque>
#include <map>
#include <set>

#include "oncekit/augmenter.h"
#include "oncekit/dataset.h"
#include "oncekit/plugin.h"
#include "plugin/guard.h"
#include "plugin/kinds.h"
#include "plugin/places.h"
#include "plugin/stamp.h"

namespace oncekit {

extern const char kHostStamp[];

namespace {

namespace fs = std::filesystem;

std::string list(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::vector<fs::path> plugin_files(const fs::path& path) {
  if (fs::is_regular_file(path)) return {path};
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("oncekit_") && name.ends_with(".so")) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// Keeps what one plugin registers. Factories are wrapped here, so that what they throw names the component.
class Collector final : public Registrar {
 public:
  explicit Collector(const Stamp& stamp) : stamp_(stamp) {}

  ComponentSpec& add(ComponentSpec spec) override {
    const std::string component = spec.kind + "/" + spec.name;
    const auto& stated = stamp_.components;
    if (std::find(stated.begin(), stated.end(), component) == stated.end())
      throw Error(ErrorKind::kPlugin, "registers component " + component + ", which its stamp does not name (it names " + list(stated) + ")",
                  "list it under COMPONENTS of oncekit_add_plugin(NAME " + stamp_.name + " ...) and rebuild");
    for (const ComponentSpec& other : specs)
      if (other.kind == spec.kind && other.name == spec.name)
        throw Error(ErrorKind::kPlugin, "registers component " + component + " twice", "register each component once");
    spec.plugin = stamp_.name;
    guard(spec.options, component, "options");
    guard(spec.needs, component, "needs");
    guard(spec.gives, component, "gives");
    guard(spec.make_dataset, component, "constructor");
    guard(spec.make_augmenter, component, "constructor");
    guard(spec.make_content_encoder, component, "constructor");
    guard(spec.make_user_encoder, component, "constructor");
    guard(spec.make_interaction, component, "constructor");
    specs.push_back(std::move(spec));
    return specs.back();
  }

  std::deque<ComponentSpec> specs;  // a deque: references stay valid

 private:
  template <class R, class... Args>
  void guard(std::function<R(Args...)>& function, const std::string& component, const char* call) const {
    if (!function) return;
    function = [inner = std::move(function), plugin = stamp_.name, component, call](Args... args) -> R {
      try {
        R made = inner(std::forward<Args>(args)...);
        if constexpr (requires { made.get(); }) note_origin(made.get(), plugin, component);
        return made;
      } catch (...) {
        rethrow_from_plugin(plugin, component, call);
      }
    };
  }

  const Stamp& stamp_;
};

bool has_factory(const ComponentSpec& spec) {
  return (spec.kind == "dataset" && spec.make_dataset) || (spec.kind == "augmenter" && spec.make_augmenter) ||
         (spec.kind == "content_encoder" && spec.make_content_encoder) || (spec.kind == "user_encoder" && spec.make_user_encoder) ||
         (spec.kind == "interaction" && spec.make_interaction);
}

std::deque<ComponentSpec> load(const FoundPlugin& plugin) {
  const Stamp& stamp = plugin.stamp;
  const std::string subject = "plugin '" + stamp.name + "' (" + shown_path(plugin.file) + ")";
  const auto refuse = [&](const std::string& why, const std::string& hint) -> Error {
    return Error(ErrorKind::kPlugin, subject + " is refused: it " + why, hint);
  };
  // Never unloaded: a factory, object or exception that outlives its library is a crash. The handles are never destroyed, on purpose.
  static auto& handles = *new std::deque<boost::dll::shared_library>;
  boost::dll::shared_library* library = &handles.emplace_back();
  try {
    library->load(boost::dll::fs::path(fs::absolute(plugin.file).string()),
                  boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
  } catch (const std::exception& failure) {
    // "boost::dll::shared_library::load() failed (dlerror system message: FILE: undefined symbol: X): Bad file descriptor ..."
    std::string why = failure.what();
    const std::string begin = "dlerror system message: ";
    if (const std::size_t at = why.find(begin); at != std::string::npos) {
      why.erase(0, at + begin.size());
      why.erase(std::min(why.rfind("): "), why.size()));
      const std::string file = fs::absolute(plugin.file).string() + ": ";
      if (why.starts_with(file)) why.erase(0, file.size());
      if (const std::size_t symbol = why.find("_Z"); symbol != std::string::npos) {
        int status = 0;
        const std::unique_ptr<char, void (*)(void*)> plain(abi::__cxa_demangle(why.c_str() + symbol, nullptr, nullptr, &status), std::free);
        if (status == 0 && plain) why.replace(symbol, std::string::npos, plain.get());
      }
    }
    throw refuse("cannot be loaded: " + why, "rebuild it: " + rebuild_command(plugin.file));
  }
  if (!library->has("oncekit_plugin_entry"))
    throw refuse("has no entry function", "write ONCEKIT_PLUGIN(\"" + stamp.name + "\", register_components) in one of its sources");

  const PluginDescriptor* descriptor = nullptr;
  try {
    descriptor = library->get<const PluginDescriptor*()>("oncekit_plugin_entry")();
  } catch (...) {
    rethrow_from_plugin(stamp.name, "", "oncekit_plugin_entry");
  }
  const std::string name = descriptor && descriptor->name ? descriptor->name : "";
  if (!descriptor || !descriptor->register_components || name != stamp.name)
    throw refuse("calls itself '" + name + "' and its stamp says '" + stamp.name + "'",
                 "ONCEKIT_PLUGIN(\"NAME\", ...) and oncekit_add_plugin(NAME ...) must agree");

  Collector collector(stamp);
  try {
    descriptor->register_components(collector);
  } catch (const Error& failure) {
    if (failure.where().empty()) throw refuse(failure.message(), failure.hint());
    throw;
  } catch (...) {
    rethrow_from_plugin(stamp.name, "", "register_components");
  }
  for (const std::string& component : stamp.components)
    if (std::none_of(collector.specs.begin(), collector.specs.end(),
                     [&](const ComponentSpec& spec) { return spec.kind + "/" + spec.name == component; }))
      throw refuse("does not register component " + component + ", which its stamp names",
                   "register it, or take it out of COMPONENTS of oncekit_add_plugin(NAME " + stamp.name + " ...), and rebuild");
  for (const ComponentSpec& spec : collector.specs)
    if (!spec.options || !spec.needs || !spec.gives || !has_factory(spec))
      throw refuse("registers component " + spec.kind + "/" + spec.name + " without options, needs, gives or a factory of its kind",
                   "register it through Registrar's functions");
  return std::move(collector.specs);
}

}  // namespace

struct PluginHost::State {
  std::vector<FoundPlugin> found;  // never changes size after construction
  std::vector<std::deque<ComponentSpec>> specs;  // parallel to found; empty until loaded
  std::map<std::string, std::size_t> owner;      // KIND/NAME -> index of found
  std::vector<fs::path> folders;
  std::vector<std::string> notes;

  void search(const fs::path& path, std::set<fs::path>& seen) {
    folders.push_back(path);
    for (const fs::path& file : plugin_files(path)) {
      std::error_code error;
      if (!seen.insert(fs::weakly_canonical(file, error)).second) continue;
      FoundPlugin plugin = inspect_plugin(file, host_build());
      for (const std::string& component : plugin.stamp.components)
        if (!owner.emplace(component, found.size()).second) plugin.shadowed.push_back(component);
      found.push_back(std::move(plugin));
    }
  }
};

PluginHost::PluginHost(std::vector<fs::path> paths) : state_(std::make_unique<State>()) {
  std::set<fs::path> seen;
  for (const fs::path& path : paths) {
    if (!fs::exists(path))
      throw Error(ErrorKind::kUsage, "--plugin-path " + shown_path(path) + " does not exist", "name a folder of plugins or one plugin file");
    state_->search(path, seen);
  }
  if (const char* variable = std::getenv("ONCEKIT_PLUGIN_PATH")) {
    std::string_view rest = variable;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(':'), rest.size());
      const fs::path path = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (path.empty()) continue;
      if (fs::exists(path)) state_->search(path, seen);
      else state_->notes.push_back("ONCEKIT_PLUGIN_PATH names " + shown_path(path) + ", which does not exist");
    }
  }
  if (const fs::path own = plugin_folder(); !own.empty()) state_->search(own, seen);
  state_->specs.resize(state_->found.size());
}

PluginHost::~PluginHost() = default;

const std::vector<FoundPlugin>& PluginHost::found() const { return state_->found; }
const std::vector<fs::path>& PluginHost::folders() const { return state_->folders; }
const std::vector<std::string>& PluginHost::notes() const { return state_->notes; }

const FoundPlugin* PluginHost::plugin_of(const std::string& kind, const std::string& name) const {
  const auto owner = state_->owner.find(kind + "/" + name);
  return owner == state_->owner.end() ? nullptr : &state_->found[owner->second];
}

std::vector<std::string> PluginHost::names(const std::string& kind) const {
  std::vector<std::string> names;
  for (const auto& [component, unused] : state_->owner)
    if (component.starts_with(kind + "/")) names.push_back(component.substr(kind.size() + 1));
  std::sort(names.begin(), names.end());
  return names;
}

const ComponentSpec& PluginHost::find(const std::string& kind, const std::string& name) {
  const auto owner = state_->owner.find(kind + "/" + name);
  if (owner == state_->owner.end()) {
    const auto& kinds = component_kinds();
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) {
      const std::string near = nearest_name(kind, kinds);
      throw Error(ErrorKind::kPlugin, "there is no kind of component '" + kind + "'",
                  (near.empty() ? std::string() : "did you mean '" + near + "'? ") + "kinds are " + list(kinds));
    }
    const std::vector<std::string> known = names(kind);
    const std::string near = nearest_name(name, known);
    std::string message = "no plugin gives " + kind + "/" + name;
    for (const std::string& other : kinds)
      if (other != kind && plugin_of(other, name)) message += "; '" + name + "' is the name of a component of kind " + other;
    std::string hint = near.empty() ? "" : "did you mean '" + near + "'? ";
    hint += known.empty() ? "no component of this kind was found in " : "there are " + list(known);
    if (known.empty())
      for (const fs::path& folder : state_->folders) hint += (folder == state_->folders.front() ? "" : ", ") + shown_path(folder);
    const auto refused = std::count_if(state_->found.begin(), state_->found.end(), [](const FoundPlugin& p) { return !p.refused.empty(); });
    if (refused > 0)
      hint += "; " + std::to_string(refused) + (refused == 1 ? " plugin file is" : " plugin files are") + " refused, see: oncekit plugins doctor";
    throw Error(ErrorKind::kPlugin, std::move(message), std::move(hint));
  }

  FoundPlugin& plugin = state_->found[owner->second];
  std::deque<ComponentSpec>& specs = state_->specs[owner->second];
  if (!plugin.refused.empty()) throw Error(ErrorKind::kPlugin, plugin.refused);
  if (specs.empty()) {
    try {
      specs = load(plugin);
    } catch (const Error& error) {
      plugin.refused = error.what();
      throw;
    }
  }
  return *std::find_if(specs.begin(), specs.end(), [&](const ComponentSpec& spec) { return spec.kind == kind && spec.name == name; });
}

std::vector<const FoundPlugin*> PluginHost::loaded() const {
  std::vector<const FoundPlugin*> loaded;
  for (std::size_t i = 0; i < state_->found.size(); ++i)
    if (!state_->specs[i].empty()) loaded.push_back(&state_->found[i]);
  return loaded;
}

const std::vector<std::pair<std::string, std::string>>& host_build() {
  static const BuildFields fields = [] {
    std::string problem;
    BuildFields parsed = parse_fields(kHostStamp, problem);
    if (!problem.empty()) throw Error(ErrorKind::kPlugin, "liboncekit.so is damaged: " + problem, "rebuild oncekit");
    return parsed;
  }();
  return fields;
}

}  // namespace oncekit
