#include "oncekit/plugin.h"

#include "content_encoder.h"
#include "user_encoder.h"

static void register_components(oncekit::Registrar& r) {
  constexpr const char* kPaper = "Wu et al., Neural News Recommendation with Multi-Head Self-Attention, EMNLP 2019";
  r.content_encoder<oncekit::nrms::ContentNrms>("nrms").doc("self-attention over the words of an item, additive attention over its positions").cite(kPaper);
  r.user_encoder<oncekit::nrms::UserNrms>("nrms").doc("self-attention over the clicked items, additive attention over the clicks; zeros without clicks").cite(kPaper);
}

ONCEKIT_PLUGIN("nrms", register_components)
