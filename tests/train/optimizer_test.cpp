// Losses and optimizer against their formulas, computed here in plain double arithmetic.
#include <catch2/catch.hpp>

#include <cmath>

#include <ATen/Context.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <torch/nn/module.h>

#include "oncekit/error.h"
#include "train/loss.h"
#include "train/optimizer.h"

using namespace oncekit;

namespace {

struct Two : torch::nn::Module {
  Tensor lm, rest, idle;
  Two() {
    at::manual_seed(3);
    lm = register_parameter("lm", at::randn({5, 3}));
    rest = register_parameter("rest", at::randn({7}));
    idle = register_parameter("idle", at::randn({2}));
  }
  std::vector<ParamGroup> groups() const { return {{"lm", {lm}}, {"rest", {rest, idle}}}; }
};

/// Adam after Kingma and Ba, algorithm 1, with L2 decay added to the gradient, or decoupled.
struct Reference {
  std::vector<double> x, m, v;
  explicit Reference(const Tensor& start) : m(static_cast<std::size_t>(start.numel())), v(m) {
    for (std::int64_t i = 0; i < start.numel(); ++i) x.push_back(start.flatten()[i].item<double>());
  }
  void step(const std::vector<double>& gradient, double lr, double decay, bool decoupled, int t) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      double g = gradient[i];
      if (decoupled) x[i] -= lr * decay * x[i];
      else g += decay * x[i];
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.999 * v[i] + 0.001 * g * g;
      x[i] -= lr * (m[i] / (1 - std::pow(0.9, t))) / (std::sqrt(v[i] / (1 - std::pow(0.999, t))) + 1e-8);
    }
  }
};

std::vector<double> values(const Tensor& t) {
  std::vector<double> out;
  const Tensor flat = t.detach().flatten().to(at::kDouble);
  for (std::int64_t i = 0; i < flat.numel(); ++i) out.push_back(flat[i].item<double>());
  return out;
}

}  // namespace

TEST_CASE("Adam and AdamW follow their papers, each group at its own rate", "[unit]") {
  for (const bool decoupled : {false, true}) {
    for (const double decay : {0.0, 0.1}) {
      CAPTURE(decoupled, decay);
      Two model;
      TrainOptions o;
      o.optimizer = decoupled ? "adamw" : "adam";
      o.lr = 0.01;
      o.lm_lr = 0.002;
      o.weight_decay = decay;
      Optimizer optimizer(model, model.groups(), o);
      Reference lm(model.lm.detach()), rest(model.rest.detach());
      const std::vector<double> idle = values(model.idle);
      for (int t = 1; t <= 20; ++t) {
        optimizer.zero_grad();
        (model.lm.square().sum() + (model.rest * model.rest * model.rest).sum() + model.rest.sum() * 0.1).backward();
        const std::vector<double> g_lm = values(model.lm.grad()), g_rest = values(model.rest.grad());
        const double factor = 1.0 / t;
        optimizer.step(factor);
        lm.step(g_lm, 0.002 * factor, decay, decoupled, t);
        rest.step(g_rest, 0.01 * factor, decay, decoupled, t);
      }
      for (std::size_t i = 0; i < lm.x.size(); ++i) CHECK(values(model.lm)[i] == Approx(lm.x[i]).margin(2e-6));
      for (std::size_t i = 0; i < rest.x.size(); ++i) CHECK(values(model.rest)[i] == Approx(rest.x[i]).margin(2e-6));
      CHECK(values(model.idle) == idle);  // never had a gradient
    }
  }
}

TEST_CASE("clipping scales the joint norm of all parameters", "[unit]") {
  Two model;
  Optimizer optimizer(model, model.groups(), TrainOptions{});
  const auto gradients = [&](double scale) {
    optimizer.zero_grad();
    ((model.lm.sum() + 2 * model.rest.sum()) * scale).backward();
  };
  const double norm = std::sqrt(15 * 1.0 + 7 * 4.0);
  for (const double limit : {100.0, 1.0, 1e-3}) {
    gradients(1);
    CHECK(optimizer.clip(limit) == Approx(norm));
    const double scale = std::min(1.0, limit / norm);
    for (double g : values(model.lm.grad())) CHECK(g == Approx(scale));
    for (double g : values(model.rest.grad())) CHECK(g == Approx(2 * scale));
  }
}

