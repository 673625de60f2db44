// NumPy's .npy: magic, version, a Python dict as text {'descr', 'fortran_order', 'shape'}, padded to 64 bytes, then the data.
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/files.h"
#include "oncekit/error.h"
#include "oncekit/vectors.h"
#include "weights/mapping.h"
#include "weights/tensor_file.h"

namespace oncekit {
namespace {

struct TypeName {
  const char* name;
  at::ScalarType type;
};
constexpr TypeName kTypes[] = {{"<f4", at::kFloat}, {"<f8", at::kDouble}, {"<f2", at::kHalf}, {"<i4", at::kInt},  {"<i8", at::kLong},
                               {"<i2", at::kShort}, {"|i1", at::kChar},   {"|u1", at::kByte}, {"|b1", at::kBool}};

/// Reads the dict of a header: just the forms that NumPy writes.
class Header {
 public:
  Header(const Mapping& file, std::string_view text, std::size_t base) : file_(file), text_(text), base_(base) {
    bool seen[3] = {};
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr") {
        if (peek() != '\'' && peek() != '"') fail("a structured type; expected a plain one such as '<f4'");
        descr = quoted();
        seen[0] = true;
      } else if (key == "fortran_order") {
        fortran = word() == "True";
        seen[1] = true;
      } else if (key == "shape") {
        expect('(');
        while (!accept(')')) {
          shape.push_back(number());
          if (!accept(',') && peek() != ')') fail("expected , or )");
        }
        seen[2] = true;
      } else {
        fail("unknown key '" + key.substr(0, 40) + "'");
      }
      if (!accept(',') && peek() != '}') fail("expected , or }");
    }
    if (!seen[0] || !seen[1] || !seen[2]) fail("descr, fortran_order or shape is missing");
  }
  std::string descr;
  bool fortran = false;
  std::vector<std::int64_t> shape;

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorKind::kData, fmt::format("has a damaged .npy header at byte offset {}: {}", base_ + at_, what),
                "write it again with numpy.save", file_.path().string());
  }

 private:
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(std::string("expected ") + c);
  }
  std::string quoted() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail("expected a quoted name");
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("a quote is not closed");
    std::string name(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return name;
  }
  std::string word() {
    peek();
    std::string name;
    while (at_ < text_.size() && std::isalpha(static_cast<unsigned char>(text_[at_]))) name += text_[at_++];
    if (name != "True" && name != "False") fail("expected True or False");
    return name;
  }
  std::int64_t number() {
    peek();
    std::int64_t n = 0;
    const std::size_t begin = at_;
    while (at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_]))) {
      if (__builtin_mul_overflow(n, std::int64_t{10}, &n) || __builtin_add_overflow(n, text_[at_] - '0', &n)) fail("a size too large");
      ++at_;
    }
    if (at_ == begin) fail("expected a size");
    return n;
  }

  const Mapping& file_;
  std::string_view text_;
  std::size_t base_, at_ = 0;
};

}  // namespace

at::Tensor read_npy(const std::filesystem::path& path) {
  const auto file = Mapping::open(path);
  const auto damaged = [&](const std::string& what) {
    return Error(ErrorKind::kData, what, "the file is damaged or was cut short: write it again with numpy.save", path.string());
  };
  const std::string_view bytes = file->text();
  if (bytes.size() < 10 || bytes.substr(0, 6) != "\x93NUMPY") throw damaged("is no .npy file: it does not begin with NumPy's magic");
  const int version = static_cast<unsigned char>(bytes[6]);
  if (version < 1 || version > 3) throw damaged(fmt::format("is an .npy file of version {}; readable are 1 to 3", version));
  const std::size_t digits = version == 1 ? 2 : 4;
  std::uint32_t length = 0;
  if (bytes.size() < 8 + digits) throw damaged("ends inside its header");
  std::memcpy(&length, bytes.data() + 8, digits);
  const std::size_t data = 8 + digits + length;
  if (data > bytes.size()) throw damaged(fmt::format("ends inside its header: {} bytes, the header ends at byte offset {}", bytes.size(), data));
  const Header header(*file, bytes.substr(8 + digits, length), 8 + digits);

  const TypeName* known = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeName& t) { return header.descr == t.name; });
  if (known == std::end(kTypes)) {
    throw Error(ErrorKind::kData, "holds values of type '" + header.descr.substr(0, 40) + "'; readable are <f2 <f4 <f8 <i2 <i4 <i8 |i1 |u1 |b1",
                "save it with .astype('<f4')", path.string());
  }
  std::uint64_t size = 0;
  if (!tensor_bytes(header.shape, c10::elementSize(known->type), size)) header.fail("a shape larger than any file");
  if (size != bytes.size() - data) {
    throw damaged(fmt::format("should hold {} bytes of data from byte offset {}, but has {}", size, data, bytes.size() - data));
  }
  std::vector<std::int64_t> strides(header.shape.size(), 1);
  if (header.fortran) {
    for (std::size_t i = 1; i < strides.size(); ++i) strides[i] = strides[i - 1] * header.shape[i - 1];
  } else {
    for (std::size_t i = strides.size(); i-- > 1;) strides[i - 1] = strides[i] * header.shape[i];
  }
  return mapped_tensor(file, data, known->type, header.shape, strides).contiguous();
}

void write_npy(const std::filesystem::path& path, const at::Tensor& tensor) {
  at::Tensor plain = tensor.detach().cpu();
  if (plain.scalar_type() == at::kBFloat16) plain = plain.to(at::kFloat);
  plain = plain.contiguous();
  const TypeName* type = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeName& t) { return t.type == plain.scalar_type(); });
  if (type == std::end(kTypes)) throw Error(ErrorKind::kRun, "a tensor of this type cannot be written as .npy", {}, path.string());
  std::string shape;
  for (const std::int64_t n : plain.sizes()) shape += std::to_string(n) + (plain.dim() == 1 ? "," : ", ");
  if (plain.dim() > 1) shape.resize(shape.size() - 2);
  std::string dict = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type->name, shape);
  dict.append((64 - (10 + dict.size() + 1) % 64) % 64, ' ');
  dict += '\n';
  std::string content = "\x93NUMPY";
  content += '\x01';
  content += '\0';
  content += static_cast<char>(dict.size() & 255);
  content += static_cast<char>(dict.size() >> 8);
  content += dict;
  content.append(static_cast<const char*>(plain.const_data_ptr()), plain.nbytes());
  write_file(path, content);
}

}  // namespace oncekit
