#include "oncekit/plugin.h"

#include "table.h"

namespace {

void register_components(oncekit::Registrar& r) {
  r.dataset<oncekit::table::Table>("table").doc("anybody's own data: items.tsv, train.tsv, dev.tsv, test.tsv with headers (docs/formats.md)");
}

}  // namespace

ONCEKIT_PLUGIN("table", register_components)
