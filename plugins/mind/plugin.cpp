#include "oncekit/plugin.h"

#include "mind.h"

namespace {

void register_components(oncekit::Registrar& r) {
  r.dataset<oncekit::mind::Mind>("mind")
      .doc("MIND's raw files (news.tsv, behaviors.tsv), and any data in the same layout")
      .cite("Wu et al., MIND: A Large-scale Dataset for News Recommendation, ACL 2020");
}

}  // namespace

ONCEKIT_PLUGIN("mind", register_components)
