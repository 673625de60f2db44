// interaction/dot: the inner product of user and candidate, largest over the user's M vectors.
#pragma once

#include "oncekit/model.h"

namespace oncekit::basic {

class Dot final : public Interaction {
 public:
  using Options = NoOptions;
  Dot(const Options&, const Dims&) {}
  Tensor score(const UserState& user, const Candidates& candidates) override;
};

}  // namespace oncekit::basic
