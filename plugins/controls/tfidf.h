// Titles as tf-idf vectors, for the controls. How rare a word is comes from items that training shows or has clicked, and from no others.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "oncekit/corpus.h"
#include "oncekit/text.h"

namespace oncekit::controls {

class TitleIndex {
 public:
  using Term = std::pair<std::int32_t, double>;  ///< word, weight

  explicit TitleIndex(const Corpus& corpus);

  /// Sum of the clicks' vectors (each of length 1), by word. Clicks on items without words add nothing.
  std::vector<Term> sum(std::span<const ItemId> clicks) const;
  /// The k items of training that are nearest by cosine to this sum and not among `clicks`, nearest first; ties go to the smaller row.
  /// Items that share no word are none.
  std::vector<ItemId> nearest(std::span<const ItemId> clicks, std::size_t k);
  const std::string& word(std::int32_t id) const { return words_.word(id); }

 private:
  Vocabulary words_;
  std::vector<std::vector<Term>> items_;     // by item
  std::vector<std::vector<Term>> postings_;  // by word: items of training, weight
  std::size_t trained_ = 0;
  std::vector<double> scores_;               // of nearest(), all 0 between calls
};

}  // namespace oncekit::controls
