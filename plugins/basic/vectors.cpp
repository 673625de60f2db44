#include "vectors.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <unordered_map>

#include <ATen/ops/dropout.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>

#include "oncekit/error.h"
#include "oncekit/vectors.h"
#include "rows.h"

namespace oncekit::basic {
namespace {

constexpr std::int64_t kMadeUpWidth = 32;

}  // namespace

void VectorsOptions::describe(Fields& f) {
  f.path("path", path).doc(".npy of item vectors, one row an item; empty = made-up random vectors, a control").demo(std::string());
  f.path("ids", ids).doc("item ids of the rows, one a line, as in the raw data; empty = the same name with .txt").demo(std::string());
  f.choice("tune", tune, {"frozen", "tuned"}).doc("the vectors stay as they are, or train; the linear layer behind them always trains");
  f.choice("missing", missing, {"error", "zero"}).doc("items without a vector: stop and name one, or take zeros and count them");
  f.boolean("unit", unit).doc("scale each vector to length 1 first");
  f.real("dropout", dropout).range(0, 0.99).doc("on the vectors, one mask a distinct item of a batch");
}

Tensor VectorsEncoder::read(const Items& items, Workspace& workspace) {
  const auto n = static_cast<std::int64_t>(items.size());
  if (options_.path.empty()) {
    Tensor table = at::empty({n, kMadeUpWidth}, at::kFloat);
    float* data = table.mutable_data_ptr<float>();
    const Rng rng = workspace.rng("made-up item vectors");
    for (std::int64_t i = 0; i < n; ++i) {
      Rng row = rng.at(items.ids[static_cast<std::size_t>(i)]);
      for (std::int64_t j = 0; j < kMadeUpWidth; ++j) data[i * kMadeUpWidth + j] = static_cast<float>(row.normal());
    }
    return table;
  }
  const std::filesystem::path names_file = options_.ids.empty() ? std::filesystem::path(options_.path).replace_extension(".txt") : std::filesystem::path(options_.ids);
  const Tensor rows = read_npy(options_.path);
  if (rows.dim() != 2 || !at::isFloatingType(rows.scalar_type()) || rows.size(1) < 1)
    throw Error(ErrorKind::kData, "expected a table [items, width] of f2, f4 or f8", "save the vectors as one two-dimensional array", options_.path);
  const std::vector<std::string> names = read_lines(names_file);
  if (static_cast<std::int64_t>(names.size()) != rows.size(0))
    throw Error(ErrorKind::kData, "has " + std::to_string(names.size()) + " ids, but " + options_.path + " has " + std::to_string(rows.size(0)) + " rows",
                "the file must hold one item id a line, in the order of the rows", names_file.string());
  std::unordered_map<std::string_view, std::int64_t> places;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!places.emplace(names[i], static_cast<std::int64_t>(i)).second)
      throw Error(ErrorKind::kData, "item '" + names[i] + "' stands there twice", "keep one row an item", names_file.string() + ":" + std::to_string(i + 1));
  }
  const std::int64_t width = rows.size(1);
  Tensor table = at::zeros({n, width}, at::kFloat);
  float* data = table.mutable_data_ptr<float>();
  std::int64_t absent = 0;
  std::string first;
  for (std::int64_t i = 0; i < n; ++i) {
    const auto place = places.find(items.ids[static_cast<std::size_t>(i)]);
    if (place == places.end()) {
      if (absent++ == 0) first = std::string(items.ids[static_cast<std::size_t>(i)]);
      if (options_.missing == "zero") workspace.count("items without a vector, taken as zeros", options_.path);
      continue;
    }
    const Tensor row = rows[place->second].to(at::kFloat);
    std::memcpy(data + i * width, row.const_data_ptr<float>(), static_cast<std::size_t>(width) * sizeof(float));
    double square = 0;
    for (std::int64_t j = 0; j < width; ++j) square += double{data[i * width + j]} * data[i * width + j];
    if (!std::isfinite(square))
      throw Error(ErrorKind::kData, "row " + std::to_string(place->second) + " (item '" + first.assign(items.ids[static_cast<std::size_t>(i)]) + "') is not finite", {}, options_.path);
    if (options_.unit && square > 0) {
      for (std::int64_t j = 0; j < width; ++j) data[i * width + j] = static_cast<float>(data[i * width + j] / std::sqrt(square));
    }
  }
  if (absent == n || (absent > 0 && options_.missing == "error"))
    throw Error(ErrorKind::kData, "lacks " + std::to_string(absent) + " of the " + std::to_string(n) + " items, the first is '" + first + "'",
                absent == n ? "the ids must be those of the raw data" : "add their vectors, or set missing = \"zero\"", names_file.string());
  return table;
}

void VectorsEncoder::prepare(const Items& items, Workspace& workspace) {
  const bool frozen = options_.tune == "frozen";
  Tensor table = read(items, workspace);
  const std::int64_t from = table.size(1);
  table_NW_ = register_parameter("items", table, !frozen);
  const double bound = 1 / std::sqrt(static_cast<double>(from));
  weight_DW_ = register_parameter("weight", at::empty({width_, from}, at::kFloat).uniform_(-bound, bound));
  bias_D_ = register_parameter("bias", at::empty({width_}, at::kFloat).uniform_(-bound, bound));
  if (frozen && !options_.path.empty()) frozen_["vectors"] = CacheKey("vectors", 1).add_file("file", options_.path).hash();
  items_ = id_lines(items);
}

std::unique_ptr<ItemBatch> VectorsEncoder::gather(std::span<const ItemId> ids_U) const { return gather_rows(ids_U); }

Tensor VectorsEncoder::encode(const ItemBatch& batch) {
  Tensor x_UW = at::index_select(table_NW_, 0, rows_of(batch, table_NW_));
  if (options_.dropout > 0 && is_training()) x_UW = at::dropout(x_UW, options_.dropout, true);
  return at::linear(x_UW, weight_DW_, bias_D_);
}

}  // namespace oncekit::basic
