// The fast kernels against their plain twins: values and all gradients over edge shapes, the same bits on any number of threads;
// packed products against at::linear, and their memory after use.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <catch2/catch.hpp>

#include "kernels/kernels.h"
#include "oncekit/rng.h"

namespace oncekit::test {
namespace {

using at::Tensor;
using lm::Compute;
using lm::TokenTree;

/// Sets the number of threads until the end of a scope.
class Threads {
 public:
  explicit Threads(int threads) : before_(at::get_num_threads()) { at::set_num_threads(threads); }
  ~Threads() { at::set_num_threads(before_); }

 private:
  int before_;
};

double relative(const Tensor& a, const Tensor& b, double least = 1e-6) {
  REQUIRE(a.sizes() == b.sizes());
  if (b.numel() == 0) return 0;
  const double size = b.to(at::kDouble).norm().item<double>();
  return (a.to(at::kDouble) - b.to(at::kDouble)).norm().item<double>() / std::max(size, least);
}

/// A value and the gradients of a weighted sum of it.
struct Outcome {
  Tensor value;
  std::vector<Tensor> gradients;
};

using Kernel = std::function<Tensor(const std::vector<Tensor>&)>;

Outcome run(const Kernel& kernel, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> leaves;
  for (const Tensor& input : inputs) leaves.push_back(input.detach().clone().requires_grad_());
  Outcome outcome{kernel(leaves), {}};
  const Tensor weights = at::arange(outcome.value.numel(), at::kFloat).mul(0.7).sin().view(outcome.value.sizes());
  (outcome.value * weights).sum().backward();
  for (const Tensor& leaf : leaves) outcome.gradients.push_back(leaf.grad());
  outcome.value = outcome.value.detach();
  return outcome;
}

/// Float32 values and gradients, the same bits on 1, 2 and 3 threads, and bfloat16 values.
void compare(const std::string& what, const Kernel& fast, const Kernel& plain, const std::vector<Tensor>& inputs) {
  INFO(what);
  const Threads alone(1);
  const Outcome wanted = run(plain, inputs);
  // A gradient that vanishes (a norm over one feature) is held against the others'.
  double least = 1e-12;
  for (const Tensor& gradient : wanted.gradients) least += 0.01 * gradient.square().sum().item<double>();
  least = std::sqrt(least);
  Outcome first;
  for (const int threads : {1, 2, 3}) {
    INFO(threads << " threads");
    const Threads scope(threads);
    const Outcome got = run(fast, inputs);
    CHECK(relative(got.value, wanted.value) < 1e-5);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      INFO("gradient of input " << i);
      REQUIRE(got.gradients[i].defined());
      CHECK(relative(got.gradients[i], wanted.gradients[i], least) < 1e-5);
      if (threads > 1) CHECK(got.gradients[i].equal(first.gradients[i]));
    }
    if (threads > 1) CHECK(got.value.equal(first.value));
    if (threads == 1) first = got;
    const c10::NoGradGuard no_grad;
    CHECK(fast(inputs).equal(got.value));  // the way without gradients computes the same
  }
  const c10::NoGradGuard no_grad;
  std::vector<Tensor> narrow;
  for (const Tensor& input : inputs) narrow.push_back(input.to(at::kBFloat16));
  const Tensor got = fast(narrow);
  CHECK(got.scalar_type() == at::kBFloat16);
  CHECK(relative(got, plain(narrow)) < 5e-3);
  CHECK(relative(got, wanted.value) < 2e-2);
}

/// Sequences of tokens as a tree; they must come in lexicographic order where prefixes are shared.
TokenTree tree_of(const std::vector<std::vector<std::int32_t>>& sequences, bool share) {
  TokenTree tree;
  for (const auto& tokens : sequences) lm::add_sequence(tree, tokens, share);
  return tree;
}

std::vector<std::vector<std::int32_t>> of_lengths(const std::vector<std::int64_t>& lengths) {
  std::vector<std::vector<std::int32_t>> sequences;
  for (const std::int64_t length : lengths) sequences.emplace_back(static_cast<std::size_t>(length), 7);
  return sequences;
}

/// Random sequences over a small vocabulary: trees with forks at many depths, repeated sequences, sequences that are prefixes of others.
std::vector<std::vector<std::int32_t>> forked(std::uint64_t seed, std::size_t count, std::uint64_t longest, std::uint64_t vocabulary) {
  Rng rng(seed);
  std::vector<std::vector<std::int32_t>> sequences(count);
  for (auto& tokens : sequences) {
    tokens = {1, 1, 2};  // a root of all
    const std::uint64_t more = rng.below(longest);
    for (std::uint64_t i = 0; i < more; ++i) tokens.push_back(static_cast<std::int32_t>(rng.below(vocabulary)));
  }
  std::sort(sequences.begin(), sequences.end());
  return sequences;
}

struct Case {
  std::string name;
  TokenTree tree;
};

std::vector<Case> trees() {
  return {
      {"no sequences", {}},
      {"empty sequences", tree_of(of_lengths({0, 0}), false)},
      {"one token", tree_of(of_lengths({1}), false)},
      {"one token each", tree_of(of_lengths({1, 1, 1, 1, 1}), false)},
      {"one sequence of 100", tree_of(of_lengths({100}), false)},
      {"lengths around a vector", tree_of(of_lengths({0, 3, 15, 16, 17, 0, 31, 32, 33, 1}), false)},
      {"many", tree_of(of_lengths(std::vector<std::int64_t>(60, 11)), false)},
      {"one deep tree", tree_of(forked(1, 40, 12, 2), true)},
      {"a wide tree of long sequences", tree_of(forked(2, 20, 60, 3), true)},
      {"all the same", tree_of(of_lengths({9, 9, 9}), true)},
      {"each a prefix of the next", tree_of(of_lengths({0, 1, 2, 5, 18, 40}), true)},
  };
}

std::int64_t resident_kilobytes(const std::string& which) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.rfind(which, 0) == 0) return std::stoll(line.substr(which.size() + 1));
  return -1;
}

}  // namespace

