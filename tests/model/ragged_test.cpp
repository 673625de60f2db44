// The kernels over ragged sequences against the same functions from padded tensor operations.
#include <catch2/catch.hpp>

#include <ATen/Parallel.h>

#include "model/ragged.h"

using namespace oncekit;
using namespace oncekit::test;

namespace {

constexpr double kClose = 1e-5;

at::Tensor drawn(at::IntArrayRef sizes, std::uint64_t seed, at::ScalarType type = at::kFloat) {
  at::manual_seed(seed);
  return at::randn(sizes, at::kDouble).to(type);
}

using Inputs = std::vector<at::Tensor>;

}  // namespace

TEST_CASE("gathering rows, and adding up their gradients", "[unit][model]") {
  for (const Shape& shape : shapes()) {
    for (const std::int64_t width : {1, 7, 16, 64, 100}) {
      const Inputs inputs{drawn({shape.rows, width}, 1)};
      check_equal(run([&](const Inputs& x) { return nn::gather(x[0], shape.rows_T); }, inputs),
                  run([&](const Inputs& x) { return nn::plain::gather(x[0], shape.rows_T); }, inputs), kClose,
                  shape.text() + ", width " + std::to_string(width));
    }
  }
}

TEST_CASE("attention inside each sequence equals padded attention", "[unit][model]") {
  struct Size {
    std::int64_t width, heads;
  };
  for (const Shape& shape : shapes()) {
    for (const Size size : {Size{1, 1}, Size{6, 3}, Size{8, 8}, Size{32, 1}, Size{48, 4}, Size{256, 8}}) {
      const Inputs inputs{drawn({shape.rows, 3 * size.width}, 2)};
      check_equal(run([&](const Inputs& x) { return nn::attend(x[0], shape.view(), size.heads, 0, true); }, inputs),
                  run([&](const Inputs& x) { return nn::plain::attend(x[0], shape.view(), size.heads, 0, true); }, inputs), kClose,
                  shape.text() + ", width " + std::to_string(size.width) + ", heads " + std::to_string(size.heads));
    }
  }
}

TEST_CASE("attention over interleaved heads equals padded attention", "[unit][model]") {
  struct Size {
    std::int64_t width, heads;
  };
  for (const Shape& shape : shapes()) {
    // Also sizes without a kernel of their own (6 heads, a width of 12), and widths that are no whole number of chunks.
    for (const Size size : {Size{16, 1}, Size{16, 8}, Size{48, 2}, Size{80, 4}, Size{144, 8}, Size{256, 8}, Size{12, 6}}) {
      const Inputs inputs{drawn({shape.rows, 3 * size.width}, 2)};
      check_equal(run([&](const Inputs& x) { return nn::attend(x[0], shape.view(), size.heads, 0, true, nn::HeadOrder::kInterleaved); }, inputs),
                  run([&](const Inputs& x) { return nn::plain::attend(x[0], shape.view(), size.heads, 0, true, nn::HeadOrder::kInterleaved); }, inputs), kClose,
                  shape.text() + ", width " + std::to_string(size.width) + ", heads " + std::to_string(size.heads));
    }
  }
}

TEST_CASE("pooling, mean and convolution equal their padded forms", "[unit][model]") {
  for (const Shape& shape : shapes()) {
    for (const std::int64_t width : {1, 7, 16, 64, 100}) {
      const std::string what = shape.text() + ", width " + std::to_string(width);
      const Inputs pooled{drawn({shape.rows}, 3), drawn({shape.rows, width}, 4)};
      check_equal(run([&](const Inputs& x) { return nn::pool(x[0], x[1], shape.view()); }, pooled),
                  run([&](const Inputs& x) { return nn::plain::pool(x[0], x[1], shape.view()); }, pooled), kClose, "pool, " + what);
      const Inputs values{drawn({shape.rows, width}, 5)};
      check_equal(run([&](const Inputs& x) { return nn::mean(x[0], shape.view()); }, values),
                  run([&](const Inputs& x) { return nn::plain::mean(x[0], shape.view()); }, values), kClose, "mean, " + what);
      for (const std::int64_t kernel : {1, 3, 5, 31}) {
        if (kernel == 31 && width != 7) continue;
        const Inputs taps{drawn({shape.rows, kernel, width}, 6), drawn({width}, 7)};
        check_equal(run([&](const Inputs& x) { return nn::convolve(x[0], x[1], shape.view()); }, taps),
                    run([&](const Inputs& x) { return nn::plain::convolve(x[0], x[1], shape.view()); }, taps), kClose,
                    "convolve, kernel " + std::to_string(kernel) + ", " + what);
      }
    }
  }
}

