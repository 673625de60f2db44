// The profile of a user joins the user vector: u' = MLP([u; p_1; ...; p_n]), after the user encoder, on each of its M vectors.
// (Liu et al. 2024, section 4.2; `linear` is the released code's form.)
#pragma once

#include <span>
#include <string>
#include <vector>

#include <torch/nn/modules/linear.h>

#include "oncekit/model.h"

namespace oncekit {

/// p_c = mean of a trainable embedding over the values of attribute c, or a learned vector (zero at first) when there is none. The
/// attributes are those of the user in the raw files, and those that augmenters gave to the history; one that nobody has is left out.
class ProfileFusion : public torch::nn::Module {
 public:
  /// Whether the corpus has attributes to fuse.
  static bool wanted(const Corpus& corpus);
  /// mlp: Linear, ReLU, Linear; otherwise one Linear.
  ProfileFusion(const Corpus& corpus, std::int64_t width, bool mlp);
  ~ProfileFusion() override;
  /// users_BMD [B, M, D] -> [B, M, D].
  Tensor forward(const Tensor& users_BMD, std::span<const UserId> users_B, std::span<const std::int32_t> histories_B);

 private:
  struct Attribute {
    bool of_history;
    Ragged<std::int32_t> values;
    Tensor table_VD, empty_D;
  };
  void add(const std::string& name, const ListAttribute& attribute, bool of_history, std::int64_t width);

  std::vector<Attribute> attributes_;
  torch::nn::Linear first_{nullptr}, second_{nullptr};
};

}  // namespace oncekit
