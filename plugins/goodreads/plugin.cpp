#include "oncekit/plugin.h"

#include "goodreads.h"

namespace {

void register_components(oncekit::Registrar& r) {
  r.dataset<oncekit::goodreads::Goodreads>("goodreads")
      .doc("book readers from the raw files of the UCSD Book Graph (goodreads_interactions_*.json.gz, goodreads_books*.json.gz)")
      .cite("Wan and McAuley, Item Recommendation on Monotonic Behavior Chains, RecSys 2018; Liu et al. 2024, section 5.1");
}

}  // namespace

ONCEKIT_PLUGIN("goodreads", register_components)
