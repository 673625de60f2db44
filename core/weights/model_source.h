// A language model's weights and config, whatever format they lie in: tensors under their Hugging Face names.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "cache/digest.h"

namespace oncekit {

/// All const methods may be called from any thread.
class ModelSource {
 public:
  struct Info {
    at::ScalarType type;  ///< of what read() gives; quantised tensors are read as float32
    std::vector<std::int64_t> shape;
    bool mapped = true;   ///< read() gives a view of the file; else what it gives takes memory
  };

  virtual ~ModelSource();
  virtual const std::filesystem::path& path() const = 0;
  /// config.json's content, with rope_theta and rope_scaling where only rope_parameters stands (transformers 5). Of a GGUF
  /// file: the same keys ("model_type", "num_hidden_layers", ...), made from its metadata and shapes.
  virtual const nlohmann::json& config() const = 0;
  /// A GGUF file's metadata as JSON (tokenizer included), null for all other formats.
  virtual const nlohmann::json& metadata() const = 0;
  /// Sorted. As they stand in the files, so with or without "model." or "bert." in front, as the model was saved; of GGUF files
  /// with "model." for decoders and without "bert."; ".LayerNorm.gamma" and ".beta" of old BERTs are called weight and bias.
  virtual std::vector<std::string> names() const = 0;
  virtual bool contains(const std::string& name) const = 0;
  /// Throws Error(kData) naming the nearest tensor when there is none of this name.
  virtual Info info(const std::string& name) const = 0;
  /// A read-only view of the file's mapping (writing to it kills the process), or a fresh tensor where something had to be
  /// computed (dequantised, un-permuted). Pages of a view are given back to the system when the last copy of the tensor dies.
  /// Throws Error(kData) naming file, tensor and byte offset when the data is damaged or cut short.
  virtual at::Tensor read(const std::string& name) const = 0;
  /// Of config and all weights: goes into cache keys. Files are hashed once and remembered by path, size and time of change; `read` hears of
  /// those that are read now, and may throw.
  virtual std::string digest(const ReadProgress& read = {}) const = 0;
};

/// `path`: a folder with config.json and model.safetensors, or model.safetensors.index.json and its shards, or
/// pytorch_model.bin, or pytorch_model.bin.index.json and its shards, or one *.gguf; or a .gguf file. Throws Error(kData) that
/// says what was looked for, or which file is wrong, with tensor and byte offset.
std::unique_ptr<ModelSource> open_model(const std::filesystem::path& path);

}  // namespace oncekit
