// The tokens of some items, packed: no padding, and, where asked, a common prefix of several items held once.
//
// A node is one computed token. A sequence (an item) is a path of nodes, first token first. Without sharing every sequence has
// nodes of its own. With it (causal models only: a state depends on the tokens before it and on nothing else) sequences that begin
// with the same tokens begin with the same nodes. Nodes of a sequence that no earlier sequence holds are its own; they are the tail of
// its path, and lie side by side in node order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "oncekit/text.h"

namespace oncekit::lm {

/// N nodes, S sequences, P places of all paths.
struct TokenTree {
  std::vector<std::int32_t> tokens_N;
  std::vector<std::int32_t> positions_N;      ///< place in its path, from 0
  std::vector<std::int64_t> path_P;           ///< nodes of sequence s: path_P[offsets_S1[s], offsets_S1[s + 1])
  std::vector<std::int64_t> offsets_S1{0};
  std::vector<std::int64_t> first_own_S;      ///< place in its path where the sequence's own nodes begin; nodes before it are shared
  std::int64_t nodes() const noexcept { return static_cast<std::int64_t>(positions_N.size()); }
  std::int64_t sequences() const noexcept { return static_cast<std::int64_t>(offsets_S1.size()) - 1; }
  std::span<const std::int64_t> path(std::int64_t s) const noexcept {
    return std::span<const std::int64_t>(path_P).subspan(static_cast<std::size_t>(offsets_S1[static_cast<std::size_t>(s)]),
        static_cast<std::size_t>(offsets_S1[static_cast<std::size_t>(s) + 1] - offsets_S1[static_cast<std::size_t>(s)]));
  }
};

/// Adds a sequence. REQUIRES for sharing: sequences come in lexicographic order; the new one then shares what it has in common with
/// the last one.
void add_sequence(TokenTree& tree, std::span<const std::int32_t> tokens, bool share);

/// All items' tokens as independent trees: the batches of the frozen layers, a function of the tokens alone. Nodes are numbered through.
struct Forest {
  std::vector<TokenTree> trees;
  std::vector<std::int64_t> first_node{0};   ///< of each tree, and the number of all
  std::vector<std::int32_t> tree_of_item;
  std::vector<std::int64_t> sequence_of_item;
  std::int64_t tokens = 0;                   ///< places of all paths: what would be computed without sharing
  std::int64_t nodes() const noexcept { return first_node.back(); }
  std::span<const std::int64_t> path(ItemId item) const { return trees[static_cast<std::size_t>(tree_of_item[static_cast<std::size_t>(item)])].path(sequence_of_item[static_cast<std::size_t>(item)]); }
  std::int64_t base(ItemId item) const { return first_node[static_cast<std::size_t>(tree_of_item[static_cast<std::size_t>(item)])]; }
};

/// Trees of at most `nodes_a_tree` nodes, but for a longer sequence, which has a tree of its own. Without sharing items stay in their order.
Forest make_forest(const PackedText& items, bool share, std::int64_t nodes_a_tree);

}  // namespace oncekit::lm
