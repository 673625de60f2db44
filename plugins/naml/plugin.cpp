// user_encoder/naml: additive attention over the clicked items. Small enough to read as an example of a user encoder.
#include "oncekit/plugin.h"

#include <memory>

#include "oncekit/error.h"
#include "oncekit/model.h"
#include "oncekit/nn.h"

namespace {

using namespace oncekit;

struct NamlOptions {
  std::int64_t attention_width = 256;
  void describe(Fields& f) {
    f.integer("attention_width", attention_width).range(1, 65536).doc("hidden width of the additive attention").demo(std::int64_t{64});
  }
};

/// Wu et al., "NAML", IJCAI 2019, section 3.2: u = sum a_n v_n, a = softmax(w2 . tanh(W1 v_n + b1)) over a user's clicks.
/// A user without clicks gets the zero vector.
class UserNaml final : public UserEncoder {
 public:
  using Options = NamlOptions;
  UserNaml(const Options& options, const Dims& dims) : width_(dims.item_width) {
    attention_ = register_module("attention", std::make_shared<nn::AdditiveAttention>(width_, options.attention_width));
  }
  std::int64_t width() const override { return width_; }

  UserState encode(const Clicks& clicks) override {
    const Tensor rows_N = clicks.rows_N.cpu();  // the same memory when it is there already
    const std::span<const std::int64_t> rows(rows_N.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(rows_N.numel()));
    UserState state;
    state.users_BMD = attention_->forward(clicks.items_UD, {rows, clicks.offsets_B1}).unsqueeze(1);
    return state;
  }

 private:
  std::int64_t width_;
  std::shared_ptr<nn::AdditiveAttention> attention_;
};

void register_components(Registrar& r) {
  r.user_encoder<UserNaml>("naml")
      .doc("additive attention over the clicked items; zeros without clicks")
      .cite("Wu et al., Neural News Recommendation with Attentive Multi-View Learning, IJCAI 2019");
}

}  // namespace

ONCEKIT_PLUGIN("naml", register_components)
