// The same little models in every format give the same numbers under the same names, and real files give what was stored.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include <ATen/ATen.h>
#include <sys/resource.h>
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
  for (const char* name : {"llama", "llama_sharded", "llama_bin", "llama_bin_sharded", "llama_f32.gguf", "llama_f16.gguf",
                           "llama_bf16.gguf", "llama_v2.gguf"}) {
    INFO(name);
    const auto model = open_model(kModels / name);
    check_known(*model, 12);
    CHECK(model->contains("model.layers.0.self_attn.q_proj.weight"));
    CHECK(model->path() == kModels / name);
    const nlohmann::json expected = {{"model_type", "llama"},
                                     {"hidden_size", 32},
                                     {"num_hidden_layers", 1},
                                     {"num_attention_heads", 4},
                                     {"num_key_value_heads", 2},
                                     {"intermediate_size", 32},
                                     {"rms_norm_eps", 1e-5},
                                     {"rope_theta", 10000.0},
                                     {"vocab_size", 8},
                                     {"max_position_embeddings", 16},
                                     {"tie_word_embeddings", false},
                                     {"head_dim", 8},
                                     {"attention_bias", false},
                                     {"hidden_act", "silu"}};
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
  for (const char* key : {"model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
                          "layer_norm_eps", "vocab_size", "max_position_embeddings", "type_vocab_size", "hidden_act"}) {
    INFO(key);
    CHECK(bert->config().at(key) == bert_gguf->config().at(key));
  }
}

TEST_CASE("LLaMA 3's rotary factors become the rule that they follow from", "[unit][parity]") {
  const auto model = open_model(kModels / "llama3.gguf");
  CHECK(model->names() == std::vector<std::string>{"model.embed_tokens.weight"});
  CHECK(model->config().at("rope_theta") == 500000.0);
  CHECK(model->config().at("rope_scaling") == nlohmann::json({{"rope_type", "llama3"},
                                                              {"factor", 8.0},
                                                              {"low_freq_factor", 1.0},
                                                              {"high_freq_factor", 4.0},
                                                              {"original_max_position_embeddings", 8192}}));
  CHECK(open_model(kModels / "llama_f16.gguf")->config().at("rope_scaling").is_null());
}

TEST_CASE("quantised tensors have the bits of the gguf package's", "[unit][parity]") {
  for (const std::string name : {"llama_quantised", "llama_blocks"}) {
    const auto model = open_model(kModels / (name + ".gguf"));
    const SafetensorsFile expected = read_safetensors(kModels / (name + ".safetensors"));
    CHECK(model->names() == expected.names());
    for (const std::string& tensor : expected.names()) {
      INFO(tensor);
      CHECK(model->info(tensor).type == at::kFloat);
      CHECK(model->read(tensor).equal(expected.tensor(tensor)));
    }
  }
}

