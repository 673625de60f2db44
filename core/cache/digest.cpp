#include "cache/digest.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "oncekit/error.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

// "size time path" -> digest.
struct Memo {
  std::mutex mutex;
  std::map<std::string, std::string> digests;
  fs::path file;
};

Memo& memo() {
  static Memo instance;
  return instance;
}

std::string hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

[[noreturn]] void unreadable(const fs::path& file, int code) {
  throw Error(ErrorKind::kData, std::string("cannot be read: ") + std::strerror(code), "check the path and its permissions", file.string());
}

std::string read_digest(int fd, const fs::path& file, const ReadProgress& read) {
  const std::unique_ptr<XXH3_state_t, void (*)(XXH3_state_t*)> state(XXH3_createState(), [](XXH3_state_t* s) { XXH3_freeState(s); });
  XXH3_64bits_reset(state.get());
  std::vector<char> buffer(1 << 20);
  std::int64_t unsaid = 0;
  for (;;) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) unreadable(file, errno);
    if (n > 0) XXH3_64bits_update(state.get(), buffer.data(), static_cast<std::size_t>(n));
    unsaid += n;
    if (read && (n == 0 || unsaid >= 16 << 20)) {
      read(unsaid);
      unsaid = 0;
    }
    if (n == 0) return hex(XXH3_64bits_digest(state.get()));
  }
}

// A file open for reading. Throws Error(kData).
class Opened {
 public:
  explicit Opened(const fs::path& file) : fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (fd < 0) unreadable(file, errno);
  }
  ~Opened() { ::close(fd); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  const int fd;
};

}  // namespace

void keep_digests_in(const fs::path& folder) {
  Memo& m = memo();
  const std::lock_guard lock(m.mutex);
  if (m.file == folder / "digests.tsv") return;
  m.file = folder / "digests.tsv";
  // A line is digest, tab, key. Lines that are not whole (a killed writer's) are passed over; later lines win.
  std::ifstream in(m.file);
  for (std::string line; std::getline(in, line) && !in.eof();) {
    if (line.size() > 17 && line[16] == '\t') m.digests[line.substr(17)] = line.substr(0, 16);
  }
}

std::string file_digest(const fs::path& file, const ReadProgress& read) {
  const Opened opened(file);
  const int fd = opened.fd;
  struct stat info {};
  if (::fstat(fd, &info) != 0) unreadable(file, errno);
  if (S_ISDIR(info.st_mode)) unreadable(file, EISDIR);

  std::error_code ignored;
  const std::string key = std::to_string(info.st_size) + ' ' + std::to_string(info.st_mtim.tv_sec) + '.' +
                          std::to_string(info.st_mtim.tv_nsec) + ' ' + fs::absolute(file, ignored).lexically_normal().string();
  Memo& m = memo();
  {
    const std::lock_guard lock(m.mutex);
    if (const auto found = m.digests.find(key); found != m.digests.end()) return found->second;
  }
  const std::string digest = read_digest(fd, file, read);
  // Only what stood still while it was read, and for a while before, is remembered.
  struct stat after {};
  const bool still = ::fstat(fd, &after) == 0 && after.st_size == info.st_size && after.st_mtim.tv_sec == info.st_mtim.tv_sec &&
                     after.st_mtim.tv_nsec == info.st_mtim.tv_nsec && std::time(nullptr) - info.st_mtim.tv_sec > 2;
  if (!still || key.find('\n') != std::string::npos) return digest;

  const std::lock_guard lock(m.mutex);
  m.digests[key] = digest;
  if (m.file.empty()) return digest;
  // One write of one line at the end of the file: whole or cut off at a full disk, and then passed over by readers.
  const int out = ::open(m.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (out >= 0) {
    const std::string line = digest + '\t' + key + '\n';
    [[maybe_unused]] const ssize_t written = ::write(out, line.data(), line.size());
    ::close(out);
  }
  return digest;
}

std::string content_digest(const fs::path& file, const ReadProgress& read) {
  const Opened opened(file);
  return read_digest(opened.fd, file, read);
}

}  // namespace oncekit
