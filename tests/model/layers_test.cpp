// The modules against their formulas written out with padded tensors and nothing folded (reference: Legommenders, Wu et al. 2019).
#include <catch2/catch.hpp>

#include <cmath>

#include "model/ragged.h"
#include "oncekit/error.h"

using namespace oncekit;
using namespace oncekit::test;

namespace {

at::Tensor drawn(at::IntArrayRef sizes, std::uint64_t seed) {
  at::manual_seed(seed);
  return at::randn(sizes);
}

/// One sequence at a time, as the definition says it.
template <class F>
at::Tensor each(const Shape& shape, const at::Tensor& rows, std::int64_t width, F&& f) {
  std::vector<at::Tensor> out;
  for (std::int64_t s = 0; s < shape.sequences(); ++s) {
    const auto begin = shape.offsets_S1[static_cast<std::size_t>(s)], end = shape.offsets_S1[static_cast<std::size_t>(s) + 1];
    std::vector<at::Tensor> tokens;
    for (std::int64_t t = begin; t < end; ++t) tokens.push_back(rows[shape.rows_T[static_cast<std::size_t>(t)]]);
    out.push_back(tokens.empty() ? at::zeros({width}) : f(at::stack(tokens)));
  }
  return out.empty() ? at::zeros({0, width}) : at::stack(out);
}

at::Tensor additive(nn::AdditiveAttention& m, const at::Tensor& x_LD) {
  const at::Tensor scores = at::tanh(at::linear(x_LD, m.hidden->weight, m.hidden->bias)).matmul(m.score->weight.t());
  return (at::softmax(scores, 0) * x_LD).sum(0);
}

/// Value, gradient of the input and of every parameter, of module and definition.
template <class Module, class Definition>
void check_module(Module& module, const at::Tensor& rows, const Shape& shape, Definition&& definition) {
  const auto results = [&](auto&& f) {
    for (auto& p : module.parameters()) p.mutable_grad() = at::Tensor();
    Result result = run([&](const std::vector<at::Tensor>& x) { return f(x[0]); }, {rows});
    for (auto& p : module.parameters()) result.gradients.push_back(p.grad().defined() ? p.grad().clone() : at::zeros_like(p));
    return result;
  };
  check_equal(results([&](const at::Tensor& x) { return module.forward(x, shape.view()); }), results(definition), 1e-5, shape.text());
}

const std::vector<Shape>& small_shapes() {
  static const std::vector<Shape> all{{{}, 2}, {{0}, 1}, {{1}, 1}, {{0, 3, 0, 7, 1, 16, 17, 0}, 20}, {std::vector<std::int64_t>(30, 11), 100}, {{60}, 30}};
  return all;
}

}  // namespace

TEST_CASE("additive attention is its formula", "[unit][model]") {
  for (const Shape& shape : small_shapes()) {
    for (const std::int64_t width : {1, 8, 40}) {
      at::manual_seed(1);
      nn::AdditiveAttention module(width, 24);
      check_module(module, drawn({shape.rows, width}, 2), shape, [&](const at::Tensor& x) {
        return each(shape, x, width, [&](const at::Tensor& x_LD) { return additive(module, x_LD); });
      });
    }
  }
}

TEST_CASE("NRMS pooling is attention, output projection, linear layer, additive attention", "[unit][model]") {
  struct Size {
    std::int64_t in, out, heads;
  };
  for (const Shape& shape : small_shapes()) {
    for (const Size size : {Size{1, 1, 1}, Size{8, 12, 8}, Size{12, 8, 3}, Size{64, 64, 4}}) {
      at::manual_seed(3);
      nn::SelfAttentionPooling module(size.in, size.out, size.heads, 24, 0.0);
      const at::NoGradGuard no_gradients;
      module.in_proj_bias.normal_();
      module.out_proj->bias.normal_();
      const at::AutoGradMode gradients(true);
      check_module(module, drawn({shape.rows, size.in}, 4), shape, [&](const at::Tensor& x) {
        return each(shape, x, size.out, [&](const at::Tensor& x_LI) {
          std::vector<at::Tensor> heads;
          const auto qkv = at::linear(x_LI, module.in_proj_weight, module.in_proj_bias).chunk(3, 1);
          const std::int64_t w = size.in / size.heads;
          for (std::int64_t h = 0; h < size.heads; ++h) {
            const auto q = qkv[0].narrow(1, h * w, w), k = qkv[1].narrow(1, h * w, w), v = qkv[2].narrow(1, h * w, w);
            heads.push_back(at::softmax(q.matmul(k.t()) / std::sqrt(static_cast<double>(w)), 1).matmul(v));
          }
          const at::Tensor y = module.linear->forward(module.out_proj->forward(at::cat(heads, 1)));
          return additive(*module.pooling, y);
        });
      });
    }
  }
}

TEST_CASE("the convolution is torch's conv1d with padding 'same', text by text", "[unit][model]") {
  for (const Shape& shape : small_shapes()) {
    for (const std::int64_t kernel : {1, 3, 5}) {
      at::manual_seed(5);
      nn::Convolution module(8, 12, kernel);
      check_module(module, drawn({shape.rows, 8}, 6), shape, [&](const at::Tensor& x) {
        // All tokens, packed: [T, D].
        std::vector<at::Tensor> parts;
        for (std::int64_t s = 0; s < shape.sequences(); ++s) {
          const auto begin = shape.offsets_S1[static_cast<std::size_t>(s)], end = shape.offsets_S1[static_cast<std::size_t>(s) + 1];
          std::vector<at::Tensor> tokens;
          for (std::int64_t t = begin; t < end; ++t) tokens.push_back(x[shape.rows_T[static_cast<std::size_t>(t)]]);
          if (tokens.empty()) continue;
          const at::Tensor x_1IL = at::stack(tokens, 1).unsqueeze(0);
          parts.push_back(at::conv1d(x_1IL, module.weight_wDI.permute({1, 2, 0}), module.bias_D, 1, kernel / 2).relu()[0].t());
        }
        return parts.empty() ? at::zeros({0, 12}) : at::cat(parts, 0);
      });
    }
  }
}

TEST_CASE("module sizes that cannot work are refused", "[unit][model]") {
  CHECK_THROWS_AS(nn::SelfAttentionPooling(10, 8, 3, 4, 0.0), Error);
  CHECK_THROWS_AS(nn::Convolution(8, 8, 4), Error);
}

TEST_CASE("modules run in double on the plain path, with the same numbers", "[unit][model]") {
  const Shape shape({0, 3, 0, 7, 1, 16}, 20);
  at::manual_seed(7);
  nn::SelfAttentionPooling module(16, 8, 4, 12, 0.0);
  const at::Tensor rows = drawn({20, 16}, 8), single = module.forward(rows, shape.view());
  module.to(at::kDouble);
  CHECK(relative(single, module.forward(rows.to(at::kDouble), shape.view())) < 1e-5);
}
