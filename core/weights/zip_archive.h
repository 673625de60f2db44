// The directory of a ZIP archive (PKWARE's APPNOTE.TXT, 4.3 and 4.5.3, with ZIP64): where each entry's bytes lie in the mapped
// file.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "weights/mapping.h"

namespace oncekit {

struct ZipEntry {
  std::uint64_t offset, bytes;  ///< of the entry's data in the file: entries are stored, not packed
};

/// By the central directory at the end of the file. Throws Error(kData) naming entry and byte offset when the file is cut short
/// or damaged, or an entry is packed or encrypted.
std::map<std::string, ZipEntry> read_zip_directory(const Mapping& file);

}  // namespace oncekit
