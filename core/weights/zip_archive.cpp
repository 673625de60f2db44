#include "weights/zip_archive.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "oncekit/error.h"
#include "weights/tensor_file.h"

namespace oncekit {
namespace {

constexpr std::uint32_t kEndOfDirectory = 0x06054b50, kEndOfDirectory64 = 0x06064b50, kLocator64 = 0x07064b50,
                        kDirectoryEntry = 0x02014b50, kLocalHeader = 0x04034b50;
constexpr std::uint64_t kEndBytes = 22, kLocator64Bytes = 20, kEnd64Bytes = 56, kEntryBytes = 46, kLocalBytes = 30;
constexpr std::uint32_t kIn64 = 0xffffffff;  // a 32-bit field whose value stands in the ZIP64 record

class Directory {
 public:
  explicit Directory(const Mapping& file) : file_(file), bytes_(file.text()) {}

  std::map<std::string, ZipEntry> read() {
    find_end();
    std::map<std::string, ZipEntry> entries;
    for (std::uint64_t i = 0; i < count_; ++i) read_entry(entries);
    return entries;
  }

 private:
  [[noreturn]] void fail(const std::string& what, std::uint64_t offset) const {
    throw Error(ErrorKind::kData,
                fmt::format("{} (byte offset {} of the file, which has {} bytes)", what, offset, bytes_.size()),
                "the file is damaged or was cut short: fetch it again", file_.path().string());
  }
  /// REQUIRES: at + sizeof(T) is within the file.
  template <class T>
  T number(std::uint64_t at) const {
    T value;
    std::memcpy(&value, bytes_.data() + at, sizeof(T));
    return value;
  }
  bool holds(std::uint64_t at, std::uint64_t bytes) const { return at <= bytes_.size() && bytes <= bytes_.size() - at; }

  void find_end() {
    // It is the last record; a comment of up to 65,535 bytes may stand behind it.
    std::uint64_t end = bytes_.size();
    if (bytes_.size() >= kEndBytes) {
      const std::uint64_t last = bytes_.size() - kEndBytes;
      for (std::uint64_t back = 0; back <= std::min<std::uint64_t>(last, 65535) && end == bytes_.size(); ++back) {
        if (number<std::uint32_t>(last - back) == kEndOfDirectory && number<std::uint16_t>(last - back + 20) == back)
          end = last - back;
      }
    }
    if (end == bytes_.size()) fail("has no directory at its end, where a zip file has one", end);
    count_ = number<std::uint16_t>(end + 10);
    at_ = number<std::uint32_t>(end + 16);
    if (end >= kLocator64Bytes && number<std::uint32_t>(end - kLocator64Bytes) == kLocator64) {
      const auto end64 = number<std::uint64_t>(end - kLocator64Bytes + 8);
      if (!holds(end64, kEnd64Bytes) || number<std::uint32_t>(end64) != kEndOfDirectory64)
        fail("has a damaged ZIP64 end record", end64);
      count_ = number<std::uint64_t>(end64 + 32);
      at_ = number<std::uint64_t>(end64 + 48);
    }
  }

  void read_entry(std::map<std::string, ZipEntry>& entries) {
    const std::uint64_t begin = at_;
    if (!holds(at_, kEntryBytes) || number<std::uint32_t>(at_) != kDirectoryEntry) fail("has a damaged directory", begin);
    const auto flags = number<std::uint16_t>(at_ + 8), method = number<std::uint16_t>(at_ + 10);
    const std::uint64_t name_bytes = number<std::uint16_t>(at_ + 28), extra_bytes = number<std::uint16_t>(at_ + 30),
                        comment_bytes = number<std::uint16_t>(at_ + 32);
    if (!holds(at_ + kEntryBytes, name_bytes + extra_bytes + comment_bytes)) fail("has a damaged directory", begin);
    const std::string name(bytes_.substr(at_ + kEntryBytes, name_bytes));
    std::uint64_t packed = number<std::uint32_t>(at_ + 20), bytes = number<std::uint32_t>(at_ + 24),
                  local = number<std::uint32_t>(at_ + 42);
    // The ZIP64 record holds, in this order, those of the three that did not fit.
    std::uint64_t at = at_ + kEntryBytes + name_bytes;
    const std::uint64_t end = at + extra_bytes;
    while (at + 4 <= end) {
      const auto id = number<std::uint16_t>(at), length = number<std::uint16_t>(at + 2);
      at += 4;
      if (length > end - at) break;
      std::uint64_t field = at;
      for (std::uint64_t* value : {&bytes, &packed, &local}) {
        if (id != 1 || *value != kIn64 || field + 8 > at + length) continue;
        *value = number<std::uint64_t>(field);
        field += 8;
      }
      at += length;
    }
    at_ = end + comment_bytes;

    if (flags & 1) fail("holds entry " + quoted_name(name) + " that is encrypted", begin);
    if (method != 0 || packed != bytes) {
      throw Error(ErrorKind::kData,
                  fmt::format("holds entry {} that is compressed (byte offset {}); torch.save stores entries as they are",
                              quoted_name(name), begin),
                  "another program packed it again: unpack it, then pack its folder with zip -0 -r", file_.path().string());
    }
    if (!holds(local, kLocalBytes) || number<std::uint32_t>(local) != kLocalHeader)
      fail("has no entry " + quoted_name(name) + " where the directory says", local);
    const std::uint64_t data = local + kLocalBytes + number<std::uint16_t>(local + 26) + number<std::uint16_t>(local + 28);
    if (!holds(data, bytes))
      fail(fmt::format("ends inside entry {}, which should have {} bytes", quoted_name(name), bytes), data);
    if (!entries.emplace(name, ZipEntry{data, bytes}).second) fail("names entry " + quoted_name(name) + " twice", begin);
  }

  const Mapping& file_;
  std::string_view bytes_;
  std::uint64_t at_ = 0, count_ = 0;
};

}  // namespace

std::map<std::string, ZipEntry> read_zip_directory(const Mapping& file) { return Directory(file).read(); }

}  // namespace oncekit
