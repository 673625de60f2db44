// files.tsv: what a cache entry held when its build ended, so that damage shows.
//
//   <digest> TAB <bytes> TAB <path in the entry>      one line a file, sorted by path; key.txt and files.tsv itself aside
//   <digest of the lines above> TAB <their number> TAB .
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cache/digest.h"

namespace oncekit {

inline constexpr const char* kFileList = "files.tsv";

/// Reads all files of the folder and writes the list. Throws Error(kRun or kData).
void write_file_list(const std::filesystem::path& folder, const ReadProgress& read = {});

struct FileFault {
  std::string file;  ///< path in the entry
  std::string what;  ///< "is missing", "has 10 bytes, 20 are expected", ...
};

struct FileCheck {
  bool listed = false;  ///< false: there is no list, nothing can be said
  std::int64_t files = 0, bytes = 0;
  std::vector<FileFault> faults;
};

/// Reads all listed files anew (no remembered digest is used). Files that are not listed are not looked at.
FileCheck check_files(const std::filesystem::path& folder, const ReadProgress& read = {});

}  // namespace oncekit
