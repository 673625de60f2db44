// Locks on files of the cache's folder locks/: between threads and processes, gone with the process that holds them.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>

namespace oncekit {

class FileLock {
 public:
  enum class Mode { kShared, kExclusive };

  /// Makes the file when it is not there. Waits while another holds it, and calls `waiting` ten times a second (it may throw).
  /// Throws Error(kRun) when the file cannot be made.
  FileLock(const std::filesystem::path& file, Mode mode, const std::function<void()>& waiting = {});
  /// Nothing when another holds it, or when the file can neither be opened nor made.
  static std::optional<FileLock> attempt(const std::filesystem::path& file, Mode mode);
  /// Whether somebody's lock stands in the way of an exclusive one. Makes no file.
  static bool held(const std::filesystem::path& file);

  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace oncekit
