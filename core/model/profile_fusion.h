// The user profile joins the user vector: u' = MLP([u; p_1; ...; p_n]), after the user encoder, on each of its M vectors.
// (Liu et al. 2024, section 4.2; `linear` is the released code's form.)
#pragma once

#include <span>
#include <string>
#include <vector>

#include <torch/nn/modules/linear.h>

#include "oncekit/model.h"

namespace oncekit {

/// p_c = mean of a trainable embedding over the user's values of attribute c, or a learned vector (zero at first) when there is none.
class ProfileFusion : public torch::nn::Module {
 public:
  /// mlp: Linear, ReLU, Linear; otherwise one Linear.
  ProfileFusion(const Users& users, std::int64_t width, bool mlp);
  ~ProfileFusion() override;
  /// users_BMD [B, M, D] -> [B, M, D].
  Tensor forward(const Tensor& users_BMD, std::span<const UserId> users_B);

 private:
  struct Attribute {
    Ragged<std::int32_t> values;
    Tensor table_VD, empty_D;
  };
  std::vector<Attribute> attributes_;
  torch::nn::Linear first_{nullptr}, second_{nullptr};
};

}  // namespace oncekit
