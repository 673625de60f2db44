// Scores of a recommender for listed candidates: every item is encoded once, distinct (user, history) states are streamed.
#pragma once

#include <cstdint>
#include <vector>

#include "oncekit/corpus.h"
#include "oncekit/workspace.h"

namespace oncekit {

class Recommender;  // model/recommender.h

/// One score a listed candidate, parallel to impressions.candidates.values(). Chunks are a function of the data alone, so the
/// same model gives the same bits on the same machine and thread count. Puts the model into evaluation mode and back;
/// records no gradients. `impressions` is one of the corpus's splits, or any other whose rows refer to this corpus.
/// batch_items: items encoded at once. Throws Error(kInterrupted) when the user asked to stop.
std::vector<float> score_impressions(Recommender& model, const Corpus& corpus, const Impressions& impressions,
                                     std::int64_t batch_items, Workspace& workspace);

}  // namespace oncekit
