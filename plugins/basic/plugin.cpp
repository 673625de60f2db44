// What every comparison needs: items by id or by ready-made vectors, users as means, scores as inner products.
#include "oncekit/plugin.h"

#include "dot.h"
#include "id.h"
#include "mean.h"
#include "vectors.h"

static void register_components(oncekit::Registrar& r) {
  using namespace oncekit::basic;
  r.content_encoder<IdEncoder>("id").doc("a trained vector an item, no content; items unseen in training keep their initial vectors");
  r.content_encoder<VectorsEncoder>("vectors").doc("item vectors from an .npy file behind a linear layer");
  r.user_encoder<MeanEncoder>("mean").doc("mean of the clicked items; zeros without clicks");
  r.interaction<Dot>("dot").doc("inner product of user and item; with several user vectors the largest");
}

ONCEKIT_PLUGIN("basic", register_components)
