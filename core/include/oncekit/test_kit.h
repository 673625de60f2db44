// The conformance test kit: what every component of a kind must do, checked on a small made-up corpus. Our own components are held to
// it; a plugin author runs it by `oncekit plugins test FILE`, or links oncekit::test_kit and calls check_all() in a test of any framework.
//
//   for (const auto& report : oncekit::test_kit::check_all(register_components))
//     for (const auto& failure : report.failures) std::cerr << report.component << ": " << failure.check << ": " << failure.text << '\n';
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "oncekit/corpus.h"
#include "oncekit/registrar.h"

namespace oncekit::test_kit {

struct Failure {
  std::string check;  ///< e.g. "other users' clicks change nothing"
  std::string text;   ///< what was seen and what was expected
};

/// What came of one component.
struct Report {
  std::string component;             ///< "user_encoder/nrms"
  std::vector<std::string> passed;   ///< names of checks
  std::vector<Failure> failures;
  std::vector<std::string> skipped;  ///< "check: why"
  bool good() const noexcept { return failures.empty() && !passed.empty(); }
};

struct Setup {
  /// Options that differ from the defaults; nested ones as "table.name". Default: each option's demo value, where it has one.
  /// In strings "{kit}" stands for a folder that holds the kit's own items: glove.txt (25 numbers a word), vectors.npy (float32, one row an
  /// item) and ids.txt (their ids, one a line).
  std::map<std::string, OptionValue> options;
  std::int64_t width = 32;        ///< Dims::width and Dims::item_width
  std::uint64_t seed = 7;
  std::filesystem::path scratch;  ///< an empty folder for caches and toy files; a temporary one that is removed when empty
};

/// Runs all checks of the component's kind. Throws only when the scratch folder cannot be written; what the component throws is a failure.
/// One thread at a time; seeds torch's generator.
Report check(const ComponentSpec& spec, const Setup& setup = {});

/// The same for all components that this function registers.
std::vector<Report> check_all(void (*register_components)(Registrar&), const Setup& setup = {});

/// What is wrong with a corpus: columns of unequal length, rows out of range, labels other than 0 and 1, ... Empty when it is sane.
std::vector<std::string> corpus_problems(const Corpus& corpus);

}  // namespace oncekit::test_kit
