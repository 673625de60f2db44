// A planted world: small, made up, with a best possible AUC that is known. For --demo, tests and negative controls.
//
// Every item is about one topic; its title holds a few of the topic's many synonyms among filler words. A user has one to three
// tastes (topics), which his history shows. One of the shown items is clicked: item i of impression s with probability
// w_i / sum_j w_j, where w is `odds` for items of the user's tastes and 1 for all others. A shown item of a user's taste never shares a topic word with his
// history: whoever only compares words learns nothing, whoever learns which words belong together gains nearly all.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "oncekit/dataset.h"
#include "oncekit/rng.h"
#include "oncekit/workspace.h"

namespace oncekit {

struct ToyOptions {
  std::int64_t topics = 6;
  std::int64_t words = 24;           ///< synonyms a topic
  std::int64_t items = 1600;
  std::int64_t users = 2000;
  std::int64_t train = 14000;        ///< impressions
  std::int64_t dev = 1500, test = 2000;
  double odds = 30;                  ///< of a click on an item of the user's tastes against any other
  double cold_items = 0.35;          ///< share of the items that are never shown or clicked before dev
};

/// The public part of the world: which word belongs to which topic. Depends on sizes only, never on the seed.
struct ToyVocabulary {
  std::vector<std::string> topics;              ///< readable names
  std::vector<std::vector<std::string>> words;  ///< by topic
  std::vector<std::string> fillers;
};
ToyVocabulary toy_vocabulary(const ToyOptions& options);

/// The world, a pure function of options and key. facts: "best_auc" and "dev_best_auc" (expected AUC of ranking by the true click
/// probabilities, ties counted half, mean over the split's impressions), "oracle_auc" (of the same ranking on the clicks drawn), and
/// "history_auc" (of counting the true topics of the history: what perfect word knowledge reaches).
ToyWorld make_toy(const ToyOptions& options, Rng rng);

/// The folder of a toy in a dataset's raw layout, of default sizes: made by dataset.write_toy() the first time, found in the cache after.
/// `version` goes up whenever write_toy() writes something else.
std::filesystem::path cached_toy(const Dataset& dataset, const std::string& layout, int version, std::int64_t seed, Workspace& workspace);

/// Writes and reads facts as FOLDER/toy.json; no such file: no facts.
void write_toy_facts(const ToyWorld& world, const std::filesystem::path& folder);
std::map<std::string, double> read_toy_facts(const std::filesystem::path& folder);

}  // namespace oncekit
