#include "train/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include <ATen/ops/isfinite.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "model/recommender.h"
#include "oncekit/error.h"
#include "train/optimizer.h"
#include "weights/safetensors.h"

namespace oncekit {
namespace fs = std::filesystem;
using nlohmann::json;

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(TrainState, step, checked_step, best, best_step, checks_without_gain, loss_sum, loss_steps, samples,
                                   seconds, stage_s, curves_bytes, losses_bytes, recipe_hash, environment, seed)

namespace {

constexpr int kFormat = 1;
constexpr const char* kPart = "new.part";  ///< the folder that is being written

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

void at_point(std::string_view name) {
  if (checkpoint_fault_hook()) checkpoint_fault_hook()(name);
}

/// What a checkpoint keeps of a model: trainable parameters and all buffers.
NamedTensors kept_tensors(const torch::nn::Module& model) {
  NamedTensors tensors;
  for (const auto& named : model.named_parameters()) {
    if (named.value().requires_grad()) tensors.emplace_back(named.key(), named.value().detach());
  }
  for (const auto& named : model.named_buffers()) {
    if (named.value().defined()) tensors.emplace_back(named.key(), named.value().detach());
  }
  return tensors;
}

std::string vocabulary_file(const std::string& name) {
  std::string safe = name;
  for (char& c : safe) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') c = '_';
  }
  return "vocabulary." + safe + ".txt";
}

json to_json(const TrainState& state) {
  json j = state;
  j["format"] = kFormat;
  j["best"] = std::isfinite(state.best) ? json(state.best) : json(nullptr);  // JSON has no infinity
  return j;
}

TrainState from_json(json j) {
  const bool none = j.at("best").is_null();
  if (none) j["best"] = 0;
  auto state = j.get<TrainState>();
  if (none) state.best = TrainState().best;
  return state;
}

[[noreturn]] void damaged(const fs::path& file, const std::string& what) {
  throw Error(ErrorKind::kData, "damaged checkpoint: " + what, "take another checkpoint of the run (checkpoints/best), or train again",
              display_path(file));
}

/// state.json, with its own digest checked.
json read_state(const fs::path& folder) {
  const fs::path file = folder / "state.json";
  if (!fs::is_directory(folder)) {
    throw Error(ErrorKind::kData, "there is no checkpoint here", "a run's checkpoints are RUN/checkpoints/last and RUN/checkpoints/best",
                display_path(folder));
  }
  const json all = json::parse(read_file(file), nullptr, /*allow_exceptions=*/false);
  if (!all.is_object() || !all.contains("digest") || !all.contains("format")) damaged(file, "not a whole state.json");
  json rest = all;
  rest.erase("digest");
  if (all["digest"] != digest(rest.dump())) damaged(file, "its content does not match its digest");
  if (all["format"] != kFormat) {
    throw Error(ErrorKind::kData, fmt::format("checkpoint format {} where this oncekit reads format {}", all["format"].dump(), kFormat),
                "load it with the version of oncekit that wrote it", display_path(file));
  }
  return all;
}

/// Names the first file that is missing or whose digest is not the recorded one.
void check_files(const fs::path& folder, const json& state, const std::set<std::string>& wanted = {}) {
  for (const auto& [name, expected] : state.at("files").items()) {
    if (!wanted.empty() && !wanted.contains(name)) continue;
    const fs::path file = folder / name;
    if (!fs::exists(file)) damaged(file, "the file is missing");
    if (digest(read_file(file)) != expected) damaged(file, "its content does not match the digest in state.json");
  }
}

std::string shape_text(at::IntArrayRef sizes) { return fmt::format("[{}]", fmt::join(sizes, ", ")); }

/// The model must have read the same vocabularies and frozen weights as when the checkpoint was made.
void check_content(Recommender& model, const json& state, const fs::path& folder) {
  Problems problems;
  const auto compare = [&](const char* what, const char* hint, const json& saved, const std::map<std::string, std::string>& now) {
    for (const auto& [name, expected] : saved.items()) {
      const auto found = now.find(name);
      if (found == now.end()) {
        problems.add(fmt::format("the checkpoint's {} '{}' is not in this model", what, name), hint);
      } else if (found->second != expected) {
        problems.add(fmt::format("the {} '{}' differs from the checkpoint's (digest {} there, {} here)", what, name,
                                 expected.get<std::string>(), found->second), hint);
      }
    }
    for (const auto& [name, value] : now) {
      if (!saved.contains(name)) problems.add(fmt::format("the model's {} '{}' is not in the checkpoint", what, name), hint);
    }
  };
  std::map<std::string, std::string> vocabularies;
  for (const auto& [name, text] : model.content().vocabularies()) vocabularies[name] = digest(text);
  compare("vocabulary", "the data or its options have changed since: restore them, or train again", state.at("vocabularies"), vocabularies);
  compare("frozen part", "the pretrained weights or vectors have changed since: restore them, or train again", state.at("frozen"),
          model.content().frozen());
  if (!problems.empty()) {
    try {
      problems.raise(ErrorKind::kData);
    } catch (const Error& error) {
      throw Error(ErrorKind::kData, error.message(), error.hint(), display_path(folder));
    }
  }
}

/// All tensors are looked at before the first one is written to.
void copy_weights(Recommender& model, const fs::path& file) {
  const SafetensorsFile saved = read_safetensors(file);
  const NamedTensors targets = kept_tensors(model);
  Problems problems;
  std::set<std::string> known;
  const std::vector<std::string> names = saved.names();
  for (const auto& [name, target] : targets) {
    known.insert(name);
    if (!saved.contains(name)) {
      problems.add("the checkpoint has no tensor '" + name + "'", nearest_name(name, names).empty() ? "" : "nearest: '" + nearest_name(name, names) + "'");
      continue;
    }
    const Tensor tensor = saved.tensor(name);
    if (tensor.sizes() != target.sizes() || tensor.scalar_type() != target.scalar_type()) {
      problems.add(fmt::format("'{}' is {} {} in the checkpoint, {} {} in the model", name, c10::toString(tensor.scalar_type()),
                               shape_text(tensor.sizes()), c10::toString(target.scalar_type()), shape_text(target.sizes())));
    }
  }
  for (const std::string& name : names) {
    if (!known.contains(name)) problems.add("the model has no tensor '" + name + "' of the checkpoint");
  }
  if (!problems.empty()) {
    std::string list;
    for (std::size_t i = 0; i < std::min<std::size_t>(problems.size(), 20); ++i) list += "\n  " + problems.items()[i].message();
    if (problems.size() > 20) list += fmt::format("\n  and {} more", problems.size() - 20);
    throw Error(ErrorKind::kData, "the checkpoint does not fit the model:" + list, "use the recipe it was trained with", display_path(file));
  }
  const c10::AutoGradMode no_gradients(false);
  for (const auto& [name, target] : targets) target.copy_(saved.tensor(name));
}

void check_finite(const NamedTensors& tensors, std::int64_t step) {
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.is_floating_point() || at::isfinite(tensor).all().item<bool>()) continue;
    throw Error(ErrorKind::kRun, fmt::format("'{}' holds infinite or undefined numbers at step {}; it was not saved", name, step),
                "lower [train] lr or set [train] clip, then resume from the last checkpoint or start anew");
  }
}

}  // namespace

