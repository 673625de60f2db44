// Filtered readers -> a Corpus: a history, and one impression a reader and split.
#pragma once

#include "catalogue.h"

namespace oncekit::goodreads {

/// A reader's history is a prefix of his high ratings: 9 for 60% of the readers, 8, 7 and 6 for 10% each, 1 to 5 for the rest. Of the other
/// high ratings, in order, the last tenth is test, the tenth before it dev (fewer than ten: the last one and the one before). His low ratings
/// and random books are shuffled and cut in the same shares. A reader without a high rating in a split has no impression there.
/// Draws depend on options.seed and the reader's id alone (random books on the catalogue too).
Corpus make_corpus(const Interactions& all, Catalogue&& catalogue, const Options& options, Workspace& workspace, Tally& tally);

}  // namespace oncekit::goodreads
