// results.json as a table for people.
#pragma once

#include <string>

#include "run/folder.h"

namespace oncekit {

/// The model and the untrained rankers, in all and by slice; then time and memory.
std::string results_table(const ResultList& results, bool color);

}  // namespace oncekit
