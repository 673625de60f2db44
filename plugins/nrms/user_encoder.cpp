#include "user_encoder.h"

#include "oncekit/error.h"

namespace oncekit::nrms {

void UserOptions::describe(Fields& f) {
  f.integer("heads", heads).range(1, 1024).doc("attention heads; must divide [model] width").cite("Liu et al. 2024, section 5.1.4").demo(std::int64_t{4});
  f.integer("attention_width", attention_width).range(1, 65536).doc("hidden width of the additive attention").demo(std::int64_t{64});
  f.real("dropout", dropout).range(0, 0.99).doc("on the attention weights");
}

UserNrms::UserNrms(const Options& options, const Dims& dims) : width_(dims.width) {
  if (dims.item_width % options.heads != 0) {
    throw Error(ErrorKind::kUsage,
                "user_encoder/nrms gets item vectors of width " + std::to_string(dims.item_width) + ", which " + std::to_string(options.heads) +
                    " heads do not divide",
                "choose another number of heads or another [model] width", "user_encoder.heads");
  }
  encoder_ = register_module("encoder",
                             std::make_shared<nn::SelfAttentionPooling>(dims.item_width, width_, options.heads, options.attention_width, options.dropout));
}

UserState UserNrms::encode(const Clicks& clicks) {
  const Tensor rows_N = clicks.rows_N.cpu();  // the same memory when it is there already
  const std::span<const std::int64_t> rows(rows_N.const_data_ptr<std::int64_t>(), static_cast<std::size_t>(rows_N.numel()));
  UserState state;
  state.users_BMD = encoder_->forward(clicks.items_UD, {rows, clicks.offsets_B1}).unsqueeze(1);
  return state;
}

}  // namespace oncekit::nrms
