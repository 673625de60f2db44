// What every user encoder must do.
#include <ATen/ATen.h>

#include <cmath>

#include "test_kit/checks.h"

namespace oncekit::test_kit {
namespace {

using Histories = std::vector<std::vector<std::int64_t>>;

// A batch of clicks and what its spans point into.
struct Batch {
  std::vector<ItemId> ids_N;
  std::vector<UserId> users_B;
  std::vector<std::int32_t> histories_B;
  Clicks clicks;

  Batch(const Histories& histories, const Tensor& items_UD, UserId first_user = 0) {
    std::vector<std::int64_t> rows_N;
    clicks.items_UD = items_UD;
    clicks.offsets_B1 = {0};
    for (const auto& history : histories) {
      for (const std::int64_t row : history) {
        rows_N.push_back(row);
        ids_N.push_back(static_cast<ItemId>(row));
      }
      clicks.offsets_B1.push_back(static_cast<std::int64_t>(rows_N.size()));
      histories_B.push_back(first_user);
      users_B.push_back(first_user++);
    }
    clicks.rows_N = at::tensor(rows_N, at::kLong);
    clicks.ids_N = ids_N;
    clicks.users_B = users_B;
    clicks.histories_B = histories_B;
  }
};

constexpr std::int64_t kItems = 14;  // rows 12 and 13 are nobody's click
const Histories& histories() {
  static const Histories list = {{0, 1, 2}, {3}, {}, {4, 5, 6, 7, 8, 9, 10, 11}, {1, 1, 5}};
  return list;
}

std::shared_ptr<UserEncoder> make(Bench& bench, std::uint64_t seed, std::int64_t item_width = 0) {
  seed_torch(seed);
  Dims dims;
  dims.width = bench.setup.width;
  dims.item_width = item_width ? item_width : bench.setup.width;
  auto encoder = bench.spec.make_user_encoder(bench.options, dims);
  if (!encoder) throw std::runtime_error("the factory returned no object");
  encoder->eval();
  return encoder;
}

std::string check_shapes(const Bench& bench, const UserState& state, std::int64_t batch, std::int64_t width) {
  const Tensor& users = state.users_BMD;
  if (!users.defined() || users.dim() != 3 || users.size(0) != batch || users.size(1) < 1 || users.size(2) != width)
    return "users_BMD is " + shape_of(users) + ", expected [" + std::to_string(batch) + ", M, " + std::to_string(width) + "] (samples, vectors, width())";
  if (users.scalar_type() != at::kFloat) return "users_BMD has another dtype than float32";
  if (users.size(1) > 1 && !bench.gives("multi-vectors")) return "it gives " + std::to_string(users.size(1)) + " vectors a user but gives() does not say \"multi-vectors\"";
  if (bench.gives("clicks") != state.clicks_BHD.defined()) return "clicks_BHD must be defined if and only if gives() says \"clicks\"";
  if (state.clicks_BHD.defined()) {
    if (!state.mask_BH.defined() || state.mask_BH.scalar_type() != at::kBool) return "mask_BH must be a bool tensor beside clicks_BHD";
    if (state.clicks_BHD.dim() != 3 || state.mask_BH.dim() != 2 || state.clicks_BHD.size(0) != batch || state.clicks_BHD.size(1) != state.mask_BH.size(1))
      return "clicks_BHD is " + shape_of(state.clicks_BHD) + " and mask_BH " + shape_of(state.mask_BH);
  }
  if (state.aux_loss.defined() && state.aux_loss.dim() != 0) return "aux_loss is " + shape_of(state.aux_loss) + ", expected a scalar";
  return "";
}

}  // namespace

void check_user_encoder(Bench& bench) {
  std::shared_ptr<UserEncoder> encoder;
  if (!bench.check("constructs", [&]() -> std::string {
        encoder = make(bench, bench.setup.seed);
        return encoder->width() > 0 ? "" : "width() is " + std::to_string(encoder->width());
      }))
    return;
  const std::int64_t width = bench.setup.width;
  const auto B = static_cast<std::int64_t>(histories().size());
  const Tensor items = random({kItems, width}, 21);
  at::NoGradGuard no_grad;
  const auto encode = [&](const Histories& list, const Tensor& vectors, UserId first = 0) {
    return encoder->encode(Batch(list, vectors, first).clicks).users_BMD;
  };

  Tensor users;
  if (!bench.check("shapes", [&]() -> std::string {
        const UserState state = encoder->encode(Batch(histories(), items).clicks);
        users = state.users_BMD;
        return check_shapes(bench, state, B, encoder->width());
      }))
    return;
  bench.check("users are finite, an empty history included", [&] { return not_finite(users); });
  bench.check("a batch of empty histories", [&]() -> std::string {
    for (const std::size_t n : {1, 3}) {
      const UserState state = encoder->encode(Batch(Histories(n), items).clicks);
      if (std::string text = check_shapes(bench, state, static_cast<std::int64_t>(n), encoder->width()); !text.empty()) return text;
      if (std::string text = not_finite(state.users_BMD); !text.empty()) return text;
    }
    return differs(encode(Histories(1), items, 2), users.slice(0, 2, 3));
  });
  bench.check("a batch of one: padding changes nothing", [&]() -> std::string {
    for (std::int64_t b = 0; b < B; ++b)
      if (std::string text = differs(encode({histories()[static_cast<std::size_t>(b)]}, items, static_cast<UserId>(b)), users.slice(0, b, b + 1)); !text.empty())
        return "sample " + std::to_string(b) + " alone " + text + " from the same sample among others";
    return "";
  });
  bench.check("other users' clicks change nothing", [&]() -> std::string {
    for (std::int64_t b = 0; b < B; ++b) {
      Histories others = histories();
      for (std::int64_t k = 0; k < B; ++k)
        if (k != b) for (auto& row : others[static_cast<std::size_t>(k)]) row = 12;
      if (std::string text = differs(encode(others, items).slice(0, b, b + 1), users.slice(0, b, b + 1)); !text.empty())
        return "the state of sample " + std::to_string(b) + " " + text + " when only other samples' clicks change";
    }
    return "";
  });
  bench.check("items that nobody clicked change nothing", [&]() -> std::string {
    Tensor changed = items.clone();
    changed.slice(0, 12, 14).fill_(std::nan(""));
    return differs(encode(histories(), changed), users);
  });
  bench.check("the order of item rows changes nothing", [&]() -> std::string {
    Histories turned = histories();
    for (auto& history : turned)
      for (auto& row : history) row = kItems - 1 - row;
    // ids follow the item, not its row, so an encoder that looks at ids is checked with its own.
    Batch batch(turned, items.flip(0));
    for (auto& id : batch.ids_N) id = static_cast<ItemId>(kItems - 1 - id);
    return differs(encoder->encode(batch.clicks).users_BMD, users);
  });
  bench.check("large vectors overflow nothing", [&] { return not_finite(encode(histories(), items * 1e4)); });
  bench.check("a history of 300 clicks", [&]() -> std::string {
    Histories list = histories();
    for (std::int64_t i = 0; i < 297; ++i) list.back().push_back(i % 12);
    const Tensor out = encode(list, items);
    if (std::string text = not_finite(out); !text.empty()) return text;
    return differs(out.slice(0, 0, B - 1), users.slice(0, 0, B - 1));
  });
  bench.check("clicks that are given on are zero where masked", [&]() -> std::string {
    const UserState state = encoder->encode(Batch(histories(), items).clicks);
    if (!state.clicks_BHD.defined()) return "";
    const Tensor masked = state.clicks_BHD.masked_select(state.mask_BH.logical_not().unsqueeze(-1));
    return masked.count_nonzero().item<std::int64_t>() == 0 ? "" : "clicks_BHD is not zero where mask_BH is false";
  });
  bench.check("the same call gives the same bits", [&] { return differs(encode(histories(), items), users, 0, 0); });
  bench.check("gradients flow to every trainable parameter and to the clicked items", [&]() -> std::string {
    const at::AutoGradMode grad(true);
    encoder->train();
    zero_gradients(*encoder);
    seed_torch(bench.setup.seed);
    Tensor leaf = items.clone().requires_grad_();
    const UserState state = encoder->encode(Batch(histories(), leaf).clicks);
    const Tensor& out = state.users_BMD;
    if (!out.requires_grad()) return "the result has no gradient";
    Tensor loss = (out * random(out.sizes().vec(), 22)).sum();
    if (state.aux_loss.defined()) loss = loss + state.aux_loss;
    loss.backward();
    encoder->eval();
    if (std::string text = dead_gradients(*encoder); !text.empty()) return text;
    if (!leaf.grad().defined()) return "the items get no gradient";
    if (std::string text = not_finite(leaf.grad()); !text.empty()) return "the gradient of the items " + text;
    if (leaf.grad().slice(0, 0, 12).count_nonzero().item<std::int64_t>() == 0) return "the gradient of the clicked items is zero everywhere";
    return leaf.grad().slice(0, 12, 14).count_nonzero().item<std::int64_t>() == 0 ? "" : "items that nobody clicked get a gradient";
  });
  encoder->eval();
  bench.check("the same seed gives the same weights and, with dropout, the same bits", [&]() -> std::string {
    const auto twin = make(bench, bench.setup.seed);
    if (std::string text = state_differs(*encoder, *twin); !text.empty()) return text;
    encoder->train();
    twin->train();
    seed_torch(99);
    const Tensor a = encode(histories(), items);
    seed_torch(99);
    const std::string text = differs(twin->encode(Batch(histories(), items).clicks).users_BMD, a, 0, 0);
    encoder->eval();
    return text;
  });
  bench.check("saved and loaded, it gives equal users", [&]() -> std::string {
    const auto other = make(bench, bench.setup.seed + 1);
    if (std::string text = copy_state(*encoder, *other); !text.empty()) return text;
    return differs(other->encode(Batch(histories(), items).clicks).users_BMD, users, 0, 0);
  });
  bench.check("items of another width: works, or says so", [&]() -> std::string {
    std::shared_ptr<UserEncoder> narrow;
    try {
      narrow = make(bench, bench.setup.seed, width + 8);
    } catch (const Error& error) {
      return error.kind() == ErrorKind::kUsage ? "" : "refused with kind " + std::to_string(error.exit_code()) + ", expected kUsage: " + error.message();
    }
    const UserState state = narrow->encode(Batch(histories(), random({kItems, width + 8}, 23)).clicks);
    return check_shapes(bench, state, B, narrow->width());
  });
}

}  // namespace oncekit::test_kit
