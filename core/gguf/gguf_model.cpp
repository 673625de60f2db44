// A GGUF file as a model: Hugging Face's names and config, quantised blocks as float32, rotary rows where Hugging Face has
// them.
#include <algorithm>
#include <cstring>
#include <map>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include "base/files.h"
#include "oncekit/error.h"
#include "gguf/gguf.h"
#include "gguf/gguf_names.h"
#include "weights/tensor_file.h"

namespace oncekit {
namespace {

using nlohmann::json;

struct Entry {
  const GgufTensor* tensor;
  std::int64_t heads;  ///< 0, or the number of heads whose rows are interleaved
};

class GgufModel final : public ModelSource {
 public:
  explicit GgufModel(const std::filesystem::path& path)
      : path_(path), file_(read_gguf(path)), config_(hugging_face_config(file_)) {
    const auto architecture = config_.at("model_type").get<std::string>();
    for (const GgufTensor& tensor : file_.tensors) {
      if (tensor.name == "rope_freqs.weight") continue;  // in the config
      const std::string name = hugging_face_name(architecture, tensor.name);
      if (name.empty()) {
        throw Error(ErrorKind::kData,
                    fmt::format("has tensor {}, which no {} model has (byte offset {})", quoted_name(tensor.name), architecture,
                                tensor.offset),
                    "use the model's Hugging Face folder, or choose another model", path_.string());
      }
      const std::int64_t heads = interleaved_heads(config_, name);
      const bool split_block = tensor.type->block > 1 && tensor.shape.size() < 2;
      if (heads > 0 &&
          (tensor.shape.empty() || split_block || tensor.shape[0] != heads * config_.at("head_dim").get<std::int64_t>())) {
        throw Error(ErrorKind::kData,
                    fmt::format("tensor {} has shape [{}], expected {} heads of width {} in its rows (byte offset {})",
                                quoted_name(tensor.name), fmt::join(tensor.shape, ", "), heads, config_.at("head_dim").dump(),
                                tensor.offset),
                    "convert the model again with llama.cpp's convert_hf_to_gguf.py", path_.string());
      }
      entries_.emplace(name, Entry{&tensor, heads});
    }
  }

  const std::filesystem::path& path() const override { return path_; }
  const json& config() const override { return config_; }
  const json& metadata() const override { return file_.metadata; }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& [name, ignored] : entries_) names.push_back(name);
    return names;
  }
  bool contains(const std::string& name) const override { return entries_.count(name) != 0; }
  Info info(const std::string& name) const override {
    const Entry& found = entry(name);
    return {found.tensor->type->type, found.tensor->shape, !is_computed(found)};
  }
  at::Tensor read(const std::string& name) const override {
    const Entry& found = entry(name);
    const GgufTensor& tensor = *found.tensor;
    if (!is_computed(found))
      return mapped_tensor(file_.mapping, tensor.offset, tensor.type->type, tensor.shape);
    return computed(tensor, found.heads);
  }
  // The number counts changes of what this reader makes of a file.
  std::string digest(const ReadProgress& read) const override { return oncekit::digest("gguf 1 " + file_digest(path_, read)); }

 private:
  static bool is_computed(const Entry& entry) { return entry.tensor->type->dequantise != nullptr || entry.heads > 0; }
  const Entry& entry(const std::string& name) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) no_such_tensor(name, names(), path_);
    return found->second;
  }
  /// Row by row on all threads. Row r of a head is row 2 r, or 2 (r - half) + 1, of the file's.
  at::Tensor computed(const GgufTensor& tensor, std::int64_t heads) const {
    const GgmlType& type = *tensor.type;
    at::Tensor result = at::empty(tensor.shape, at::TensorOptions().dtype(type.type));
    if (result.numel() == 0) return result;
    // Of a bias every element is a row.
    const std::int64_t rows = heads > 0 ? tensor.shape[0] : result.numel() / tensor.shape.back();
    const std::int64_t head_dim = heads > 0 ? rows / heads : 0, half = head_dim / 2;
    const std::int64_t elements = result.numel() / rows, from_bytes = elements / type.block * type.bytes;
    const std::int64_t to_bytes = elements * static_cast<std::int64_t>(result.element_size());
    const char* from = file_.mapping->data() + tensor.offset;
    char* to = static_cast<char*>(result.mutable_data_ptr());
    at::parallel_for(0, rows, std::max<std::int64_t>(1, 65536 / elements), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        std::int64_t source = row;
        if (heads > 0) {
          const std::int64_t within = row % head_dim;
          source = row - within + (within < half ? 2 * within : 2 * (within - half) + 1);
        }
        if (type.dequantise != nullptr) {
          type.dequantise(from + source * from_bytes, reinterpret_cast<float*>(to + row * to_bytes), elements / type.block);
        } else {
          std::memcpy(to + row * to_bytes, from + source * from_bytes, static_cast<std::size_t>(to_bytes));
        }
      }
    });
    file_.mapping->give_back(tensor.offset, tensor.bytes);
    return result;
  }

  std::filesystem::path path_;
  GgufFile file_;
  json config_;
  std::map<std::string, Entry> entries_;
};

}  // namespace

std::unique_ptr<ModelSource> open_gguf_model(const std::filesystem::path& path) { return std::make_unique<GgufModel>(path); }

}  // namespace oncekit
