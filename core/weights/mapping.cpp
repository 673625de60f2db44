#include "weights/mapping.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oncekit/error.h"

namespace oncekit {

std::shared_ptr<const Mapping> Mapping::open(const std::filesystem::path& path) {
  const auto fail = [&](const char* what) -> Error {
    return Error(ErrorKind::kData, std::string(what) + ": " + std::strerror(errno), "check the path and its permissions", path.string());
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
    data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
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

}  // namespace oncekit
