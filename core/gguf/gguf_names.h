// What llama.cpp calls tensors and metadata, in Hugging Face's words.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "gguf/gguf.h"

namespace oncekit {

/// The Hugging Face name of a GGUF tensor, "" for those that have none (read otherwise, or of another model).
/// REQUIRES: the architecture is one of llama, qwen2, qwen3, bert.
std::string hugging_face_name(const std::string& architecture, const std::string& name);

/// config.json's content from the metadata and the tensors' shapes. Throws Error(kData) naming what is missing, of the wrong
/// type, or not supported: other architectures, mixtures of experts, partly rotary heads, models split over files.
nlohmann::json hugging_face_config(const GgufFile& file);

/// 0, or the number of heads whose rows lie interleaved in the file: llama.cpp stores rows 2i and 2i + 1 of a head where
/// Hugging Face has i and i + half.
std::int64_t interleaved_heads(const nlohmann::json& config, const std::string& hugging_face_name);

}  // namespace oncekit
