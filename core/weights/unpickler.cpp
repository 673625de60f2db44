#include "weights/unpickler.h"

#include <cstring>
#include <deque>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "oncekit/error.h"
#include "weights/tensor_file.h"

namespace oncekit {
namespace {

struct StorageName {
  const char* name;
  at::ScalarType type;
};
constexpr StorageName kStorages[] = {{"FloatStorage", at::kFloat},       {"HalfStorage", at::kHalf},
                                     {"BFloat16Storage", at::kBFloat16}, {"DoubleStorage", at::kDouble},
                                     {"LongStorage", at::kLong},         {"IntStorage", at::kInt},
                                     {"ShortStorage", at::kShort},       {"CharStorage", at::kChar},
                                     {"ByteStorage", at::kByte},         {"BoolStorage", at::kBool}};

/// A pickled value. All of them belong to one arena, so that cycles and deep nests cost nothing when they go.
struct Value {
  enum Kind { kNone, kBool, kInt, kReal, kText, kTuple, kList, kDict, kGlobal, kStorage, kTensor, kMark } kind = kNone;
  std::int64_t number = 0;                       // kBool, kInt
  std::string text;                              // kText; kGlobal: module.name; kStorage: key
  std::vector<Value*> items;                     // kTuple, kList
  std::vector<std::pair<Value*, Value*>> pairs;  // kDict, in order
  PickledTensor tensor{};                        // kTensor, kStorage (type and size)
};

class Unpickler {
 public:
  Unpickler(std::string_view bytes, std::uint64_t base, const std::filesystem::path& path)
      : bytes_(bytes), base_(base), path_(path) {}

  std::vector<PickledTensor> read() {
    const Value* root = run();
    if (root->kind != Value::kDict) fail("holds no dictionary of tensors", kSaveStateDict);
    std::vector<PickledTensor> tensors;
    for (const auto& [key, value] : root->pairs) {
      if (key->kind != Value::kText) fail("holds a dictionary whose keys are no names", kSaveStateDict);
      if (value->kind != Value::kTensor) fail("holds entry " + quoted_name(key->text) + " that is no tensor", kSaveStateDict);
      tensors.push_back(value->tensor);
      tensors.back().name = key->text;
    }
    return tensors;
  }

 private:
  static constexpr const char* kDamaged = "the file is damaged: fetch or write it again";
  static constexpr const char* kSaveStateDict =
      "write it again with torch.save(model.state_dict(), FILE), or save it as safetensors";

  [[noreturn]] void fail(const std::string& what, const char* hint = kDamaged) const {
    throw Error(ErrorKind::kData, fmt::format("{} (in data.pkl, byte offset {} of the file)", what, base_ + opcode_at_), hint,
                path_.string());
  }

  // Bytes.
  std::string_view take(std::uint64_t n) {
    if (n > bytes_.size() - at_) fail("has a pickle that ends too soon");
    const std::string_view taken = bytes_.substr(at_, n);
    at_ += n;
    return taken;
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string line() {
    const std::size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) fail("has a pickle that ends too soon");
    std::string text(take(end - at_));
    take(1);
    return text;
  }

