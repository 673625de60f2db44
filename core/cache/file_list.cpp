#include "cache/file_list.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "base/files.h"
#include "oncekit/error.h"

namespace oncekit {
namespace fs = std::filesystem;
namespace {

struct Listed {
  std::string digest, file;
  std::int64_t bytes = 0;
};

bool read_line(const std::string& line, Listed& listed) {
  const std::size_t first = line.find('\t'), second = first == std::string::npos ? first : line.find('\t', first + 1);
  if (first != 16 || second == std::string::npos || second + 1 == line.size()) return false;
  listed.digest = line.substr(0, first);
  listed.file = line.substr(second + 1);
  const auto [end, code] = std::from_chars(line.data() + first + 1, line.data() + second, listed.bytes);
  return code == std::errc() && end == line.data() + second && listed.bytes >= 0;
}

// False when the text is not what write_file_list() wrote.
bool parse(const std::string& text, std::vector<Listed>& files) {
  std::istringstream in(text);
  std::size_t end = 0;  // of the lines before this one
  for (std::string line; std::getline(in, line);) {
    Listed listed;
    if (in.eof() || !read_line(line, listed)) return false;
    if (listed.file == ".")
      return end + line.size() + 1 == text.size() && listed.digest == digest(std::string_view(text).substr(0, end)) &&
             listed.bytes == static_cast<std::int64_t>(files.size());
    end += line.size() + 1;
    files.push_back(std::move(listed));
  }
  return false;
}

// Of one listed file: empty when it is as it was.
std::string fault_of(const fs::path& file, const Listed& listed, const ReadProgress& read) {
  std::error_code code;
  const auto status = fs::status(file, code);
  if (!fs::exists(status)) return "is missing";
  if (!fs::is_regular_file(status)) return "is no file any more";
  const std::uintmax_t bytes = fs::file_size(file, code);
  if (code) return "cannot be read: " + code.message();
  if (static_cast<std::int64_t>(bytes) != listed.bytes)
    return "has " + std::to_string(bytes) + " bytes, " + std::to_string(listed.bytes) + " are expected";
  try {
    const std::string found = content_digest(file, read);
    return found == listed.digest ? "" : "has other content: digest " + found + ", " + listed.digest + " is expected";
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInterrupted) throw;
    return error.message();
  }
}

}  // namespace

void write_file_list(const fs::path& folder, const ReadProgress& read) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    const std::string name = entry.path().lexically_relative(folder).generic_string();
    if (entry.is_regular_file() && name != "key.txt" && name != kFileList) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names)
    text += content_digest(folder / name, read) + '\t' + std::to_string(fs::file_size(folder / name)) + '\t' + name + '\n';
  write_file(folder / kFileList, text + digest(text) + '\t' + std::to_string(names.size()) + "\t.\n");
}

FileCheck check_files(const fs::path& folder, const ReadProgress& read) {
  FileCheck check;
  std::error_code code;
  if (!fs::exists(folder / kFileList, code)) return check;
  check.listed = true;
  std::vector<Listed> files;
  try {
    if (!parse(read_file(folder / kFileList), files)) {
      check.faults.push_back({kFileList, "is damaged itself: its last line does not fit the lines above"});
      return check;
    }
  } catch (const Error& error) {
    check.faults.push_back({kFileList, error.message()});
    return check;
  }
  for (const Listed& listed : files) {
    ++check.files;
    check.bytes += listed.bytes;
    if (std::string what = fault_of(folder / listed.file, listed, read); !what.empty()) check.faults.push_back({listed.file, std::move(what)});
  }
  return check;
}

}  // namespace oncekit
