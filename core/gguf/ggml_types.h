// The element types of GGUF files (https://github.com/ggml-org/ggml, "GGUF", and ggml-common.h for the blocks): those that we
// read, and how blocks of them become floats.
#pragma once

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

namespace oncekit {

struct GgmlType {
  std::uint32_t id;
  const char* name;
  std::int64_t block;   ///< elements in a block; 1: not quantised
  std::int64_t bytes;   ///< of a block
  at::ScalarType type;  ///< of what is read: float32 for quantised types
  /// Quantised types: `blocks` blocks to floats, the same bits as the gguf package's. Null: the bytes are the elements.
  void (*dequantise)(const char* from, float* to, std::int64_t blocks);
};

/// Null for types that are not read.
const GgmlType* ggml_type(std::uint32_t id);
/// "Q4_K" etc., also of types that are not read; "type 99" when unknown.
std::string ggml_type_name(std::uint32_t id);
/// "F32 F16 ...": what is read.
std::string ggml_readable();

}  // namespace oncekit
