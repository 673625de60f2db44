// Item ids as a tensor: what the encoders without text need of a batch.
#pragma once

#include "oncekit/model.h"

namespace oncekit::basic {

/// The items' ids, as index_select wants them.
struct RowBatch final : ItemBatch {
  std::vector<std::int64_t> rows_U;
};

std::unique_ptr<ItemBatch> gather_rows(std::span<const ItemId> ids_U);
/// rows_U of the batch, on the table's device.
Tensor rows_of(const ItemBatch& batch, const Tensor& table);
/// Item ids, one a line, as a checkpoint keeps them.
std::string id_lines(const Items& items);

}  // namespace oncekit::basic
