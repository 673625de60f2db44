// What every content encoder must do.
#include <ATen/ATen.h>

#include <future>

#include "test_kit/checks.h"

namespace oncekit::test_kit {
namespace {

using Ids = std::vector<ItemId>;

struct Maker {
  Bench& bench;
  Items items;

  std::shared_ptr<ContentEncoder> operator()(std::uint64_t seed) const {
    seed_torch(seed);
    Dims dims;
    dims.width = dims.item_width = bench.setup.width;
    auto encoder = bench.spec.make_content_encoder(bench.options, dims);
    if (!encoder) throw std::runtime_error("the factory returned no object");
    encoder->prepare(items, bench.workspace);
    return encoder;
  }
};

Tensor encode(ContentEncoder& encoder, const Ids& ids) {
  const auto batch = encoder.gather(ids);
  return encoder.encode(*batch);
}

std::string check_groups(ContentEncoder& encoder) {
  std::map<const void*, std::string> group_of;
  std::string text;
  const auto add = [&](const std::string& what) { text += (text.empty() ? "" : "; ") + what; };
  for (const ParamGroup& group : encoder.groups()) {
    if (group.name != "lm" && group.name != "rest") add("group '" + group.name + "' is neither \"lm\" nor \"rest\"");
    for (const Tensor& p : group.parameters) {
      if (!p.requires_grad()) add("a parameter of group '" + group.name + "' does not train");
      if (!group_of.emplace(p.unsafeGetTensorImpl(), group.name).second) add("a parameter is in two groups");
    }
  }
  for (const auto& pair : encoder.named_parameters())
    if (pair.value().requires_grad() && !group_of.erase(pair.value().unsafeGetTensorImpl())) add("parameter '" + pair.key() + "' is in no group");
  if (!group_of.empty()) add(std::to_string(group_of.size()) + " parameters of groups are not registered");
  return text;
}

}  // namespace

void check_content_encoder(Bench& bench) {
  const Maker make{bench, kit_items(bench.spec.needs(bench.options))};
  std::shared_ptr<ContentEncoder> encoder;
  const auto dtype = at::typeMetaToScalarType(at::get_default_dtype());
  const int threads = at::get_num_threads();
  if (!bench.check("constructs and prepares", [&]() -> std::string {
        encoder = make(bench.setup.seed);
        return encoder->width() > 0 ? "" : "width() is " + std::to_string(encoder->width());
      }))
    return;
  const auto n = static_cast<ItemId>(make.items.size());
  Ids all;
  for (ItemId i = 0; i < n; ++i) all.push_back(i);
  encoder->eval();
  at::NoGradGuard no_grad;

  Tensor vectors_UD;
  if (!bench.check("shapes", [&]() -> std::string {
        const auto batch = encoder->gather(all);
        if (batch->ids_U != all) return "gather() changes ids_U";
        vectors_UD = encoder->encode(*batch);
        if (vectors_UD.dim() != 2 || vectors_UD.size(0) != n || vectors_UD.size(1) != encoder->width())
          return "encode() gives " + shape_of(vectors_UD) + ", expected [" + std::to_string(n) + ", " + std::to_string(encoder->width()) + "] (items, width())";
        return vectors_UD.scalar_type() == at::kFloat ? "" : "encode() gives another dtype than float32";
      }))
    return;
  bench.check("vectors are finite, items without text included", [&] { return not_finite(vectors_UD); });
  bench.check("a batch of one", [&]() -> std::string {
    for (const ItemId i : {0, 1, 2, 5, n - 1})
      if (const std::string text = differs(encode(*encoder, {i}), vectors_UD.slice(0, i, i + 1)); !text.empty())
        return "item " + std::to_string(i) + " alone " + text + " from the same item among others: padding or other items leak into it";
    return "";
  });
  bench.check("other items and their order change nothing", [&]() -> std::string {
    const Ids some = {7, 2, 1, 12, 0};
    const Tensor rows = at::tensor(std::vector<std::int64_t>{7, 2, 1, 12, 0});
    return differs(encode(*encoder, some), vectors_UD.index_select(0, rows));
  });
  bench.check("an item as if it were new", [&]() -> std::string {
    // Looser than elsewhere: what a cache holds may be rounded, and rounded otherwise in another batch.
    for (const ItemId i : {0, 2, n - 1})
      if (const std::string text = differs(encoder->encode_new(i), vectors_UD.slice(0, i, i + 1), 0.02, 0.02); !text.empty())
        return "encode_new() of item " + std::to_string(i) + " " + text + " from encode()";
    return "";
  });
  bench.check("the same call gives the same bits", [&] { return differs(encode(*encoder, all), vectors_UD, 0, 0); });
  bench.check("gather() is thread-safe", [&]() -> std::string {
    std::vector<std::future<std::unique_ptr<ItemBatch>>> jobs;
    for (int i = 0; i < 8; ++i) jobs.push_back(std::async(std::launch::async, [&] { return std::as_const(*encoder).gather(all); }));
    for (auto& job : jobs)
      if (std::string text = differs(encoder->encode(*job.get()), vectors_UD, 0, 0); !text.empty()) return text;
    return "";
  });
  bench.check("parameter groups", [&] { return check_groups(*encoder); });
  bench.check("gradients flow to every trainable parameter", [&]() -> std::string {
    const at::AutoGradMode grad(true);
    encoder->train();
    zero_gradients(*encoder);
    seed_torch(bench.setup.seed);
    bool trains = false;
    for (const Tensor& p : encoder->parameters()) trains = trains || p.requires_grad();
    const Tensor out = encode(*encoder, all);
    if (!trains) return out.requires_grad() ? "no parameter trains, yet the result has a gradient" : "";
    if (!out.requires_grad()) return "the result has no gradient";
    (out * random(out.sizes().vec(), 11)).sum().backward();
    return dead_gradients(*encoder);
  });
  encoder->eval();
  bench.check("the same seed gives the same weights and, with dropout, the same bits", [&]() -> std::string {
    const auto twin = make(bench.setup.seed);
    if (std::string text = state_differs(*encoder, *twin); !text.empty()) return text;
    encoder->train();
    twin->train();
    seed_torch(99);
    const Tensor a = encode(*encoder, all);
    seed_torch(99);
    const std::string text = differs(encode(*twin, all), a, 0, 0);
    encoder->eval();
    return text;
  });
  bench.check("saved and loaded, it gives equal vectors", [&]() -> std::string {
    const auto other = make(bench.setup.seed + 1);
    if (std::string text = copy_state(*encoder, *other); !text.empty()) return text;
    other->eval();
    return differs(encode(*other, all), vectors_UD, 0, 0);
  });
  bench.check("vocabularies and digests are the same every time", [&]() -> std::string {
    const auto twin = make(bench.setup.seed + 1);
    if (encoder->vocabularies() != twin->vocabularies()) return "vocabularies() differ between two objects of the same options and items";
    if (encoder->frozen() != twin->frozen()) return "frozen() differs between two objects of the same options and items";
    return "";
  });
  bench.check("threads, seeds and default dtype of the process are left alone", [&]() -> std::string {
    if (at::typeMetaToScalarType(at::get_default_dtype()) != dtype) return "the default dtype was changed";
    return at::get_num_threads() == threads ? "" : "the number of threads was changed";
  });
}

}  // namespace oncekit::test_kit
