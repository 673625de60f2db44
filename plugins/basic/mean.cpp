#include "mean.h"

#include <algorithm>

#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/segment_reduce.h>

namespace oncekit::basic {

UserState MeanEncoder::encode(const Clicks& clicks) {
  const Tensor items_ND = at::index_select(clicks.items_UD, 0, clicks.rows_N);
  std::vector<std::int64_t> lengths_B;
  std::vector<float> shares_B;
  for (std::size_t b = 1; b < clicks.offsets_B1.size(); ++b) {
    lengths_B.push_back(clicks.offsets_B1[b] - clicks.offsets_B1[b - 1]);
    shares_B.push_back(1.0f / static_cast<float>(std::max<std::int64_t>(lengths_B.back(), 1)));
  }
  const auto on_device = [&](void* data, at::ScalarType type) {
    return at::from_blob(data, {clicks.batch()}, type).clone().to(items_ND.device());
  };
  const Tensor sums_BD = at::segment_reduce(items_ND, "sum", on_device(lengths_B.data(), at::kLong), {}, {}, 0, true, 0);
  UserState state;
  state.users_BMD = (sums_BD * on_device(shares_B.data(), at::kFloat).unsqueeze(1)).unsqueeze(1);
  return state;
}

}  // namespace oncekit::basic
