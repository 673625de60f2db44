// Raw text tables: mapped or unpacked, cut into lines.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "base/files.h"
#include "oncekit/error.h"
#include "oncekit/tables.h"

namespace oncekit {
namespace fs = std::filesystem;

struct TextTable::State {
  fs::path file;
  std::string shown;            // how the file is called in messages
  std::string unpacked;         // of a .gz
  void* map = MAP_FAILED;
  std::size_t map_size = 0;
  std::string_view text;        // all, without the byte-order mark
  std::vector<std::size_t> starts;  // of lines in text, and one past the end
  bool mark = false, carriage = false;

  ~State() {
    if (map != MAP_FAILED) ::munmap(map, map_size);
  }
};

namespace {

[[noreturn]] void unreadable(const fs::path& file, const std::string& why, const std::string& hint) {
  throw Error(ErrorKind::kData, why, hint, display_path(file));
}

std::string unpack(const fs::path& file) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> in(gzopen(file.c_str(), "rbe"), gzclose_r);
  if (!in) unreadable(file, std::string("cannot be read: ") + std::strerror(errno), "check the path and its permissions");
  gzbuffer(in.get(), 1 << 18);
  std::string text;
  for (;;) {
    constexpr std::size_t kStep = 1 << 22;
    const std::size_t before = text.size();
    if (text.capacity() < before + kStep) text.reserve(2 * text.capacity() + kStep);
    text.resize(before + kStep);
    const int n = gzread(in.get(), text.data() + before, kStep);
    text.resize(before + static_cast<std::size_t>(n > 0 ? n : 0));
    int code = Z_OK;
    const char* message = gzerror(in.get(), &code);
    if (n < 0 || code == Z_BUF_ERROR) {
      unreadable(file, "is damaged or cut off: gzip says \"" + std::string(code == Z_BUF_ERROR ? "unexpected end of file" : message) + "\"",
                 "get the file again");
    }
    if (n == 0) return text;
  }
}

}  // namespace

std::optional<fs::path> TextTable::find(const fs::path& file) {
  std::error_code ignored;
  if (fs::is_regular_file(file, ignored)) return file;
  fs::path packed = file;
  packed += ".gz";
  if (fs::is_regular_file(packed, ignored)) return packed;
  return std::nullopt;
}

TextTable::TextTable(const fs::path& name) : state_(std::make_unique<State>()) {
  State& s = *state_;
  const std::optional<fs::path> found = find(name);
  if (!found) unreadable(name, "no such file, and no " + name.filename().string() + ".gz beside it", "check dataset.path");
  s.file = *found;
  s.shown = display_path(s.file);
  if (s.file.extension() == ".gz") {
    s.unpacked = unpack(s.file);
    s.text = s.unpacked;
  } else {
    const int fd = ::open(s.file.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat info {};
    if (fd < 0 || ::fstat(fd, &info) != 0) {
      const int code = errno;
      if (fd >= 0) ::close(fd);
      unreadable(s.file, std::string("cannot be read: ") + std::strerror(code), "check the path and its permissions");
    }
    s.map_size = static_cast<std::size_t>(info.st_size);
    if (s.map_size > 0) s.map = ::mmap(nullptr, s.map_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    const int code = errno;
    ::close(fd);
    if (s.map_size > 0 && s.map == MAP_FAILED) unreadable(s.file, std::string("cannot be mapped: ") + std::strerror(code), "");
    if (s.map_size > 0) s.text = {static_cast<const char*>(s.map), s.map_size};
  }
  if (s.text.starts_with("\xef\xbb\xbf")) {
    s.text.remove_prefix(3);
    s.mark = true;
  }
  s.starts.push_back(0);
  for (std::size_t at = 0; at < s.text.size();) {
    const void* end = std::memchr(s.text.data() + at, '\n', s.text.size() - at);
    at = end ? static_cast<std::size_t>(static_cast<const char*>(end) - s.text.data()) + 1 : s.text.size() + 1;
    s.starts.push_back(at);
  }
  s.carriage = lines() > 0 && s.starts[1] >= 2 && s.text[s.starts[1] - 2] == '\r';
}

TextTable::~TextTable() = default;
TextTable::TextTable(TextTable&&) noexcept = default;
TextTable& TextTable::operator=(TextTable&&) noexcept = default;

std::size_t TextTable::lines() const noexcept { return state_->starts.size() - 1; }

std::string_view TextTable::line(std::size_t index) const noexcept {
  const std::size_t begin = state_->starts[index];
  std::string_view line = state_->text.substr(begin, state_->starts[index + 1] - 1 - begin);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::string TextTable::where(std::size_t index) const { return state_->shown + ":" + std::to_string(index + 1); }
const fs::path& TextTable::file() const noexcept { return state_->file; }
bool TextTable::byte_order_mark() const noexcept { return state_->mark; }
bool TextTable::carriage_returns() const noexcept { return state_->carriage; }

std::size_t split_fields(std::string_view line, char separator, std::vector<std::string_view>& parts) {
  parts.clear();
  for (std::size_t begin = 0;;) {
    const std::size_t end = line.find(separator, begin);
    parts.push_back(line.substr(begin, end - begin));
    if (end == std::string_view::npos) return parts.size();
    begin = end + 1;
  }
}

}  // namespace oncekit
