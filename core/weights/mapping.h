// A file mapped into memory, privately: writing into it changes neither the file nor anybody else's view.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string_view>

namespace oncekit {

class Mapping {
 public:
  /// Throws Error(kData) naming the file. An empty file gives an empty mapping.
  static std::shared_ptr<const Mapping> open(const std::filesystem::path& path);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  const std::filesystem::path& path() const noexcept { return path_; }
  /// Writable (private pages); const because readers share it.
  char* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  std::string_view text() const noexcept { return {data_, size_}; }

 private:
  Mapping(std::filesystem::path path, char* data, std::size_t size);
  std::filesystem::path path_;
  char* data_;
  std::size_t size_;
};

}  // namespace oncekit
