// Who asks: every store that is open for writing owns a locked file beside the store. The system gives the lock back when the process ends,
// however it ends, so whoever can take it knows that its owner is gone.
#pragma once

#include <filesystem>
#include <string>

namespace oncekit {

/// The lock of one open store: FILE.owners/ID.lock, gone with the object.
class Owner {
 public:
  /// Throws Error(kRun) when the folder or the file cannot be made.
  explicit Owner(const std::filesystem::path& store);
  ~Owner();
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;
  const std::string& id() const noexcept { return id_; }

  /// Whether the owner `id` of this store still lives, in this process or another.
  static bool lives(const std::filesystem::path& store, const std::string& id);
  /// Removes the lock file of an owner that is gone.
  static void forget(const std::filesystem::path& store, const std::string& id);
  /// Removes those of all that are gone.
  static void sweep(const std::filesystem::path& store);

 private:
  std::filesystem::path store_;
  std::string id_;
  int fd_ = -1;
};

}  // namespace oncekit
