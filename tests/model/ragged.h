// Ragged sequences and comparisons for the tests of the building blocks.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "oncekit/nn.h"

namespace oncekit::test {

/// S sequences of the given lengths over a table of `rows` rows; which rows, is drawn from a fixed stream.
struct Shape {
  std::vector<std::int64_t> rows_T, offsets_S1{0};
  std::int64_t rows = 0;
  Shape(const std::vector<std::int64_t>& lengths, std::int64_t table_rows);
  nn::Sequences view() const { return {rows_T, offsets_S1}; }
  std::int64_t tokens() const { return offsets_S1.back(); }
  std::int64_t sequences() const { return static_cast<std::int64_t>(offsets_S1.size()) - 1; }
  std::string text() const;  ///< for messages
};

/// No sequences, empty ones, one token, one long, many equal, mixed with empty ones at both ends, more rows than tokens, one row.
const std::vector<Shape>& shapes();

/// |a - b| / |b| in the Euclidean norm; |b| counts as `least` at least.
double relative(const at::Tensor& a, const at::Tensor& b, double least = 0);

/// What `f(inputs)` gives and the gradients of a fixed random weighting of it, inputs as leaves.
struct Result {
  at::Tensor value;
  std::vector<at::Tensor> gradients;
};
template <class F>
Result run(F&& f, const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : inputs) leaves.push_back(input.detach().clone().requires_grad_());
  Result result;
  const at::Tensor value = f(leaves);
  result.value = value.detach();
  // A function of the shape alone, so that two implementations meet the same weighting.
  const at::Tensor weights = at::arange(value.numel(), value.options()).mul(0.7).sin().view(value.sizes());
  if (value.requires_grad()) (value * weights).sum().backward();
  for (const at::Tensor& leaf : leaves) result.gradients.push_back(leaf.grad().defined() ? leaf.grad() : at::zeros_like(leaf));
  return result;
}

/// Checks values and all gradients of two implementations against a relative tolerance. A gradient's norm counts as a tenth of the
/// whole gradient's at least (and 0.1): some vanish but for rounding, such as that of scores that are all equal.
void check_equal(const Result& got, const Result& wanted, double tolerance, const std::string& what);

/// Central differences of the same weighted sum, in double.
std::vector<at::Tensor> numeric_gradients(const std::function<at::Tensor(const std::vector<at::Tensor>&)>& f, const std::vector<at::Tensor>& inputs);

}  // namespace oncekit::test
