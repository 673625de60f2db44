// Which files of a folder make a model, and where each tensor lies.
#include "weights/model_source.h"

#include <algorithm>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "base/files.h"
#include "oncekit/error.h"
#include "weights/tensor_file.h"

namespace oncekit {

ModelSource::~ModelSource() = default;

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

json read_json(const fs::path& path) {
  json value;
  try {
    value = json::parse(read_file(path));
  } catch (const json::parse_error& e) {
    throw Error(ErrorKind::kData, fmt::format("is no JSON: it goes wrong at byte offset {}", e.byte - 1),
                "the file is damaged or was cut short: fetch it again", path.string());
  } catch (const json::exception&) {
    throw Error(ErrorKind::kData, "is no JSON that can be read", "fetch it again", path.string());
  }
  if (!value.is_object()) throw Error(ErrorKind::kData, "is no JSON object", "fetch it again", path.string());
  return value;
}

/// transformers 5 writes {"rope_parameters": {"rope_theta", "rope_type", ...}} where older versions wrote rope_theta and
/// rope_scaling: the older keys are added.
json read_config(const fs::path& path) {
  json config = read_json(path);
  const auto found = config.find("rope_parameters");
  if (found == config.end() || !found->is_object()) return config;
  const json rope = *found;
  if (!config.contains("rope_theta") && rope.contains("rope_theta")) config["rope_theta"] = rope["rope_theta"];
  if (!config.contains("rope_scaling") && rope.contains("rope_type") && rope["rope_type"] != "default")
    config["rope_scaling"] = rope;
  return config;
}

/// Hugging Face's folder: config.json beside one file of tensors, or several with an index.
class FolderModel final : public ModelSource {
 public:
  /// weights: the file of tensors, or the index of several.
  FolderModel(fs::path folder, const fs::path& weights)
      : folder_(std::move(folder)), config_(read_config(folder_ / "config.json")) {
    inputs_ = {folder_ / "config.json", weights};
    if (weights.extension() != ".json") {
      const std::size_t file = add(weights);
      for (const std::string& name : files_[file]->names()) place(name, file);
      return;
    }
    const json index = read_json(weights);
    const auto map = index.find("weight_map");
    if (map == index.end() || !map->is_object() || map->empty()) {
      throw Error(ErrorKind::kData, "has no object 'weight_map' from tensors to files", "fetch it again", weights.string());
    }
    std::map<std::string, std::vector<std::string>> by_file;
    for (const auto& [name, file] : map->items()) {
      if (!file.is_string() || fs::path(file.get<std::string>()).filename() != file.get<std::string>()) {
        throw Error(ErrorKind::kData,
                    "places tensor " + quoted_name(name) + " in " +
                        quoted_name(file.is_string() ? file.get<std::string>() : file.dump()) +
                        ", expected the name of a file beside it",
                    "fetch it again", weights.string());
      }
      by_file[file.get<std::string>()].push_back(name);
    }
    check_shards(by_file, weights);
    for (const auto& [file_name, names] : by_file) {
      const std::size_t file = add(folder_ / file_name);
      inputs_.push_back(folder_ / file_name);
      const std::vector<std::string> there = files_[file]->names();
      for (const std::string& name : names) {
        if (!std::binary_search(there.begin(), there.end(), name)) no_such_tensor(name, there, folder_ / file_name);
        place(name, file);
      }
    }
  }

