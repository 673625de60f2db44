#include "rotary.h"

#include <algorithm>
#include <cmath>

#include "oncekit/error.h"

namespace oncekit::llama {
namespace {

constexpr double kTurn = 2 * 3.14159265358979323846;

// LLaMA 3.1: low frequencies are divided by `factor`, high ones stay, those between are blended.
void scale_llama3(std::vector<double>& frequencies, const lm::ModelConfig& config, const std::string& table) {
  const double factor = config.real(table + ".factor"), low = config.real(table + ".low_freq_factor"), high = config.real(table + ".high_freq_factor");
  const double length = config.real(table + ".original_max_position_embeddings");
  for (double& f : frequencies) {
    const double turns = length * f / kTurn;  // over the original length
    const double keep = std::clamp((turns - low) / (high - low), 0.0, 1.0);
    f = keep * f + (1 - keep) * f / factor;
  }
}

// YaRN (Peng et al. 2024, section 3.2): the same idea with a ramp over feature numbers, and a factor on the attention.
double scale_yarn(std::vector<double>& frequencies, const lm::ModelConfig& config, const std::string& table, double base) {
  const double factor = config.real(table + ".factor"), fast = config.real(table + ".beta_fast", 32), slow = config.real(table + ".beta_slow", 1);
  const double length = config.real(table + ".original_max_position_embeddings", config.real("max_position_embeddings"));
  const double width = 2 * static_cast<double>(frequencies.size());
  const auto feature = [&](double turns) { return width * std::log(length / (turns * kTurn)) / (2 * std::log(base)); };
  double first = feature(fast), last = feature(slow);
  if (config.boolean(table + ".truncate", true)) first = std::floor(first), last = std::ceil(last);
  first = std::max(first, 0.0);
  last = std::min(last, width - 1);
  if (first == last) last += 0.001;
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double divide = std::clamp((static_cast<double>(i) - first) / (last - first), 0.0, 1.0);
    frequencies[i] = frequencies[i] * (1 - divide) + frequencies[i] / factor * divide;
  }
  return config.real(table + ".attention_factor", factor > 1 ? 0.1 * std::log(factor) + 1 : 1);
}

}  // namespace

Rotary rotary(const lm::ModelConfig& config, std::int64_t width) {
  const std::string table = config.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
  const double base = config.real("rope_parameters.rope_theta", config.real("rope_theta", 10000));
  if (config.real("partial_rotary_factor", 1) != 1)
    throw Error(ErrorKind::kData, "rotates only part of each head (partial_rotary_factor)", "models of this kind are not supported", config.where());
  Rotary rotary;
  for (std::int64_t i = 0; i < width; i += 2) rotary.frequencies.push_back(std::pow(base, -static_cast<double>(i) / static_cast<double>(width)));
  const std::string kind = config.text(table + ".rope_type", config.text(table + ".type", "default"));
  if (kind == "linear") {
    for (double& f : rotary.frequencies) f /= config.real(table + ".factor");
  } else if (kind == "llama3") {
    scale_llama3(rotary.frequencies, config, table);
  } else if (kind == "yarn") {
    rotary.scale = scale_yarn(rotary.frequencies, config, table, base);
  } else if (kind != "default" && kind != "dynamic") {
    throw Error(ErrorKind::kData, "has rotary positions of kind '" + kind + "'; known are default, linear, dynamic, llama3 and yarn",
                "choose another model, or add the kind to plugins/llama/rotary.cpp", config.where());
  }
  return rotary;
}

}  // namespace oncekit::llama
