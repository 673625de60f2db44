#include "train/options.h"

#include <cctype>
#include <string>
#include <vector>

namespace oncekit {

namespace {

/// "auc", "ndcg@5", "new/auc": the metrics that core/evaluate knows, with or without a slice before them.
bool is_metric(std::string name) {
  if (const auto slash = name.find('/'); slash != std::string::npos) {
    const std::string slice = name.substr(0, slash);
    if (slice != "new" && slice != "warm" && slice != "empty" && slice != "seen" && slice != "cold") return false;
    name = name.substr(slash + 1);
  }
  if (const auto at = name.find('@'); at != std::string::npos) {
    const std::string k = name.substr(at + 1);
    if (k.empty() || k.size() > 6 || k[0] == '0') return false;
    for (char c : k) {
      if (!std::isdigit(static_cast<unsigned char>(c))) return false;
    }
    name = name.substr(0, at);
    return name == "ndcg" || name == "hit" || name == "recall";
  }
  return name == "auc" || name == "global_auc" || name == "mrr" || name == "mrr_first" || name == "lrap";
}

}  // namespace

void TrainOptions::validate(Problems& problems) const {
  if (epochs == 0) problems.add("[train] epochs = 0 trains nothing", "[run] train = false evaluates the untrained model");
  if (!is_metric(monitor)) {
    const std::vector<std::string> known{"auc", "global_auc", "mrr", "mrr_first", "lrap", "ndcg@5", "ndcg@10", "hit@5", "recall@20"};
    const std::string near = nearest_name(monitor, known);
    problems.add("[train] monitor = '" + monitor + "' is no metric that grows with quality",
                 near.empty() ? "one of auc, global_auc, mrr, mrr_first, lrap, ndcg@K, hit@K, recall@K" : "did you mean '" + near + "'?");
  }
  if (schedule == "linear" && schedule_epochs > 0 && schedule_epochs < epochs) {
    problems.add("[train] schedule_epochs is below epochs: the learning rate would be 0 before the end",
                 "raise schedule_epochs, or leave it at 0 (the decay then ends at `epochs`)");
  }
}

}  // namespace oncekit
