// What every interaction must do.
#include <ATen/ATen.h>

#include <cmath>

#include "test_kit/checks.h"

namespace oncekit::test_kit {
namespace {

constexpr std::int64_t kB = 3, kC = 4, kU = 9, kH = 5;  // row 0 of the items is nobody's candidate

// Users, candidates, and what the span points into.
struct Scene {
  UserState user;
  Candidates candidates;
  std::vector<ItemId> ids;

  Scene(const Bench& bench, const Tensor& items_UD, std::int64_t vectors) {
    const std::int64_t width = bench.setup.width;
    user.users_BMD = random({kB, vectors, width}, 31);
    if (bench.needs("clicks")) {
      user.clicks_BHD = random({kB, kH, width}, 32);
      user.mask_BH = at::arange(kH).unsqueeze(0) < at::tensor({5, 2, 0}).unsqueeze(1);
      user.clicks_BHD.masked_fill_(user.mask_BH.logical_not().unsqueeze(-1), 0);
    }
    candidates.items_UD = items_UD;
    candidates.rows_BC = at::tensor({1, 2, 3, 4, 5, 6, 0, 0, 7, 0, 0, 0}, at::kLong).view({kB, kC});
    candidates.mask_BC = at::tensor({1, 1, 1, 1, 1, 1, 0, 0, 1, 0, 0, 0}).view({kB, kC}).to(at::kBool);
    set_ids();
  }
  void set_ids() {
    ids.clear();
    const Tensor rows = candidates.rows_BC.contiguous(), mask = candidates.mask_BC.contiguous();
    for (std::int64_t i = 0; i < rows.numel(); ++i) ids.push_back(mask.data_ptr<bool>()[i] ? static_cast<ItemId>(rows.data_ptr<std::int64_t>()[i]) : -1);
    candidates.ids_BC = ids;
  }
};

}  // namespace

void check_interaction(Bench& bench) {
  const std::int64_t width = bench.setup.width, vectors = bench.needs("multi-vectors") ? 3 : 1;
  const auto make = [&](std::uint64_t seed) {
    seed_torch(seed);
    Dims dims;
    dims.width = dims.item_width = width;
    auto interaction = bench.spec.make_interaction(bench.options, dims);
    if (!interaction) throw std::runtime_error("the factory returned no object");
    interaction->eval();
    return interaction;
  };
  std::shared_ptr<Interaction> interaction;
  if (!bench.check("constructs", [&]() -> std::string {
        interaction = make(bench.setup.seed);
        return "";
      }))
    return;
  at::NoGradGuard no_grad;
  const Tensor items = random({kU, width}, 33);
  const Scene scene(bench, items, vectors);
  const Tensor mask = scene.candidates.mask_BC;
  const auto score = [&](const Scene& s) { return interaction->score(s.user, s.candidates); };

  Tensor scores;
  if (!bench.check("shapes", [&]() -> std::string {
        scores = score(scene);
        if (scores.dim() != 2 || scores.size(0) != kB || scores.size(1) != kC) return "score() gives " + shape_of(scores) + ", expected [3, 4] (samples, candidates)";
        return scores.scalar_type() == at::kFloat ? "" : "score() gives another dtype than float32";
      }))
    return;
  const Tensor real = scores.masked_select(mask);
  bench.check("scores are finite", [&] { return not_finite(real); });
  bench.check("masked candidates change nothing", [&]() -> std::string {
    Tensor changed = items.clone();
    changed[0].fill_(std::nan(""));  // only masked places point to row 0
    return differs(score(Scene(bench, changed, vectors)).masked_select(mask), real);
  });
  bench.check("other users change nothing", [&]() -> std::string {
    Scene other(bench, items, vectors);
    other.user.users_BMD = other.user.users_BMD.clone();
    other.user.users_BMD.slice(0, 1, kB).add_(3);
    return differs(score(other)[0], scores[0]);
  });
  bench.check("the order of candidates only orders the scores", [&]() -> std::string {
    Scene turned(bench, items, vectors);
    turned.candidates.rows_BC = turned.candidates.rows_BC.flip(1).contiguous();
    turned.candidates.mask_BC = turned.candidates.mask_BC.flip(1).contiguous();
    turned.set_ids();
    return differs(score(turned).flip(1).masked_select(mask), real);
  });
  bench.check("a batch of one, one candidate", [&]() -> std::string {
    for (std::int64_t b = 0; b < kB; ++b) {
      Scene one(bench, items, vectors);
      for (Tensor* t : {&one.user.users_BMD, &one.user.clicks_BHD, &one.user.mask_BH})
        if (t->defined()) *t = t->slice(0, b, b + 1);
      one.candidates.rows_BC = one.candidates.rows_BC.slice(0, b, b + 1).slice(1, 0, 1);
      one.candidates.mask_BC = one.candidates.mask_BC.slice(0, b, b + 1).slice(1, 0, 1);
      one.set_ids();
      if (std::string text = differs(score(one), scores.slice(0, b, b + 1).slice(1, 0, 1)); !text.empty())
        return "sample " + std::to_string(b) + " alone " + text + " from the same sample among others";
    }
    return "";
  });
  bench.check("the same call gives the same bits", [&] { return differs(score(scene).masked_select(mask), real, 0, 0); });
  bench.check("gradients flow to users, candidates and every trainable parameter", [&]() -> std::string {
    const at::AutoGradMode grad(true);
    interaction->train();
    zero_gradients(*interaction);
    seed_torch(bench.setup.seed);
    Tensor leaf = items.clone().requires_grad_();
    Scene s(bench, leaf, vectors);
    s.user.users_BMD = s.user.users_BMD.clone().requires_grad_();
    const Tensor out = score(s);
    if (!out.requires_grad()) return "the scores have no gradient";
    (out.masked_select(mask) * random({real.numel()}, 34)).sum().backward();
    interaction->eval();
    if (std::string text = dead_gradients(*interaction); !text.empty()) return text;
    if (!leaf.grad().defined() || leaf.grad().count_nonzero().item<std::int64_t>() == 0) return "the candidates get no gradient";
    if (std::string text = not_finite(leaf.grad()); !text.empty()) return "the gradient of the candidates " + text;
    const Tensor user_grad = s.user.users_BMD.grad();
    if (!user_grad.defined() || user_grad.count_nonzero().item<std::int64_t>() == 0) return "the users get no gradient";
    return not_finite(user_grad);
  });
  interaction->eval();
  bench.check("the same seed gives the same weights", [&] { return state_differs(*interaction, *make(bench.setup.seed)); });
  bench.check("saved and loaded, it gives equal scores", [&]() -> std::string {
    const auto other = make(bench.setup.seed + 1);
    if (std::string text = copy_state(*interaction, *other); !text.empty()) return text;
    return differs(other->score(scene.user, scene.candidates).masked_select(mask), real, 0, 0);
  });
}

}  // namespace oncekit::test_kit