TEST_CASE("attention along tree paths equals its plain twin, gradients too", "[unit][lm]") {
  struct Heads {
    std::int64_t heads, groups, width;
  };
  at::manual_seed(1);
  for (const auto& [name, tree] : trees())
    for (const auto& [heads, groups, width] : std::vector<Heads>{{1, 1, 32}, {9, 3, 64}, {4, 4, 32}, {4, 1, 128}, {3, 3, 24}, {2, 1, 5}})
      for (const bool causal : {true, false}) {
        const std::int64_t n = tree.nodes();
        const double scale = 1 / std::sqrt(static_cast<double>(width));
        compare(
            name + ", heads " + std::to_string(heads) + " of " + std::to_string(groups) + ", width " + std::to_string(width) + (causal ? ", causal" : ", full"),
            [&tree = tree, causal = causal, scale](const auto& x) { return lm::attend(x[0], x[1], x[2], tree, causal, scale); },
            [&tree = tree, causal = causal, scale](const auto& x) { return lm::plain::attend(x[0], x[1], x[2], tree, causal, scale); },
            {at::randn({n, heads, width}), at::randn({n, groups, width}), at::randn({n, groups, width})});
      }
}

TEST_CASE("attention reads heads that are slices of one product", "[unit][lm]") {
  const TokenTree tree = tree_of(of_lengths({5, 1, 20}), false);
  const Tensor qkv = at::randn({26, 3 * 4, 32});
  const auto part = [&](std::int64_t i) { return qkv.narrow(1, 4 * i, 4); };
  CHECK(relative(lm::attend(part(0), part(1), part(2), tree, true, 0.2), lm::plain::attend(part(0), part(1), part(2), tree, true, 0.2)) < 1e-5);
}

TEST_CASE("rows beyond the tree's nodes give zeros and change no other", "[unit][lm]") {
  const TokenTree tree = tree_of(of_lengths({5, 1, 20}), false);
  at::manual_seed(8);
  const Tensor q = at::randn({30, 2, 32}), k = at::randn({30, 2, 32}), v = at::randn({30, 2, 32});
  const auto own = [](const Tensor& x) { return x.narrow(0, 0, 26); };
  for (const auto attend : {&lm::attend, &lm::plain::attend}) {
    const Tensor out = attend(q, k, v, tree, true, 0.2);
    CHECK(own(out).equal(attend(own(q), own(k), own(v), tree, true, 0.2)));
    CHECK(out.narrow(0, 26, 4).eq(0).all().item<bool>());
  }
}