TEST_CASE("the padded forms' gradients equal central differences in double", "[unit][model]") {
  const auto check = [](const char* what, const std::function<at::Tensor(const Inputs&)>& f, const Inputs& inputs) {
    INFO(what);
    const Result got = run(f, inputs);
    const Inputs wanted = numeric_gradients(f, inputs);
    for (std::size_t i = 0; i < wanted.size(); ++i) CHECK(relative(got.gradients[i], wanted[i]) < 1e-7);
  };
  const Shape shape({0, 3, 1, 0, 4}, 5);
  check("gather", [&](const Inputs& x) { return nn::gather(x[0], shape.rows_T); }, {drawn({5, 3}, 1, at::kDouble)});
  check("attend", [&](const Inputs& x) { return nn::attend(x[0], shape.view(), 2, 0, true); }, {drawn({5, 12}, 2, at::kDouble)});
  check("pool", [&](const Inputs& x) { return nn::pool(x[0], x[1], shape.view()); }, {drawn({5}, 3, at::kDouble), drawn({5, 3}, 4, at::kDouble)});
  check("mean", [&](const Inputs& x) { return nn::mean(x[0], shape.view()); }, {drawn({5, 3}, 5, at::kDouble)});
  check("convolve", [&](const Inputs& x) { return nn::convolve(x[0], x[1], shape.view()); }, {drawn({5, 3, 2}, 6, at::kDouble), drawn({2}, 7, at::kDouble)});
}

TEST_CASE("large scores neither overflow nor lose a sequence", "[unit][model]") {
  const Shape shape({4, 0, 2}, 6);
  for (const double scale : {1.0, 1e3, 1e30}) {
    const at::Tensor scores = drawn({6}, 8).mul(scale), values = drawn({6, 5}, 9);
    CHECK(nn::pool(scores, values, shape.view()).isfinite().all().item<bool>());
    CHECK(nn::pool(scores.neg().sub(scale), values, shape.view()).isfinite().all().item<bool>());
  }
  const at::Tensor wide = nn::attend(drawn({6, 24}, 10).mul(1e4), shape.view(), 2, 0, false);
  CHECK(wide.isfinite().all().item<bool>());
}

TEST_CASE("a sequence's result does not depend on its neighbours", "[unit][model]") {
  const Shape many(std::vector<std::int64_t>(40, 9), 30);
  const at::Tensor qkv = drawn({30, 96}, 11);
  const at::Tensor all = nn::attend(qkv, many.view(), 4, 0, false);
  for (std::int64_t s : {0, 17, 39}) {
    const std::vector<std::int64_t> rows(many.rows_T.begin() + s * 9, many.rows_T.begin() + (s + 1) * 9), offsets{0, 9};
    CHECK(at::equal(nn::attend(qkv, {rows, offsets}, 4, 0, false), all.narrow(0, s * 9, 9)));
  }
}

TEST_CASE("dropout on attention weights", "[unit][model]") {
  // Values are all one: an output is the sum of the weights that were kept, divided by 1 - p.
  const Shape shape(std::vector<std::int64_t>(500, 20), 50);
  const auto order = GENERATE(nn::HeadOrder::kBlocks, nn::HeadOrder::kInterleaved);
  at::Tensor qkv = drawn({50, 3 * 16}, 12);
  qkv.narrow(1, 32, 16).fill_(1);
  for (const double p : {0.1, 0.5, 0.9}) {
    at::manual_seed(5);
    const at::Tensor once = nn::attend(qkv, shape.view(), 2, p, true, order);
    at::manual_seed(5);
    const at::Tensor again = nn::attend(qkv, shape.view(), 2, p, true, order);
    const at::Tensor other = nn::attend(qkv, shape.view(), 2, p, true, order);
    CHECK(at::equal(once, again));
    CHECK_FALSE(at::equal(once, other));
    INFO("p = " << p);
    CHECK(once.mean().item<double>() == Approx(1).margin(0.02));
    CHECK(once.std().item<double>() > 0.05);
    CHECK(at::equal(nn::attend(qkv, shape.view(), 2, p, false, order), nn::attend(qkv, shape.view(), 2, 0, true, order)));
  }
}

