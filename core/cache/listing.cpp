#include "cache/listing.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "base/files.h"
#include "cache/lock.h"
#include "oncekit/error.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kHash = 16, kDescription = 100, kValue = 32;

std::string without_part(const std::string& name) { return name.ends_with(".part") ? name.substr(0, name.size() - 5) : name; }

// <kind>-<16 hex digits>, with or without .part: nothing else in the folder is ours.
bool is_entry_name(const std::string& name) {
  const std::string base = without_part(name);
  return base.size() > kHash + 1 && base[base.size() - kHash - 1] == '-' &&
         base.find_first_not_of("0123456789abcdef", base.size() - kHash) == std::string::npos;
}

std::int64_t changed(const fs::path& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::int64_t>(info.st_mtim.tv_sec) : 0;
}

// Sizes, and the newest change. Files that vanish meanwhile (a build goes on) are passed over.
void measure(CacheEntry& entry) {
  std::error_code code;
  entry.built = changed(entry.folder);
  for (fs::recursive_directory_iterator at(entry.folder, code), end; !code && at != end; at.increment(code)) {
    struct stat info {};
    if (::stat(at->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    ++entry.files;
    entry.bytes += info.st_size;
    if (entry.state != CacheEntry::State::kWhole) entry.built = std::max<std::int64_t>(entry.built, info.st_mtim.tv_sec);
  }
}

std::string shortened(std::string text, std::size_t limit) {
  if (text.size() <= limit) return text;
  text.resize(limit - 3);
  while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80) text.pop_back();  // no half characters
  if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xc0) text.pop_back();
  return text + "...";
}

bool is_digest(const std::string& value) {
  return value.starts_with("file ") || (value.size() >= kHash && value.find_first_not_of("0123456789abcdef-") == std::string::npos);
}

// "layer = 24, model = llama1-13b": what tells entries of one kind apart for a reader, so no digests.
std::string describe(const std::string& key) {
  std::istringstream in(key);
  std::string text;
  for (std::string line; std::getline(in, line);) {
    const std::size_t equals = line.find(" = ");
    if (equals == std::string::npos || line.starts_with("kind = ") || line.starts_with("version = ")) continue;
    const std::string value = line.substr(equals + 3);
    if (value.empty() || is_digest(value)) continue;
    text += (text.empty() ? "" : ", ") + line.substr(0, equals) + " " + shortened(value, kValue);
  }
  return shortened(text, kDescription);
}

}  // namespace

const char* state_name(CacheEntry::State state) {
  switch (state) {
    case CacheEntry::State::kWhole: return "whole";
    case CacheEntry::State::kPartial: return "partial";
    case CacheEntry::State::kBuilding: return "building";
    case CacheEntry::State::kBroken: return "broken";
  }
  return "";
}

std::vector<CacheEntry> list_cache(const fs::path& root) {
  using State = CacheEntry::State;
  std::vector<CacheEntry> entries;
  std::error_code code;
  for (const fs::directory_entry& found : fs::directory_iterator(root, code)) {
    CacheEntry entry;
    entry.name = found.path().filename().string();
    if (!found.is_directory(code) || !is_entry_name(entry.name)) continue;
    entry.folder = found.path();
    const std::string base = without_part(entry.name);
    entry.kind = base.substr(0, base.size() - kHash - 1);
    std::string key;
    try {
      if (fs::exists(entry.folder / "key.txt", code)) key = read_file(entry.folder / "key.txt");
    } catch (const Error&) {
      key.clear();  // unreadable, or gone since: as if it was not there
    }
    const bool fits = !key.empty() && base.ends_with("-" + digest(key));
    if (entry.name != base) {
      entry.state = FileLock::held(root / "locks" / base, FileLock::Mode::kShared) ? State::kBuilding : State::kPartial;
      entry.resumable = fits;
    } else {
      entry.state = fits ? State::kWhole : State::kBroken;
      entry.in_use = FileLock::held(root / "locks" / (base + ".use"), FileLock::Mode::kExclusive);
    }
    measure(entry);
    entry.used = std::max(entry.built, changed(entry.folder / "key.txt"));
    entry.description = fits ? describe(key) : entry.state == State::kBroken ? "key.txt is missing or belongs to another entry" : "";
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(), [](const CacheEntry& a, const CacheEntry& b) { return a.name < b.name; });
  return entries;
}

