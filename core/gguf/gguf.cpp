#include "gguf/gguf.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <set>

#include <fmt/format.h>

#include "oncekit/error.h"
#include "weights/tensor_file.h"

static_assert(std::endian::native == std::endian::little, "GGUF files are little-endian and mapped as they are");

namespace oncekit {
namespace {

using nlohmann::json;

constexpr int kDeepestArray = 4;
constexpr std::uint32_t kMostDimensions = 8;

enum ValueType : std::uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};
constexpr std::uint64_t kSmallestValue[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};  // bytes

/// The shortest decimal of a float32, so that 1e-05 is 1e-05 and not 9.999999747378752e-06.
double decimal(float value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  double result = value;
  std::from_chars(text, end, result);
  return result;
}

class Reader {
 public:
  explicit Reader(std::shared_ptr<const Mapping> mapping) : text_(mapping->text()) { file_.mapping = std::move(mapping); }

  GgufFile read() {
    if (text_.substr(0, 4) != "GGUF") fail_foreign();
    at_ = 4;
    const auto version = number<std::uint32_t>("version");
    if (version != 2 && version != 3) fail_version(version);
    const auto tensors = number<std::uint64_t>("number of tensors"), keys = number<std::uint64_t>("number of keys");
    read_metadata(keys);
    read_tensors(tensors);
    return std::move(file_);
  }

