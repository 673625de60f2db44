// What the tests of language models share: a workspace in a temporary folder, families, stored references, plain tokens.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <ATen/Context.h>

#include "bench/families.h"
#include "lm/config.h"
#include "lm/states.h"
#include "run/workspace.h"
#include "support/temp_folder.h"
#include "weights/safetensors.h"

namespace oncekit::test {

/// A folder that goes away with the test, and empty folders in it.
struct Scratch : TempFolder {
  std::filesystem::path fresh(const std::string& name) const {
    std::filesystem::remove_all(path / name);
    std::filesystem::create_directories(path / name);
    return path / name;
  }
};

inline HostWorkspace workspace_in(const std::filesystem::path& folder) {
  WorkspaceOptions options;
  options.cache = folder;
  return HostWorkspace(options);
}

/// The CPU, and a GPU where there is one.
inline std::vector<at::Device> devices() {
  std::vector<at::Device> all{at::kCPU};
  if (at::globalContext().hasCUDA()) all.emplace_back("cuda:0");
  return all;
}

/// tests/lm/fixtures/NAME: a tiny model and what transformers makes of it (reference.py).
struct Stored {
  explicit Stored(const std::string& name);
  std::unique_ptr<ModelSource> source;
  std::unique_ptr<lm::Architecture> architecture;
  PackedText tokens;
  SafetensorsFile reference;
  at::Tensor hidden(std::int64_t layer) const;  ///< [T, D]
};

/// The cached states of all tokens, place by place, [T, D] float32.
at::Tensor states_of(const lm::StatesJob& job, const PackedText& tokens, const std::filesystem::path& folder, Workspace& workspace);

/// Root mean square of a - b over that of b.
double relative_rms(const at::Tensor& a, const at::Tensor& b);

}  // namespace oncekit::test
