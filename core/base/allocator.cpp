#include "base/allocator.h"

#include <new>
#include <string_view>
#include <system_error>

#if defined(__GLIBC__) || __has_include(<malloc.h>)
#include <malloc.h>
#endif

namespace oncekit {

bool tune_allocator() noexcept {
#if defined(__GLIBC__)
  // The threshold for mapping blocks one by one cannot be set above 32 MiB, and gradients are larger: so no block is mapped alone.
  constexpr int kNoMappedBlocks = 0;
  constexpr int kKeep = 2147483647;        // bytes free at the top of the heap that are not given back
  constexpr int kGrowBy = 64 * 1024 * 1024;  // bytes
  return mallopt(M_MMAP_MAX, kNoMappedBlocks) == 1 && mallopt(M_TRIM_THRESHOLD, kKeep) == 1 && mallopt(M_TOP_PAD, kGrowBy) == 1;
#else
  return true;
#endif
}

bool is_out_of_memory(const std::exception& error) noexcept {
  if (dynamic_cast<const std::bad_alloc*>(&error)) return true;
  if (const auto* system = dynamic_cast<const std::system_error*>(&error)) return system->code() == std::errc::not_enough_memory;
  const std::string_view text = error.what();  // c10's allocators for the CPU, and CUDA's
  return text.find("can't allocate memory") != text.npos || text.find("CUDA out of memory") != text.npos;
}

}  // namespace oncekit
