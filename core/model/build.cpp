#include "model/build.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/util/Logging.h>
#include <torch/headeronly/version.h>

#include "model/recommender.h"
#include "oncekit/error.h"
#include "plugin/guard.h"
#include "plugin/host.h"

namespace oncekit {

void start_torch(int threads) {
  at::set_num_threads(threads);
  at::set_num_interop_threads(1);
  FLAGS_caffe2_use_fatal_for_enforce = false;  // memory that ran out is an exception, not an abort
}

std::string torch_version() {
  for (const auto& [field, value] : host_build())
    if (field == "torch") return value;
  return TORCH_VERSION;
}

bool cuda_available() { return at::globalContext().hasCUDA(); }

std::shared_ptr<Recommender> build_recommender(const ComponentChoice& content, const ComponentChoice& user,
                                               const ComponentChoice& interaction, const ModelOptions& options,
                                               std::uint64_t seed, const Corpus& corpus, Workspace& workspace) {
  at::globalContext().defaultGenerator(at::kCPU);  // makes the generator before it is seeded
  at::manual_seed(seed);
  Dims dims;
  dims.width = options.width;
  auto encoder = call_plugin(*content.spec, "construct", [&] { return content.spec->make_content_encoder(*content.options, dims); });
  dims.item_width = encoder->width();
  auto users = call_plugin(*user.spec, "construct", [&] { return user.spec->make_user_encoder(*user.options, dims); });
  auto scores = call_plugin(*interaction.spec, "construct", [&] { return interaction.spec->make_interaction(*interaction.options, dims); });
  if (users->width() != encoder->width())
    throw Error(ErrorKind::kUsage,
                "user_encoder/" + user.spec->name + " gives vectors of width " + std::to_string(users->width()) + ", content_encoder/" +
                    content.spec->name + " of width " + std::to_string(encoder->width()) + "; they must be equal",
                "set [model] width, or the components' own widths");
  auto model = std::make_shared<Recommender>(encoder, users, scores, options);
  call_plugin(*content.spec, "prepare", [&] { model->prepare(corpus, workspace); });
  model->to(at::Device(workspace.device()));
  return model;
}

ModelSize model_size(Recommender& model) {
  ModelSize size;
  for (const Tensor& parameter : model.parameters()) (parameter.requires_grad() ? size.trainable : size.frozen) += parameter.numel();
  for (const ParamGroup& group : model.groups())
    for (const Tensor& parameter : group.parameters) size.groups[group.name] += parameter.numel();
  return size;
}

std::map<std::string, std::string> model_facts(Recommender& model) {
  return call_object(model.content(), "facts", [&] { return model.content().facts(); });
}

void save_for_others(Recommender& model, const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  std::filesystem::path part = folder;
  part += ".part";
  try {
    fs::remove_all(part);
    fs::create_directories(part);
    call_object(model.content(), "save_for_others", [&] { model.content().save_for_others(part); });
    fs::remove_all(folder);
    if (fs::is_empty(part)) fs::remove(part);
    else fs::rename(part, folder);
  } catch (const fs::filesystem_error& e) {
    throw Error(ErrorKind::kRun, "the folder cannot be written: " + e.code().message(), "make room, or allow writing there, and continue the run", folder.string());
  }
}

}  // namespace oncekit