TEST_CASE("the optimizer wants every trainable parameter in one group", "[unit][errors]") {
  Two model;
  std::vector<ParamGroup> missing = model.groups(), twice = model.groups();
  missing[1].parameters.pop_back();
  CHECK_THROWS_WITH(Optimizer(model, missing, TrainOptions{}), Catch::Contains("'idle'") && Catch::Contains("no parameter group"));
  twice[0].parameters.push_back(model.rest);
  CHECK_THROWS_WITH(Optimizer(model, twice, TrainOptions{}), Catch::Contains("twice"));
  model.idle.set_requires_grad(false);
  CHECK_NOTHROW(Optimizer(model, missing, TrainOptions{}));
}

TEST_CASE("the learning rate warms up, stays or falls to zero", "[unit]") {
  TrainOptions o;
  o.warmup = 4;
  o.schedule = "linear";
  CHECK(schedule_factor(o, 0, 10) == Approx(0.25));
  CHECK(schedule_factor(o, 3, 10) == Approx(1));
  CHECK(schedule_factor(o, 4, 10) == Approx(1));
  CHECK(schedule_factor(o, 7, 10) == Approx(0.5));
  CHECK(schedule_factor(o, 10, 10) == 0);
  CHECK(schedule_factor(o, 99, 10) == 0);
  o.warmup = 0;
  CHECK(schedule_factor(o, 0, 10) == 1);
  CHECK(schedule_factor(o, 5, 10) == Approx(0.5));
  o.schedule = "constant";
  for (std::int64_t step : {0, 5, 1000}) CHECK(schedule_factor(o, step, 10) == 1);
}

TEST_CASE("softmax and bce losses equal their formulas; masked places neither count nor get gradients", "[unit]") {
  at::manual_seed(1);
  const Tensor mask = at::tensor({1, 1, 1, 1, 1, 0, 1, 0, 0}).view({3, 3}).to(at::kBool);
  const Tensor labels = at::tensor({1.f, 0.f, 1.f, 0.f, 1.f, 0.f, 1.f, 0.f, 0.f}).view({3, 3});
  for (const double scale : {1.0, 50.0, 1e4}) {
    CAPTURE(scale);
    Tensor scores = at::randn({3, 3}) * scale;
    scores[1][2] = 1e9;  // masked
    scores[2][1] = -1e9;
    scores.requires_grad_(true);
    const auto s = values(scores);
    const auto m = values(mask), y = values(labels);
    double softmax = 0, bce = 0;
    for (std::size_t b = 0; b < 3; ++b) {
      double top = s[b * 3], sum = 0;
      for (std::size_t c = 0; c < 3; ++c) top = m[b * 3 + c] != 0 ? std::max(top, s[b * 3 + c]) : top;
      for (std::size_t c = 0; c < 3; ++c) {
        if (m[b * 3 + c] == 0) continue;
        sum += std::exp(s[b * 3 + c] - top);
        const double z = s[b * 3 + c];
        bce += std::max(z, 0.0) - z * y[b * 3 + c] + std::log1p(std::exp(-std::abs(z)));
      }
      softmax += std::log(sum) + top - s[b * 3];
    }
    const Tensor soft_loss = softmax_loss(scores, mask), bce_value = bce_loss(scores, labels, mask);
    CHECK(soft_loss.item<double>() == Approx(softmax).epsilon(1e-5));
    CHECK(bce_value.item<double>() == Approx(bce).epsilon(1e-5));
    (soft_loss + bce_value).backward();
    CHECK(std::isfinite(scores.grad().sum().item<double>()));
    for (const auto& [b, c] : {std::pair{1, 2}, {2, 1}, {2, 2}}) CHECK(scores.grad()[b][c].item<double>() == 0);
  }
}