std::vector<CacheEntry> named_entries(const std::vector<CacheEntry>& entries, const std::vector<std::string>& names) {
  if (names.empty()) return entries;
  std::vector<bool> meant(entries.size(), false);
  for (const std::string& given : names) {
    std::string name = fs::path(given).filename().string();
    if (name.empty()) name = fs::path(given).parent_path().filename().string();  // "cache/states-…/"
    bool found = false;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const bool beginning = name.size() > entries[i].kind.size() + 1 && entries[i].name.starts_with(name);
      if (name != entries[i].kind && !beginning) continue;
      meant[i] = found = true;
    }
    if (found) continue;
    std::vector<std::string> known;
    for (const CacheEntry& entry : entries) known.insert(known.end(), {entry.name, entry.kind});
    const std::string near = nearest_name(name, known);
    throw Error(ErrorKind::kUsage, "no cache entry is called '" + given + "', and none is of this kind",
                near.empty() ? "`oncekit cache ls` lists those there are" : "did you mean '" + near + "'?");
  }
  std::vector<CacheEntry> chosen;
  for (std::size_t i = 0; i < entries.size(); ++i)
    if (meant[i]) chosen.push_back(entries[i]);
  return chosen;
}

FileCheck verify_entry(const CacheEntry& entry, const ReadProgress& read) {
  FileCheck check = check_files(entry.folder, read);
  if (entry.state == CacheEntry::State::kBroken) check.faults.insert(check.faults.begin(), {"key.txt", "is missing or belongs to another entry"});
  return check;
}

std::vector<CacheEntry> to_clean(const std::vector<CacheEntry>& entries, const CleanWish& wish, std::int64_t now) {
  using State = CacheEntry::State;
  std::vector<CacheEntry> chosen;
  for (const CacheEntry& entry : entries) {
    if (entry.state == State::kBuilding || entry.in_use) continue;
    bool fits = wish.all;
    if (!wish.all && !wish.older_than_days && wish.kind.empty()) {
      fits = entry.state == State::kPartial || entry.state == State::kBroken;
    } else if (!wish.all) {
      fits = (wish.kind.empty() || entry.kind == wish.kind) &&
             (!wish.older_than_days || static_cast<double>(now - entry.used) > *wish.older_than_days * 86400);
    }
    if (fits) chosen.push_back(entry);
  }
  return chosen;
}

bool remove_entry(const fs::path& root, const CacheEntry& entry) {
  const std::string base = without_part(entry.name);
  std::error_code code;
  fs::create_directories(root / "locks", code);  // a copied cache may have none
  const auto builds = FileLock::attempt(root / "locks" / base, FileLock::Mode::kExclusive);
  const auto uses = entry.name == base ? FileLock::attempt(root / "locks" / (base + ".use"), FileLock::Mode::kExclusive) : std::nullopt;
  if (!builds || (entry.name == base && !uses)) {
    if (::access((root / "locks").c_str(), W_OK) == 0) return false;
    throw Error(ErrorKind::kRun, "the lock of this entry cannot be taken", "check that the cache folder can be written", display_path(entry.folder));
  }
  // Without its key nobody takes what is left for an entry, should this be interrupted.
  fs::remove(entry.folder / "key.txt", code);
  if (!code) fs::remove_all(entry.folder, code);
  if (code) throw Error(ErrorKind::kRun, "cannot be removed: " + code.message(), "check its permissions", display_path(entry.folder));
  return true;
}

}  // namespace oncekit