  // Values.
  Value* make(Value::Kind kind) {
    arena_.emplace_back();
    arena_.back().kind = kind;
    return &arena_.back();
  }
  Value* integer(std::int64_t n) {
    Value* value = make(Value::kInt);
    value->number = n;
    return value;
  }
  void push(Value* value) { stack_.push_back(value); }
  Value* pop() {
    if (stack_.empty() || stack_.back()->kind == Value::kMark) fail("has a damaged pickle: nothing on its stack");
    Value* value = stack_.back();
    stack_.pop_back();
    return value;
  }
  std::vector<Value*> pop_to_mark() {
    std::size_t begin = stack_.size();
    while (begin > 0 && stack_[begin - 1]->kind != Value::kMark) --begin;
    if (begin == 0) fail("has a damaged pickle: no mark on its stack");
    std::vector<Value*> values(stack_.begin() + static_cast<std::ptrdiff_t>(begin), stack_.end());
    stack_.resize(begin - 1);
    return values;
  }
  Value* top(Value::Kind kind) {
    if (stack_.empty() || stack_.back()->kind != kind) fail("has a damaged pickle: an item for what is no list or dictionary");
    return stack_.back();
  }
  void tuple(std::vector<Value*> items) {
    Value* value = make(Value::kTuple);
    value->items = std::move(items);
    push(value);
  }
  void tuple_of(std::size_t n) {
    std::vector<Value*> items(n);
    while (n-- > 0) items[n] = pop();
    tuple(std::move(items));
  }
  void set_items(const std::vector<Value*>& items) {
    if (items.size() % 2 != 0) fail("has a damaged pickle: a key without a value");
    Value* dict = top(Value::kDict);
    for (std::size_t i = 0; i < items.size(); i += 2) dict->pairs.emplace_back(items[i], items[i + 1]);
  }
  void text(std::uint64_t n) {
    Value* value = make(Value::kText);
    value->text = take(n);
    push(value);
  }
  void long_integer() {
    const std::string_view digits = take(number<std::uint8_t>());
    if (digits.size() > 8) fail("holds an integer of more than 64 bits");
    std::uint64_t n = 0;
    for (std::size_t i = 0; i < 8; ++i) {
      const bool negative = !digits.empty() && (digits.back() & 0x80) != 0;
      const std::uint64_t byte = i < digits.size() ? static_cast<unsigned char>(digits[i]) : negative ? 0xff : 0;
      n |= byte << (8 * i);
    }
    push(integer(static_cast<std::int64_t>(n)));
  }
  void remember(std::uint32_t slot) {
    if (stack_.empty()) fail("has a damaged pickle: nothing on its stack");
    memo_[slot] = stack_.back();
  }
  void recall(std::uint32_t slot) {
    const auto found = memo_.find(slot);
    if (found == memo_.end()) fail("has a damaged pickle: it refers to what it never held");
    push(found->second);
  }

  // What torch.save needs of classes and functions.
  void global() {
    std::string module = line();
    const std::string name = module + "." + line();
    bool known = name == "collections.OrderedDict" || name == "torch._utils._rebuild_tensor_v2" ||
                 name == "torch._utils._rebuild_parameter";
    for (const StorageName& storage : kStorages) known = known || name == std::string("torch.") + storage.name;
    if (!known) {
      fail("asks for " + quoted_name(name) +
               " to be loaded, which is refused: read are dictionaries of tensors and nothing else, since more could run code",
           kSaveStateDict);
    }
    Value* value = make(Value::kGlobal);
    value->text = name;
    push(value);
  }
  void persistent_id() {
    const Value* id = pop();
    const auto& items = id->items;
    const bool whole = id->kind == Value::kTuple && items.size() == 5 && items[0]->kind == Value::kText &&
                       items[0]->text == "storage" && items[1]->kind == Value::kGlobal && items[2]->kind == Value::kText &&
                       items[4]->kind == Value::kInt;
    if (!whole) fail("refers to something that is no storage");
    for (const StorageName& storage : kStorages) {
      if (items[1]->text != std::string("torch.") + storage.name) continue;
      Value* value = make(Value::kStorage);
      value->tensor.type = storage.type;
      value->tensor.storage = items[2]->text;
      value->tensor.storage_size = items[4]->number;
      push(value);
      return;
    }
    fail("refers to a storage of unknown type " + quoted_name(items[1]->text));
  }
  std::vector<std::int64_t> sizes(const Value* value) const {
    std::vector<std::int64_t> result;
    if (value->kind != Value::kTuple) fail("holds a tensor whose shape is no tuple");
    for (const Value* n : value->items) {
      if (n->kind != Value::kInt || n->number < 0) fail("holds a tensor of impossible shape or strides");
      result.push_back(n->number);
    }
    return result;
  }
  void reduce() {
    const Value* arguments = pop();
    const Value* function = pop();
    if (function->kind != Value::kGlobal || arguments->kind != Value::kTuple)
      fail("has a damaged pickle: a call of what is no function");
    const auto& args = arguments->items;
    if (function->text == "collections.OrderedDict" && args.empty()) return push(make(Value::kDict));
    if (function->text == "torch._utils._rebuild_parameter" && args.size() == 3 && args[0]->kind == Value::kTensor)
      return push(args[0]);
    if (function->text == "torch._utils._rebuild_tensor_v2" && (args.size() == 6 || args.size() == 7) &&
        args[0]->kind == Value::kStorage && args[1]->kind == Value::kInt) {
      Value* value = make(Value::kTensor);
      value->tensor = args[0]->tensor;
      value->tensor.storage_offset = args[1]->number;
      value->tensor.shape = sizes(args[2]);
      value->tensor.strides = sizes(args[3]);
      return push(value);
    }
    fail("calls " + quoted_name(function->text) + " with other arguments than torch.save gives it");
  }

