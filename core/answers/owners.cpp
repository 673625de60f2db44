#include "answers/owners.h"

#include <cerrno>
#include <cstring>
#include <random>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "oncekit/error.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

fs::path folder_of(const fs::path& store) { return store.string() + ".owners"; }
fs::path lock_of(const fs::path& store, const std::string& id) { return folder_of(store) / (id + ".lock"); }

[[noreturn]] void cannot(const fs::path& path, int code) {
  const bool full = code == ENOSPC || code == EDQUOT;
  throw Error(ErrorKind::kRun, std::string("cannot make the lock that says who asks: ") + std::strerror(code),
              full ? "make room, then run the command again" : "allow writing in the store's folder, or name another file with --store FILE", display_path(path));
}

}  // namespace

Owner::Owner(const fs::path& store) : store_(store) {
  std::random_device random;
  for (;;) {
    if (::mkdir(folder_of(store).c_str(), 0777) != 0 && errno != EEXIST) cannot(folder_of(store), errno);
    id_ = fmt::format("{}-{:08x}{:08x}", ::getpid(), random(), random());
    const fs::path file = lock_of(store, id_);
    fd_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ < 0 && (errno == EEXIST || errno == ENOENT)) continue;  // another took the name, or the folder away: once more
    if (fd_ < 0) cannot(file, errno);
    while (::flock(fd_, LOCK_EX) != 0) {
      if (errno == EINTR) continue;
      const int code = errno;
      ::unlink(file.c_str());
      ::close(fd_);
      cannot(file, code);
    }
    // Between open and flock the file looked like one of a dead owner, and may have been swept away.
    struct stat mine {}, there {};
    if (::fstat(fd_, &mine) == 0 && ::stat(file.c_str(), &there) == 0 && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev) return;
    ::close(fd_);
  }
}

Owner::~Owner() {
  forget(store_, id_);  // while it is still locked: nobody can mistake a successor for it
  ::close(fd_);
}

bool Owner::lives(const fs::path& store, const std::string& id) {
  const int fd = ::open(lock_of(store, id).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno != ENOENT;  // what cannot be looked at is not declared dead
  // Shared, so that two that look at once do not take each other for the owner.
  const bool taken = ::flock(fd, LOCK_SH | LOCK_NB) != 0;
  ::close(fd);
  return taken;
}

void Owner::forget(const fs::path& store, const std::string& id) {
  ::unlink(lock_of(store, id).c_str());
  ::rmdir(folder_of(store).c_str());  // only when it was the last
}

void Owner::sweep(const fs::path& store) {
  std::error_code code;
  for (fs::directory_iterator entry(folder_of(store), code), end; !code && entry != end; entry.increment(code)) {
    const fs::path file = entry->path();
    if (file.extension() == ".lock" && !lives(store, file.stem().string())) ::unlink(file.c_str());
  }
}

}  // namespace oncekit
