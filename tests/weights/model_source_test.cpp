// The same little models in every format give the same numbers under the same names, and real files give what was stored.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <ATen/ATen.h>
#include <unistd.h>

#include "base/files.h"
#include "oncekit/error.h"
#include "weights/model_source.h"
#include "weights/safetensors.h"

#undef CHECK  // c10 has one of its own
#include <catch2/catch.hpp>

using namespace oncekit;
namespace fs = std::filesystem;

namespace {

const fs::path kModels = fs::path(ONCEKIT_TREE) / "tests/weights/fixtures/models";

/// What make.py writes into tensor n of the sorted names.
at::Tensor known(std::int64_t n, at::IntArrayRef shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return at::arange(count, at::kLong).mul(7).add(13 * n).remainder(129).sub(64).to(at::kFloat).div(64).view(shape);
}

void check_known(const ModelSource& model, std::size_t tensors) {
  const std::vector<std::string> names = model.names();
  CHECK(names.size() == tensors);
  for (std::size_t n = 0; n < names.size(); ++n) {
    INFO(names[n]);
    const ModelSource::Info info = model.info(names[n]);
    const at::Tensor tensor = model.read(names[n]);
    CHECK(tensor.sizes() == at::IntArrayRef(info.shape));
    CHECK(tensor.scalar_type() == info.type);
    CHECK(tensor.to(at::kFloat).equal(known(static_cast<std::int64_t>(n), info.shape)));
  }
}

struct Folder {
  fs::path path = fs::temp_directory_path() / ("oncekit_model_source_" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
};

}  // namespace

TEST_CASE("a LLaMA is the same in all formats", "[unit][parity]") {
  for (const char* name : {"llama", "llama_sharded", "llama_bin", "llama_bin_sharded", "llama_f32.gguf", "llama_f16.gguf", "llama_bf16.gguf", "llama_v2.gguf"}) {
    INFO(name);
    const auto model = open_model(kModels / name);
    check_known(*model, 12);
    CHECK(model->contains("model.layers.0.self_attn.q_proj.weight"));
    CHECK(model->path() == kModels / name);
    const nlohmann::json expected = {{"model_type", "llama"}, {"hidden_size", 32}, {"num_hidden_layers", 1}, {"num_attention_heads", 4},
                                     {"num_key_value_heads", 2}, {"intermediate_size", 32}, {"rms_norm_eps", 1e-5}, {"rope_theta", 10000.0},
                                     {"vocab_size", 8}, {"max_position_embeddings", 16}, {"tie_word_embeddings", false}, {"head_dim", 8},
                                     {"attention_bias", false}, {"hidden_act", "silu"}};
    for (const auto& [key, value] : expected.items()) {
      INFO(key);
      CHECK(model->config().at(key) == value);
    }
  }
}

TEST_CASE("the other families of GGUF have Hugging Face's names and config", "[unit][parity]") {
  const auto qwen2 = open_model(kModels / "qwen2.gguf");
  check_known(*qwen2, 14);
  CHECK(qwen2->config().at("model_type") == "qwen2");
  CHECK(qwen2->config().at("tie_word_embeddings") == true);
  CHECK(qwen2->contains("model.layers.0.self_attn.k_proj.bias"));
  const auto qwen3 = open_model(kModels / "qwen3.gguf");
  check_known(*qwen3, 13);
  CHECK(qwen3->config().at("head_dim") == 16);
  CHECK(qwen3->contains("model.layers.0.self_attn.q_norm.weight"));

  const auto bert = open_model(kModels / "bert"), bert_gguf = open_model(kModels / "bert.gguf");
  check_known(*bert_gguf, 21);
  check_known(*bert, 21);
  CHECK(bert->names() == bert_gguf->names());
  for (const char* key : {"model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "layer_norm_eps", "vocab_size",
                          "max_position_embeddings", "type_vocab_size", "hidden_act"}) {
    INFO(key);
    CHECK(bert->config().at(key) == bert_gguf->config().at(key));
  }
}

TEST_CASE("quantised tensors have the bits of the gguf package's", "[unit][parity]") {
  const auto model = open_model(kModels / "llama_quantised.gguf");
  const SafetensorsFile expected = read_safetensors(kModels / "llama_quantised.safetensors");
  CHECK(model->names() == expected.names());
  for (const std::string& name : expected.names()) {
    INFO(name);
    CHECK(model->info(name).type == at::kFloat);
    CHECK(model->read(name).equal(expected.tensor(name)));
  }
}

TEST_CASE("a GGUF file's metadata holds its tokenizer", "[unit]") {
  const auto model = open_model(kModels / "llama_f16.gguf");
  const nlohmann::json& metadata = model->metadata();
  CHECK(metadata.at("tokenizer.ggml.model") == "llama");
  CHECK(metadata.at("tokenizer.ggml.tokens").size() == 8);
  CHECK(metadata.at("tokenizer.ggml.tokens")[3] == "\xe2\x96\x81t3");
  CHECK(metadata.at("tokenizer.ggml.scores")[2] == -0.2);
  CHECK(metadata.at("tokenizer.ggml.token_type") == nlohmann::json({2, 3, 3, 1, 1, 1, 1, 1}));
  CHECK(model->config().at("bos_token_id") == 1);
  CHECK(open_model(kModels / "llama")->metadata().is_null());
}

TEST_CASE("a digest is that of config and weights", "[unit]") {
  Folder folder;
  fs::copy(kModels / "llama_sharded", folder.path / "a");
  fs::copy(kModels / "llama_sharded", folder.path / "b");
  fs::copy(kModels / "llama_f16.gguf", folder.path / "c.gguf");
  const std::string digest = open_model(folder.path / "a")->digest();
  CHECK(digest.size() == 16);
  CHECK(open_model(folder.path / "b")->digest() == digest);
  std::set<std::string> digests{digest, open_model(folder.path / "c.gguf")->digest(), open_model(kModels / "llama")->digest()};
  CHECK(digests.size() == 3);
  for (const char* name : {"config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}) {
    const std::string before = read_file(folder.path / "b" / name);
    std::string changed = before;
    std::size_t at = changed.rfind("16");  // the config's max_position_embeddings; of weights a value
    if (std::string(name) != "config.json") at = changed.size() - 1;
    changed[at] = changed[at] == '1' ? '2' : '1';
    write_file(folder.path / "b" / name, changed);
    CHECK(digests.insert(open_model(folder.path / "b")->digest()).second);
    write_file(folder.path / "b" / name, before);
  }
}
