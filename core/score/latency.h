// How long one answer takes: the inference time that papers on language models as recommenders leave out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "oncekit/corpus.h"
#include "oncekit/workspace.h"

namespace oncekit {

class Recommender;  // model/recommender.h

/// Of one kind of call: medians and 99th percentiles over `calls`, one at a time, on the threads the process has.
struct Latency {
  std::string call;
  std::int64_t calls = 0;
  double p50_ms = 0, p99_ms = 0;
  std::string problem;  ///< why it could not be measured; else empty
};

struct LatencyOptions {
  std::int64_t calls = 1000;       ///< of each kind, after warm-up
  double seconds = 20;             ///< no new call of a kind after so long
  std::int64_t candidates = 100;
  std::int64_t batch_items = 256;  ///< of the items that users and candidates need, encoded before the clock runs
};

/// In this order:
///   new_item  a vector for an item that just came in, from its tokens on: a language model runs all its layers
///   user      a user's state from the vectors of the clicks, for users and histories of `impressions`, drawn at random
///   score     scores of `candidates` random listed items for one user's state
/// Evaluation mode, results on the host. Which items and users are asked for is a function of the workspace's seed. Throws
/// Error(kInterrupted); REQUIRES: impressions and items are not empty.
std::vector<Latency> measure_latency(Recommender& model, const Corpus& corpus, const Impressions& impressions, const LatencyOptions& options,
                                     Workspace& workspace);

}  // namespace oncekit
