// Untrained rankers: what a number means is seen beside them. Internal to this room; definitions: docs/metrics.md.
#pragma once

#include <vector>

#include "evaluate/context.h"

namespace oncekit {

/// Item texts as unit tf-idf vectors over a vocabulary of words. Item i has terms [offsets[i], offsets[i + 1]).
struct TitleVectors {
  std::size_t words = 0;
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> terms;
  std::vector<double> weights;
};

/// Words of the titles (of all attributes when the items have no title), weighted by tf x idf with idf from the items that
/// occur in training, each item's vector scaled to length 1.
TitleVectors make_title_vectors(const Corpus& corpus, Workspace& workspace);

}  // namespace oncekit
