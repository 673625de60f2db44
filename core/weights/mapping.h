// A file mapped into memory, for reading only: its pages are the system's page cache, count against no limit on data (ulimit
// -d), and whoever writes into them is killed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

#include <ATen/core/Tensor.h>

namespace oncekit {

/// All methods may be called from any thread. A file that another program cuts short while it is mapped kills the process when
/// the lost pages are touched: files of weights are replaced by renaming, never written in place.
class Mapping {
 public:
  /// Throws Error(kData) naming the file. An empty file gives an empty mapping.
  static std::shared_ptr<const Mapping> open(const std::filesystem::path& path);
  ~Mapping();
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  const std::filesystem::path& path() const noexcept { return path_; }
  const char* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  std::string_view text() const noexcept { return {data_, size_}; }
  /// Gives the pages that hold these bytes back to the system; touched again they are read again.
  void give_back(std::uint64_t offset, std::uint64_t bytes) const noexcept;

 private:
  Mapping(std::filesystem::path path, char* data, std::size_t size);
  std::filesystem::path path_;
  char* data_;
  std::size_t size_;
};

/// A tensor over mapped bytes (REQUIRES: all of its elements lie inside). It keeps the mapping alive; its pages are given back
/// when the last copy dies. No bytes are copied, unless `offset` is no multiple of the element's size: then the tensor is a
/// copy.
at::Tensor mapped_tensor(std::shared_ptr<const Mapping> file, std::uint64_t offset, at::ScalarType type, at::IntArrayRef shape,
                         at::IntArrayRef strides);
/// The same for elements in C order.
at::Tensor mapped_tensor(std::shared_ptr<const Mapping> file, std::uint64_t offset, at::ScalarType type, at::IntArrayRef shape);

}  // namespace oncekit