  const Value* run() {
    for (;;) {
      opcode_at_ = at_;
      const char opcode = take(1)[0];
      switch (opcode) {
        case '\x80': {  // PROTO
          const int protocol = number<std::uint8_t>();
          if (protocol != 2)
            fail(fmt::format("has a pickle of protocol {}, expected 2", protocol),
                 "write it again with torch.save, without pickle_protocol");
          break;
        }
        case '.': {  // STOP
          const Value* root = pop();
          if (!stack_.empty()) fail("has a damaged pickle: it stops with values left");
          return root;
        }
        case '}': push(make(Value::kDict)); break;
        case ']': push(make(Value::kList)); break;
        case ')': push(make(Value::kTuple)); break;
        case '(': push(make(Value::kMark)); break;
        case 'c': global(); break;
        case 'q': remember(number<std::uint8_t>()); break;
        case 'r': remember(number<std::uint32_t>()); break;
        case 'h': recall(number<std::uint8_t>()); break;
        case 'j': recall(number<std::uint32_t>()); break;
        case 'X': text(number<std::uint32_t>()); break;
        case 'J': push(integer(number<std::int32_t>())); break;
        case 'K': push(integer(number<std::uint8_t>())); break;
        case 'M': push(integer(number<std::uint16_t>())); break;
        case '\x8a': long_integer(); break;
        case 'G': take(8), push(make(Value::kReal)); break;
        case 'N': push(make(Value::kNone)); break;
        case '\x88':
        case '\x89': push(make(Value::kBool)); break;
        case 't': tuple(pop_to_mark()); break;
        case '\x85': tuple_of(1); break;
        case '\x86': tuple_of(2); break;
        case '\x87': tuple_of(3); break;
        case 'Q': persistent_id(); break;
        case 'R': reduce(); break;
        case 's': {
          Value* value = pop();
          Value* key = pop();
          set_items({key, value});
          break;
        }
        case 'u': set_items(pop_to_mark()); break;
        case 'a': {
          Value* item = pop();
          top(Value::kList)->items.push_back(item);
          break;
        }
        case 'e': {
          const std::vector<Value*> items = pop_to_mark();
          auto& list = top(Value::kList)->items;
          list.insert(list.end(), items.begin(), items.end());
          break;
        }
        case 'b':  // BUILD: attributes of a state dict (the versions of its modules), of no use here
          pop();
          top(Value::kDict);
          break;
        default:
          fail(fmt::format("has a pickle with opcode 0x{:02x}, which torch.save does not write",
                           static_cast<unsigned char>(opcode)));
      }
    }
  }

  std::string_view bytes_;
  std::uint64_t base_, at_ = 0, opcode_at_ = 0;
  const std::filesystem::path& path_;
  std::deque<Value> arena_;
  std::vector<Value*> stack_;
  std::unordered_map<std::uint32_t, Value*> memo_;
};

}  // namespace

std::vector<PickledTensor> unpickle_state_dict(std::string_view bytes, std::uint64_t base, const std::filesystem::path& path) {
  return Unpickler(bytes, base, path).read();
}

}  // namespace oncekit
