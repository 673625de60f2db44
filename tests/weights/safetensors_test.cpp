// safetensors files: what Python writes is read, what we write is whole, what is damaged is named.
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <ATen/ATen.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"
#include "oncekit/error.h"
#include "weights/safetensors.h"

#undef CHECK  // c10 has one of its own
#include <catch2/catch.hpp>

using namespace oncekit;
namespace fs = std::filesystem;

namespace {

const fs::path kFixtures = fs::path(ONCEKIT_TREE) / "tests/weights/fixtures";

struct Folder {
  fs::path path = fs::temp_directory_path() / ("oncekit_safetensors_" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
};

std::string file_of(const std::string& header, std::size_t data) {
  const std::uint64_t n = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &n, 8);
  return bytes + header + std::string(data, '\1');
}

std::string what_reading(const fs::path& path) {
  try {
    for (const auto& [name, tensor] : read_safetensors(path).tensors()) (void)tensor.sum().item<double>();
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::kData);
    CHECK(e.where() == path.string());
    return e.what();
  }
  return "read";
}

}  // namespace

TEST_CASE("a file written by Python's safetensors is read", "[unit][parity]") {
  const SafetensorsFile file = read_safetensors(kFixtures / "numpy.safetensors");
  CHECK(file.names() == std::vector<std::string>{"a.weight", "b", "empty", "flag", "half"});
  CHECK(file.metadata().at("by") == "numpy");
  const at::Tensor grid = at::arange(12, at::kFloat).div(4).sub(1).view({3, 4});
  CHECK(file.tensor("a.weight").equal(grid));
  CHECK(file.tensor("half").equal(grid.to(at::kHalf)));
  CHECK(file.tensor("b").equal(at::tensor({1, -2, 3}, at::kLong)));
  CHECK(file.tensor("empty").sizes() == at::IntArrayRef({0, 3}));
  CHECK(file.tensor("flag")[0].item<bool>());
  CHECK_FALSE(file.tensor("flag")[1].item<bool>());
}

TEST_CASE("a view outlives its file, and whoever writes into it is killed", "[unit]") {
  Folder folder;
  const fs::path path = folder.path / "x.safetensors";
  write_safetensors(path, {{"x", at::ones({4})}});
  at::Tensor view = read_safetensors(path).tensor("x");
  fs::remove(path);
  CHECK(view.sum().item<float>() == 4);
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int number : {SIGSEGV, SIGBUS}) std::signal(number, [](int) { ::_exit(77); });
    static_cast<volatile float*>(view.mutable_data_ptr())[0] = 5;
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 77);
  CHECK(view.sum().item<float>() == 4);
}

TEST_CASE("all types and shapes come back as they were written, in the same bytes each time", "[unit]") {
  Folder folder;
  const at::Tensor base = at::arange(24, at::kFloat).sub(7);
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto type : {at::kBool, at::kByte, at::kChar, at::kShort, at::kInt, at::kLong, at::kHalf, at::kBFloat16, at::kFloat, at::kDouble}) {
    tensors.emplace_back(std::string("t.") + c10::toString(type), base.abs().to(type).view({2, 3, 4}));
  }
  tensors.emplace_back("scalar", at::scalar_tensor(2.5));
  tensors.emplace_back("none", at::zeros({3, 0}));
  tensors.emplace_back("turned", base.view({4, 6}).t());  // not contiguous
  tensors.emplace_back("odd \"name\"\n\xc3\xa9", base.slice(0, 0, 3).to(at::kByte));
  const std::map<std::string, std::string> metadata{{"step", "12"}, {"vocabulary", "a\nb"}};
  write_safetensors(folder.path / "a", tensors, metadata);
  write_safetensors(folder.path / "b", tensors, metadata);
  CHECK(read_file(folder.path / "a") == read_file(folder.path / "b"));

  const SafetensorsFile file = read_safetensors(folder.path / "a");
  CHECK(file.metadata() == metadata);
  CHECK(file.names().size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    INFO(name);
    CHECK(file.tensor(name).equal(tensor));
    CHECK(file.tensor(name).scalar_type() == tensor.scalar_type());
  }
  for (const auto& entry : fs::directory_iterator(folder.path)) CHECK(entry.path().filename().string().find(".part") == std::string::npos);
}

TEST_CASE("a file cut short anywhere is refused by name", "[unit][errors][fault]") {
  Folder folder;
  const std::string whole = read_file(kFixtures / "numpy.safetensors");
  const fs::path path = folder.path / "cut.safetensors";
  for (std::size_t n = 0; n < whole.size(); ++n) {
    write_file(path, whole.substr(0, n));
    CHECK(what_reading(path) != "read");
  }
  write_file(path, whole + "x");
  CHECK(what_reading(path).find("1 bytes behind its last tensor") != std::string::npos);
}

