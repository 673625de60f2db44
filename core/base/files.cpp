#include "base/files.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "oncekit/error.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

// Closes on the way out; write errors are looked at before.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

[[noreturn]] void fail(ErrorKind kind, const char* what, const fs::path& file) {
  const int code = errno;
  const char* hint = code == ENOSPC || code == EDQUOT || code == EFBIG ? "make room, then run the command again" : "check the path and its permissions";
  throw Error(kind, std::string(what) + ": " + std::strerror(code), hint, file.string());
}

}  // namespace

void write_file(const fs::path& file, std::string_view content) {
  fs::path temporary = file;
  temporary += ".part" + std::to_string(::getpid());
  {
    Descriptor out{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    if (out.fd < 0) fail(ErrorKind::kRun, "cannot be written", file);
    std::size_t done = 0;
    while (done < content.size()) {
      const ssize_t n = ::write(out.fd, content.data() + done, content.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        const int code = errno;
        ::unlink(temporary.c_str());
        errno = code;
        fail(ErrorKind::kRun, "cannot be written", file);
      }
      done += static_cast<std::size_t>(n);
    }
    if (::fsync(out.fd) != 0) {
      const int code = errno;
      ::unlink(temporary.c_str());
      errno = code;
      fail(ErrorKind::kRun, "cannot be written", file);
    }
  }
  if (::rename(temporary.c_str(), file.c_str()) != 0) {
    const int code = errno;
    ::unlink(temporary.c_str());
    errno = code;
    fail(ErrorKind::kRun, "cannot be written", file);
  }
}

std::string read_file(const fs::path& file) {
  Descriptor in{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  if (in.fd < 0) fail(ErrorKind::kData, "cannot be read", file);
  struct stat info {};
  std::string content;
  if (::fstat(in.fd, &info) == 0 && info.st_size > 0) content.reserve(static_cast<std::size_t>(info.st_size));
  char buffer[1 << 16];
  for (;;) {
    const ssize_t n = ::read(in.fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(ErrorKind::kData, "cannot be read", file);
    if (n == 0) return content;
    content.append(buffer, static_cast<std::size_t>(n));
  }
}

void sync_path(const fs::path& path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0 || ::fsync(file.fd) != 0) fail(ErrorKind::kRun, "cannot be flushed to the disk", path);
}

namespace {
std::string hex(std::uint64_t h) {
  static const char* kHex = "0123456789abcdef";
  std::string text(16, '0');
  for (int i = 15; i >= 0; --i, h >>= 4) text[static_cast<std::size_t>(i)] = kHex[h & 15];
  return text;
}
}  // namespace

std::string digest(std::string_view bytes) { return hex(XXH3_64bits(bytes.data(), bytes.size())); }

std::string digest128(std::string_view bytes) {
  const XXH128_hash_t h = XXH3_128bits(bytes.data(), bytes.size());
  return hex(h.high64) + hex(h.low64);
}

std::string display_path(const fs::path& path) {
  std::error_code ignored;
  const fs::path whole = fs::absolute(path, ignored).lexically_normal();
  const fs::path here = fs::current_path(ignored);
  const auto inside = [](const fs::path& relative) { return !relative.empty() && *relative.begin() != ".."; };
  if (const fs::path relative = whole.lexically_relative(here); inside(relative)) return relative.string();
  if (const char* home = std::getenv("HOME"); home && *home) {
    if (const fs::path relative = whole.lexically_relative(home); inside(relative) && relative != ".") return "~/" + relative.string();
  }
  // A sibling of the working folder reads best as ../x; anything farther away by its last two parts.
  if (const fs::path relative = whole.lexically_relative(here.parent_path()); inside(relative)) return "../" + relative.string();
  return (whole.parent_path().filename() / whole.filename()).string();
}

}  // namespace oncekit