std::function<void(std::string_view)>& checkpoint_fault_hook() {
  static std::function<void(std::string_view)> hook;
  return hook;
}

CheckpointFolder::CheckpointFolder(fs::path folder) : folder_(std::move(folder)) {
  std::error_code failed;
  fs::create_directories(folder_, failed);
  if (failed) throw Error(ErrorKind::kRun, "cannot be made: " + failed.message(), "check the path and its permissions", display_path(folder_));
  remove_unreferenced();
}

bool CheckpointFolder::has(const std::string& name) const { return fs::exists(folder_ / name / "state.json"); }

void CheckpointFolder::save(Recommender& model, const Optimizer& optimizer, const TrainState& state, bool is_best) {
  const NamedTensors weights = kept_tensors(model);
  check_finite(weights, state.step);
  const fs::path part = folder_ / kPart;
  std::string name = fmt::format("step-{:08d}", state.step);
  while (fs::exists(folder_ / name)) name += "b";
  try {
    at_point("begin");
    fs::remove_all(part);
    fs::create_directory(part);
    json j = to_json(state);
    j["files"] = json::object();
    write_safetensors(part / "model.safetensors", weights, {{"format", "pt"}, {"step", std::to_string(state.step)}});
    at_point("model written");
    write_safetensors(part / "optimizer.safetensors", optimizer.state());
    at_point("optimizer written");
    for (const char* file : {"model.safetensors", "optimizer.safetensors"}) j["files"][file] = digest(read_file(part / file));
    j["vocabularies"] = json::object();
    for (const auto& [vocabulary, text] : model.content().vocabularies()) {
      const std::string file = vocabulary_file(vocabulary);
      write_file(part / file, text);
      j["vocabularies"][vocabulary] = j["files"][file] = digest(text);
    }
    j["frozen"] = model.content().frozen();
    j["digest"] = digest(j.dump());
    write_file(part / "state.json", j.dump(1));
    sync_path(part);
    at_point("written");
    fs::rename(part, folder_ / name);
    sync_path(folder_);
  } catch (const Error& error) {
    std::error_code ignored;
    fs::remove_all(part, ignored);
    throw Error(error.kind(), "the checkpoint of step " + std::to_string(state.step) + " was not saved: " + error.message(),
                error.hint().empty() ? "earlier checkpoints are untouched" : error.hint() + "; earlier checkpoints are untouched", error.where());
  } catch (const fs::filesystem_error& error) {
    std::error_code ignored;
    fs::remove_all(part, ignored);
    throw Error(ErrorKind::kRun, "the checkpoint of step " + std::to_string(state.step) + " was not saved: " + error.code().message(),
                "make room or check permissions, then resume; earlier checkpoints are untouched", display_path(folder_));
  }
  at_point("renamed");
  point("last", name);
  at_point("last points to it");
  if (is_best) point("best", name);
  at_point("best points to it");
  remove_unreferenced();
  at_point("done");
}