TEST_CASE("large scores do not overflow", "[unit][lm]") {
  const TokenTree tree = tree_of(of_lengths({3, 30}), false);
  const Tensor q = at::randn({33, 2, 32}) * 1000, v = at::randn({33, 2, 32});
  const Tensor out = lm::attend(q, q, v, tree, true, 1.0);
  CHECK(out.isfinite().all().item<bool>());
  CHECK(relative(out, lm::plain::attend(q, q, v, tree, true, 1.0)) < 1e-5);
}

TEST_CASE("norm, gate and rotation equal their plain twins, gradients too", "[unit][lm]") {
  at::manual_seed(2);
  for (const std::int64_t n : {0, 1, 2, 63, 64, 65, 700})
    for (const std::int64_t width : {1, 5, 16, 100, 576}) {
      const std::string shape = std::to_string(n) + " x " + std::to_string(width);
      compare(
          "norm " + shape, [](const auto& x) { return lm::rms_norm(x[0], x[1], 1e-5); }, [](const auto& x) { return lm::plain::rms_norm(x[0], x[1], 1e-5); },
          {at::randn({n, width}) * 3, at::randn({width})});
      // Of one number the result is the bias, and its gradient is what rounding leaves of zero.
      if (width > 1) compare(
          "layer norm " + shape, [](const auto& x) { return lm::layer_norm(x[0], x[1], x[2], 1e-5); },
          [](const auto& x) { return lm::plain::layer_norm(x[0], x[1], x[2], 1e-5); }, {at::randn({n, width}) * 3 + 1, at::randn({width}), at::randn({width})});
      compare(
          "gate " + shape, [](const auto& x) { return lm::swiglu(x[0], x[1]); }, [](const auto& x) { return lm::plain::swiglu(x[0], x[1]); },
          {at::randn({n, width}) * 20, at::randn({n, width})});
    }
  for (const std::int64_t n : {0, 1, 65, 700})
    for (const std::int64_t heads : {1, 3})
      for (const std::int64_t width : {2, 10, 64}) {
        const Tensor angles = at::randn({n, width / 2}) * 3, cos = angles.cos(), sin = angles.sin();
        compare(
            "rotation " + std::to_string(n) + " x " + std::to_string(heads) + " x " + std::to_string(width),
            [&](const auto& x) { return lm::rotate(x[0], cos, sin); }, [&](const auto& x) { return lm::plain::rotate(x[0], cos, sin); },
            {at::randn({n, heads, width})});
      }
}

TEST_CASE("norms rounded in the same pass are the norms rounded, and a residual is a sum", "[unit][lm]") {
  at::manual_seed(9);
  for (const std::int64_t width : {1, 5, 16, 100, 576}) {
    const Tensor x = at::randn({65, width}) * 3, weight = at::randn({width}), bias = at::randn({width}), y = at::randn({65, width}).to(at::kBFloat16);
    CHECK(lm::rms_norm(x, weight, 1e-5, true).equal(lm::rms_norm(x, weight, 1e-5).to(at::kBFloat16)));
    Tensor rounded;
    const Tensor norm = lm::layer_norm(x, weight, bias, 1e-5, &rounded);
    CHECK(norm.equal(lm::layer_norm(x, weight, bias, 1e-5)));
    CHECK(rounded.equal(norm.to(at::kBFloat16)));
    CHECK(lm::add(x, y).equal(x + y));
    CHECK(lm::add(x.t(), y.t()).equal((x + y).t()));
    CHECK(lm::add(x, x).equal(x + x));
  }
  const Tensor leaf = at::randn({3, 4}).requires_grad_();
  lm::add(leaf, at::randn({3, 4}).to(at::kBFloat16)).sum().backward();
  CHECK(leaf.grad().eq(1).all().item<bool>());
}

TEST_CASE("gelu equals its plain twin, gradients too", "[unit][lm]") {
  at::manual_seed(6);
  for (const std::int64_t n : {0, 1, 2, 63, 65, 700})
    for (const std::int64_t width : {1, 5, 16, 100, 576})
      compare("gelu " + std::to_string(n) + " x " + std::to_string(width), [](const auto& x) { return lm::gelu(x[0]); }, [](const auto& x) { return lm::plain::gelu(x[0]); },
              {at::randn({n, width}) * 3});
}