 private:
  [[noreturn]] void fail(const std::string& what, std::uint64_t offset) const {
    throw Error(ErrorKind::kData,
                fmt::format("{} (byte offset {} of the file, which has {} bytes)", what, offset, text_.size()),
                "the file is damaged or was cut short: fetch or convert it again", file_.mapping->path().string());
  }
  [[noreturn]] void fail_foreign() const {
    throw Error(ErrorKind::kData,
                fmt::format("is no GGUF file: it begins with {}, expected 'GGUF'",
                            text_.empty() ? "nothing" : quoted_name(text_.substr(0, 4))),
                text_.starts_with("tjgg") || text_.starts_with("fmgg") || text_.starts_with("lmgg")
                    ? "the format before GGUF is not read: convert the model again"
                    : "fetch it again",
                file_.mapping->path().string());
  }
  [[noreturn]] void fail_version(std::uint32_t version) const {
    const bool swapped = (version & 0xffff) == 0 && version != 0;
    throw Error(ErrorKind::kData,
                swapped ? std::string("is a big-endian GGUF file; readable are little-endian ones")
                        : fmt::format("is a GGUF file of version {}; readable are versions 2 and 3 (byte offset 4)", version),
                "convert the model again with llama.cpp's convert_hf_to_gguf.py", file_.mapping->path().string());
  }
  /// `what` is being read: it goes into the message.
  void need(std::uint64_t bytes, const std::string& what) const {
    if (bytes > text_.size() - at_) fail("ends inside " + what + context_, at_);
  }
  template <class T>
  T number(const char* what) {
    need(sizeof(T), what);
    T value;
    std::memcpy(&value, text_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  std::string string(const char* what) {
    const std::uint64_t begin = at_;
    const auto length = number<std::uint64_t>(what);
    if (length > text_.size() - at_)
      fail(fmt::format("ends inside {}{}, which should have {} bytes", what, context_, length), begin);
    std::string value(text_.substr(at_, length));
    at_ += length;
    return value;
  }
  json value(std::uint32_t type, int depth) {
    switch (type) {
      case kUint8: return number<std::uint8_t>("a value");
      case kInt8: return number<std::int8_t>("a value");
      case kUint16: return number<std::uint16_t>("a value");
      case kInt16: return number<std::int16_t>("a value");
      case kUint32: return number<std::uint32_t>("a value");
      case kInt32: return number<std::int32_t>("a value");
      case kFloat32: return decimal(number<float>("a value"));
      case kBool: return number<std::uint8_t>("a value") != 0;
      case kString: return string("a text");
      case kUint64: return number<std::uint64_t>("a value");
      case kInt64: return number<std::int64_t>("a value");
      case kFloat64: return number<double>("a value");
      case kArray: return array(depth + 1);
    }
    fail(fmt::format("holds a value of unknown type {}{}", type, context_), at_ - 4);
  }
  json array(int depth) {
    const std::uint64_t begin = at_;
    const auto type = number<std::uint32_t>("a list");
    const auto count = number<std::uint64_t>("a list");
    if (type > kFloat64) fail(fmt::format("holds a list of unknown type {}{}", type, context_), begin);
    if (depth > kDeepestArray) fail("holds lists in lists too deep" + context_, begin);
    if (count > (text_.size() - at_) / kSmallestValue[type])
      fail(fmt::format("ends inside a list{}, which should have {} values", context_, count), begin + 4);
    json list = json::array();
    list.get_ref<json::array_t&>().reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) list.push_back(value(type, depth));
    return list;
  }

  void read_metadata(std::uint64_t keys) {
    file_.metadata = json::object();
    for (std::uint64_t i = 0; i < keys; ++i) {
      context_ = fmt::format(" (key {} of {})", i + 1, keys);
      const std::uint64_t begin = at_;
      const std::string key = string("the name of a key");
      context_ = " of key " + quoted_name(key);
      const auto type = number<std::uint32_t>("the type");
      if (file_.metadata.contains(key)) fail("names key " + quoted_name(key) + " twice", begin);
      file_.metadata[key] = value(type, 0);
    }
  }

  void read_tensors(std::uint64_t tensors) {
    // Name, sizes, type and offset take 24 bytes at least: a count beyond that is found when the file ends.
    std::vector<std::uint64_t> begins;
    std::set<std::string> names;
    for (std::uint64_t i = 0; i < tensors; ++i) {
      context_ = fmt::format(" (tensor {} of {})", i + 1, tensors);
      begins.push_back(at_);
      GgufTensor tensor{};
      tensor.name = string("the name of a tensor");
      context_ = " of tensor " + quoted_name(tensor.name);
      if (!names.insert(tensor.name).second) fail("names tensor " + quoted_name(tensor.name) + " twice", begins.back());
      const auto dimensions = number<std::uint32_t>("the number of sizes");
      if (dimensions > kMostDimensions)
        fail(
            fmt::format("gives tensor {} {} sizes, expected at most {}", quoted_name(tensor.name), dimensions, kMostDimensions),
            at_ - 4);
      for (std::uint32_t d = 0; d < dimensions; ++d)
        tensor.shape.insert(tensor.shape.begin(), number<std::int64_t>("the sizes"));
      const auto type = number<std::uint32_t>("the type");
      tensor.type = ggml_type(type);
      if (tensor.type == nullptr) {
        throw Error(ErrorKind::kData,
                    fmt::format("tensor {} is of type {}; readable are {} (byte offset {})", quoted_name(tensor.name),
                                ggml_type_name(type), ggml_readable(), at_ - 4),
                    "fetch the model's F16, BF16 or Q8_0 file, or convert this one: llama-quantize --allow-requantize IN.gguf "
                    "OUT.gguf Q8_0",
                    file_.mapping->path().string());
      }
      tensor.offset = number<std::uint64_t>("the offset");
      const std::int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
      if (!tensor_bytes(tensor.shape, static_cast<std::uint64_t>(tensor.type->bytes), tensor.bytes) ||
          row % tensor.type->block != 0) {
        fail(fmt::format("gives tensor {} of type {} the impossible shape [{}]", quoted_name(tensor.name), tensor.type->name,
                         fmt::join(tensor.shape, ", ")),
             begins.back());
      }
      tensor.bytes /= static_cast<std::uint64_t>(tensor.type->block);
      file_.tensors.push_back(std::move(tensor));
    }
    context_.clear();
    place_data(begins);
  }

  void place_data(const std::vector<std::uint64_t>& begins) {
    std::uint64_t alignment = 32;
    if (const auto found = file_.metadata.find("general.alignment"); found != file_.metadata.end()) {
      alignment = found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
      if (alignment == 0 || alignment % 8 != 0 || alignment > (1u << 30))
        fail("has the impossible general.alignment " + quoted_name(found->dump(-1, ' ', false, json::error_handler_t::replace)),
             at_);
    }
    const std::uint64_t data = (at_ + alignment - 1) / alignment * alignment;
    for (std::size_t i = 0; i < file_.tensors.size(); ++i) {
      GgufTensor& tensor = file_.tensors[i];
      if (tensor.offset % alignment != 0)
        fail(
            fmt::format("gives tensor {} the offset {}, no multiple of {}", quoted_name(tensor.name), tensor.offset, alignment),
            begins[i]);
      if (__builtin_add_overflow(tensor.offset, data, &tensor.offset) || tensor.offset > text_.size() ||
          tensor.bytes > text_.size() - tensor.offset) {
        throw Error(ErrorKind::kData,
                    fmt::format("tensor {} should lie at byte offset {}, {} bytes, but the file has {} bytes",
                                quoted_name(tensor.name), tensor.offset, tensor.bytes, text_.size()),
                    "the file is damaged or was cut short: fetch or convert it again", file_.mapping->path().string());
      }
    }
  }

  GgufFile file_;
  std::string_view text_;
  std::uint64_t at_ = 0;
  std::string context_;  // what is being read, for messages
};

}  // namespace

GgufFile read_gguf(const std::filesystem::path& path) { return Reader(Mapping::open(path)).read(); }

}  // namespace oncekit
