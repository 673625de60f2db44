#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <cstdio>

#include "test_kit/checks.h"

namespace oncekit::test_kit {

std::string shape_of(const Tensor& tensor) {
  if (!tensor.defined()) return "undefined";
  std::string text;
  for (const auto n : tensor.sizes()) text += (text.empty() ? "" : ", ") + std::to_string(n);
  return "[" + text + "]";
}

std::string differs(const Tensor& got, const Tensor& expected, double rtol, double atol) {
  if (!got.defined() || !expected.defined()) return got.defined() == expected.defined() ? "" : "one of them is undefined";
  if (got.sizes() != expected.sizes()) return "shape " + shape_of(got) + ", expected " + shape_of(expected);
  if (got.scalar_type() != expected.scalar_type()) return "dtypes differ";
  const Tensor a = got.detach().to(at::kDouble), b = expected.detach().to(at::kDouble);
  if (at::equal(a, b)) return "";
  if ((rtol > 0 || atol > 0) && at::allclose(a, b, rtol, atol, /*equal_nan=*/true)) return "";
  const Tensor far = at::nan_to_num((a - b).abs(), 1e30).flatten();
  if (far.numel() == 0) return "";
  std::int64_t at = far.argmax().item<std::int64_t>();
  std::string where;
  for (std::int64_t d = got.dim(); d-- > 0; at /= got.size(d)) where = std::to_string(at % got.size(d)) + (where.empty() ? "" : ", ") + where;
  char text[120];
  std::snprintf(text, sizeof text, "differs by %.3g at [%s] (the largest difference; values up to %.3g)", far.max().item<double>(), where.c_str(),
                at::nan_to_num(b).abs().max().item<double>());
  return text;
}

std::string not_finite(const Tensor& tensor) {
  if (!tensor.defined()) return "is undefined";
  const auto bad = tensor.numel() - at::isfinite(tensor.detach()).sum().item<std::int64_t>();
  return bad ? "has " + std::to_string(bad) + " values of " + std::to_string(tensor.numel()) + " that are NaN or infinite" : "";
}

Tensor random(std::vector<std::int64_t> shape, std::uint64_t seed) {
  return at::randn(shape, at::make_generator<at::CPUGeneratorImpl>(seed), at::TensorOptions().dtype(at::kFloat));
}

std::string dead_gradients(torch::nn::Module& module) {
  std::string text;
  const auto add = [&](const std::string& what) { text += (text.empty() ? "" : "; ") + what; };
  for (const auto& pair : module.named_parameters()) {
    const Tensor& p = pair.value();
    if (!p.requires_grad()) continue;
    if (!p.grad().defined()) add("parameter '" + pair.key() + "' gets no gradient");
    else if (const std::string bad = not_finite(p.grad()); !bad.empty()) add("the gradient of '" + pair.key() + "' " + bad);
    else if (p.grad().count_nonzero().item<std::int64_t>() == 0) add("the gradient of '" + pair.key() + "' is zero everywhere");
  }
  return text;
}

void zero_gradients(torch::nn::Module& module) { module.zero_grad(); }

std::string copy_state(torch::nn::Module& from, torch::nn::Module& to) {
  at::NoGradGuard no_grad;
  const auto copy = [](const auto& source, const auto& target, const char* what) -> std::string {
    if (source.size() != target.size()) 
      return std::to_string(source.size()) + " " + what + " in one object, " + std::to_string(target.size()) + " in another of the same options";
    for (const auto& pair : source) {
      const Tensor* there = target.find(pair.key());
      if (!there) return "'" + pair.key() + "' is not in another object of the same options";
      if (there->sizes() != pair.value().sizes()) return "'" + pair.key() + "' has another shape in another object of the same options";
      Tensor(*there).copy_(pair.value());
    }
    return "";
  };
  if (std::string text = copy(from.named_parameters(), to.named_parameters(), "parameters"); !text.empty()) return text;
  return copy(from.named_buffers(), to.named_buffers(), "buffers");
}

std::string state_differs(torch::nn::Module& a, torch::nn::Module& b) {
  const auto compare = [](const auto& one, const auto& other) -> std::string {
    if (one.size() != other.size()) return "they hold different numbers of tensors";
    for (const auto& pair : one) {
      const Tensor* there = other.find(pair.key());
      if (!there) return "only one of them has '" + pair.key() + "'";
      if (const std::string text = differs(pair.value(), *there, 0, 0); !text.empty()) return "'" + pair.key() + "' " + text;
    }
    return "";
  };
  if (std::string text = compare(a.named_parameters(), b.named_parameters()); !text.empty()) return text;
  return compare(a.named_buffers(), b.named_buffers());
}

void seed_torch(std::uint64_t seed) { at::manual_seed(seed); }

}  // namespace oncekit::test_kit
