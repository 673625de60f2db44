// The text side of a word-level content encoder: which attributes it reads, their packed tokens, the distinct tokens of a batch.
// Tier 0 of the SDK.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "oncekit/corpus.h"
#include "oncekit/options.h"
#include "oncekit/text.h"
#include "oncekit/workspace.h"

namespace oncekit {

/// Options of every word-level encoder; call describe() and validate() from the encoder's own.
struct ItemTextOptions {
  std::vector<std::string> attributes{"title"};
  std::vector<std::int64_t> max_tokens{30};
  std::vector<std::string> values;
  bool punctuation = false;
  std::string vectors, vocabulary;
  std::string tune = "tuned";
  std::int64_t word_width = 0;
  double word_std = 0.1;
  double word_dropout = 0;

  void describe(Fields& f);
  void validate(Problems& problems) const;
  /// {"item:title", "item:category", ...}
  std::vector<std::string> needs() const;
};

/// Packed tokens of a corpus. Words of all attributes share one vocabulary; values ("category=sports") have another.
/// Read-only once made: gather() of any thread may read it.
class ItemText {
 public:
  ItemText() = default;
  /// Throws Error(kData) when an attribute is absent.
  ItemText(const ItemTextOptions& options, const Items& items, Workspace& workspace);

  std::size_t attributes() const noexcept { return texts_.size(); }
  /// Word ids of one attribute of an item; may be empty.
  std::span<const std::int32_t> words(std::size_t attribute, ItemId item) const { return texts_[attribute][static_cast<std::size_t>(item)]; }
  /// Value ids of an item: one for each single-value attribute that is not empty.
  std::span<const std::int32_t> values(ItemId item) const { return values_[static_cast<std::size_t>(item)]; }
  const Vocabulary& word_vocabulary() const noexcept { return words_; }
  const Vocabulary& value_vocabulary() const noexcept { return value_names_; }
  /// For ContentEncoder::vocabularies().
  std::map<std::string, std::string> vocabularies() const;

 private:
  std::vector<PackedText> texts_;
  PackedText values_;
  Vocabulary words_, value_names_;
};

/// Numbers the distinct tokens of a batch: row(id) is the place of `id` in ids(), in order of first appearance. One object a batch;
/// borrows a table of its thread, so at most two may live at a time on one thread, and each dies on the thread that made it.
class DistinctTokens {
 public:
  explicit DistinctTokens(std::size_t vocabulary);
  ~DistinctTokens();
  DistinctTokens(const DistinctTokens&) = delete;
  DistinctTokens& operator=(const DistinctTokens&) = delete;

  std::int64_t row(std::int32_t id) {
    std::int32_t& place = table_[static_cast<std::size_t>(id)];
    if (place < 0) {
      place = static_cast<std::int32_t>(ids_.size());
      ids_.push_back(id);
    }
    return place;
  }
  const std::vector<std::int64_t>& ids() const noexcept { return ids_; }

 private:
  std::vector<std::int32_t>& table_;
  std::vector<std::int64_t> ids_;
};

}  // namespace oncekit
