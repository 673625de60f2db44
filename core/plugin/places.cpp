#include "plugin/places.h"

#include <dlfcn.h>

#include <cstdlib>

namespace oncekit {
namespace {

namespace fs = std::filesystem;

fs::path first_with(std::initializer_list<fs::path> folders, const char* file) {
  std::error_code error;
  for (const fs::path& folder : folders)
    if (fs::exists(folder / file, error)) return folder.lexically_normal();
  return {};
}

}  // namespace

fs::path library_folder() {
  Dl_info info{};
  // An address of this very library; dladdr needs no symbol of that name.
  if (dladdr(reinterpret_cast<const void*>(&library_folder), &info) == 0 || !info.dli_fname) return {};
  std::error_code error;
  const fs::path file = fs::canonical(info.dli_fname, error);
  return error ? fs::path(info.dli_fname).parent_path() : file.parent_path();
}

fs::path plugin_folder() {
  const fs::path lib = library_folder();
  return first_with({lib / "oncekit" / "plugins", lib.parent_path() / "plugins"}, "");
}

fs::path cmake_folder() {
  const fs::path lib = library_folder();
  return first_with({lib / "cmake" / "oncekit", lib.parent_path() / "cmake" / "oncekit", lib.parent_path()}, "oncekitConfig.cmake");
}

std::string shown_path(const fs::path& path) {
  std::error_code ignored;
  const fs::path whole = fs::absolute(path, ignored).lexically_normal();
  const auto below = [&](const fs::path& folder) {
    const fs::path relative = whole.lexically_relative(folder);
    return relative.empty() || *relative.begin() == ".." ? std::string{} : relative.string();
  };
  if (const std::string relative = below(fs::current_path(ignored)); !relative.empty()) return relative;
  if (const char* home = std::getenv("HOME"); home && *home)
    if (const std::string relative = below(home); !relative.empty()) return "~/" + relative;
  return whole.string();
}

}  // namespace oncekit
