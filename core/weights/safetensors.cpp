#include "weights/safetensors.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <set>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "oncekit/error.h"
#include "weights/mapping.h"
#include "weights/tensor_file.h"

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian and mapped as they are");

namespace oncekit {
namespace {

using nlohmann::json;

constexpr std::uint64_t kLongestHeader = 100'000'000;  // as the reference reader allows
constexpr std::size_t kAlignment = 64;                 // where the data of files we write begins

struct TypeName {
  const char* name;
  at::ScalarType type;
};
constexpr TypeName kTypes[] = {
    {"F64", at::kDouble}, {"F32", at::kFloat}, {"F16", at::kHalf},   {"BF16", at::kBFloat16}, {"I64", at::kLong},
    {"I32", at::kInt},    {"I16", at::kShort}, {"I8", at::kChar},    {"U8", at::kByte},       {"BOOL", at::kBool},
};

struct Entry {
  at::ScalarType type;
  std::vector<std::int64_t> shape;
  std::uint64_t begin, end;  // in bytes from the first byte of data
};

}  // namespace

struct SafetensorsFile::State {
  std::shared_ptr<const Mapping> mapping;
  std::map<std::string, Entry> entries;
  std::map<std::string, std::string> metadata;
  std::uint64_t data = 0;  // offset in the file of the first byte of data

  [[noreturn]] void damaged(const std::string& message) const {
    throw Error(ErrorKind::kData, message, "the file is damaged or was cut short: fetch or write it again", mapping->path().string());
  }
  const Entry& entry(const std::string& name) const {
    const auto found = entries.find(name);
    if (found != entries.end()) return found->second;
    std::vector<std::string> names;
    for (const auto& [known, ignored] : entries) names.push_back(known);
    no_such_tensor(name, names, mapping->path());
  }
  void read_header();
  Entry read_entry(const std::string& name, const json& value, std::uint64_t bytes) const;
};

Entry SafetensorsFile::State::read_entry(const std::string& name, const json& value, std::uint64_t bytes) const {
  const auto field = [&](const char* key) -> const json& {
    if (!value.is_object() || !value.contains(key)) damaged("tensor " + quoted_name(name) + " has no '" + key + "' in the header");
    return value[key];
  };
  Entry entry{};
  const json& type = field("dtype");
  const TypeName* known = type.is_string() ? std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeName& t) {
    return type.get_ref<const std::string&>() == t.name;
  }) : std::end(kTypes);
  if (known == std::end(kTypes)) {
    throw Error(ErrorKind::kData, "tensor " + quoted_name(name) + " has type " + quoted_name(type.dump()) + "; readable are F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL",
                "convert it, e.g. to F32", mapping->path().string());
  }
  entry.type = known->type;
  const json& shape = field("shape");
  if (!shape.is_array()) damaged("tensor " + quoted_name(name) + " has a shape that is no list");
  // A size beyond 63 bits becomes a negative one, any other value -1: neither fits.
  for (const json& n : shape) entry.shape.push_back(n.is_number_unsigned() ? static_cast<std::int64_t>(n.get<std::uint64_t>()) : -1);
  std::uint64_t size = 0;
  if (!tensor_bytes(entry.shape, c10::elementSize(entry.type), size)) {
    damaged("tensor " + quoted_name(name) + " has the impossible shape " + shape.dump().substr(0, 80));
  }
  const json& offsets = field("data_offsets");
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) {
    damaged("tensor " + quoted_name(name) + " has data_offsets that are not two numbers: " + offsets.dump().substr(0, 80));
  }
  entry.begin = offsets[0].get<std::uint64_t>();
  entry.end = offsets[1].get<std::uint64_t>();
  if (entry.begin > entry.end || entry.end > bytes) {
    damaged(fmt::format("tensor {} should lie at bytes {} to {} of the data (byte offset {} of the file), but the file holds {} bytes of data",
                        quoted_name(name), entry.begin, entry.end, data + entry.begin, bytes));
  }
  if (entry.end - entry.begin != size) {
    damaged(fmt::format("tensor {} of type {} and shape {} takes {} bytes, but the header gives it {} (byte offset {} of the file)", quoted_name(name),
                        known->name, shape.dump(), size, entry.end - entry.begin, data + entry.begin));
  }
  return entry;
}

