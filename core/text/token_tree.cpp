#include "text/token_tree.h"

#include <algorithm>
#include <numeric>

namespace oncekit::lm {

namespace {

// How many tokens the last sequence begins with alike.
std::size_t in_common(const TokenTree& tree, std::span<const std::int32_t> tokens) {
  if (tree.sequences() == 0) return 0;
  const auto last = tree.path(tree.sequences() - 1);
  std::size_t common = 0;
  while (common < tokens.size() && common < last.size() && tree.tokens_N[static_cast<std::size_t>(last[common])] == tokens[common]) ++common;
  return common;
}

}  // namespace

void add_sequence(TokenTree& tree, std::span<const std::int32_t> tokens, bool share) {
  const std::size_t common = share ? in_common(tree, tokens) : 0;
  if (common > 0) {
    const auto begin = static_cast<std::size_t>(tree.offsets_S1[tree.offsets_S1.size() - 2]);
    for (std::size_t j = 0; j < common; ++j) tree.path_P.push_back(tree.path_P[begin + j]);
  }
  for (std::size_t j = common; j < tokens.size(); ++j) {
    tree.path_P.push_back(tree.nodes());
    tree.tokens_N.push_back(tokens[j]);
    tree.positions_N.push_back(static_cast<std::int32_t>(j));
  }
  tree.first_own_S.push_back(static_cast<std::int64_t>(common));
  tree.offsets_S1.push_back(static_cast<std::int64_t>(tree.path_P.size()));
}

Forest make_forest(const PackedText& items, bool share, std::int64_t nodes_a_tree) {
  std::vector<std::int32_t> order(items.size());
  std::iota(order.begin(), order.end(), 0);
  if (share) {
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      const auto left = items[static_cast<std::size_t>(a)], right = items[static_cast<std::size_t>(b)];
      return std::lexicographical_compare(left.begin(), left.end(), right.begin(), right.end());
    });
  }
  Forest forest;
  forest.tree_of_item.resize(items.size());
  forest.sequence_of_item.resize(items.size());
  const auto close = [&] { forest.first_node.push_back(forest.first_node.back() + forest.trees.back().nodes()); };
  for (const std::int32_t item : order) {
    const auto tokens = items[static_cast<std::size_t>(item)];
    const auto after = [&](const TokenTree& tree) { return tree.nodes() + static_cast<std::int64_t>(tokens.size() - (share ? in_common(tree, tokens) : 0)); };
    if (forest.trees.empty() || (after(forest.trees.back()) > nodes_a_tree && forest.trees.back().nodes() > 0)) {
      if (!forest.trees.empty()) close();
      forest.trees.emplace_back();
    }
    TokenTree& tree = forest.trees.back();
    add_sequence(tree, tokens, share);
    forest.tree_of_item[static_cast<std::size_t>(item)] = static_cast<std::int32_t>(forest.trees.size() - 1);
    forest.sequence_of_item[static_cast<std::size_t>(item)] = tree.sequences() - 1;
    forest.tokens += static_cast<std::int64_t>(tokens.size());
  }
  if (!forest.trees.empty()) close();
  return forest;
}

}  // namespace oncekit::lm
