// Numbers about a corpus: what `oncekit data stats` prints and what [expect] may name.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "oncekit/corpus.h"
#include "oncekit/error.h"

namespace oncekit {

/// One figure. Names are stable: they are the keys of --json and of [expect].
struct Figure {
  std::string name;
  double value = 0;
  std::string doc;
};

/// All figures, in an order to read. Means over no rows are left out. One pass, deterministic.
std::vector<Figure> corpus_figures(const Corpus& corpus);

/// Compares what [expect] says with the figures: whole numbers exactly, others to 1e-6 relative. Keys with a '/' other than
/// "data/NAME" belong to somebody else ("paper/auc"). An unknown name is a problem too, with the nearest one.
void check_expected(const std::vector<Figure>& figures, const std::map<std::string, double>& expected, Problems& problems);

/// An item, a user or an impression (of any split) as text to read. Throws Error(kUsage) with the nearest ids when there is none.
std::string show_item(const Corpus& corpus, const std::string& id);
std::string show_user(const Corpus& corpus, const std::string& id);
std::string show_impression(const Corpus& corpus, const std::string& split, const std::string& id);

}  // namespace oncekit