void CheckpointFolder::point(const std::string& name, const std::string& target) {
  const fs::path link = folder_ / name, fresh = folder_ / (name + ".link");
  try {
    fs::remove(fresh);
    fs::create_directory_symlink(target, fresh);
    // A run folder that was copied with links resolved has real folders here.
    if (fs::is_directory(fs::symlink_status(link))) fs::rename(link, folder_ / ("step-was-" + name));
    fs::rename(fresh, link);
  } catch (const fs::filesystem_error& error) {
    throw Error(ErrorKind::kRun, "cannot be pointed to " + target + ": " + error.code().message(), "check permissions and free space, then resume",
                display_path(link));
  }
  sync_path(folder_);
}

void CheckpointFolder::remove_unreferenced() {
  std::set<std::string> kept;
  std::error_code ignored;
  for (const char* name : {"last", "best"}) {
    if (fs::is_symlink(folder_ / name)) kept.insert(fs::read_symlink(folder_ / name, ignored).filename().string());
  }
  std::vector<fs::path> doomed;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    const bool ours = name.starts_with("step-") || name == kPart || name.ends_with(".link");
    if (ours && !kept.contains(name)) doomed.push_back(entry.path());
  }
  for (const fs::path& path : doomed) fs::remove_all(path, ignored);
}

void CheckpointFolder::clear() {
  std::error_code ignored;
  fs::remove_all(folder_ / "last", ignored);
  fs::remove_all(folder_ / "best", ignored);
  remove_unreferenced();
}

TrainState CheckpointFolder::load_last(Recommender& model, Optimizer& optimizer) {
  const fs::path folder = folder_ / "last";
  const json j = read_state(folder);
  check_files(folder, j);
  check_content(model, j, folder);
  const SafetensorsFile saved = read_safetensors(folder / "optimizer.safetensors");
  copy_weights(model, folder / "model.safetensors");
  optimizer.load(saved.tensors(), display_path(folder / "optimizer.safetensors"));
  const TrainState state = from_json(j);
  // A kill between the two links: this checkpoint is the best one, but is not called so yet.
  if (state.best_step == state.step) {
    const std::string target = fs::is_symlink(folder) ? fs::read_symlink(folder).filename().string() : std::string();
    if (!target.empty() && (!fs::is_symlink(folder_ / "best") || fs::read_symlink(folder_ / "best").filename() != target)) point("best", target);
  }
  return state;
}

void load_checkpoint(Recommender& model, const fs::path& checkpoint) {
  const json j = read_state(checkpoint);
  check_files(checkpoint, j, {"model.safetensors"});
  check_content(model, j, checkpoint);
  copy_weights(model, checkpoint / "model.safetensors");
}

TrainState read_train_state(const fs::path& checkpoint) { return from_json(read_state(checkpoint)); }

}  // namespace oncekit
