// Pickled state dicts (CPython, Lib/pickletools.py, protocol 2), read without running anything: only the opcodes that
// torch.save writes, and only the handful of classes and functions that a dictionary of tensors needs. Whatever else a file
// asks for is refused by name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/Tensor.h>

namespace oncekit {

/// A tensor as pickled: a view of a storage, which is an entry of the archive.
struct PickledTensor {
  std::string name;  ///< key of the state dict
  at::ScalarType type;
  std::string storage;          ///< "0": the entry data/0
  std::int64_t storage_size;    ///< in elements
  std::int64_t storage_offset;  ///< in elements
  std::vector<std::int64_t> shape, strides;
};

/// `base`: where the bytes begin in the file `path`, for messages. All numbers are as pickled: nothing is checked against the
/// archive. Throws Error(kData) naming the byte offset: of what is damaged, or not a dictionary of tensors, or the global that
/// was refused.
std::vector<PickledTensor> unpickle_state_dict(std::string_view bytes, std::uint64_t base, const std::filesystem::path& path);

}  // namespace oncekit
