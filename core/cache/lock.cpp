#include "cache/lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "base/files.h"
#include "oncekit/error.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

int operation(FileLock::Mode mode) { return (mode == FileLock::Mode::kShared ? LOCK_SH : LOCK_EX) | LOCK_NB; }

[[noreturn]] void cannot(const char* what, const fs::path& file, int code) {
  throw Error(ErrorKind::kRun, std::string(what) + ": " + std::strerror(code), "name another folder with --cache DIR", display_path(file));
}

}  // namespace

FileLock::FileLock(const fs::path& file, Mode mode, const std::function<void()>& waiting)
    : fd_(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
  if (fd_ < 0) cannot("cannot make a lock file in the cache folder", file, errno);
  try {
    while (::flock(fd_, operation(mode)) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) cannot("cannot lock a cache entry", file, errno);
      if (waiting) waiting();
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

std::optional<FileLock> FileLock::attempt(const fs::path& file, Mode mode, int* why) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd >= 0 && ::flock(fd, operation(mode)) == 0) return FileLock(fd);
  if (why != nullptr) *why = errno;
  if (fd >= 0) ::close(fd);
  return std::nullopt;
}

bool FileLock::held(const fs::path& file, Mode mode) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool taken = ::flock(fd, operation(mode)) != 0 && errno == EWOULDBLOCK;
  ::close(fd);
  return taken;
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

}  // namespace oncekit
