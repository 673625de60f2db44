#include "lm/config.h"

#include <cmath>
#include <cstdint>

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
    // Any two of them can be multiplied.
    return value<std::int64_t>(key, otherwise, "a whole number below 2^31",
                               [](const nlohmann::json& v) { return v.is_number_integer() && std::abs(v.get<double>()) <= INT32_MAX; });
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
  constexpr std::size_t kShown = 5;
  std::vector<std::string> problems;  // at most one more: a damaged config may speak of millions of layers
  const auto check = [&](const std::string& name, const std::vector<std::int64_t>& shape) {
    if (problems.size() > kShown) return;
    const std::string stored = checkpoint_name(source, name);
    if (!source.contains(stored)) {
      problems.push_back("has no tensor '" + name + "'");
      return;
    }
    const auto actual = source.info(stored).shape;
    if (actual != shape) problems.push_back(fmt::format("tensor '{}' has shape [{}], the config says [{}]", stored, fmt::join(actual, ", "), fmt::join(shape, ", ")));
  };
  for (const TensorNeed& need : architecture.embedding_tensors()) check(need.name, need.shape);
  for (const TensorNeed& need : architecture.final_tensors()) check(need.name, need.shape);
  for (std::int64_t layer = 0; layer < architecture.shape().layers && problems.size() <= kShown; ++layer)
    for (const TensorNeed& need : architecture.layer_tensors()) check(architecture.layer_prefix(layer) + need.name, need.shape);
  if (problems.empty()) return;
  const bool more = problems.size() > kShown;
  if (more) problems.resize(kShown);
  throw Error(ErrorKind::kData, fmt::format("the weights do not fit their config: {}{}", fmt::join(problems, "; "), more ? "; and more" : ""),
              "weights and config must come from the same model of this family", display_path(source.path()));
}

}  // namespace oncekit::lm
