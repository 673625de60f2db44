// This machine and this build, for run.json, `doctor` and `version`. No user or host names.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace oncekit {

struct Environment {
  std::string cpu;                    ///< model name
  std::vector<std::string> features;  ///< those that choose kernels: avx2, avx512f, avx512_bf16, amx_bf16, ...
  int cores = 1;
  std::int64_t memory = 0;            ///< bytes in all
  std::string system;                 ///< e.g. "Debian GNU/Linux 12 (bookworm)"
  std::string compiler, build_type, torch;
};

const Environment& environment();

/// Bytes that can still be used without swapping, cgroup limits counted.
std::int64_t available_memory();
/// Highest resident memory of this process so far, bytes.
std::int64_t peak_memory();
std::int64_t data_limit();       ///< bytes of RLIMIT_DATA (`ulimit -d`), 0 = none

/// What must not change between a checkpoint and its exact continuation: CPU, features, threads, device, build.
std::string resume_environment(int threads, const std::string& device);

}  // namespace oncekit
