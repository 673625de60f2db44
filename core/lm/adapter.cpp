#include "lm/adapter.h"

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "weights/safetensors.h"

namespace oncekit::lm {

void save_adapter(const std::filesystem::path& folder, const std::vector<std::shared_ptr<TunedLayer>>& layers, const Architecture& architecture,
                  const Tuning& tuning, const std::string& model) {
  std::vector<std::pair<std::string, Tensor>> tensors;
  std::vector<std::int64_t> indices;
  for (const auto& layer : layers) {
    indices.push_back(layer->index());
    for (const TunedLayer::Adapter& adapter : layer->adapters()) {
      const std::string name = "base_model.model." + architecture.layer_prefix(layer->index()) + adapter.name;
      tensors.emplace_back(name + ".lora_A.weight", adapter.a_RI.detach());
      tensors.emplace_back(name + ".lora_B.weight", adapter.b_OR.detach());
    }
  }
  const nlohmann::ordered_json config{{"peft_type", "LORA"}, {"task_type", nullptr}, {"base_model_name_or_path", model}, {"r", tuning.rank},
                                      {"lora_alpha", tuning.alpha}, {"lora_dropout", tuning.dropout}, {"target_modules", tuning.targets},
                                      {"layers_to_transform", indices}, {"bias", "none"}, {"fan_in_fan_out", false}, {"inference_mode", true},
                                      {"init_lora_weights", true}, {"use_rslora", false}, {"use_dora", false}};
  write_file(folder / "adapter_config.json", config.dump(2) + "\n");
  write_safetensors(folder / "adapter_model.safetensors", tensors, {{"format", "pt"}});
}

}  // namespace oncekit::lm
