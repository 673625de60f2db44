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
  /// Nothing when another holds it (`why` is then EWOULDBLOCK), or when the file can neither be opened nor made (`why`: errno).
  static std::optional<FileLock> attempt(const std::filesystem::path& file, Mode mode, int* why = nullptr);
  /// Whether somebody's lock stands in the way of one in this mode. Makes no file. It takes that lock for a moment, since flock can only be asked so: of a
  /// file that is only ever locked exclusively ask for kShared; users of the other kind try again (HostWorkspace::hold).
  static bool held(const std::filesystem::path& file, Mode mode);

  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace oncekit
