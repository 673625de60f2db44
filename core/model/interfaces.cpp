// Destructors and defaults of the model interfaces: one home for their virtual tables.
#include <algorithm>

#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "oncekit/model.h"

namespace oncekit {

ItemBatch::~ItemBatch() = default;
ContentEncoder::~ContentEncoder() = default;
UserEncoder::~UserEncoder() = default;
Interaction::~Interaction() = default;

Tensor ContentEncoder::encode_new(ItemId id) { return encode(*gather({&id, 1})); }

std::vector<ParamGroup> ContentEncoder::groups() {
  ParamGroup rest{"rest", {}};
  for (const Tensor& parameter : parameters())
    if (parameter.requires_grad()) rest.parameters.push_back(parameter);
  return {rest};
}

std::map<std::string, std::string> ContentEncoder::vocabularies() const { return {}; }
std::map<std::string, std::string> ContentEncoder::frozen() const { return {}; }
std::map<std::string, std::string> ContentEncoder::facts() const { return {}; }
void ContentEncoder::save_for_others(const std::filesystem::path&) const {}

Clicks::Padded Clicks::padded() const {
  const std::int64_t samples = batch();
  std::int64_t longest = 1;
  for (std::int64_t b = 0; b < samples; ++b) longest = std::max(longest, offsets_B1[static_cast<std::size_t>(b) + 1] - offsets_B1[static_cast<std::size_t>(b)]);
  // Where each click stands in [B * H], and which places are real.
  std::vector<std::int64_t> places;
  places.reserve(static_cast<std::size_t>(offsets_B1.back()));
  for (std::int64_t b = 0; b < samples; ++b)
    for (std::int64_t n = offsets_B1[static_cast<std::size_t>(b)]; n < offsets_B1[static_cast<std::size_t>(b) + 1]; ++n)
      places.push_back(b * longest + n - offsets_B1[static_cast<std::size_t>(b)]);
  const std::int64_t width = items_UD.size(1);
  const Tensor places_N = at::tensor(places, at::kLong).to(items_UD.device());
  const Tensor clicks_ND = items_UD.index_select(0, rows_N);
  Padded out;
  out.clicks_BHD = at::zeros({samples * longest, width}, items_UD.options()).index_copy(0, places_N, clicks_ND).view({samples, longest, width});
  out.mask_BH = at::zeros({samples * longest}, items_UD.options().dtype(at::kBool)).index_fill(0, places_N, true).view({samples, longest});
  return out;
}

}  // namespace oncekit
