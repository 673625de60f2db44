// What is wrong with a model's files is said with file, tensor and byte offset, and nothing in them can crash or run anything.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include <ATen/ATen.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/files.h"
#include "oncekit/error.h"
#include "weights/model_source.h"

#undef CHECK  // c10 has one of its own
#include <catch2/catch.hpp>

#include "support/gallery.h"

using namespace oncekit;
using namespace oncekit::test;
using namespace std::string_literals;
namespace fs = std::filesystem;

namespace {

const fs::path kModels = fs::path(ONCEKIT_TREE) / "tests/weights/fixtures/models";

struct Folder {
  fs::path path = fs::temp_directory_path() / ("oncekit_damage_" + std::to_string(::getpid()));
  Folder() {
    fs::remove_all(path);
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
};

void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes; }

/// "read", or what a user would be told; any other exception goes through and fails the test.
std::string told(const fs::path& path) {
  try {
    const auto model = open_model(path);
    for (const std::string& name : model->names()) {
      const at::Tensor tensor = model->read(name);
      if (tensor.sizes() != at::IntArrayRef(model->info(name).shape)) return "another shape than announced";
      (void)tensor.to(at::kDouble).sum().item<double>();
    }
    (void)model->config().dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::kData || e.where().empty()) return std::string("another kind of error: ") + e.what();
    return e.what();
  }
  return "read";
}

struct Format {
  const char* name;      ///< for messages
  const char* from;      ///< fixture: a folder, or a file
  const char* file;      ///< which is damaged; "" for `from` itself
  std::size_t headers;   ///< bytes that are bent one by one, from the begin; all when larger than the file
  std::size_t tail = 0;  ///< and from the end
};
const Format kFormats[] = {{"safetensors", "llama", "model.safetensors", 1500},
                           {"index", "llama_sharded", "model.safetensors.index.json", 5000},
                           {"config", "llama", "config.json", 5000},
                           {"torch", "llama_bin", "pytorch_model.bin", 1800, 2600},
                           {"gguf", "llama_f16.gguf", "", 1700},
                           {"quantised gguf", "llama_quantised.gguf", "", 1700},
                           {"bert gguf", "bert.gguf", "", 1700}};

/// Copies a fixture, and returns the path of the model and of the file to damage.
std::pair<fs::path, fs::path> copy(const Format& format, const fs::path& folder) {
  const fs::path model = folder / format.from;
  fs::copy(kModels / format.from, model, fs::copy_options::recursive);
  return {model, std::string(format.file).empty() ? model : model / format.file};
}

void replace(std::string& bytes, const std::string& from, const std::string& to) {
  const std::size_t at = bytes.find(from);
  REQUIRE(at != std::string::npos);
  bytes.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a file cut short anywhere is refused, in all formats", "[unit][errors][fault]") {
  for (const Format& format : kFormats) {
    Folder folder;
    const auto [model, file] = copy(format, folder.path);
    const std::string whole = read_file(file);
    CHECK(told(model) == "read");
    // Padding behind the last tensor, and a line's end behind JSON, may be lost without harm.
    const std::size_t last = whole.find_last_not_of(std::string("\0\n", 2)) + 1;
    for (std::size_t n = last; n-- > 0; n -= n < 3000 || n + 300 > last ? 0 : std::min<std::size_t>(n - 2999, 97)) {
      fs::resize_file(file, n);
      const std::string text = told(model);
      INFO(format.name << " of " << whole.size() << " bytes cut to " << n << ": " << text);
      if (text == "read" || text.find(file.string()) == std::string::npos) FAIL();
    }
  }
}

TEST_CASE("any byte of a header may be wrong: an error or a whole answer, never a crash", "[unit][fault]") {
  for (const Format& format : kFormats) {
    Folder folder;
    const auto [model, file] = copy(format, folder.path);
    const std::string whole = read_file(file);
    std::size_t refused = 0;
    const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    for (std::size_t i = 0; i < whole.size(); ++i) {
      if (i >= format.headers && i + format.tail < whole.size()) continue;
      for (const int change : {0, 0xff, whole[i] ^ 1, whole[i] ^ 0x80}) {
        const char bent = static_cast<char>(change);
        if (bent == whole[i]) continue;
        REQUIRE(::pwrite(fd, &bent, 1, static_cast<off_t>(i)) == 1);
        const std::string text = told(model);
        refused += text != "read";
        if (text.starts_with("another")) FAIL(format.name << ", byte " << i << " set to " << change << ": " << text);
      }
      REQUIRE(::pwrite(fd, &whole[i], 1, static_cast<off_t>(i)) == 1);
    }
    ::close(fd);
    INFO(format.name);
    CHECK(refused > 100);
  }
}

