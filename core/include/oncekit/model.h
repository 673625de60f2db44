// The three torch modules a recommender is made of: ContentEncoder -> UserEncoder -> Interaction. Tier 1 of the SDK.
//
// Shapes: B samples, H history, C candidates, U distinct items of a batch, N clicks of a batch (all samples, no padding),
// M user vectors a user, D width.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include "oncekit/corpus.h"
#include "oncekit/registrar.h"
#include "oncekit/workspace.h"

namespace oncekit {

using at::Tensor;

/// What an encoder needs of U items, in plain memory, prepared ahead of time on another thread. Each encoder derives its own.
struct ItemBatch {
  std::vector<ItemId> ids_U;  ///< distinct
  virtual ~ItemBatch();
};

/// Parameters with a learning rate of their own: "lm" (a language model's) or "rest".
struct ParamGroup {
  std::string name;
  std::vector<Tensor> parameters;
};

/// Turns items into vectors. Order of life: construct(options, dims) -> prepare -> to(device) -> load -> train.
/// Parameters whose size depends on the corpus are registered in prepare().
class ContentEncoder : public torch::nn::Module {
 public:
  ~ContentEncoder() override;
  virtual std::int64_t width() const = 0;  ///< D of encode()'s result; known after construction
  /// Tokenises, builds caches, makes corpus-sized parameters; before the optimizer exists. Called once.
  virtual void prepare(const Items& items, Workspace& workspace) = 0;
  /// Thread-safe, const, no tensor operators: the core calls it on a background thread.
  virtual std::unique_ptr<ItemBatch> gather(std::span<const ItemId> ids_U) const = 0;
  /// -> [U, D], on the module's device. `batch` was made by this object's gather().
  virtual Tensor encode(const ItemBatch& batch) = 0;
  /// encode() of one item as if it had just come in: whatever is cached of it is computed again, from its tokens on. -> [1, D]. Its latency is
  /// that of a new item. The default, for encoders that cache nothing, gathers and encodes it.
  virtual Tensor encode_new(ItemId id);
  /// All trainable parameters, each in one group. The default puts all into "rest".
  virtual std::vector<ParamGroup> groups();
  /// What a checkpoint keeps beside tensors: name -> text, one token a line.
  virtual std::map<std::string, std::string> vocabularies() const;
  /// Frozen weights and caches that a checkpoint names but does not hold: name -> digest.
  virtual std::map<std::string, std::string> frozen() const;
  /// What a run record says of it beside options: name -> text, e.g. "kernel" -> "bf16 onednn".
  virtual std::map<std::string, std::string> facts() const;
  /// Writes what other tools read, e.g. an adapter in PEFT's layout, into an empty folder that exists. The default writes nothing.
  virtual void save_for_others(const std::filesystem::path& folder) const;
};

/// The clicks of B samples, without padding. Click n of sample b, oldest first, is row rows_N[n] of items_UD,
/// for n in [offsets_B1[b], offsets_B1[b + 1]). A sample may have no clicks.
struct Clicks {
  Tensor items_UD;
  Tensor rows_N;                              ///< int64, same device as items_UD
  std::vector<std::int64_t> offsets_B1;       ///< on the host, B + 1 entries from 0
  std::span<const ItemId> ids_N;
  std::span<const UserId> users_B;
  std::span<const std::int32_t> histories_B;  ///< rows of Corpus::histories

  std::int64_t batch() const noexcept { return static_cast<std::int64_t>(offsets_B1.size()) - 1; }
  struct Padded {
    Tensor clicks_BHD;  ///< zeros where masked
    Tensor mask_BH;     ///< bool, true at clicks; right-padded
  };
  /// H = longest history of the batch, at least 1.
  Padded padded() const;
};

struct UserState {
  Tensor users_BMD;          ///< M = 1 usual
  Tensor clicks_BHD, mask_BH;  ///< optional: undefined unless the encoder gives "clicks"
  Tensor profile_BD;         ///< optional
  Tensor aux_loss;           ///< optional scalar, added to the loss with [train] aux_weight
};

/// Turns clicks into a user state. Clicks of other samples never change a sample's state. A sample without clicks gets a
/// defined state (zeros, or a learned vector), never NaN.
class UserEncoder : public torch::nn::Module {
 public:
  ~UserEncoder() override;
  virtual std::int64_t width() const = 0;   ///< D of users_BMD; an interaction may require it to equal the items' width
  virtual UserState encode(const Clicks& clicks) = 0;
};

/// Candidate c of sample b is row rows_BC[b, c] of items_UD where mask_BC is true; elsewhere rows_BC is 0 and must not matter.
struct Candidates {
  Tensor items_UD;
  Tensor rows_BC;                 ///< int64
  Tensor mask_BC;                 ///< bool
  std::span<const ItemId> ids_BC;  ///< row-major; -1 where masked
};

class Interaction : public torch::nn::Module {
 public:
  ~Interaction() override;
  /// -> [B, C]; higher is better; what stands at masked places does not matter.
  virtual Tensor score(const UserState& user, const Candidates& candidates) = 0;
};

}  // namespace oncekit
