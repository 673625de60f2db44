#include "cache/store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include "base/files.h"
#include "cache/digest.h"
#include "cache/file_list.h"
#include "cache/lock.h"
#include "oncekit/error.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

constexpr std::uintmax_t kFullBelow = 1 << 20;  // bytes left on the disk below which a build is not believed

bool means_full(const std::error_code& code) {
  return code.value() == ENOSPC || code.value() == EDQUOT || code.value() == EFBIG;
}

[[noreturn]] void disk_full(const fs::path& root, const CacheKey& key, CacheBuild mode) {
  throw Error(ErrorKind::kRun, "the disk is full: cannot build the cache entry " + key.kind() + "-" + key.hash(),
              mode == CacheBuild::kFresh ? "make room, or name another folder with --cache DIR; nothing partial was left"
                                         : "make room and run the command again: it goes on from what was built so far", display_path(root));
}

[[noreturn]] void cannot(const std::string& what, const fs::path& path, int code) {
  throw Error(ErrorKind::kRun, what + ": " + std::strerror(code), "name another folder with --cache DIR", display_path(path));
}

// Removes a half-built entry on the way out unless told to keep it.
struct Part {
  fs::path folder;
  bool keep = false;
  ~Part() {
    std::error_code ignored;
    if (!keep) fs::remove_all(folder, ignored);
  }
};

bool built_for(const fs::path& folder, const CacheKey& key) {
  std::error_code ignored;
  if (!fs::is_regular_file(folder / "key.txt", ignored)) return false;
  try {
    return read_file(folder / "key.txt") == key.text();
  } catch (const Error&) {
    return false;
  }
}

void sync_tree(const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() || entry.is_directory()) sync_path(entry.path());
  }
  sync_path(folder);
}

// What write_file() leaves when it is killed: "name.part" and a process number.
void remove_unwritten(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    const std::string number = entry.path().extension().string();
    if (entry.is_regular_file() && number.starts_with(".part") && number.size() > 5 && number.find_first_not_of("0123456789", 5) == std::string::npos)
      found.push_back(entry.path());
  }
  for (const fs::path& file : found) fs::remove(file);
  fs::remove(folder / kFileList);  // of a build that ended and was killed before it was moved into place
}

// REQUIRES: the lock. Throws what the build throws, or Error(kRun).
void build_part(const fs::path& root, const fs::path& part, const CacheKey& key, CacheBuild mode, const CacheStore::Build& build,
                const std::function<void()>& check) {
  try {
    if (mode == CacheBuild::kResumable && built_for(part, key)) {
      remove_unwritten(part);
    } else {
      fs::remove_all(part);
      fs::create_directory(part);
      if (mode == CacheBuild::kResumable) {
        write_file(part / "key.txt", key.text());
        sync_path(part);
      }
    }
    build(part);
    // A stream whose owner never looked may have lost its end: with no room left, the entry is not believed.
    std::error_code code;
    const fs::space_info space = fs::space(root, code);
    if (!code && space.capacity > 0 && space.available < kFullBelow) disk_full(root, key, mode);
    write_file_list(part, [&](std::int64_t) {
      if (check) check();
    });
    write_file(part / "key.txt", key.text());
    sync_tree(part);
  } catch (const std::system_error& error) {  // fs::filesystem_error, and streams that throw
    if (means_full(error.code())) disk_full(root, key, mode);
    throw Error(ErrorKind::kRun, std::string("cannot build a cache entry: ") + error.what(), "name another folder with --cache DIR",
                display_path(root));
  }
}

}  // namespace

CacheStore::CacheStore(fs::path root) : root_(std::move(root)) { keep_digests_in(root_); }

fs::path CacheStore::folder(const CacheKey& key) const { return root_ / (key.kind() + "-" + key.hash()); }

std::optional<fs::path> CacheStore::find(const CacheKey& key) const {
  if (const fs::path final_name = folder(key); built_for(final_name, key)) return final_name;
  return std::nullopt;
}

fs::path CacheStore::get(const CacheKey& key, const Build& build, CacheBuild mode, const std::function<void()>& check) const {
  const fs::path final_name = folder(key);
  if (find(key)) {
    // The key's time of change says when the entry was last asked for. A cache that cannot be written works too.
    ::utimensat(AT_FDCWD, (final_name / "key.txt").c_str(), nullptr, 0);
    return final_name;
  }

  std::error_code code;
  fs::create_directories(root_ / "locks", code);
  if (code) cannot("cannot make the cache folder", root_, code.value());
  const FileLock lock(root_ / "locks" / final_name.filename(), FileLock::Mode::kExclusive, check);
  if (find(key)) return final_name;

  Part part{final_name, mode == CacheBuild::kResumable};
  part.folder += ".part";
  fs::remove_all(final_name, code);  // an entry without its key, or another's: not ours to use
  if (code) cannot("cannot remove what an earlier build left", final_name, code.value());
  build_part(root_, part.folder, key, mode, build, check);
  fs::rename(part.folder, final_name, code);
  if (code) cannot("cannot move a cache entry into place", final_name, code.value());
  part.keep = true;
  sync_path(root_);
  return final_name;
}

}  // namespace oncekit
