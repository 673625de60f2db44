// How the process asks the system for memory.
#pragma once

namespace oncekit {

/// Tells the C library to keep freed memory instead of giving it back: a training step allocates and frees the same large tensors
/// again and again, and glibc would map, clear and unmap each of them every time (docs/decisions.md, "Speed of training").
/// Call once, at the start of the process, before threads. Does nothing with another C library or a preloaded allocator.
/// Returns false when the C library refused.
bool tune_allocator() noexcept;

}  // namespace oncekit