TEST_CASE("a norm over the heads' width, and extreme gates", "[unit][lm]") {
  const Tensor x = at::randn({7, 3, 16});
  CHECK(relative(lm::rms_norm(x, at::ones({16}), 1e-6), lm::plain::rms_norm(x, at::ones({16}), 1e-6)) < 1e-5);
  CHECK(relative(lm::rms_norm(x.transpose(0, 1), at::ones({16}), 1e-6), lm::plain::rms_norm(x.transpose(0, 1), at::ones({16}), 1e-6)) < 1e-5);
  const Tensor gate = at::tensor({-1e30, -200.0, -88.0, 0.0, 88.0, 200.0, 1e30}, at::kFloat), up = at::ones({7});
  CHECK(relative(lm::swiglu(gate, up), lm::plain::swiglu(gate, up)) < 1e-5);
}

TEST_CASE("gelu and its gradient at every size of number", "[unit][lm]") {
  const std::vector<float> edges{0.0f, -0.0f, 1e-8f, 1e-38f, 1e-45f, 0.99999994f, 1.0f, 1.0000001f, 12.9f, 13.0f, 13.1f, 100.0f, 1e30f, 3e38f};
  Tensor x = at::cat({at::tensor(edges), -at::tensor(edges), at::linspace(-15, 15, 100003, at::kFloat), at::logspace(-12, 2, 1001, 10.0, at::kFloat)});
  const auto slope = [](Tensor (*kernel)(const Tensor&), const Tensor& at_x) {
    const Tensor leaf = at_x.detach().clone().requires_grad_();
    kernel(leaf).sum().backward();
    return leaf.grad();
  };
  const Tensor exact = at::gelu(x.to(at::kDouble));
  const auto worst = [](const Tensor& a, const Tensor& b, const Tensor& scale) { return ((a.to(at::kDouble) - b).abs() / scale).max().item<double>(); };
  CHECK(worst(lm::gelu(x), exact, x.to(at::kDouble).abs().clamp_min(1e-30)) < 2e-7);  // the error of the distribution function
  const Tensor well = x.gt(-5).logical_and(x.abs().gt(1e-30));  // of each number, where erf's own form has nothing left
  CHECK(worst(lm::gelu(x).masked_select(well), exact.masked_select(well), exact.masked_select(well).abs()) < 2e-6);
  CHECK(worst(slope(lm::gelu, x), slope(lm::plain::gelu, x.to(at::kDouble)), at::ones({1}, at::kDouble)) < 4e-7);
  const Tensor narrow = x.to(at::kBFloat16), rounded = at::gelu(narrow.to(at::kDouble)), got = lm::gelu(narrow);
  CHECK(got.scalar_type() == at::kBFloat16);
  CHECK(worst(got, rounded, rounded.abs() + 1e-12) < 1.01 / 256);  // half a unit in the last place; the exact form in double ends near 1e-15
  CHECK(lm::gelu(x.view({-1, 2}).t()).equal(lm::gelu(x.view({-1, 2})).t()));

  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const Tensor ends = at::tensor({infinity, -infinity, nan});
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const Tensor y = lm::gelu(ends.to(type)).to(at::kFloat);
    CHECK(y[0].item<float>() == infinity);
    CHECK(y[1].item<float>() == 0);
    CHECK(std::isnan(y[2].item<float>()));
  }
  const Tensor slopes = slope(lm::gelu, ends);
  CHECK(slopes[0].item<float>() == 1);
  CHECK(std::abs(slopes[1].item<float>()) < 1e-30f);
  CHECK(std::isnan(slopes[2].item<float>()));
  CHECK(std::signbit(lm::gelu(at::tensor({-0.0f})).item<float>()));
  CHECK(lm::gelu(at::randn({5, 3}, at::kDouble)).scalar_type() == at::kDouble);
}

