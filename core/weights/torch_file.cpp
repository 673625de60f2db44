// torch.save's files: a zip archive of data.pkl, the pickled state dict, and data/KEY, one storage each, stored as they are.
// Tensors are views of the mapping; ties and strided views stay what they were.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "oncekit/error.h"
#include "weights/tensor_file.h"
#include "weights/unpickler.h"
#include "weights/zip_archive.h"

namespace oncekit {
namespace {

/// Where a tensor's first element lies in the file.
struct Entry {
  std::uint64_t offset;
  at::ScalarType type;
  std::vector<std::int64_t> shape, strides;
};

class TorchTensors final : public TensorFile {
 public:
  explicit TorchTensors(const std::filesystem::path& path) : file_(Mapping::open(path)) {
    if (!file_->text().starts_with("PK")) refuse_foreign();
    const auto archive = read_zip_directory(*file_);
    // All entries lie in one folder; its name is that of the file when it was written.
    const auto pickle =
        std::find_if(archive.begin(), archive.end(), [](const auto& e) { return e.first.ends_with("/data.pkl"); });
    if (pickle == archive.end())
      fail("is a zip file without data.pkl: torch.save did not write it", "fetch the model's weights again");
    const std::string folder = pickle->first.substr(0, pickle->first.size() - 8);
    if (const auto order = archive.find(folder + "byteorder"); order != archive.end() && text(order->second) != "little") {
      fail("was written on a big-endian machine", "save it as safetensors");
    }
    for (PickledTensor& tensor : unpickle_state_dict(text(pickle->second), pickle->second.offset, path)) {
      const auto storage = archive.find(folder + "data/" + tensor.storage);
      if (storage == archive.end())
        damaged(fmt::format("has no entry {} for tensor {}", quoted_name(folder + "data/" + tensor.storage),
                            quoted_name(tensor.name)));
      place(std::move(tensor), storage->second);
    }
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& [name, ignored] : entries_) names.push_back(name);
    return names;
  }
  ModelSource::Info info(const std::string& name) const override {
    const Entry& entry = entries_.at(name);
    return {entry.type, entry.shape};
  }
  at::Tensor read(const std::string& name) const override {
    const Entry& entry = entries_.at(name);
    return mapped_tensor(file_, entry.offset, entry.type, entry.shape, entry.strides);
  }

 private:
  std::string_view text(const ZipEntry& entry) const { return file_->text().substr(entry.offset, entry.bytes); }
  [[noreturn]] void fail(const std::string& what, const std::string& hint) const {
    throw Error(ErrorKind::kData, what, hint, file_->path().string());
  }
  [[noreturn]] void damaged(const std::string& what) const {
    fail(what, "the file is damaged or was cut short: fetch it again");
  }

  [[noreturn]] void refuse_foreign() const {
    // torch.save before 1.6 wrote several pickles one after the other, the first of them this number, 0x1950a86a20f9469cfc6c.
    if (file_->text().substr(0, 64).find("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") != std::string_view::npos) {
      fail("is in the format of torch.save before PyTorch 1.6, which is not read",
           fmt::format("write it anew: python3 -c \"import sys, torch; f = sys.argv[1]; torch.save(torch.load(f, "
                       "map_location='cpu', weights_only=True), f)\" {}",
                       file_->path().filename().string()));
    }
    if (file_->text().starts_with("version https://git-lfs"))
      fail("is a pointer of Git LFS, not the weights themselves", "run git lfs pull in its folder");
    fail(fmt::format("is no file of torch.save: it begins with {}, expected a zip file (byte offset 0 of {})",
                     file_->size() == 0 ? "nothing" : quoted_name(file_->text().substr(0, 4)), file_->size()),
         "fetch it again");
  }

  void place(PickledTensor tensor, const ZipEntry& storage) {
    const std::uint64_t element = c10::elementSize(tensor.type);
    std::uint64_t bytes = 0;
    const auto impossible = [&] {
      damaged(fmt::format(
          "gives tensor {} an impossible place: shape [{}], strides [{}], from element {} of {} (storage at byte offset {})",
          quoted_name(tensor.name), fmt::join(tensor.shape, ", "), fmt::join(tensor.strides, ", "), tensor.storage_offset,
          tensor.storage_size, storage.offset));
    };
    if (tensor.shape.size() != tensor.strides.size() || tensor.storage_offset < 0 || tensor.storage_size < 0 ||
        !tensor_bytes(tensor.shape, element, bytes))
      impossible();
    // One past the last element, in elements.
    std::int64_t end = bytes == 0 ? 0 : 1;
    for (std::size_t i = 0; i < tensor.shape.size() && bytes != 0; ++i) {
      std::int64_t step = 0;
      if (__builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &step) || __builtin_add_overflow(end, step, &end))
        impossible();
    }
    if (__builtin_add_overflow(end, tensor.storage_offset, &end) || end > tensor.storage_size) impossible();
    if (static_cast<std::uint64_t>(tensor.storage_size) > storage.bytes / element) {
      damaged(fmt::format("tensor {} should lie in {} elements of {} bytes at byte offset {}, but the entry has {} bytes",
                          quoted_name(tensor.name), tensor.storage_size, element, storage.offset, storage.bytes));
    }
    const std::uint64_t offset = storage.offset + static_cast<std::uint64_t>(tensor.storage_offset) * element;
    if (!entries_.emplace(tensor.name, Entry{offset, tensor.type, std::move(tensor.shape), std::move(tensor.strides)}).second) {
      damaged("names tensor " + quoted_name(tensor.name) + " twice");
    }
  }

  std::shared_ptr<const Mapping> file_;
  std::map<std::string, Entry> entries_;
};

}  // namespace

std::unique_ptr<TensorFile> open_torch_tensors(const std::filesystem::path& path) {
  return std::make_unique<TorchTensors>(path);
}

}  // namespace oncekit
