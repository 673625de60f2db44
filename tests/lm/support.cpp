#include "support.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include "base/files.h"

namespace oncekit::test {
namespace fs = std::filesystem;

Stored::Stored(const std::string& name) {
  const fs::path folder = fs::path(ONCEKIT_TREE) / "tests/lm/fixtures" / name;
  source = open_model(folder);
  architecture = bench::family_of(*source);
  reference = read_safetensors(folder / "reference.safetensors");
  const at::Tensor ids = reference.tensor("tokens").to(at::kInt), offsets = reference.tensor("offsets").to(at::kLong);
  tokens.ids.assign(ids.const_data_ptr<std::int32_t>(), ids.const_data_ptr<std::int32_t>() + ids.numel());
  tokens.offsets.assign(offsets.const_data_ptr<std::int64_t>(), offsets.const_data_ptr<std::int64_t>() + offsets.numel());
}

at::Tensor Stored::hidden(std::int64_t layer) const { return reference.tensor("hidden." + std::to_string(layer)).clone(); }

at::Tensor states_of(const lm::StatesJob& job, const PackedText& tokens, const fs::path& folder, Workspace& workspace) {
  lm::build_states(job, folder, {}, workspace);
  const std::string bytes = read_file(folder / "states.bin");
  const at::Tensor nodes = at::from_blob(const_cast<char*>(bytes.data()), {job.forest.nodes(), job.architecture.shape().width}, job.states).to(at::kFloat, false, true);
  std::vector<std::int64_t> rows;
  for (std::size_t i = 0; i < tokens.size(); ++i)
    for (const std::int64_t node : job.forest.path(static_cast<ItemId>(i))) rows.push_back(job.forest.base(static_cast<ItemId>(i)) + node);
  return nodes.index_select(0, at::tensor(rows, at::kLong));
}

double relative_rms(const at::Tensor& a, const at::Tensor& b) {
  return ((a.to(at::kDouble) - b.to(at::kDouble)).pow(2).mean().sqrt() / b.to(at::kDouble).pow(2).mean().sqrt()).item<double>();
}

}  // namespace oncekit::test
