// GGUF files (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), versions 2 and 3, little-endian: magic, version,
// counts, metadata (key, type, value), tensor headers (name, sizes, type, offset), padding, then the data of all tensors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "gguf/ggml_types.h"
#include "weights/mapping.h"

namespace oncekit {

struct GgufTensor {
  std::string name;
  const GgmlType* type;
  std::vector<std::int64_t> shape;  ///< torch's order: the file's sizes turned round
  std::uint64_t offset, bytes;      ///< in the file
};

struct GgufFile {
  std::shared_ptr<const Mapping> mapping;
  nlohmann::json
      metadata;  ///< an object: key -> number, text, bool or list. A float32 is the shortest decimal that gives its bits.
  std::vector<GgufTensor> tensors;
};

/// Throws Error(kData) naming key or tensor and byte offset when the file is damaged or cut short, or holds a type that is not
/// read.
GgufFile read_gguf(const std::filesystem::path& path);

}  // namespace oncekit
