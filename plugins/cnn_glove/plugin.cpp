#include "oncekit/plugin.h"

#include "encoder.h"

static void register_components(oncekit::Registrar& r) {
  r.content_encoder<oncekit::cnn_glove::CnnEncoder>("cnn_glove")
      .doc("convolution over pretrained word vectors, additive attention over all positions of all attributes")
      .cite("Wu et al., Neural News Recommendation with Attentive Multi-View Learning, IJCAI 2019");
}

ONCEKIT_PLUGIN("cnn_glove", register_components)
