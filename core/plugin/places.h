// Where this oncekit lies: everything is found relative to liboncekit.so, so that an installed tree can be moved.
#pragma once

#include <filesystem>
#include <string>

namespace oncekit {

/// The folder of liboncekit.so.
std::filesystem::path library_folder();
/// The folder of oncekit's own plugins: installed (LIB/oncekit/plugins) or of the build (BUILD/plugins); empty when there is none.
std::filesystem::path plugin_folder();
/// The folder of oncekitConfig.cmake, installed or of the build; empty when there is none.
std::filesystem::path cmake_folder();
/// A path for messages and commands to copy: relative to the working folder when inside it, from ~ in the home folder, else absolute.
std::string shown_path(const std::filesystem::path& path);

}  // namespace oncekit
