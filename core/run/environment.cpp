#include "run/environment.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <thread>

#include <sys/resource.h>
#include <unistd.h>

#include "model/build.h"
#include "oncekit/version.h"
#include "plugin/host.h"

namespace oncekit {
namespace {

std::string value_after(const std::string& file, const std::string& key, char separator) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const auto at = line.find(separator);
    if (at == std::string::npos) continue;
    std::string value = line.substr(at + 1);
    value.erase(0, value.find_first_not_of(" \t\""));
    value.erase(value.find_last_not_of(" \t\"") + 1);
    return value;
  }
  return {};
}

std::int64_t number_in(const std::string& file) {
  std::ifstream in(file);
  std::int64_t n = -1;
  return in >> n ? n : -1;
}

Environment look() {
  Environment e;
  e.cpu = value_after("/proc/cpuinfo", "model name", ':');
  if (e.cpu.empty()) e.cpu = "unknown";
  std::istringstream flags(value_after("/proc/cpuinfo", "flags", ':'));
  const std::vector<std::string> wanted{"avx2", "fma", "avx512f", "avx512vl", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "amx_tile"};
  for (std::string flag; flags >> flag;)
    if (std::find(wanted.begin(), wanted.end(), flag) != wanted.end()) e.features.push_back(flag);
  std::sort(e.features.begin(), e.features.end());
  e.cores = std::max(1u, std::thread::hardware_concurrency());
  e.memory = static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  e.system = value_after("/etc/os-release", "PRETTY_NAME", '=');
  e.compiler = "g++ " __VERSION__;
#ifdef NDEBUG
  e.build_type = "release";
#else
  e.build_type = "developer";
#endif
  e.torch = torch_version();
  return e;
}

}  // namespace

const Environment& environment() {
  static const Environment seen = look();
  return seen;
}

std::int64_t available_memory() {
  std::istringstream text(value_after("/proc/meminfo", "MemAvailable", ':'));
  std::int64_t kib = 0;
  text >> kib;
  std::int64_t bytes = kib * 1024;
  const std::int64_t limit = number_in("/sys/fs/cgroup/memory.max"), used = number_in("/sys/fs/cgroup/memory.current");
  if (limit > 0 && used >= 0) bytes = std::min(bytes, std::max<std::int64_t>(0, limit - used));
  return bytes > 0 ? bytes : std::int64_t{1} << 30;
}

std::int64_t data_limit() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_DATA, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY ? static_cast<std::int64_t>(limit.rlim_cur) : 0;
}

std::int64_t peak_memory() {
  std::istringstream text(value_after("/proc/self/status", "VmHWM", ':'));
  std::int64_t kib = 0;
  if (text >> kib) return kib * 1024;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

std::string resume_environment(int threads, const std::string& device) {
  const Environment& e = environment();
  std::string text = "cpu: " + e.cpu + "; features:";
  for (const std::string& feature : e.features) text += " " + feature;
  text += "; threads: " + std::to_string(threads) + "; device: " + device + "; oncekit " ONCEKIT_VERSION " " + e.build_type;
  for (const auto& [field, value] : host_build())
    if (field == "sdk_hash" || field == "torch" || field == "stdlib") text += "; " + field + ": " + value;
  return text;
}

}  // namespace oncekit
