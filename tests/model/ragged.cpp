#include "model/ragged.h"

#include <algorithm>
#include <cmath>

#include <catch2/catch.hpp>
#include <c10/core/GradMode.h>

#include "oncekit/rng.h"

namespace oncekit::test {

Shape::Shape(const std::vector<std::int64_t>& lengths, std::int64_t table_rows) : rows(table_rows) {
  Rng rng(static_cast<std::uint64_t>(table_rows));
  for (const std::int64_t length : lengths) {
    for (std::int64_t i = 0; i < length; ++i) rows_T.push_back(static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(table_rows))));
    offsets_S1.push_back(static_cast<std::int64_t>(rows_T.size()));
  }
}

std::string Shape::text() const {
  std::string text = "rows " + std::to_string(rows) + ", lengths";
  for (std::size_t s = 1; s < offsets_S1.size() && s < 12; ++s) text += " " + std::to_string(offsets_S1[s] - offsets_S1[s - 1]);
  return text;
}

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all{
      {{}, 0},
      {{}, 3},
      {{0}, 0},
      {{0, 0, 0}, 2},
      {{1}, 1},
      {{1, 1, 1, 1}, 3},
      {{5}, 1},
      {{5}, 100},
      {{200}, 50},
      {{0, 3, 0, 7, 1, 16, 17, 0}, 20},
      {{15, 16, 17, 31, 32, 33}, 40},
      {std::vector<std::int64_t>(300, 11), 500},
      {std::vector<std::int64_t>(700, 2), 9},
  };
  return all;
}

double relative(const at::Tensor& a, const at::Tensor& b, double least) {
  if (a.numel() == 0 && b.numel() == 0) return 0;
  const double difference = (a.to(at::kDouble) - b.to(at::kDouble)).norm().item<double>(), size = b.to(at::kDouble).norm().item<double>();
  return difference / std::max({size, least, 1e-30});
}

void check_equal(const Result& got, const Result& wanted, double tolerance, const std::string& what) {
  INFO(what);
  REQUIRE(got.value.sizes() == wanted.value.sizes());
  CHECK(relative(got.value, wanted.value) <= tolerance);
  REQUIRE(got.gradients.size() == wanted.gradients.size());
  double all = 0;
  for (const at::Tensor& gradient : wanted.gradients) all += gradient.to(at::kDouble).square().sum().item<double>();
  const double least = std::max(0.1, 0.1 * std::sqrt(all));
  for (std::size_t i = 0; i < got.gradients.size(); ++i) {
    INFO("gradient of input " << i);
    REQUIRE(got.gradients[i].sizes() == wanted.gradients[i].sizes());
    CHECK(relative(got.gradients[i], wanted.gradients[i], least) <= tolerance);
  }
}

std::vector<at::Tensor> numeric_gradients(const std::function<at::Tensor(const std::vector<at::Tensor>&)>& f, const std::vector<at::Tensor>& inputs) {
  const c10::AutoGradMode no_gradients(false);
  std::vector<at::Tensor> points, gradients;
  for (const at::Tensor& input : inputs) points.push_back(input.detach().clone());
  const auto loss = [&] {
    const at::Tensor value = f(points);
    return (value * at::arange(value.numel(), value.options()).mul(0.7).sin().view(value.sizes())).sum().item<double>();
  };
  constexpr double kStep = 1e-5;
  for (at::Tensor& point : points) {
    at::Tensor gradient = at::zeros_like(point);
    double* x = point.mutable_data_ptr<double>();
    for (std::int64_t i = 0; i < point.numel(); ++i) {
      const double at = x[i];
      x[i] = at + kStep;
      const double above = loss();
      x[i] = at - kStep;
      const double below = loss();
      x[i] = at;
      gradient.mutable_data_ptr<double>()[i] = (above - below) / (2 * kStep);
    }
    gradients.push_back(gradient);
  }
  return gradients;
}

}  // namespace oncekit::test
