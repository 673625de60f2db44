// What the checks of all kinds share: a runner that turns exceptions into failures, comparisons in words, the made-up corpus.
#pragma once

#include <exception>
#include <string>
#include <vector>

#include "oncekit/dataset.h"
#include "oncekit/model.h"
#include "oncekit/test_kit.h"

namespace oncekit::test_kit {

/// One component under test, with its options set and a scratch folder.
class Bench {
 public:
  Bench(const ComponentSpec& spec, const Setup& setup, const OptionSet& options, Workspace& workspace, Report& report)
      : spec(spec), setup(setup), options(options), workspace(workspace), report(report) {}

  /// Runs one check: `body` returns "" or what is wrong.
  template <class F>
  bool check(const std::string& name, F&& body) {
    std::string text;
    try {
      text = body();
    } catch (const std::exception& error) {
      text = error.what();
      text = "threw: " + text.substr(0, text.find('\n'));
    } catch (...) {
      text = "threw something that is no std::exception";
    }
    if (text.empty()) report.passed.push_back(name);
    else report.failures.push_back({name, text});
    return text.empty();
  }
  void skip(const std::string& name, const std::string& why) { report.skipped.push_back(name + ": " + why); }

  bool needs(const std::string& what) const;  ///< is among spec.needs(options)
  bool gives(const std::string& what) const;

  const ComponentSpec& spec;
  const Setup& setup;
  const OptionSet& options;
  Workspace& workspace;
  Report& report;
};

void check_options(const ComponentSpec& spec, Report& report);
void check_content_encoder(Bench& bench);
void check_user_encoder(Bench& bench);
void check_interaction(Bench& bench);
void check_dataset(Bench& bench);
void check_augmenter(Bench& bench);

// --- tensors -----------------------------------------------------------------------------------------------------------------

/// "" when equal within rtol and atol (0, 0: bit for bit), else the largest difference and where. Other shapes: both shapes.
std::string differs(const Tensor& got, const Tensor& expected, double rtol = 1e-4, double atol = 1e-5);
/// "" or "has 3 values that are NaN or infinite".
std::string not_finite(const Tensor& tensor);
/// "[4, 1, 32]".
std::string shape_of(const Tensor& tensor);
/// Standard normal, from a generator of its own: the same numbers in every run.
Tensor random(std::vector<std::int64_t> shape, std::uint64_t seed);
/// Every trainable parameter of `module` has a finite gradient that is not zero everywhere.
std::string dead_gradients(torch::nn::Module& module);
void zero_gradients(torch::nn::Module& module);
/// Copies parameters and buffers by name, as a checkpoint does; "" or what does not fit.
std::string copy_state(torch::nn::Module& from, torch::nn::Module& to);
/// "" when both hold the same parameters and buffers, bit for bit.
std::string state_differs(torch::nn::Module& a, torch::nn::Module& b);
void seed_torch(std::uint64_t seed);

// --- the made-up corpus ------------------------------------------------------------------------------------------------------

/// 24 items: empty texts, one word, long ones, other scripts; the attributes that `needs` names and the usual ones.
Items kit_items(const std::vector<std::string>& needs);
/// Writes glove.txt, vectors.npy and ids.txt for those items.
void write_kit_files(const Items& items, const std::filesystem::path& folder);
/// 40 items, 25 users, three splits; empty histories, empty abstracts, quotes, other scripts, impressions with one candidate.
ToyWorld kit_world();

}  // namespace oncekit::test_kit
