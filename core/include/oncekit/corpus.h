// The corpus: items, users, histories, impressions. Plain data in flat columns; made by a Dataset, changed by Augmenters,
// read-only to everybody after that.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace oncekit {

using ItemId = std::int32_t;  ///< row in Items; there is no padding item
using UserId = std::int32_t;  ///< row in Users

/// Strings end to end. Row i is bytes[offsets[i], offsets[i + 1]).
class StringColumn {
 public:
  std::size_t size() const noexcept { return offsets_.size() - 1; }
  std::string_view operator[](std::size_t row) const noexcept {
    return std::string_view(bytes_).substr(offsets_[row], offsets_[row + 1] - offsets_[row]);
  }
  void push_back(std::string_view text) {
    bytes_.append(text);
    offsets_.push_back(bytes_.size());
  }
  std::string_view bytes() const noexcept { return bytes_; }
  std::span<const std::size_t> offsets() const noexcept { return offsets_; }

 private:
  std::string bytes_;
  std::vector<std::size_t> offsets_{0};
};

/// Lists end to end. Row i is values[offsets[i], offsets[i + 1]).
template <class T>
class Ragged {
 public:
  std::size_t size() const noexcept { return offsets_.size() - 1; }
  std::size_t length(std::size_t row) const noexcept { return offsets_[row + 1] - offsets_[row]; }
  std::span<const T> operator[](std::size_t row) const noexcept {
    return std::span<const T>(values_).subspan(offsets_[row], length(row));
  }
  void push_back(std::span<const T> row) {
    values_.insert(values_.end(), row.begin(), row.end());
    offsets_.push_back(values_.size());
  }
  std::span<const T> values() const noexcept { return values_; }
  std::span<const std::size_t> offsets() const noexcept { return offsets_; }

 private:
  std::vector<T> values_;
  std::vector<std::size_t> offsets_{0};
};

/// An attribute with several values a row: indices into a vocabulary.
struct ListAttribute {
  StringColumn vocabulary;
  Ragged<std::int32_t> values;  ///< one row a user, in Corpus::profiles one a history; a row may be empty
  bool in_model = true;         ///< joins the user vector; false: for later augmenters alone
};

struct Items {
  StringColumn ids;                                ///< as in the raw files
  std::map<std::string, StringColumn> attributes;  ///< "title", "abstract", "category", "subcategory", ...; one row an item
  std::size_t listed = 0;                          ///< rows [0, listed) may be candidates; the rest were generated
  std::size_t size() const noexcept { return ids.size(); }
  /// The column of an attribute; throws Error(kData) that names the ones there are.
  const StringColumn& attribute(const std::string& name) const;
};

struct Users {
  StringColumn ids;
  std::map<std::string, ListAttribute> attributes;  ///< what the raw files say of a user
  std::size_t size() const noexcept { return ids.size(); }
};

/// What was shown to users, in the order of the raw file. All columns have one row an impression.
struct Impressions {
  StringColumn ids;
  std::vector<UserId> users;
  std::vector<std::int32_t> histories;      ///< row in Corpus::histories
  std::vector<std::int64_t> times;          ///< seconds since 1970, or -1 when the data has none
  Ragged<ItemId> candidates;
  std::vector<std::uint8_t> labels;         ///< parallel to candidates.values(): 1 = clicked; empty when unlabelled
  std::size_t size() const noexcept { return users.size(); }
  bool labelled() const noexcept { return labels.size() == candidates.values().size(); }
};

/// Something met while reading: how often, and where first.
struct Count {
  std::string reason;  ///< e.g. "history items unknown to the catalogue, dropped"
  std::int64_t count = 0;
  std::string first;   ///< "file:line" of the first one, or ""
};

struct Corpus {
  std::string name;                             ///< the dataset's name, e.g. "mind"
  Items items;
  Users users;
  Ragged<ItemId> histories;                     ///< distinct histories, oldest click first, after truncation and augmentation
  std::vector<std::int32_t> clicks_before;      ///< clicks of each history before truncation and augmentation: decides who is new
  /// How many items of each history, from its first on, are clicks: the others were put behind them by augmenters. Empty as a dataset leaves
  /// it: all are; filled for augmenters and after them.
  std::vector<std::int32_t> real_clicks;
  /// Whose each history is. Empty as a dataset leaves it; filled, and no history shared by two users, for augmenters and after them.
  std::vector<UserId> history_users;
  /// What augmenters say of a user as he was at one history: "topic", "region"; one row a history.
  std::map<std::string, ListAttribute> profiles;
  Impressions train, dev, test;
  std::string group = "impression";             ///< what metrics group by when the recipe does not say: "impression" or "user"
  std::vector<Count> counts;                    ///< oddities met while reading; also given to Workspace::count
  std::map<std::string, double> facts;          ///< numbers known of the data, e.g. "best_auc" of a toy; in results.json as "data/..."

  /// What the user clicked of histories[history], without what augmenters put behind it: models read all of a history, statistics this.
  std::span<const ItemId> clicks(std::int32_t history) const noexcept {
    const auto row = static_cast<std::size_t>(history);
    return real_clicks.empty() ? histories[row] : histories[row].first(static_cast<std::size_t>(real_clicks[row]));
  }
};

}  // namespace oncekit
