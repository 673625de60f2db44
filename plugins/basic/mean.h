// user_encoder/mean: the mean of the clicked items' vectors. A user without clicks gets the zero vector.
#pragma once

#include "oncekit/model.h"

namespace oncekit::basic {

class MeanEncoder final : public UserEncoder {
 public:
  using Options = NoOptions;
  MeanEncoder(const Options&, const Dims& dims) : width_(dims.item_width) {}
  std::int64_t width() const override { return width_; }
  UserState encode(const Clicks& clicks) override;

 private:
  std::int64_t width_;
};

}  // namespace oncekit::basic
