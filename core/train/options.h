// [train]: losses, negatives, optimizer, schedule, stopping.
#pragma once

#include "oncekit/options.h"

namespace oncekit {

struct TrainOptions {
  std::string loss = "softmax";
  std::int64_t negatives = 4;
  std::string negative_pool = "impression";
  std::string negative_items = "all";
  std::string short_pool = "mask";
  bool allow_leak = false;
  std::int64_t batch_size = 64;
  std::int64_t accumulate = 1;
  double epochs = 5;
  double check_every = 1;
  std::int64_t max_steps = 0;
  std::string optimizer = "adam";
  double lr = 1e-3;
  double lm_lr = 1e-5;
  double weight_decay = 0;
  double clip = 0;
  std::string schedule = "linear";
  double warmup = 0;
  double schedule_epochs = 0;
  std::int64_t patience = 2;
  std::string monitor = "auc";
  double aux_weight = 1;
  std::string dropout_mask = "item";
  double checkpoint_minutes = 10;
  bool permute_labels = false;

  void describe(Fields& f) {
    f.choice("loss", loss, {"softmax", "bce"}).doc("softmax over one clicked and K not clicked, or bce on shown candidates");
    f.integer("negatives", negatives).range(1, 1000).doc("K, not-clicked candidates a clicked one");
    f.choice("negative_pool", negative_pool, {"impression", "user", "user_first", "user_released"})
        .doc("where negatives are drawn: the same impression, all of the user's training impressions, the first of them, or as the "
             "released code does (Goodreads: from dev and test too)")
        .under("paper", std::string("user_first")).under("released", std::string("user_released"));
    f.choice("negative_items", negative_items, {"all", "clicked"})
        .doc("clicked: negatives are drawn only among items that somebody clicked in training. An item that is shown there and never "
             "clicked is otherwise learnt as a negative, which costs the cold items of dev and test");
    f.choice("short_pool", short_pool, {"mask", "random"})
        .doc("a pool with fewer than K: mask the missing slots, or fill with random items")
        .under("paper", std::string("random")).under("released", std::string("random"));
    f.boolean("allow_leak", allow_leak).doc("allow a negative pool that holds dev and test negatives; results get the prefix leaky/");
    f.integer("batch_size", batch_size).range(1, 1 << 20).doc("B, samples a step").under("paper", std::int64_t{32}).under("released", std::int64_t{32});
    f.integer("accumulate", accumulate).range(1, 4096).doc("batches whose gradients are summed before a step")
        .under("paper", std::int64_t{2}).under("released", std::int64_t{2});
    f.real("epochs", epochs).range(0, 1e6).doc("at most so many passes over the training samples").under("paper", 50.0).under("released", 50.0).demo(1.0);
    f.real("check_every", check_every).range(1e-3, 1e6).unit("epochs").doc("dev evaluation after every so much of an epoch")
        .under("paper", 0.25).under("released", 0.25);
    f.integer("max_steps", max_steps).at_least(0).unit("steps").doc("stop after so many optimizer steps; 0 = no such limit");
    f.choice("optimizer", optimizer, {"adam", "adamw"});
    f.real("lr", lr).range(0, 10).doc("learning rate of all but the language model").under("released", 1e-4);
    f.real("lm_lr", lm_lr).range(0, 10).doc("learning rate of the language model's own parameters");
    f.real("weight_decay", weight_decay).range(0, 10);
    f.real("clip", clip).range(0, 1e9).doc("largest gradient norm; 0 = no clipping");
    f.choice("schedule", schedule, {"constant", "linear"}).doc("after warm-up: constant, or linear decay to 0");
    f.real("warmup", warmup).range(0, 1e9).unit("steps");
    f.real("schedule_epochs", schedule_epochs).range(0, 1e6).unit("epochs").doc("where the linear decay ends; 0 = at `epochs`");
    f.integer("patience", patience).at_least(0).doc("dev checks without a better value before stopping; 0 = never stop early");
    f.text("monitor", monitor).doc("dev metric that chooses the checkpoint, e.g. auc, ndcg@5");
    f.real("aux_weight", aux_weight).range(0, 1e6).doc("weight of a user encoder's auxiliary loss");
    f.choice("dropout_mask", dropout_mask, {"item", "slot"})
        .doc("one dropout mask a distinct item of a batch, or one for each slot it stands in (as the peers do; slower)")
        .under("paper", std::string("slot")).under("released", std::string("slot"));
    f.real("checkpoint_minutes", checkpoint_minutes).range(0, 1e6).unit("minutes").doc("also save for resuming so often; 0 = only at dev checks");
    f.boolean("permute_labels", permute_labels).doc("negative control: shuffle which candidate was clicked, in training only");
  }
  void validate(Problems& problems) const;
};

}  // namespace oncekit
