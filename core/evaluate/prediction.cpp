#include "evaluate/prediction.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/files.h"
#include "evaluate/evaluate.h"

namespace oncekit {

void write_prediction(const Impressions& impressions, std::span<const float> scores, const std::filesystem::path& file) {
  std::string text;
  std::vector<std::size_t> order, rank;
  for (std::size_t i = 0; i < impressions.size(); ++i) {
    const std::size_t first = impressions.candidates.offsets()[i], n = impressions.candidates.length(i);
    const std::span<const float> of = scores.subspan(first, n);
    for (float score : of) check_score(score, impressions, i);
    order.resize(n);
    rank.resize(n);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return of[a] > of[b]; });
    for (std::size_t place = 0; place < n; ++place) rank[order[place]] = place + 1;
    text.append(impressions.ids[i]).append(" [");
    for (std::size_t c = 0; c < n; ++c) text.append(c > 0 ? "," : "").append(std::to_string(rank[c]));
    text += "]\n";
  }
  write_file(file, text);
}

}  // namespace oncekit
