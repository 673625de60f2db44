#include "id.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>

#include "rows.h"

namespace oncekit::basic {

std::unique_ptr<ItemBatch> gather_rows(std::span<const ItemId> ids_U) {
  auto batch = std::make_unique<RowBatch>();
  batch->ids_U.assign(ids_U.begin(), ids_U.end());
  batch->rows_U.assign(ids_U.begin(), ids_U.end());
  return batch;
}

Tensor rows_of(const ItemBatch& batch, const Tensor& table) {
  const auto& rows = static_cast<const RowBatch&>(batch).rows_U;
  const Tensor host = at::from_blob(const_cast<std::int64_t*>(rows.data()), {static_cast<std::int64_t>(rows.size())}, at::kLong);
  return table.device().is_cpu() ? host.clone() : host.to(table.device());  // autograd keeps it longer than the batch lives
}

std::string id_lines(const Items& items) {
  std::string lines;
  for (std::size_t i = 0; i < items.size(); ++i) lines.append(items.ids[i]).push_back('\n');
  return lines;
}

void IdOptions::describe(Fields& f) { f.real("std", std).range(0, 10).doc("standard deviation of the initial vectors"); }

void IdEncoder::prepare(const Items& items, Workspace& workspace) {
  const auto n = static_cast<std::int64_t>(items.size());
  Tensor table = at::empty({n, width_}, at::kFloat);
  float* data = table.mutable_data_ptr<float>();
  const Rng rng = workspace.rng("item vectors");
  workspace.parallel_for(n, 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      Rng row = rng.at(items.ids[static_cast<std::size_t>(i)]);  // of the id, not of its place
      for (std::int64_t j = 0; j < width_; ++j) data[i * width_ + j] = static_cast<float>(options_.std * row.normal());
    }
  });
  items_ND_ = register_parameter("items", table);
  items_ = id_lines(items);
}

std::unique_ptr<ItemBatch> IdEncoder::gather(std::span<const ItemId> ids_U) const { return gather_rows(ids_U); }

Tensor IdEncoder::encode(const ItemBatch& batch) { return at::index_select(items_ND_, 0, rows_of(batch, items_ND_)); }

}  // namespace oncekit::basic
