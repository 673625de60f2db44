#include "lm/kernels.h"

namespace oncekit::lm {
Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) { return plain::rms_norm(x, weight, eps); }
Tensor swiglu(const Tensor& gate_NF, const Tensor& up_NF) { return plain::swiglu(gate_NF, up_NF); }
Tensor rotate(const Tensor& x_NHW, const Tensor& cos_NW2, const Tensor& sin_NW2) { return plain::rotate(x_NHW, cos_NW2, sin_NW2); }
}  // namespace oncekit::lm