void SafetensorsFile::State::read_header() {
  if (mapping->size() < 8) damaged(fmt::format("is no safetensors file: {} bytes, expected at least 8", mapping->size()));
  std::uint64_t length = 0;
  std::memcpy(&length, mapping->data(), 8);
  if (length > kLongestHeader || length > mapping->size() - 8) {
    damaged(fmt::format("is no whole safetensors file: the first 8 bytes announce a header of {} bytes, the file has {} in all", length, mapping->size()));
  }
  data = 8 + length;
  std::set<std::string> keys;
  std::string twice;
  json header;
  try {
    header = json::parse(mapping->data() + 8, mapping->data() + data, [&](int depth, json::parse_event_t event, json& parsed) {
      if (event == json::parse_event_t::key && depth == 1 && !keys.insert(parsed.get<std::string>()).second) twice = parsed.get<std::string>();
      return true;
    });
  } catch (const json::exception& e) {
    damaged(std::string("has a header that is no JSON: ") + e.what());
  }
  if (!header.is_object()) damaged("has a header that is no JSON object");
  if (!twice.empty()) damaged("names tensor " + quoted_name(twice) + " twice in the header");

  const std::uint64_t bytes = mapping->size() - data;
  std::vector<std::pair<const Entry*, const std::string*>> order;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") {
      if (!value.is_object()) damaged("has __metadata__ that is no JSON object");
      for (const auto& [key, text] : value.items()) {
        if (!text.is_string()) damaged("has metadata " + quoted_name(key) + " that is no text");
        metadata[key] = text.get<std::string>();
      }
      continue;
    }
    const auto at = entries.emplace(name, read_entry(name, value, bytes)).first;
    order.emplace_back(&at->second, &at->first);
  }
  // The data must be used up, in order, without holes: anything else hides bytes or shares them.
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first->begin, a.first->end) < std::pair(b.first->begin, b.first->end);
  });
  std::uint64_t next = 0;
  for (const auto& [entry, name] : order) {
    if (entry->begin != next) {
      damaged(fmt::format("tensor {} begins at byte {} of the data, expected {} (byte offset {} of the file): tensors overlap or leave a hole", quoted_name(*name),
                          entry->begin, next, data + entry->begin));
    }
    next = entry->end;
  }
  if (next != bytes) damaged(fmt::format("holds {} bytes behind its last tensor (byte offset {} of the file)", bytes - next, data + next));
}

SafetensorsFile read_safetensors(const std::filesystem::path& path) {
  auto state = std::make_shared<SafetensorsFile::State>();
  state->mapping = Mapping::open(path);
  state->read_header();
  SafetensorsFile file;
  file.state_ = std::move(state);
  return file;
}

const std::filesystem::path& SafetensorsFile::path() const noexcept { return state_->mapping->path(); }
const std::map<std::string, std::string>& SafetensorsFile::metadata() const noexcept { return state_->metadata; }
bool SafetensorsFile::contains(const std::string& name) const noexcept { return state_->entries.count(name) != 0; }
std::vector<std::int64_t> SafetensorsFile::shape(const std::string& name) const { return state_->entry(name).shape; }
at::ScalarType SafetensorsFile::type(const std::string& name) const { return state_->entry(name).type; }

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, ignored] : state_->entries) names.push_back(name);
  return names;
}

at::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const Entry& entry = state_->entry(name);
  return mapped_tensor(state_->mapping, state_->data + entry.begin, entry.type, entry.shape);
}

std::vector<std::pair<std::string, at::Tensor>> SafetensorsFile::tensors() const {
  std::vector<std::pair<std::string, at::Tensor>> all;
  for (const auto& [name, ignored] : state_->entries) all.emplace_back(name, tensor(name));
  return all;
}

namespace {

// A file under a temporary name that vanishes unless it is committed.
class PartialFile {
 public:
  explicit PartialFile(std::filesystem::path path) : path_(std::move(path)), temporary_(path_) {
    temporary_ += ".part" + std::to_string(::getpid());
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd_ < 0) fail();
  }
  ~PartialFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }
  void write(const void* bytes, std::size_t n) {
    const char* from = static_cast<const char*>(bytes);
    while (n > 0) {
      const ssize_t done = ::write(fd_, from, std::min<std::size_t>(n, 1u << 30));
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) fail();
      from += done;
      n -= static_cast<std::size_t>(done);
    }
  }
  void commit() {
    if (::fsync(fd_) != 0) fail();
    const int closed = ::close(fd_);
    fd_ = -1;
    if (closed != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) fail();
    temporary_.clear();
  }

 private:
  [[noreturn]] void fail() const {
    const int code = errno;
    throw Error(ErrorKind::kRun, std::string("cannot be written: ") + std::strerror(code),
                code == ENOSPC || code == EDQUOT || code == EFBIG ? "make room, then run the command again" : "check the path and its permissions",
                path_.string());
  }
  std::filesystem::path path_, temporary_;
  int fd_ = -1;
};

}  // namespace

void write_safetensors(const std::filesystem::path& path, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::vector<const std::pair<std::string, at::Tensor>*> order;
  for (const auto& tensor : tensors) order.push_back(&tensor);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) { return a->second.element_size() > b->second.element_size(); });

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const auto* item : order) {
    const auto& [name, tensor] = *item;
    const TypeName* type = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeName& t) { return t.type == tensor.scalar_type(); });
    if (type == std::end(kTypes)) throw Error(ErrorKind::kRun, "tensor '" + name + "' has a type that safetensors cannot hold", {}, path.string());
    if (header.contains(name) || name == "__metadata__") throw Error(ErrorKind::kRun, "two tensors are called '" + name + "'", {}, path.string());
    header[name] = {{"dtype", type->name}, {"shape", tensor.sizes().vec()}, {"data_offsets", {offset, offset + tensor.nbytes()}}};
    offset += tensor.nbytes();
  }
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  text.append((kAlignment - (8 + text.size()) % kAlignment) % kAlignment, ' ');
  const std::uint64_t length = text.size();

  PartialFile file(path);
  file.write(&length, 8);
  file.write(text.data(), text.size());
  for (const auto* item : order) {
    const at::Tensor plain = item->second.detach().cpu().contiguous();
    file.write(plain.const_data_ptr(), plain.nbytes());
  }
  file.commit();
}

}  // namespace oncekit
