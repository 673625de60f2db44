#include "model/recommender.h"

#include <algorithm>
#include <numeric>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include "model/profile_fusion.h"
#include "oncekit/error.h"
#include "plugin/guard.h"

namespace oncekit {
namespace {

// A copy: autograd keeps index tensors until the backward pass, and the batch may be gone by then.
template <class T>
Tensor copy_of(const std::vector<T>& values, at::IntArrayRef shape, at::ScalarType type, const at::Device& device) {
  Tensor host = at::from_blob(const_cast<T*>(values.data()), shape, type);
  return device.is_cpu() ? host.clone() : host.to(device);
}

}  // namespace

Recommender::Recommender(std::shared_ptr<ContentEncoder> content, std::shared_ptr<UserEncoder> user,
                         std::shared_ptr<Interaction> interaction, const ModelOptions& options)
    : content_(register_module("content_encoder", std::move(content))),
      user_(register_module("user_encoder", std::move(user))),
      interaction_(register_module("interaction", std::move(interaction))),
      options_(options) {}

Recommender::~Recommender() = default;

void Recommender::prepare(const Corpus& corpus, Workspace& workspace) {
  content_->prepare(corpus.items, workspace);
  if (ProfileFusion::wanted(corpus))
    profile_ = register_module("profile_fusion", std::make_shared<ProfileFusion>(corpus, user_->width(), options_.profile_fusion == "mlp"));
}

at::Device Recommender::device() const {
  const auto all = parameters();
  return all.empty() ? at::Device(at::kCPU) : all.front().device();
}

UserState Recommender::encode_users(const Clicks& clicks) {
  UserState state = call_object(*user_, "encode", [&] { return user_->encode(clicks); });
  if (profile_) state.users_BMD = profile_->forward(state.users_BMD, clicks.users_B, clicks.histories_B);
  return state;
}

Tensor Recommender::score(const UserState& user, const Candidates& candidates) { 
  return call_object(*interaction_, "score", [&] { return interaction_->score(user, candidates); });
}

Recommender::Scores Recommender::forward(const SampleBatch& batch) {
  const at::Device where = device();
  const std::int64_t samples = batch.batch();
  Tensor items_UD;
  Clicks clicks;
  Candidates candidates;
  std::unique_ptr<ItemBatch> slots;
  const auto clicks_count = static_cast<std::int64_t>(batch.click_rows_N.size());
  if (slot_masks_ && is_training()) {
    // Every slot is an item of its own, so that dropout draws another mask for each.
    std::vector<ItemId> ids(batch.click_ids_N);
    for (std::size_t i = 0; i < batch.candidate_ids_BC.size(); ++i)
      ids.push_back(batch.mask_BC[i] ? batch.candidate_ids_BC[i] : batch.candidate_ids_BC[i - i % static_cast<std::size_t>(batch.candidates)]);
    slots = call_object(*content_, "gather", [&] { return content_->gather(ids); });
    items_UD = call_object(*content_, "encode", [&] { return content_->encode(*slots); });
    const Tensor rows = at::arange(static_cast<std::int64_t>(ids.size()), at::TensorOptions().dtype(at::kLong).device(where));
    clicks.rows_N = rows.narrow(0, 0, clicks_count);
    const Tensor mask = copy_of(batch.mask_BC, {samples, batch.candidates}, at::kByte, where).to(at::kBool);
    candidates.rows_BC = rows.narrow(0, clicks_count, samples * batch.candidates).view({samples, batch.candidates});
    candidates.mask_BC = mask;
  } else {
    items_UD = call_object(*content_, "encode", [&] { return content_->encode(*batch.items); });
    clicks.rows_N = copy_of(batch.click_rows_N, {clicks_count}, at::kLong, where);
    candidates.rows_BC = copy_of(batch.candidate_rows_BC, {samples, batch.candidates}, at::kLong, where);
    candidates.mask_BC = copy_of(batch.mask_BC, {samples, batch.candidates}, at::kByte, where).to(at::kBool);
  }
  clicks.items_UD = items_UD;
  clicks.offsets_B1 = batch.click_offsets_B1;
  clicks.ids_N = batch.click_ids_N;
  clicks.users_B = batch.users_B;
  clicks.histories_B = batch.histories_B;
  candidates.items_UD = items_UD;
  candidates.ids_BC = batch.candidate_ids_BC;
  const UserState state = encode_users(clicks);
  return {score(state, candidates), state.aux_loss};
}

Tensor Recommender::encode_items(std::span<const ItemId> ids, std::int64_t batch_items, Workspace& workspace) {
  const at::AutoGradMode no_gradients(false);
  const auto total = static_cast<std::int64_t>(ids.size());
  const auto progress = workspace.progress("encode", total, "items");
  Tensor items_ND;
  for (std::int64_t begin = 0; begin < total; begin += batch_items) {
    workspace.check_cancelled();
    const std::int64_t n = std::min(batch_items, total - begin);
    const auto part = ids.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(n));
    const auto batch = call_object(*content_, "gather", [&] { return content_->gather(part); });
    const Tensor part_UD = call_object(*content_, "encode", [&] { return content_->encode(*batch); });
    if (!items_ND.defined()) items_ND = at::empty({total, part_UD.size(1)}, part_UD.options());
    items_ND.narrow(0, begin, n).copy_(part_UD);
    progress->advance(n);
  }
  return items_ND.defined() ? items_ND : at::zeros({0, content_->width()});
}

std::vector<ParamGroup> Recommender::groups() {
  std::vector<ParamGroup> groups{{"lm", {}}, {"rest", {}}};
  for (const ParamGroup& group : content_->groups()) {
    if (group.name != "lm" && group.name != "rest")
      throw Error(ErrorKind::kPlugin, "the content encoder gives a parameter group '" + group.name + "'", "groups are \"lm\" and \"rest\"");
    auto& into = groups[group.name == "lm" ? 0 : 1].parameters;
    into.insert(into.end(), group.parameters.begin(), group.parameters.end());
  }
  for (const auto& module : children()) {
    if (module.get() == static_cast<torch::nn::Module*>(content_.get())) continue;
    for (const Tensor& parameter : module->parameters())
      if (parameter.requires_grad()) groups[1].parameters.push_back(parameter);
  }
  return groups;
}

}  // namespace oncekit