  const fs::path& path() const override { return folder_; }
  const json& config() const override { return config_; }
  const json& metadata() const override { return nothing_; }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& [name, ignored] : places_) names.push_back(name);
    return names;
  }
  bool contains(const std::string& name) const override { return places_.count(name) != 0; }
  Info info(const std::string& name) const override {
    const Place& at = place_of(name);
    return files_[at.file]->info(at.name);
  }
  at::Tensor read(const std::string& name) const override {
    const Place& at = place_of(name);
    return files_[at.file]->read(at.name);
  }
  std::string digest(const ReadProgress& read) const override {
    std::string all = "folder 1";
    for (const fs::path& file : inputs_) all += "\n" + file.filename().string() + " " + file_digest(file, read);
    return oncekit::digest(all);
  }

 private:
  struct Place {
    std::size_t file;
    std::string name;  ///< in the file
  };

  void check_shards(const std::map<std::string, std::vector<std::string>>& by_file, const fs::path& index) const {
    std::string missing;
    std::size_t count = 0;
    for (const auto& [file, ignored] : by_file) {
      if (fs::exists(folder_ / file)) continue;
      if (count++ < 20) missing += (missing.empty() ? "" : ", ") + file;
    }
    if (count == 0) return;
    throw Error(ErrorKind::kData,
                fmt::format("names {} files, and {} of them {} not there: {}{}", by_file.size(), count,
                            count == 1 ? "is" : "are", missing, count > 20 ? ", ..." : ""),
                "fetch them into the same folder", index.string());
  }
  std::size_t add(const fs::path& path) {
    files_.push_back(path.extension() == ".bin" ? open_torch_tensors(path) : open_safetensors_tensors(path));
    return files_.size() - 1;
  }
  // The first BERT checkpoints call a layer norm's weight gamma and its bias beta.
  void place(const std::string& name, std::size_t file) {
    std::string modern = name;
    if (name.ends_with("LayerNorm.gamma")) modern.replace(name.size() - 5, 5, "weight");
    if (name.ends_with("LayerNorm.beta")) modern.replace(name.size() - 4, 4, "bias");
    places_.emplace(modern, Place{file, name});
  }
  const Place& place_of(const std::string& name) const {
    const auto found = places_.find(name);
    if (found == places_.end()) no_such_tensor(name, names(), folder_);
    return found->second;
  }

  fs::path folder_;
  json config_, nothing_;
  std::vector<fs::path> inputs_;
  std::vector<std::unique_ptr<TensorFile>> files_;
  std::map<std::string, Place> places_;
};

/// What a folder without a readable model holds, for the message.
[[noreturn]] void nothing_found(const fs::path& folder, const std::vector<fs::path>& entries) {
  std::string there;
  std::string hint = "name the folder that holds the model";
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::string name = entries[i].filename().string();
    if (i < 12) there += (i == 0 ? "" : ", ") + name;
    if (name == "consolidated.00.pth")
      hint = "this is Meta's own layout: convert it with transformers' convert_llama_weights_to_hf.py";
    if (name == "tf_model.h5" || name == "flax_model.msgpack")
      hint = "these weights are TensorFlow's or Flax's: fetch model.safetensors";
  }
  throw Error(
      ErrorKind::kData,
      "holds no language model: looked for model.safetensors, model.safetensors.index.json, pytorch_model.bin, "
      "pytorch_model.bin.index.json and *.gguf; "
      "found " +
          (there.empty() ? "nothing" : there + (entries.size() > 12 ? fmt::format(" and {} more", entries.size() - 12) : "")),
      hint, folder.string());
}

std::vector<fs::path> sorted_entries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code code;
  for (fs::directory_iterator at(folder, code), end; !code && at != end; at.increment(code)) entries.push_back(at->path());
  if (code)
    throw Error(ErrorKind::kData, "cannot be read: " + code.message(), "check the path and its permissions", folder.string());
  std::sort(entries.begin(), entries.end());
  return entries;
}

}  // namespace

std::unique_ptr<ModelSource> open_model(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    throw Error(ErrorKind::kData, "does not exist; expected a folder with a language model, or a .gguf file", "check the path",
                path.string());
  }
  if (!fs::is_directory(path, ignored)) {
    if (path.extension() == ".gguf") return open_gguf_model(path);
    throw Error(ErrorKind::kData, "is neither a folder nor a .gguf file",
                "name the folder that holds the weights and config.json", path.string());
  }
  const std::vector<fs::path> entries = sorted_entries(path);
  for (const char* name :
       {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"}) {
    if (!fs::exists(path / name, ignored)) continue;
    if (!fs::exists(path / "config.json", ignored)) {
      throw Error(ErrorKind::kData, fmt::format("holds {} but no config.json", name),
                  "fetch the model's config.json into the same folder", path.string());
    }
    return std::make_unique<FolderModel>(path, path / name);
  }
  std::vector<fs::path> ggufs;
  std::copy_if(entries.begin(), entries.end(), std::back_inserter(ggufs),
               [](const fs::path& p) { return p.extension() == ".gguf"; });
  if (ggufs.empty()) nothing_found(path, entries);
  if (ggufs.size() > 1) {
    std::string list;
    for (const fs::path& file : ggufs) list += (list.empty() ? "" : ", ") + file.filename().string();
    throw Error(ErrorKind::kData, fmt::format("holds {} GGUF files: {}", ggufs.size(), list), "name one of them",
                path.string());
  }
  return open_gguf_model(ggufs.front());
}

}  // namespace oncekit
