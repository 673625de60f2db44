// Digests of file contents, remembered between runs so that a 26 GB weight file is read once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace oncekit {

/// XXH3 (64 bits) of the content, 16 hex digits. Remembered by path, size and time of change; a file changed within the last two
/// seconds is not remembered, since its clock may be too coarse to show the next change. Thread-safe.
/// Throws Error(kData) when unreadable.
std::string file_digest(const std::filesystem::path& file);

/// The same, always read anew: for what may have changed without its clock. `read` is called with the bytes of every few MiB, and may throw.
std::string content_digest(const std::filesystem::path& file, const std::function<void(std::int64_t bytes)>& read = {});

/// From now on digests are also kept in `folder`/digests.tsv, shared by all processes. Called by CacheStore.
void keep_digests_in(const std::filesystem::path& folder);

}  // namespace oncekit
