// The gallery of error texts: tests/errors/ROOM/NAME.txt holds, word for word, what a user reads.
//   ONCEKIT_UPDATE_GALLERY=1 build/release/tests/test_plugin     writes the files anew; read the difference before you commit it.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

namespace oncekit::test {

/// `text` with each first replaced by its second: what differs from machine to machine.
inline std::string replaced(std::string text, const std::vector<std::pair<std::string, std::string>>& what) {
  for (const auto& [from, to] : what)
    for (std::size_t at = 0; !from.empty() && (at = text.find(from, at)) != std::string::npos; at += to.size())
      text.replace(at, from.size(), to);
  return text;
}

/// From a tree that lies in the folder for temporary files a TempFolder is a sibling, and its paths are shown whole: down to the last two parts, as
/// from elsewhere.
inline std::string without_siblings(std::string text) {
  for (std::size_t at = 0; (at = text.find("../oncekit_test_", at)) != std::string::npos; ++at) {
    const std::size_t end = std::min(text.find_first_of(" :\n", at), text.size());
    const std::size_t last = text.rfind('/', end), from = text.rfind('/', last - 1) + 1;
    if (from > at) text.erase(at, from - at);
  }
  return text;
}

inline void check_gallery(const std::string& name, const std::string& error) {
  const std::string text = without_siblings(error);
  const auto file = std::filesystem::path(ONCEKIT_TREE) / "tests" / "errors" / (name + ".txt");
  if (std::getenv("ONCEKIT_UPDATE_GALLERY")) {
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << '\n';
  }
  std::ifstream in(file);
  std::stringstream expected;
  expected << in.rdbuf();
  INFO("gallery file " << file);
  CHECK(text + "\n" == expected.str());
}

}  // namespace oncekit::test
