// Destructors of the tier-0 interfaces: one home for their virtual tables.
#include "oncekit/augmenter.h"
#include "oncekit/dataset.h"
#include "oncekit/error.h"
#include "oncekit/registrar.h"
#include "oncekit/workspace.h"

namespace oncekit {

Augmenter::~Augmenter() = default;
Answers::~Answers() = default;
Dataset::~Dataset() = default;
Progress::~Progress() = default;
Registrar::~Registrar() = default;
Workspace::~Workspace() = default;

void Dataset::write_toy(const ToyWorld&, const std::filesystem::path&) const {
  throw Error(ErrorKind::kUsage, "this dataset has no toy corpus", "use a dataset that has one (oncekit data ls), or real data");
}

}  // namespace oncekit
