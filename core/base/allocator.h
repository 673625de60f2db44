// How the process asks the system for memory.
#pragma once

#include <exception>

namespace oncekit {

/// Tells the C library to keep freed memory instead of giving it back: a training step allocates and frees the same large tensors
/// again and again, and glibc would map, clear and unmap each of them every time (docs/decisions.md, "Speed of training").
/// Call once, at the start of the process, before threads. Does nothing with another C library or a preloaded allocator.
/// Returns false when the C library refused.
bool tune_allocator() noexcept;

/// Whether an exception says that memory ran out: the library's std::bad_alloc, and the errors of other types that LibTorch's allocators and the
/// making of threads throw, known by their texts.
bool is_out_of_memory(const std::exception& error) noexcept;

}  // namespace oncekit
