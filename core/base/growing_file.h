// A text file that grows with a run (curves.csv, losses.csv): a checkpoint knows how long it was, and resuming cuts it back to that.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string_view>

namespace oncekit {

/// A text file that only grows, except at start. One thread.
class GrowingFile {
 public:
  /// Keeps the first `keep_bytes` bytes of what is there (all of it when it is shorter, with a warning in the log).
  GrowingFile(std::filesystem::path file, std::int64_t keep_bytes);
  ~GrowingFile();
  GrowingFile(const GrowingFile&) = delete;
  GrowingFile& operator=(const GrowingFile&) = delete;

  /// Throws Error(kRun) naming the file when the disk refuses, as do the next two.
  void append(std::string_view text);
  void flush();  ///< to the operating system: other programs see it, a kill does not lose it
  void sync();   ///< to the disk
  std::int64_t bytes() const noexcept { return bytes_; }

 private:
  [[noreturn]] void fail() const;
  std::filesystem::path file_;
  std::FILE* out_ = nullptr;
  std::int64_t bytes_ = 0;
};

}  // namespace oncekit
