// One file of tensors, whatever its format: what model_source.cpp puts folders together from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "weights/model_source.h"

namespace oncekit {

/// All const methods may be called from any thread.
class TensorFile {
 public:
  virtual ~TensorFile();
  virtual std::vector<std::string> names() const = 0;
  /// REQUIRES: the name is one of names().
  virtual ModelSource::Info info(const std::string& name) const = 0;
  virtual at::Tensor read(const std::string& name) const = 0;
};

/// Headers are checked in full, sizes against the file's length. Throw Error(kData) with tensor and byte offset.
std::unique_ptr<TensorFile> open_safetensors_tensors(const std::filesystem::path& path);
/// A torch.save file of the zip kind that holds a state dict; read without running any code (unpickler.h).
std::unique_ptr<TensorFile> open_torch_tensors(const std::filesystem::path& path);
/// A GGUF file is a whole model: config and tokenizer are in it.
std::unique_ptr<ModelSource> open_gguf_model(const std::filesystem::path& path);

/// Text from a file as it may stand in a message: quoted, cut at 80 characters, what is not printable ASCII as '?'.
std::string quoted_name(std::string_view text);
/// The error for a tensor that a file does not hold, with the nearest one that it does.
[[noreturn]] void no_such_tensor(const std::string& name, const std::vector<std::string>& names,
                                 const std::filesystem::path& path);
/// Bytes of a tensor; false when they, or the strides of its shape, are beyond 63 bits, or a size is negative.
bool tensor_bytes(const std::vector<std::int64_t>& shape, std::uint64_t element, std::uint64_t& bytes);

}  // namespace oncekit
