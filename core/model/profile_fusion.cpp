#include "model/profile_fusion.h"

#include <algorithm>

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/embedding_bag.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

namespace oncekit {

namespace {

// What nobody has says nothing, and would only change the model.
bool joins(const ListAttribute& attribute) { return attribute.in_model && !attribute.values.values().empty(); }

}  // namespace

bool ProfileFusion::wanted(const Corpus& corpus) {
  const auto fused = [](const auto& entry) { return joins(entry.second); };
  return std::any_of(corpus.users.attributes.begin(), corpus.users.attributes.end(), fused) ||
         std::any_of(corpus.profiles.begin(), corpus.profiles.end(), fused);
}

void ProfileFusion::add(const std::string& name, const ListAttribute& attribute, bool of_history, std::int64_t width) {
  if (!joins(attribute)) return;
  Attribute own;
  own.of_history = of_history;
  own.values = attribute.values;
  const auto size = std::max<std::int64_t>(1, static_cast<std::int64_t>(attribute.vocabulary.size()));
  own.table_VD = register_parameter(name, at::empty({size, width}).normal_());
  own.empty_D = register_parameter(name + "_empty", at::zeros({width}));
  attributes_.push_back(std::move(own));
}

ProfileFusion::ProfileFusion(const Corpus& corpus, std::int64_t width, bool mlp) {
  for (const auto& [name, attribute] : corpus.users.attributes) add(name, attribute, false, width);
  for (const auto& [name, attribute] : corpus.profiles) add(corpus.users.attributes.count(name) ? name + "_profile" : name, attribute, true, width);
  const std::int64_t wide = width * (1 + static_cast<std::int64_t>(attributes_.size()));
  first_ = register_module("first", torch::nn::Linear(wide, width));
  if (mlp) second_ = register_module("second", torch::nn::Linear(width, width));
}

ProfileFusion::~ProfileFusion() = default;

Tensor ProfileFusion::forward(const Tensor& users_BMD, std::span<const UserId> users_B, std::span<const std::int32_t> histories_B) {
  std::vector<Tensor> parts{users_BMD};
  const auto options = at::TensorOptions().dtype(at::kLong).device(users_BMD.device());
  for (const Attribute& attribute : attributes_) {
    std::vector<std::int64_t> values, offsets;
    std::vector<std::uint8_t> empty;
    for (const std::int32_t at : attribute.of_history ? histories_B : users_B) {
      offsets.push_back(static_cast<std::int64_t>(values.size()));
      const auto row = attribute.values[static_cast<std::size_t>(at)];
      values.insert(values.end(), row.begin(), row.end());
      empty.push_back(row.empty());
    }
    const Tensor values_V = at::tensor(values, at::kLong).to(options.device()), offsets_B = at::tensor(offsets, at::kLong).to(options.device());
    constexpr std::int64_t kMean = 1;
    const Tensor mean_BD = std::get<0>(at::embedding_bag(attribute.table_VD, values_V, offsets_B, false, kMean));
    const Tensor empty_B = at::tensor(empty, at::kByte).to(options.device()).to(at::kBool);
    const Tensor profile_BD = at::where(empty_B.unsqueeze(1), attribute.empty_D, mean_BD);
    parts.push_back(profile_BD.unsqueeze(1).expand_as(users_BMD));
  }
  Tensor fused_BMD = first_->forward(at::cat(parts, 2));
  if (second_) fused_BMD = second_->forward(fused_BMD.relu());
  return fused_BMD;
}

}  // namespace oncekit