TEST_CASE("the backward pass of dropout uses the forward's mask", "[unit][model]") {
  // With the mask fixed by the seed the output is linear in the values: its slope along a direction is exact by differences.
  const Shape shape({7, 0, 30, 1}, 12);
  const auto order = GENERATE(nn::HeadOrder::kBlocks, nn::HeadOrder::kInterleaved);
  const std::int64_t width = 16;
  const at::Tensor qkv = drawn({12, 3 * width}, 13);
  const auto weighted = [&](const at::Tensor& x) {
    at::manual_seed(99);
    const at::Tensor value = nn::attend(x, shape.view(), 4, 0.4, true, order);
    return (value * at::arange(value.numel(), value.options()).mul(0.7).sin().view(value.sizes())).sum();
  };
  at::Tensor leaf = qkv.clone().requires_grad_();
  weighted(leaf).backward();
  at::Tensor direction = at::zeros_like(qkv);
  direction.narrow(1, 2 * width, width).copy_(drawn({12, width}, 14));
  const double slope = (weighted(qkv + direction) - weighted(qkv)).item<double>();
  CHECK((leaf.grad() * direction).sum().item<double>() == Approx(slope).epsilon(1e-4));
  // Queries and keys: a small step.
  direction = drawn({12, 3 * width}, 15).mul(1e-2);
  const double curved = (weighted(qkv + direction) - weighted(qkv - direction)).item<double>() / 2;
  CHECK((leaf.grad() * direction).sum().item<double>() == Approx(curved).epsilon(1e-2));
}

TEST_CASE("dropout of a tensor: rate, scale, reproducible, same mask backward", "[unit][model]") {
  const at::Tensor x = at::ones({300, 101});
  for (const double p : {0.0, 0.1, 0.5}) {
    INFO("p = " << p);
    at::Tensor leaf = x.clone().requires_grad_();
    at::manual_seed(3);
    const at::Tensor y = nn::dropout(leaf, p, true);
    y.sum().backward();
    CHECK(at::equal(leaf.grad(), y.detach()));  // of ones: value and gradient are the mask
    CHECK(y.eq(0).to(at::kDouble).mean().item<double>() == Approx(p).margin(0.01));
    CHECK(y.max().item<double>() == Approx(1 / (1 - p)));
    at::manual_seed(3);
    CHECK(at::equal(nn::dropout(x, p, true), y.detach()));
    CHECK(at::equal(nn::dropout(x, p, false), x));
    CHECK(nn::dropout(x.to(at::kDouble), p, true).scalar_type() == at::kDouble);
  }
}

TEST_CASE("the same bits on any number of threads", "[unit][model]") {
  const Shape shape(std::vector<std::int64_t>(333, 13), 200);
  const Inputs inputs{drawn({200, 192}, 16)}, taps{drawn({200, 3, 64}, 17), drawn({64}, 18)}, pooled{drawn({200}, 19), drawn({200, 64}, 20)};
  const int before = at::get_num_threads();
  std::vector<Result> first;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    at::manual_seed(1);
    std::vector<Result> results;
    results.push_back(run([&](const Inputs& x) { return nn::attend(x[0], shape.view(), 4, 0.2, true); }, inputs));
    results.push_back(run([&](const Inputs& x) { return nn::attend(x[0], shape.view(), 4, 0.2, true, nn::HeadOrder::kInterleaved); }, inputs));
    results.push_back(run([&](const Inputs& x) { return nn::convolve(x[0], x[1], shape.view()); }, taps));
    results.push_back(run([&](const Inputs& x) { return nn::pool(x[0], x[1], shape.view()); }, pooled));
    results.push_back(run([&](const Inputs& x) { return nn::gather(x[0], shape.rows_T); }, inputs));
    results.push_back(run([&](const Inputs& x) { return nn::dropout(x[0], 0.3, true); }, inputs));
    if (first.empty()) first = results;
    for (std::size_t i = 0; i < results.size(); ++i) check_equal(results[i], first[i], 0, "result " + std::to_string(i) + ", threads " + std::to_string(threads));
  }
  at::set_num_threads(before);
}
