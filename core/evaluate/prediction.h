// A prediction file: what a leaderboard takes for impressions whose clicks only it knows.
#pragma once

#include <filesystem>
#include <span>

#include "oncekit/corpus.h"

namespace oncekit {

/// One line an impression, in the order of the data: its id, then the rank of each candidate in the order in which they were listed, 1 = best:
/// "13 [2,1,3]" (the format of the MIND competition, msnews.github.io). Equal scores rank in that order too. scores: one number a
/// candidate, parallel to impressions.candidates.values(). Throws Error(kRun) when a score is NaN or the file cannot be written.
void write_prediction(const Impressions& impressions, std::span<const float> scores, const std::filesystem::path& file);

}  // namespace oncekit
