#include "oncekit/item_text.h"

#include <algorithm>
#include <set>

#include "oncekit/error.h"

namespace oncekit {

void ItemTextOptions::describe(Fields& f) {
  f.list("attributes", attributes).doc("texts to read word by word, in this order, e.g. title, abstract");
  f.list("max_tokens", max_tokens).range(1, 100000).unit("words").doc("first words kept of each attribute: one number for all, or one an attribute")
      .cite("Liu et al. 2024, section 5.1.4");
  f.list("values", values).doc("attributes whose whole value is one token, e.g. category, subcategory");
  f.boolean("punctuation", punctuation).doc("punctuation marks are words too");
  f.path("vectors", vectors).doc("pretrained word vectors: GloVe or word2vec text, or .npy; empty = random vectors, trained from scratch")
      .cite("Pennington et al. 2014, nlp.stanford.edu/projects/glove").demo(std::string());
  f.path("vocabulary", vocabulary).doc("the words of an .npy file's rows, one a line; empty = the same name with .txt").demo(std::string());
  f.choice("tune", tune, {"frozen", "tuned", "projected"})
      .doc("word vectors stay as they are, or train, or stay and pass a trained linear layer to word_width").demo(std::string("tuned"));
  f.integer("word_width", word_width).range(0, 65536)
      .doc("width of random or projected word vectors; 0 = that of the file, else of [model] width").demo(std::int64_t{0});
  f.real("word_std", word_std).range(0, 10).doc("standard deviation of random initial vectors; with a file, words it lacks get the file's own");
  f.real("word_dropout", word_dropout).range(0, 0.99).doc("dropout on the word vectors, one mask a distinct word of a batch");
}

void ItemTextOptions::validate(Problems& problems) const {
  if (attributes.empty() && values.empty()) problems.add("attributes and values are both empty: nothing to encode", "name at least one, e.g. attributes = [\"title\"]");
  if (max_tokens.size() != 1 && max_tokens.size() != attributes.size()) {
    problems.add("max_tokens has " + std::to_string(max_tokens.size()) + " numbers for " + std::to_string(attributes.size()) + " attributes",
                 "give one number for all, or one an attribute");
  }
  std::set<std::string> seen;
  for (const auto* list : {&attributes, &values}) {
    for (const std::string& name : *list) {
      if (!seen.insert(name).second) problems.add("attribute '" + name + "' is named twice in attributes and values");
    }
  }
  if (vectors.empty() && tune != "tuned") problems.add("tune = \"" + tune + "\" without vectors: random words must be trained", "name a file of word vectors, or set tune = \"tuned\"");
  if (vectors.empty() && !vocabulary.empty()) problems.add("vocabulary is set without vectors", "name the .npy file that it belongs to");
}

std::vector<std::string> ItemTextOptions::needs() const {
  std::vector<std::string> needs;
  for (const auto* list : {&attributes, &values}) {
    for (const std::string& name : *list) needs.push_back("item:" + name);
  }
  return needs;
}

ItemText::ItemText(const ItemTextOptions& options, const Items& items, Workspace& workspace) {
  for (std::size_t a = 0; a < options.attributes.size(); ++a) {
    const std::int64_t most = options.max_tokens.size() == 1 ? options.max_tokens[0] : options.max_tokens[a];
    texts_.push_back(tokenize_words(items.attribute(options.attributes[a]), most, words_, workspace, options.punctuation));
  }
  std::vector<const StringColumn*> columns;
  for (const std::string& name : options.values) columns.push_back(&items.attribute(name));
  for (std::size_t i = 0; i < items.size(); ++i) {
    for (std::size_t v = 0; v < columns.size(); ++v) {
      const std::string_view value = (*columns[v])[i];
      if (!value.empty()) values_.ids.push_back(value_names_.add(options.values[v] + "=" + std::string(value)));
    }
    values_.offsets.push_back(static_cast<std::int64_t>(values_.ids.size()));
  }
}

std::map<std::string, std::string> ItemText::vocabularies() const {
  std::map<std::string, std::string> all{{"words", words_.lines()}};
  if (value_names_.size() > 0) all["values"] = value_names_.lines();
  return all;
}

namespace {

// Two tables a thread (words and values), all -1 between uses: clearing costs the distinct tokens of a batch, not the vocabulary.
struct Scratch {
  std::vector<std::int32_t> table;
  bool used = false;
};
thread_local Scratch scratch[2];

std::vector<std::int32_t>& borrow(std::size_t vocabulary) {
  for (Scratch& s : scratch) {
    if (s.used) continue;
    s.used = true;
    if (s.table.size() < vocabulary) s.table.resize(vocabulary, -1);
    return s.table;
  }
  throw Error(ErrorKind::kPlugin, "more than two DistinctTokens live at a time on one thread", "let one go before the next is made");
}

}  // namespace

DistinctTokens::DistinctTokens(std::size_t vocabulary) : table_(borrow(vocabulary)) {}

DistinctTokens::~DistinctTokens() {
  for (const std::int64_t id : ids_) table_[static_cast<std::size_t>(id)] = -1;
  for (Scratch& s : scratch) {
    if (&s.table == &table_) s.used = false;
  }
}

}  // namespace oncekit