TEST_CASE("what is computed when it is read is told apart from views of the file", "[unit]") {
  CHECK(open_model(kModels / "llama")->info("model.embed_tokens.weight").mapped);
  CHECK(open_model(kModels / "llama_f16.gguf")->info("model.embed_tokens.weight").mapped);
  CHECK_FALSE(open_model(kModels / "llama_f16.gguf")->info("model.layers.0.self_attn.q_proj.weight").mapped);  // its rows change places
  CHECK_FALSE(open_model(kModels / "llama_quantised.gguf")->info("model.embed_tokens.weight").mapped);
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
  std::int64_t bytes = 0, read = 0;
  for (const auto& entry : fs::directory_iterator(folder.path / "b")) bytes += static_cast<std::int64_t>(entry.file_size());
  CHECK(open_model(folder.path / "b")->digest([&](std::int64_t n) { read += n; }) == digest);
  CHECK(read == bytes);
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

TEST_CASE("ties, strided views and parameters of torch.save come through", "[unit][parity]") {
  Folder folder;
  for (const char* name : {"views.bin", "plain_dict.bin", "zip64.bin"}) {
    INFO(name);
    fs::remove_all(folder.path / "m");
    fs::copy(kModels / "llama_bin", folder.path / "m");
    fs::copy_file(kModels / name, folder.path / "m/pytorch_model.bin", fs::copy_options::overwrite_existing);
    const auto model = open_model(folder.path / "m");
    const at::Tensor base = at::arange(24, at::kFloat).view({4, 6});
    CHECK(model->names() ==
          std::vector<std::string>{"base", "double", "empty", "flag", "long", "parameter", "part", "scalar", "tied", "turned"});
    CHECK(model->read("base").equal(base));
    CHECK(model->read("tied").equal(base));
    // The one that Python's zipfile wrote has storages at odd places, which are copied.
    if (std::string(name) != "zip64.bin") CHECK(model->read("tied").const_data_ptr() == model->read("base").const_data_ptr());
    CHECK(model->read("turned").equal(base.t()));
    CHECK(model->read("part").equal(base.slice(0, 1, 3).slice(1, 0, 6, 2)));
    CHECK(model->read("parameter").equal(at::ones({2, 2})));
    CHECK(model->read("scalar").item<float>() == 2.5f);
    CHECK(model->read("empty").sizes() == at::IntArrayRef({0, 3}));
    CHECK(model->read("long").equal(at::tensor({1, -2, 3}, at::kLong)));
    CHECK(model->read("flag").equal(at::tensor({1, 0}, at::kLong).to(at::kBool)));
    CHECK(model->read("double").equal(at::full({1}, 1.5, at::kDouble)));
  }
}

TEST_CASE("26 GB of weights are read under 4 GiB of data, and pages go back when the tensor dies", "[unit]") {
#ifdef __SANITIZE_ADDRESS__
  WARN("not under the address sanitizer: it maps memory of its own");
#else
  Folder folder;
  fs::copy(kModels / "llama/config.json", folder.path);
  // Holes, which take no room on the disk.
  const std::int64_t layers = 40, rows = 16384, width = 20480;
  std::string header = "{";
  for (std::int64_t i = 0; i < layers; ++i) {
    header += (i == 0 ? "" : ",") +
              ("\"layer" + std::to_string(i) + "\":{\"dtype\":\"BF16\",\"shape\":[16384,20480],\"data_offsets\":[") +
              std::to_string(i * rows * width * 2) + "," + std::to_string((i + 1) * rows * width * 2) + "]}";
  }
  header += "}";
  header.append(64 - (header.size() + 8) % 64, ' ');
  const std::uint64_t length = header.size();
  std::ofstream(folder.path / "model.safetensors", std::ios::binary).write(reinterpret_cast<const char*>(&length), 8) << header;
  std::error_code code;
  fs::resize_file(folder.path / "model.safetensors", 8 + length + static_cast<std::uint64_t>(layers * rows * width * 2), code);
  if (code) {
    WARN("skipped: this file system holds no file of 26 GB with holes");
    return;
  }
  struct rlimit before {};
  REQUIRE(::getrlimit(RLIMIT_DATA, &before) == 0);
  const struct rlimit limit { 4ull << 30, before.rlim_max };
  REQUIRE(::setrlimit(RLIMIT_DATA, &limit) == 0);
  const auto resident = [] {
    std::int64_t total = 0, pages = 0;
    std::ifstream("/proc/self/statm") >> total >> pages;
    return pages * ::sysconf(_SC_PAGESIZE) >> 20;
  };
  const std::int64_t start = resident();
  try {
    const auto model = open_model(folder.path);
    for (std::int64_t i = 0; i < 3; ++i) {
      at::Tensor layer = model->read("layer" + std::to_string(i));
      const at::Tensor copy = layer;
      CHECK(resident() - start < 100);
      CHECK(layer.count_nonzero().item<std::int64_t>() == 0);
      CHECK(resident() - start > 500);
      layer = at::Tensor();
      CHECK(resident() - start > 500);
    }
    CHECK(resident() - start < 100);
  } catch (...) {
    ::setrlimit(RLIMIT_DATA, &before);
    throw;
  }
  ::setrlimit(RLIMIT_DATA, &before);
#endif
}

TEST_CASE("real models have the stored sums", "[parity]") {
  const char* base = std::getenv("ONCEKIT_TEST_MODELS");
  if (base == nullptr) {
    WARN("skipped: ONCEKIT_TEST_MODELS names no folder of models");
    return;
  }
  const nlohmann::json stored = nlohmann::json::parse(read_file(kModels / "real.json"));
  for (const auto& [path, tensors] : stored.items()) {
    if (!fs::exists(fs::path(base) / path)) {
      WARN("skipped: " << path << " is not in ONCEKIT_TEST_MODELS");
      continue;
    }
    const auto model = open_model(fs::path(base) / path);
    for (const auto& [name, expected] : tensors.items()) {
      INFO(path << ": " << name);
      REQUIRE(model->contains(name));
      CHECK(nlohmann::json(model->info(name).shape) == expected[0]);
      const at::Tensor values = model->read(name).to(at::kDouble).flatten();
      const at::Tensor weights = at::arange(values.numel(), at::kLong).remainder(1009).add(1).to(at::kDouble);
      CHECK(values.dot(weights).item<double>() == Approx(expected[1].get<double>()).epsilon(1e-9).margin(1e-6));
    }
    CHECK(model->config().at("num_hidden_layers") == (model->config().at("model_type") == "bert" ? 6 : 30));
  }
}
