// user_encoder/gru: a gated recurrent network over a user's clicks, oldest first; its state after the last click is the user.
// LSTUR's short-term user representation: An et al., Neural News Recommendation with Long- and Short-term User Representations,
// ACL 2019, section 3.2.2.
#include <ATen/ATen.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/rnn.h>

#include "oncekit/model.h"
#include "oncekit/plugin.h"

namespace {

using at::Tensor;

struct GruOptions {
  std::int64_t layers = 1;
  double dropout = 0.1;
  std::int64_t newest = 0;

  void describe(oncekit::Fields& f) {
    f.integer("layers", layers).range(1, 8).doc("recurrent layers, one on another");
    f.real("dropout", dropout).range(0, 0.99).doc("on the clicked items");
    f.integer("newest", newest).at_least(0).unit("clicks").doc("read only so many of the newest clicks; 0 = all");
  }
  void validate(oncekit::Problems& problems) const {
    if (newest == 1 && layers > 1) problems.add("newest = 1 leaves nothing to recur over", "use layers = 1");
  }
};

class Gru final : public oncekit::UserEncoder {
 public:
  using Options = GruOptions;

  Gru(const Options& options, const oncekit::Dims& dims)
      : options_(options), width_(dims.width),
        gru_(register_module("gru", torch::nn::GRU(torch::nn::GRUOptions(dims.item_width, dims.width).num_layers(options.layers).batch_first(true)))),
        dropout_(register_module("dropout", torch::nn::Dropout(options.dropout))) {}

  std::int64_t width() const override { return width_; }

  oncekit::UserState encode(const oncekit::Clicks& clicks) override {
    auto [clicks_BHD, mask_BH] = clicks.padded();  // right-padded: what follows the last click cannot reach back to it
    if (options_.newest > 0) keep_newest(clicks_BHD, mask_BH);
    const Tensor lengths_B = mask_BH.sum(1);
    const Tensor states_BHD = std::get<0>(gru_->forward(dropout_(clicks_BHD)));
    const Tensor last_B11 = (lengths_B - 1).clamp_min(0).view({-1, 1, 1});
    const Tensor users_B1D = states_BHD.gather(1, last_B11.expand({-1, 1, width_}));
    oncekit::UserState state;
    state.users_BMD = users_B1D * (lengths_B > 0).view({-1, 1, 1});  // no clicks: zeros
    return state;
  }

 private:
  // The last `newest` clicks of each sample, right-padded again.
  void keep_newest(Tensor& clicks_BHD, Tensor& mask_BH) const {
    const std::int64_t H = std::min(options_.newest, mask_BH.size(1));
    const Tensor lengths_B1 = mask_BH.sum(1, true);
    const Tensor at_BH = (lengths_B1 - H).clamp_min(0) + at::arange(H, lengths_B1.options());
    mask_BH = at_BH < lengths_B1;
    const Tensor index_BHD = at_BH.clamp_max(clicks_BHD.size(1) - 1).unsqueeze(2).expand({-1, -1, clicks_BHD.size(2)});
    clicks_BHD = clicks_BHD.gather(1, index_BHD) * mask_BH.unsqueeze(2);
  }

  Options options_;
  std::int64_t width_;
  torch::nn::GRU gru_;
  torch::nn::Dropout dropout_;
};

void register_components(oncekit::Registrar& r) {
  r.user_encoder<Gru>("gru").doc("a gated recurrent network over the clicks; its last state is the user; zeros without clicks")
      .cite("An et al., LSTUR, ACL 2019, section 3.2.2");
}

}  // namespace

ONCEKIT_PLUGIN("gru", register_components)
