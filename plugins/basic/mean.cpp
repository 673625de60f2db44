#include "mean.h"

#include "oncekit/nn.h"

namespace oncekit::basic {

UserState MeanEncoder::encode(const Clicks& clicks) {
  const Tensor rows_N = clicks.rows_N.cpu();  // the same memory when it is there already
  const std::span<const std::int64_t> rows(rows_N.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(rows_N.numel()));
  UserState state;
  state.users_BMD = nn::mean(clicks.items_UD, {rows, clicks.offsets_B1}).unsqueeze(1);
  return state;
}

}  // namespace oncekit::basic
