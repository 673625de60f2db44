#include "base/allocator.h"

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

}  // namespace oncekit
