#include "weights/tensor_file.h"

#include <algorithm>

#include "oncekit/error.h"
#include "weights/safetensors.h"

namespace oncekit {

TensorFile::~TensorFile() = default;

namespace {

class SafetensorsTensors final : public TensorFile {
 public:
  explicit SafetensorsTensors(const std::filesystem::path& path) : file_(read_safetensors(path)) {}
  std::vector<std::string> names() const override { return file_.names(); }
  ModelSource::Info info(const std::string& name) const override { return {file_.type(name), file_.shape(name)}; }
  at::Tensor read(const std::string& name) const override { return file_.tensor(name); }

 private:
  SafetensorsFile file_;
};

}  // namespace

std::unique_ptr<TensorFile> open_safetensors_tensors(const std::filesystem::path& path) {
  return std::make_unique<SafetensorsTensors>(path);
}

std::string quoted_name(std::string_view text) {
  std::string shown = "'";
  for (const char c : text.substr(0, 80)) shown += c < 32 || c > 126 ? '?' : c;
  return shown + (text.size() > 80 ? "...'" : "'");
}

void no_such_tensor(const std::string& name, const std::vector<std::string>& names, const std::filesystem::path& path) {
  const std::string near = nearest_name(name, names);
  throw Error(ErrorKind::kData, "has no tensor " + quoted_name(name) + " among its " + std::to_string(names.size()),
              near.empty() ? std::string() : "did you mean " + quoted_name(near) + "?", path.string());
}

bool tensor_bytes(const std::vector<std::int64_t>& shape, std::uint64_t element, std::uint64_t& bytes) {
  std::int64_t limit = static_cast<std::int64_t>(element);
  bytes = element;
  for (const std::int64_t n : shape) {
    if (n < 0 || __builtin_mul_overflow(limit, std::max<std::int64_t>(n, 1), &limit)) return false;
    bytes *= static_cast<std::uint64_t>(n);
  }
  return true;
}

}  // namespace oncekit
