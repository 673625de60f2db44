#include "weights/mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include <ATen/ops/from_blob.h>

#include "oncekit/error.h"

namespace oncekit {

std::shared_ptr<const Mapping> Mapping::open(const std::filesystem::path& path) {
  const auto fail = [&](const char* what) -> Error {
    return Error(ErrorKind::kData, std::string(what) + ": " + std::strerror(errno), "check the path and its permissions",
                 path.string());
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw fail("cannot be opened");
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    if (S_ISDIR(info.st_mode)) errno = EISDIR;
    const Error error = fail("cannot be read");
    ::close(fd);
    throw error;
  }
  const auto size = static_cast<std::size_t>(info.st_size);
  void* data = nullptr;
  if (size > 0) {
    data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
      const Error error = fail("cannot be mapped");
      ::close(fd);
      throw error;
    }
  }
  ::close(fd);
  return std::shared_ptr<const Mapping>(new Mapping(path, static_cast<char*>(data), size));
}

Mapping::Mapping(std::filesystem::path path, char* data, std::size_t size) : path_(std::move(path)), data_(data), size_(size) {}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

void Mapping::give_back(std::uint64_t offset, std::uint64_t bytes) const noexcept {
  if (bytes == 0 || offset >= size_) return;
  // Rounded outwards: a neighbour's pages at the edges are read again when they are needed.
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t begin = offset / page * page;
  ::madvise(data_ + begin, std::min<std::uint64_t>(offset + bytes, size_) - begin, MADV_DONTNEED);
}

at::Tensor mapped_tensor(std::shared_ptr<const Mapping> file, std::uint64_t offset, at::ScalarType type, at::IntArrayRef shape,
                         at::IntArrayRef strides) {
  const auto options = at::TensorOptions().dtype(type);
  const std::uint64_t element = c10::elementSize(type);
  std::uint64_t bytes = element;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) bytes = 0;
    if (bytes != 0) bytes += static_cast<std::uint64_t>(shape[i] - 1) * static_cast<std::uint64_t>(strides[i]) * element;
  }
  const char* at = file->data() + offset;
  if (bytes == 0 || reinterpret_cast<std::uintptr_t>(at) % element != 0) {
    auto copy = std::make_shared<std::vector<std::uint64_t>>(bytes / 8 + 1);
    if (bytes != 0) std::memcpy(copy->data(), at, bytes);
    return at::from_blob(
        copy->data(), shape, strides, [copy](void*) {}, options);
  }
  const auto release = [file, offset, bytes](void*) { file->give_back(offset, bytes); };
  return at::from_blob(const_cast<char*>(at), shape, strides, release, options);
}

at::Tensor mapped_tensor(std::shared_ptr<const Mapping> file, std::uint64_t offset, at::ScalarType type,
                         at::IntArrayRef shape) {
  std::vector<std::int64_t> strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * std::max<std::int64_t>(shape[i], 1);
  return mapped_tensor(std::move(file), offset, type, shape, strides);
}

}  // namespace oncekit
