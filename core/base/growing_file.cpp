#include "base/growing_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include <unistd.h>

#include "base/files.h"
#include "oncekit/error.h"
#include "oncekit/log.h"

namespace oncekit {
namespace fs = std::filesystem;

GrowingFile::GrowingFile(fs::path file, std::int64_t keep_bytes) : file_(std::move(file)) {
  std::error_code ignored;
  const auto size = fs::exists(file_, ignored) ? static_cast<std::int64_t>(fs::file_size(file_, ignored)) : 0;
  if (size < keep_bytes) log::warn(display_path(file_) + ": shorter than the checkpoint remembers; rows are missing");
  if (keep_bytes > 0 && size > keep_bytes) fs::resize_file(file_, static_cast<std::uintmax_t>(keep_bytes), ignored);
  out_ = std::fopen(file_.c_str(), keep_bytes > 0 ? "ae" : "we");
  if (out_ == nullptr) fail();
  bytes_ = keep_bytes > 0 ? std::min(size, keep_bytes) : 0;
}

GrowingFile::~GrowingFile() {
  if (out_ != nullptr) std::fclose(out_);
}

void GrowingFile::fail() const {
  throw Error(ErrorKind::kRun, std::string("cannot be written: ") + std::strerror(errno), "make room or check permissions, then resume", display_path(file_));
}

void GrowingFile::append(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), out_) != text.size()) fail();
  bytes_ += static_cast<std::int64_t>(text.size());
}

void GrowingFile::flush() {
  if (std::fflush(out_) != 0) fail();
}

void GrowingFile::sync() {
  flush();
  if (::fsync(::fileno(out_)) != 0) fail();
}

}  // namespace oncekit