TEST_CASE("any byte of the header may be wrong: an error or a whole answer, never a crash", "[unit][fault]") {
  Folder folder;
  const std::string whole = read_file(kFixtures / "numpy.safetensors");
  const fs::path path = folder.path / "bent.safetensors";
  for (std::size_t i = 0; i < whole.size() - 100; ++i) {
    for (const char c : {'\0', '9', '"', '\xff'}) {
      std::string bent = whole;
      bent[i] = c;
      write_file(path, bent);
      what_reading(path);
    }
  }
  SUCCEED();
}

TEST_CASE("hostile headers name tensor and byte offset", "[unit][errors]") {
  struct Story {
    std::string header;
    std::size_t data;
    std::string expected;
  };
  const std::string big = "18446744073709551615";
  for (const Story& story : std::vector<Story>{
           {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,16]}})", 8, "tensor 'w' should lie at bytes 0 to 16"},
           {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8, "tensor 'w' should lie at bytes 8 to 0"},
           {R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8, "takes 12 bytes, but the header gives it 8"},
           {R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", 8, "impossible shape"},
           {R"({"w":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8, "impossible shape"},
           {R"({"w":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8, "impossible shape"},
           {R"({"w":{"dtype":"F32","shape":[)" + big + R"(],"data_offsets":[0,8]}})", 8, "impossible shape"},
           {R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,)" + big + "]}}", 8, "should lie at bytes 0 to " + big},
           {R"({"w":{"dtype":"Q4","shape":[2],"data_offsets":[0,8]}})", 8, "tensor 'w' has type"},
           {R"({"w":{"dtype":"F32","data_offsets":[0,8]}})", 8, "tensor 'w' has no 'shape'"},
           {R"({"w":[1]})", 8, "tensor 'w' has no 'dtype'"},
           {R"({"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"v":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})", 6, "tensor 'v' begins at byte 2"},
           {R"({"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"v":{"dtype":"U8","shape":[4],"data_offsets":[6,10]}})", 10, "overlap or leave a hole"},
           {R"({"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 4, "names tensor 'w' twice"},
           {R"({"__metadata__":{"a":1}})", 0, "metadata 'a' that is no text"},
           {"[1]", 0, "no JSON object"},
           {"{nonsense", 0, "no JSON"},
           {std::string(200000, '['), 0, "no JSON"},
       }) {
    Folder folder;
    const fs::path path = folder.path / "x.safetensors";
    write_file(path, file_of(story.header, story.data));
    INFO(story.header.substr(0, 200));
    CHECK_THAT(what_reading(path), Catch::Contains(story.expected));
  }
}

TEST_CASE("data behind a header of odd length is read all the same", "[unit]") {
  Folder folder;
  const fs::path path = folder.path / "x.safetensors";
  std::string header = R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  while (header.size() % 4 != 1) header += ' ';
  std::string bytes = file_of(header, 8);
  const float values[2] = {1.5f, -2};
  std::memcpy(bytes.data() + bytes.size() - 8, values, 8);
  write_file(path, bytes);
  CHECK(read_safetensors(path).tensor("w").equal(at::tensor({1.5f, -2.0f})));
}

TEST_CASE("what is missing is named, with the nearest tensor", "[unit][errors]") {
  const SafetensorsFile file = read_safetensors(kFixtures / "numpy.safetensors");
  CHECK_THROWS_WITH(file.tensor("a.weigth"), Catch::Contains("no tensor 'a.weigth'") && Catch::Contains("did you mean 'a.weight'?"));
  CHECK_THROWS_WITH(read_safetensors("/nowhere/x.safetensors"), Catch::Contains("/nowhere/x.safetensors: cannot be opened"));
}

TEST_CASE("a file that cannot be written leaves nothing behind", "[unit][fault]") {
  Folder folder;
  const fs::path path = folder.path / "missing" / "x.safetensors";
  CHECK_THROWS_WITH(write_safetensors(path, {{"x", at::ones({2})}}), Catch::Contains("cannot be written"));
  const fs::path good = folder.path / "y.safetensors";
  CHECK_THROWS_WITH(write_safetensors(good, {{"x", at::ones({2})}, {"x", at::ones({2})}}), Catch::Contains("two tensors are called 'x'"));
  CHECK(fs::is_empty(folder.path));
}
