#include "lm/toy_model.h"

#include <cmath>

#include <ATen/ops/empty.h>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "lm/config.h"
#include "oncekit/rng.h"
#include "tokenizer/toy_tokenizer.h"
#include "weights/safetensors.h"

namespace oncekit::lm {
namespace {

/// A source that has a config and no tensors yet: enough to make an architecture.
class ConfigOnly final : public ModelSource {
 public:
  ConfigOnly(std::filesystem::path path, nlohmann::json config) : path_(std::move(path)), config_(std::move(config)) {}
  const std::filesystem::path& path() const override { return path_; }
  const nlohmann::json& config() const override { return config_; }
  const nlohmann::json& metadata() const override { return nothing_; }
  std::vector<std::string> names() const override { return {}; }
  bool contains(const std::string&) const override { return false; }
  Info info(const std::string&) const override { return {at::kBFloat16, {}}; }
  Tensor read(const std::string&) const override { return {}; }
  std::string digest(const ReadProgress&) const override { return {}; }

 private:
  std::filesystem::path path_;
  nlohmann::json config_, nothing_;
};

Tensor random_tensor(const TensorNeed& need, const Rng& stream) {
  Tensor t = at::empty(need.shape, at::kFloat);
  float* data = t.mutable_data_ptr<float>();
  Rng rng = stream.at(need.name);
  const bool matrix = need.shape.size() == 2;
  // Matrices keep the size of what passes through them; norms are near 1, biases near 0.
  const double deviation = matrix ? 1 / std::sqrt(static_cast<double>(need.shape[1])) : 0.02;
  const double mean = !matrix && !need.name.ends_with("bias") ? 1 : 0;
  for (std::int64_t i = 0; i < t.numel(); ++i) data[i] = static_cast<float>(mean + deviation * rng.normal());
  return t.to(at::kBFloat16);
}

}  // namespace

void write_toy_model(const std::filesystem::path& folder, const ToyModel& toy, const LanguageModelEncoder::MakeArchitecture& make,
                     const Options& options, const Items& items) {
  std::vector<std::string> texts{options.lead};
  for (std::size_t a = 0; a < options.attributes.size(); ++a) {
    const std::string& name = options.attributes[a];
    texts.push_back(options.tags.empty() ? "<" + name + ">" : options.tags[a]);
    const StringColumn& column = items.attribute(name);
    for (std::size_t i = 0; i < column.size(); ++i) texts.emplace_back(column[i]);
  }
  nlohmann::json config = nlohmann::json::parse(toy.config);
  config["vocab_size"] = write_toy_tokenizer(toy.tokenizer, texts, folder);
  write_file(folder / "config.json", config.dump(2) + "\n");

  const ConfigOnly source(folder, config);
  const auto facts = model_config(source);
  const auto architecture = make(*facts);
  const Rng stream = Rng(2023).at("toy model");
  std::vector<std::pair<std::string, Tensor>> tensors;
  const auto add = [&](const TensorNeed& need) { tensors.emplace_back(need.name, random_tensor(need, stream)); };
  for (const TensorNeed& need : architecture->embedding_tensors()) add(need);
  for (std::int64_t layer = 0; layer < architecture->shape().layers; ++layer)
    for (const TensorNeed& need : architecture->layer_tensors()) add({architecture->layer_prefix(layer) + need.name, need.shape});
  for (const TensorNeed& need : architecture->final_tensors()) add(need);
  write_safetensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
}

}  // namespace oncekit::lm
