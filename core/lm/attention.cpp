#include "lm/kernels.h"

namespace oncekit::lm {
Tensor attend(const Tensor& q_NHW, const Tensor& k_NGW, const Tensor& v_NGW, const TokenTree& tree, bool causal, double scale) {
  return plain::attend(q_NHW, k_NGW, v_NGW, tree, causal, scale);
}
}  // namespace oncekit::lm
