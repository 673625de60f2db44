// Digests of file contents, remembered between runs so that a 26 GB weight file is read once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace oncekit {

/// Called with the bytes read since the last call, some times a second while files are read; may throw.
using ReadProgress = std::function<void(std::int64_t bytes)>;

/// XXH3 (64 bits) of the content, 16 hex digits. Remembered by path, size and time of change; a file changed within the last two
/// seconds is not remembered, since its clock may be too coarse to show the next change. Thread-safe. `read` is not called for what is
/// remembered. Throws Error(kData) when unreadable.
std::string file_digest(const std::filesystem::path& file, const ReadProgress& read = {});

/// The same, always read anew: for what may have changed without its clock.
std::string content_digest(const std::filesystem::path& file, const ReadProgress& read = {});

/// From now on digests are also kept in `folder`/digests.tsv, shared by all processes. Called by CacheStore.
void keep_digests_in(const std::filesystem::path& folder);

}  // namespace oncekit
