#include "lm/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/files.h"
#include "oncekit/error.h"

namespace oncekit::lm {
namespace {

class SourceConfig final : public ModelConfig {
 public:
  explicit SourceConfig(const ModelSource& source) : source_(source) {}

  std::int64_t integer(const std::string& key, std::optional<std::int64_t> otherwise) const override {
    return value<std::int64_t>(key, otherwise, "a whole number", [](const nlohmann::json& v) { return v.is_number_integer(); });
  }
  double real(const std::string& key, std::optional<double> otherwise) const override {
    return value<double>(key, otherwise, "a number", [](const nlohmann::json& v) { return v.is_number(); });
  }
  bool boolean(const std::string& key, std::optional<bool> otherwise) const override {
    return value<bool>(key, otherwise, "true or false", [](const nlohmann::json& v) { return v.is_boolean(); });
  }
  std::string text(const std::string& key, std::optional<std::string> otherwise) const override {
    return value<std::string>(key, otherwise, "text", [](const nlohmann::json& v) { return v.is_string(); });
  }
  std::vector<double> reals(const std::string& key) const override {
    return value<std::vector<double>>(key, std::vector<double>(), "a list of numbers", [](const nlohmann::json& v) {
      return v.is_array() && std::all_of(v.begin(), v.end(), [](const nlohmann::json& x) { return x.is_number(); });
    });
  }
  bool has(const std::string& key) const override { return find(key) != nullptr; }
  bool has_tensor(const std::string& name) const override { return source_.contains(checkpoint_name(source_, name)); }
  std::string where() const override {
    const auto& path = source_.path();
    return display_path(path.extension() == ".gguf" ? path : path / "config.json");
  }

 private:
  const nlohmann::json* find(const std::string& key) const {
    const nlohmann::json* at = &source_.config();
    for (std::size_t begin = 0; begin <= key.size();) {
      const std::size_t end = std::min(key.find('.', begin), key.size());
      if (!at->is_object()) return nullptr;
      const auto found = at->find(key.substr(begin, end - begin));
      if (found == at->end() || found->is_null()) return nullptr;
      at = &*found;
      begin = end + 1;
    }
    return at;
  }

  template <class T, class Is>
  T value(const std::string& key, const std::optional<T>& otherwise, const char* expected, Is is) const {
    const nlohmann::json* found = find(key);
    if (found == nullptr) {
      if (otherwise) return *otherwise;
      throw Error(ErrorKind::kData, "has no '" + key + "', which a model of this family needs", "take the model's original config", where());
    }
    if (!is(*found))
      throw Error(ErrorKind::kData, "has '" + key + "' = " + found->dump().substr(0, 80) + ", expected " + expected, "take the model's original config", where());
    return found->get<T>();
  }

  const ModelSource& source_;
};

}  // namespace

std::unique_ptr<ModelConfig> model_config(const ModelSource& source) { return std::make_unique<SourceConfig>(source); }

std::string checkpoint_name(const ModelSource& source, const std::string& name) {
  if (source.contains(name)) return name;
  for (const auto& [ours, theirs] : {std::pair<std::string, std::string>{".weight", ".gamma"}, {".bias", ".beta"}}) {
    if (!name.ends_with(ours)) continue;
    const std::string old = name.substr(0, name.size() - ours.size()) + theirs;
    if (source.contains(old)) return old;
  }
  return name;
}

void check_tensors(const ModelSource& source, const Architecture& architecture) {
  Problems problems;
  const auto check = [&](const std::string& name, const std::vector<std::int64_t>& shape) {
    const std::string stored = checkpoint_name(source, name);
    if (!source.contains(stored)) {
      problems.add("has no tensor '" + name + "'");
      return;
    }
    const auto& actual = source.info(stored).shape;
    if (actual != shape) problems.add(fmt::format("tensor '{}' has shape [{}], the config says [{}]", stored, fmt::join(actual, ", "), fmt::join(shape, ", ")));
  };
  for (const TensorNeed& need : architecture.embedding_tensors()) check(need.name, need.shape);
  for (const TensorNeed& need : architecture.final_tensors()) check(need.name, need.shape);
  for (std::int64_t layer = 0; layer < architecture.shape().layers; ++layer)
    for (const TensorNeed& need : architecture.layer_tensors()) check(architecture.layer_prefix(layer) + need.name, need.shape);
  if (problems.empty()) return;
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(problems.size(), 5); ++i) text += (i ? "; " : "") + problems.items()[i].message();
  if (problems.size() > 5) text += fmt::format("; and {} more", problems.size() - 5);
  throw Error(ErrorKind::kData, "the weights do not fit their config: " + text, "weights and config must come from the same model of this family",
              display_path(source.path()));
}

}  // namespace oncekit::lm
