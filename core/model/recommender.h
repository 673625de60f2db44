// A recommender: ContentEncoder -> UserEncoder -> (profile fusion) -> Interaction, over batches of distinct items.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/options.h"
#include "oncekit/model.h"

namespace oncekit {

/// B samples in plain memory, made by a background thread. Rows index ids_U of `items`.
struct SampleBatch {
  std::unique_ptr<ItemBatch> items;          ///< the batch's distinct items, of clicks and candidates alike
  std::vector<UserId> users_B;
  std::vector<std::int32_t> histories_B;     ///< rows of Corpus::histories
  std::vector<std::int64_t> click_offsets_B1;
  std::vector<std::int64_t> click_rows_N;
  std::vector<ItemId> click_ids_N;
  std::int64_t candidates = 0;               ///< C
  std::vector<std::int64_t> candidate_rows_BC;
  std::vector<ItemId> candidate_ids_BC;      ///< -1 where masked
  std::vector<std::uint8_t> mask_BC;         ///< 1 = real
  std::vector<float> labels_BC;              ///< 1 = clicked, 0 = not, 0 where masked; softmax: the clicked one is at c = 0
  std::int64_t batch() const noexcept { return static_cast<std::int64_t>(users_B.size()); }
};

class ProfileFusion;  // model/profile_fusion.h

class Recommender : public torch::nn::Module {
 public:
  Recommender(std::shared_ptr<ContentEncoder> content, std::shared_ptr<UserEncoder> user,
              std::shared_ptr<Interaction> interaction, const ModelOptions& options);
  ~Recommender() override;

  /// prepare() of the content encoder, and the profile fusion for the attributes of users and histories there are.
  void prepare(const Corpus& corpus, Workspace& workspace);

  struct Scores {
    Tensor scores_BC;
    Tensor aux_loss;  ///< undefined when there is none
  };
  /// Training's way: encodes the batch's distinct items once.
  Scores forward(const SampleBatch& batch);

  /// Evaluation's way: all item vectors [n, D] of ids (in micro-batches of `batch_items`, a function of the data only).
  Tensor encode_items(std::span<const ItemId> ids, std::int64_t batch_items, Workspace& workspace);
  /// User states of clicks whose rows index `items_UD`; profile fused.
  UserState encode_users(const Clicks& clicks);
  Tensor score(const UserState& user, const Candidates& candidates);

  std::vector<ParamGroup> groups();  ///< "lm" and "rest", the whole model's
  ContentEncoder& content() { return *content_; }
  at::Device device() const;
  /// Also tells encoders how to draw dropout: "item" or "slot" (slot: forward() encodes each slot apart).
  void set_dropout_mask(const std::string& mode) { slot_masks_ = mode == "slot"; }

 private:
  std::shared_ptr<ContentEncoder> content_;
  std::shared_ptr<UserEncoder> user_;
  std::shared_ptr<Interaction> interaction_;
  ModelOptions options_;
  std::shared_ptr<ProfileFusion> profile_;
  bool slot_masks_ = false;
};

}  // namespace oncekit
