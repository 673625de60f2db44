// content_encoder/vectors: any vectors of items made elsewhere (an .npy and its ids), and a linear layer: y = W x + b.
#pragma once

#include "oncekit/model.h"

namespace oncekit::basic {

struct VectorsOptions {
  std::string path, ids;
  std::string tune = "frozen";
  std::string missing = "error";
  bool unit = false;
  double dropout = 0;
  void describe(Fields& f);
};

/// With `missing = "zero"` an item without a vector gets x = 0, so y = b.
class VectorsEncoder final : public ContentEncoder {
 public:
  using Options = VectorsOptions;
  VectorsEncoder(const Options& options, const Dims& dims) : options_(options), width_(dims.width) {}

  std::int64_t width() const override { return width_; }
  /// Throws Error(kData) when the files are damaged, do not fit each other, or lack items.
  void prepare(const Items& items, Workspace& workspace) override;
  std::unique_ptr<ItemBatch> gather(std::span<const ItemId> ids_U) const override;
  Tensor encode(const ItemBatch& batch) override;
  std::map<std::string, std::string> vocabularies() const override { return {{"items", items_}}; }
  std::map<std::string, std::string> frozen() const override { return frozen_; }

 private:
  Tensor read(const Items& items, Workspace& workspace);
  Options options_;
  std::int64_t width_;
  Tensor table_NW_, weight_DW_, bias_D_;
  std::string items_;
  std::map<std::string, std::string> frozen_;
};

}  // namespace oncekit::basic
