// What all benchmarks use: the clock, the median, titles out of a file.
#pragma once

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "lm/tokens.h"
#include "run/workspace.h"

namespace oncekit::bench {

inline double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

inline double median(std::vector<double> x) {
  std::sort(x.begin(), x.end());
  return x.empty() ? 0 : x[x.size() / 2];
}

template <class Body>
double seconds_of(Body&& body) {
  const double begin = now();
  body();
  return now() - begin;
}

/// Tokens of the first `count` titles of a file, as the book recipes concatenate them. `file`: MIND's news.tsv (column 4) or one title a line.
inline PackedText title_tokens(const ModelSource& source, const std::string& file, std::size_t count) {
  Items items;
  std::ifstream in(file);
  for (std::string line; items.ids.size() < count && std::getline(in, line);) {
    std::istringstream cells(line);
    std::string cell = line;
    if (line.find('\t') != std::string::npos)
      for (int c = 0; c < 4; ++c) std::getline(cells, cell, '\t');
    items.ids.push_back(std::to_string(items.ids.size()));
    items.attributes["title"].push_back(cell);
  }
  WorkspaceOptions workspace_options;
  workspace_options.threads = 2;
  HostWorkspace workspace(workspace_options);
  lm::Options options;
  options.lead = "book:";
  options.max_tokens = {20};
  return lm::item_tokens(options, items, *lm::model_tokenizer(source), workspace);
}

}  // namespace oncekit::bench