TEST_CASE("rows are filled up to a whole piece when few are missing", "[unit][lm]") {
  for (const auto& [rows, full] : std::vector<std::pair<std::int64_t, std::int64_t>>{{0, 0}, {1, 1}, {2, 2}, {57, 64}, {60, 64}, {64, 64}, {65, 65}, {500, 512}, {600, 600},
                                                                                     {1000, 1024}, {1024, 1024}, {1030, 1030}, {2040, 2048}, {1500, 1536}})
    CHECK(lm::full_rows(rows) == full);
}

TEST_CASE("frozen products equal at::linear", "[unit][lm]") {
  at::manual_seed(3);
  for (const auto& [inputs, outputs] : std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {1, 7}, {37, 53}, {129, 1}, {576, 192}})
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf})
      for (const bool with_bias : {true, false}) {
        if (with_bias && type == at::kHalf) continue;
        const Tensor weight = at::randn({outputs, inputs}).div(std::sqrt(static_cast<double>(inputs))).to(type), before = weight.clone();
        const Tensor bias = with_bias ? at::randn({outputs}).to(type) : Tensor();
        for (const Compute compute : {Compute::kFloat32, Compute::kBfloat16}) {
          const lm::FrozenLinear layer(weight, bias, compute);
          const at::ScalarType computed = compute == Compute::kFloat32 ? at::kFloat : at::kBFloat16;
          CHECK(layer.bytes() >= weight.numel() * static_cast<std::int64_t>(at::elementSize(computed)));
          for (const std::int64_t rows : {0, 1, 2, 3, 32, 33, 64, 65, 200, 1025}) {
            INFO(inputs << " -> " << outputs << ", " << rows << " rows, weight " << c10::toString(type) << (with_bias ? ", bias" : ""));
            const Tensor x = at::randn({rows, inputs}), y = layer.forward(x);
            CHECK(y.scalar_type() == computed);
            CHECK(relative(y, at::linear(x, weight.to(at::kFloat), with_bias ? bias.to(at::kFloat) : bias)) < (compute == Compute::kFloat32 ? 1e-5 : 2e-2));
          }
        }
        CHECK(weight.equal(before));
      }
}

TEST_CASE("a row's frozen product depends on that row alone, on any number of threads", "[unit][lm]") {
  at::manual_seed(4);
  for (const auto& [inputs, outputs] : std::vector<std::pair<std::int64_t, std::int64_t>>{{384, 1536}, {1536, 384}, {37, 53}, {2048, 2048}})
    for (const Compute compute : {Compute::kFloat32, Compute::kBfloat16}) {
      const lm::FrozenLinear layer(at::randn({outputs, inputs}), at::randn({outputs}), compute);
      const Tensor x = at::randn({1100, inputs}), all = layer.forward(x);
      for (const int threads : {1, 2, 3}) {
        const Threads scope(threads);
        for (const std::int64_t rows : {1, 2, 5, 33, 64, 100, 700, 1100}) {
          INFO(inputs << " -> " << outputs << ", " << rows << " rows, " << threads << " threads");
          CHECK(layer.forward(x.narrow(0, 100 * (rows < 1000), rows)).equal(all.narrow(0, 100 * (rows < 1000), rows)));
        }
      }
    }
}

TEST_CASE("gradients pass a frozen product", "[unit][lm]") {
  at::manual_seed(5);
  for (const Compute compute : {Compute::kFloat32, Compute::kBfloat16})
    for (const std::int64_t rows : {0, 1, 70}) {
      const Tensor weight = at::randn({53, 37}), bias = at::randn({53});
      const lm::FrozenLinear layer(weight, bias, compute, true);
      Tensor x = at::randn({rows, 37}).requires_grad_(), again = x.detach().clone().requires_grad_();
      const Tensor y = layer.forward(x), wanted = at::linear(again, weight, bias), g = at::randn({rows, 53});
      CHECK(y.scalar_type() == at::kFloat);
      CHECK(relative(y.detach(), wanted.detach()) < (compute == Compute::kFloat32 ? 1e-5 : 2e-2));
      (y * g).sum().backward();
      (wanted * g).sum().backward();
      CHECK(relative(x.grad(), again.grad()) < 1e-5);
      CHECK(layer.bytes() >= 2 * 53 * 37 * (compute == Compute::kFloat32 ? 4 : 2));
    }
  Tensor x = at::randn({4, 37}).requires_grad_();
  CHECK_FALSE(lm::FrozenLinear(at::randn({53, 37}), {}, Compute::kFloat32).forward(x).requires_grad());
}

