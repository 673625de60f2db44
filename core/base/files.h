// Files that are whole or absent.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace oncekit {

/// Writes to a temporary name beside `file`, syncs, renames. Throws Error(kRun) naming the file; then nothing partial is left.
void write_file(const std::filesystem::path& file, std::string_view content);

/// The whole content. Throws Error(kData) naming the file.
std::string read_file(const std::filesystem::path& file);

/// Flushes a file or a folder (its entries) to the disk. Throws Error(kRun).
void sync_path(const std::filesystem::path& path);

/// Hash of some bytes, 16 hex digits (XXH3, 64 bits).
std::string digest(std::string_view bytes);
/// The same in 128 bits, 32 hex digits: for names that must never collide.
std::string digest128(std::string_view bytes);

/// A path as it may stand in records: relative to the working folder when inside it, from ~ when inside the home folder.
std::string display_path(const std::filesystem::path& path);

}  // namespace oncekit
