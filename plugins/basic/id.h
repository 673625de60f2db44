// content_encoder/id: one trained vector an item, no content at all. The control that says what text is worth.
#pragma once

#include "oncekit/model.h"

namespace oncekit::basic {

struct IdOptions {
  double std = 0.1;
  void describe(Fields& f);
};

/// Items that no training batch holds keep their initial vectors: small random ones, so that they score near the average.
class IdEncoder final : public ContentEncoder {
 public:
  using Options = IdOptions;
  IdEncoder(const Options& options, const Dims& dims) : options_(options), width_(dims.width) {}

  std::int64_t width() const override { return width_; }
  void prepare(const Items& items, Workspace& workspace) override;
  std::unique_ptr<ItemBatch> gather(std::span<const ItemId> ids_U) const override;
  Tensor encode(const ItemBatch& batch) override;
  std::map<std::string, std::string> vocabularies() const override { return {{"items", items_}}; }
  static std::vector<std::string> gives(const Options&) { return {"item-ids"}; }

 private:
  Options options_;
  std::int64_t width_;
  Tensor items_ND_;
  std::string items_;
};

}  // namespace oncekit::basic
