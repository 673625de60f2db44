// Adapters as PEFT keeps them: adapter_config.json and adapter_model.safetensors, loadable by PeftModel.from_pretrained.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lm/layer.h"

namespace oncekit::lm {

/// `model`: what adapter_config.json names as the base model. Throws Error(kRun) when the disk refuses.
void save_adapter(const std::filesystem::path& folder, const std::vector<std::shared_ptr<TunedLayer>>& layers, const Architecture& architecture,
                  const Tuning& tuning, const std::string& model);

}  // namespace oncekit::lm
