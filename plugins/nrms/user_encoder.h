// user_encoder/nrms: self-attention over the clicked items, additive attention over the clicks.
#pragma once

#include <memory>

#include "oncekit/model.h"
#include "oncekit/nn.h"

namespace oncekit::nrms {

struct UserOptions {
  std::int64_t heads = 8;
  std::int64_t attention_width = 256;
  double dropout = 0.1;
  void describe(Fields& f);
};

/// Wu et al., "NRMS", EMNLP 2019, section 3.2. A user without clicks gets the zero vector.
class UserNrms final : public UserEncoder {
 public:
  using Options = UserOptions;
  /// Throws Error(kUsage) when the items' width is no multiple of `heads`.
  UserNrms(const Options& options, const Dims& dims);
  std::int64_t width() const override { return width_; }
  UserState encode(const Clicks& clicks) override;

 private:
  std::int64_t width_;
  std::shared_ptr<nn::SelfAttentionPooling> encoder_;
};

}  // namespace oncekit::nrms
