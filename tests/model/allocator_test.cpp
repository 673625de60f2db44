#include <catch2/catch.hpp>

#include <cstdint>

#include <ATen/ATen.h>

#include "base/allocator.h"

// Kernels read whole vectors: c10 promises 64 bytes on the CPU.
TEST_CASE("tensors start at multiples of 64 bytes, before and after the allocator is tuned", "[unit][model]") {
  for (int round = 0; round < 2; ++round) {
    for (const std::int64_t n : {1, 3, 17, 1000, 5'000'000, 20'000'000}) {
      const at::Tensor x = at::empty({n});
      CHECK(reinterpret_cast<std::uintptr_t>(x.const_data_ptr()) % 64 == 0);
    }
    CHECK(oncekit::tune_allocator());
  }
}
