// safetensors files (https://github.com/huggingface/safetensors, "Format"): 8 bytes little-endian header length, a JSON header
// {"name": {"dtype", "shape", "data_offsets"}, "__metadata__": {..}}, then the data of all tensors without holes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

namespace oncekit {

/// An open file: header checked in full (types, shapes, offsets against the file's length), data mapped. Copies share the mapping.
/// All const methods may be called from any thread.
class SafetensorsFile {
 public:
  const std::filesystem::path& path() const noexcept;
  const std::map<std::string, std::string>& metadata() const noexcept;
  /// Sorted.
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const noexcept;
  /// Throws Error(kData) naming the nearest tensor when there is none of this name.
  std::vector<std::int64_t> shape(const std::string& name) const;
  at::ScalarType type(const std::string& name) const;

  /// A view of the mapping, which it keeps alive; no copy is made, and writing into it kills the process. Element-aligned only:
  /// clone() what is computed with often, so that the same storage alignment gives the same bits.
  /// Throws Error(kData) naming the nearest tensor when there is none of this name.
  at::Tensor tensor(const std::string& name) const;
  /// All of them, sorted by name, as views.
  std::vector<std::pair<std::string, at::Tensor>> tensors() const;

 private:
  struct State;
  friend SafetensorsFile read_safetensors(const std::filesystem::path& path);
  std::shared_ptr<const State> state_;
};

/// Opens a file. Throws Error(kData) that names file, tensor and byte offset when it is damaged, cut short or hostile.
/// Types: F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL.
SafetensorsFile read_safetensors(const std::filesystem::path& path);

/// Writes to a temporary name, flushes, renames: the file is whole or absent. Tensors of any device and layout (made contiguous on
/// the CPU one by one); names must differ; order is kept up to the sizes of elements (wide ones first, so that all stay aligned).
/// The same input gives the same bytes. Throws Error(kRun) naming the file when the disk refuses.
void write_safetensors(const std::filesystem::path& path, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace oncekit
