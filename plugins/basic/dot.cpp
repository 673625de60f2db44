#include "dot.h"

#include <ATen/ops/bmm.h>
#include <ATen/ops/index_select.h>

namespace oncekit::basic {

Tensor Dot::score(const UserState& user, const Candidates& candidates) {
  const std::int64_t B = candidates.rows_BC.size(0), C = candidates.rows_BC.size(1), D = candidates.items_UD.size(1);
  const Tensor items_BCD = at::index_select(candidates.items_UD, 0, candidates.rows_BC.reshape({-1})).view({B, C, D});
  const Tensor scores_BCM = at::bmm(items_BCD, user.users_BMD.transpose(1, 2));
  return scores_BCM.size(2) == 1 ? scores_BCM.squeeze(2) : scores_BCM.amax(2);
}

}  // namespace oncekit::basic