TEST_CASE("packed layers give their memory back", "[unit][lm]") {
  if (resident_kilobytes("VmRSS:") < 0) {
    WARN("no /proc: nothing checked");
    return;
  }
  const Tensor x = at::randn({300, 2048});
  for (const Compute compute : {Compute::kFloat32, Compute::kBfloat16}) {
    // Weights as they lie in files of published models, one layer after another.
    const Tensor weight = at::randn({5632, 2048}).to(at::kBFloat16);
    const auto one_layer = [&] {
      const lm::FrozenLinear up(weight, {}, compute), down(weight, {}, compute);
      up.forward(x);
      return down.bytes();
    };
    one_layer();
    one_layer();
    const std::int64_t after_two = resident_kilobytes("VmRSS:"), peak = resident_kilobytes("VmHWM:");
    const std::int64_t bytes = one_layer();
    for (int layer = 0; layer < 8; ++layer) one_layer();
    INFO("a weight takes " << bytes / 1024 << " KB");
    CHECK(resident_kilobytes("VmRSS:") - after_two < bytes / 1024 / 2);
    CHECK(resident_kilobytes("VmHWM:") - peak < bytes / 1024 / 2);
  }
}

TEST_CASE("many different numbers of rows make few kernels", "[unit][lm]") {
  if (resident_kilobytes("VmRSS:") < 0) {
    WARN("no /proc: nothing checked");
    return;
  }
  const lm::FrozenLinear layer(at::randn({1536, 576}), {}, lm::fastest_compute());
  const Tensor x = at::randn({2000, 576});
  for (std::int64_t rows = 1; rows <= 2000; rows *= 2) layer.forward(x.narrow(0, 0, rows));
  for (std::int64_t rows = 1500; rows < 1510; ++rows) layer.forward(x.narrow(0, 0, rows));
  const std::int64_t before = resident_kilobytes("VmRSS:");
  for (std::int64_t rows = 1700; rows < 1730; ++rows) layer.forward(x.narrow(0, 0, rows));
  CHECK(resident_kilobytes("VmRSS:") - before < 15 * 1024);  // oneDNN keeps about 1 to 5 MB for each
}

TEST_CASE("kernel names and the peak", "[unit][lm]") {
  CHECK(lm::kernel_name(Compute::kFloat32).rfind("f32 ", 0) == 0);
  CHECK(lm::kernel_name(Compute::kBfloat16).rfind("bf16 ", 0) == 0);
  CHECK(lm::kernel_name(Compute::kFloat32).find("libtorch 2.") != std::string::npos);
  const at::Device gpu("cuda:0");  // which need not be there
  CHECK(lm::fastest_compute(gpu) == Compute::kBfloat16);
  CHECK(lm::kernel_name(Compute::kBfloat16, gpu).rfind("bf16 cuda", 0) == 0);
  CHECK(lm::kernel_name(Compute::kFloat32, gpu).rfind("f32 cuda", 0) == 0);
  CHECK(lm::kernel_name(Compute::kFloat32, gpu).find("libtorch 2.") != std::string::npos);
  CHECK(lm::gemm_peak(Compute::kFloat32, 256, 256, 256, 0.02) > 0.1);
  CHECK(lm::gemm_peak(lm::fastest_compute(), 1, 64, 3, 0.01) > 0);
}

TEST_CASE("a weight too large to be kept packed has the same products and gradients", "[unit][kernels]") {
  const std::int64_t O = 4200, I = 4096;  // above 2^24
  const Tensor weight = (at::randn({O, I}) * 0.02).to(at::kBFloat16), bias = at::randn({O});
  const lm::FrozenLinear large(weight, bias, Compute::kFloat32, true);
  CHECK(large.bytes() == 0);
  const Tensor x = at::randn({5, I}).requires_grad_(true), y = large.forward(x), upstream = at::randn({5, O});
  y.backward(upstream);
  CHECK(relative(y.detach(), at::linear(x.detach(), weight.to(at::kFloat), bias)) < 1e-5);
  CHECK(relative(x.grad(), upstream.matmul(weight.to(at::kFloat))) < 1e-5);
}

}  // namespace oncekit::test
