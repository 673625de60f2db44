// [evaluate]: metrics, groups, candidates, slices.
#pragma once

#include "oncekit/options.h"

namespace oncekit {

struct EvaluateOptions {
  std::vector<std::string> metrics{"auc", "mrr", "ndcg@5", "ndcg@10"};
  std::string group = "dataset";
  std::string candidates = "listed";
  std::vector<std::string> slices{"new", "warm", "empty", "seen", "cold"};
  std::vector<std::string> rankers{"popularity", "item_knn", "tfidf"};
  bool per_group = true;
  std::int64_t batch_items = 512;

  void describe(Fields& f) {
    f.list("metrics", metrics).doc("auc, global_auc, mrr, mrr_first, lrap, ndcg@K, hit@K, recall@K; definitions: docs/metrics.md")
        .under("paper", std::vector<std::string>{"auc", "lrap", "ndcg@5", "ndcg@10"})
        .under("released", std::vector<std::string>{"auc", "lrap", "ndcg@5", "ndcg@10"});
    f.choice("group", group, {"dataset", "impression", "user"}).doc("what grouped metrics average over; dataset = as the dataset says");
    f.choice("candidates", candidates, {"listed", "all"}).doc("rank the listed candidates, or the whole catalogue (recall, ndcg)");
    f.list("slices", slices).one_of({"new", "warm", "empty", "seen", "cold"})
        .doc("new: 1 to 5 clicks, warm: more, empty: none (all before truncation and augmentation); "
             "seen and cold: by whether the clicked items occur in training");
    f.list("rankers", rankers).one_of({"popularity", "item_knn", "tfidf"}).doc("untrained rankers beside every result");
    f.boolean("per_group", per_group).doc("write per_group.csv");
    f.integer("batch_items", batch_items).range(1, 1 << 20).doc("items encoded at once");
  }
  void validate(Problems& problems) const;
};

}  // namespace oncekit