TEST_CASE("the gallery of what is said about a model's files", "[errors]") {
  Folder folder;
  const auto gallery = [&](const std::string& name, const fs::path& path) {
    check_gallery("weights/" + name,
                  test::replaced(told(path), {{folder.path.string(), "models"}, {kModels.string(), "models"}}));
  };
  const auto bent = [&](const std::string& name, const Format& format, const std::function<void(std::string&)>& change) {
    const auto [model, file] = copy(format, folder.path);
    std::string bytes = read_file(file);
    change(bytes);
    write(file, bytes);
    gallery(name, model);
    fs::remove_all(model);
  };
  const Format safetensors = kFormats[0], index = kFormats[1], config = kFormats[2], torch = kFormats[3], gguf = kFormats[4],
               bert = kFormats[6];

  gallery("nothing_there", folder.path / "absent");
  fs::create_directories(folder.path / "meta");
  write(folder.path / "meta/consolidated.00.pth", "");
  write(folder.path / "meta/params.json", "{}");
  gallery("meta_layout", folder.path / "meta");
  write(folder.path / "weights.pt", "");
  gallery("no_folder", folder.path / "weights.pt");
  for (const char* name : {"experts", "one_of_two", "other_divisors", "partly_rotary"})
    gallery("gguf_" + std::string(name), kModels / (std::string(name) + ".gguf"));
  fs::create_directories(folder.path / "several");
  for (const char* name : {"a.gguf", "b.gguf"}) write(folder.path / "several" / name, "");
  gallery("several_gguf", folder.path / "several");
  fs::create_directories(folder.path / "bare");
  fs::copy(kModels / "llama/model.safetensors", folder.path / "bare");
  gallery("no_config", folder.path / "bare");
  bent("config_damaged", config, [](std::string& b) { b.resize(100); });

  bent("safetensors_cut", safetensors, [](std::string& b) { b.resize(9000); });
  bent("safetensors_header", safetensors, [](std::string& b) { b.resize(500); });
  bent("index_other_place", index, [](std::string& b) { replace(b, "model-00001-of-00002.safetensors", "../elsewhere"); });
  bent("index_missing_file", index, [](std::string& b) { replace(b, "model-00001-of-00002", "model-00001-of-00003"); });
  bent("index_wrong_file", index, [](std::string& b) { replace(b, "lm_head.weight", "lm_head.wieght"); });

  bent("torch_cut", torch, [](std::string& b) { b.resize(b.size() / 2); });
  bent("torch_storage", torch, [](std::string& b) { replace(b, "K\x08K \x86", "K\x18K \x86"); });
  bent("torch_git_lfs", torch, [](std::string& b) { b = "version https://git-lfs.github.com/spec/v1\n"; });
  for (const char* name : {"legacy", "runs", "module", "not_a_tensor", "packed"}) {
    bent(std::string("torch_") + name, torch, [&](std::string& b) { b = read_file(kModels / (std::string(name) + ".bin")); });
  }

  bent("gguf_cut", gguf, [](std::string& b) { b.resize(9000); });
  bent("gguf_cut_metadata", gguf, [](std::string& b) { b.resize(400); });
  bent("gguf_cut_names", gguf, [](std::string& b) { b.resize(b.find("blk.0.ffn_down") + 3); });
  bent("gguf_foreign", gguf, [](std::string& b) { b = "tjgg\1\0"; });
  bent("gguf_version", gguf, [](std::string& b) { b[4] = 1; });
  bent("gguf_big_endian", gguf, [](std::string& b) { b.replace(4, 4, std::string("\0\0\0\3", 4)); });
  // Behind a tensor's name stand the number of sizes, the sizes, the type.
  bent("gguf_type", gguf, [](std::string& b) { b[b.find("blk.0.attn_k.weight") + 19 + 4 + 16] = 21; });
  bent("gguf_architecture", gguf, [](std::string& b) {
    replace(b, "architecture\x08\0\0\0\5\0\0\0\0\0\0\0llama"s, "architecture\x08\0\0\0\5\0\0\0\0\0\0\0mamba"s);
  });
  bent("gguf_missing_key", gguf, [](std::string& b) { replace(b, "llama.block_count", "llama.block_cuont"); });
  bent("gguf_foreign_tensor", gguf, [](std::string& b) { replace(b, "blk.0.ffn_down", "blk.0.ffn_gown"); });
  bent("gguf_heads", gguf, [](std::string& b) { b[b.find("llama.attention.head_count") + 26 + 4] = 8; });
  bent("gguf_no_table", bert, [](std::string& b) { replace(b, "token_types", "token_tupes"); });

  const auto model = open_model(kModels / "llama");
  try {
    (void)model->read("model.layers.0.self_attn.q_porj.weight");
    FAIL("a tensor that is not there was read");
  } catch (const Error& e) {
    check_gallery("weights/no_such_tensor", test::replaced(e.what(), {{kModels.string(), "models"}}));
  }
}
