#include "oncekit/plugin.h"

#include "bert.h"

static void register_components(oncekit::Registrar& r) {
  r.content_encoder<oncekit::bert::BertEncoder>("bert")
      .doc("an encoder of the BERT family (BERT, RoBERTa, MiniLM, English BGE and E5): frozen layers cached, top layers tuned, attention fusion")
      .cite("Liu et al., ONCE, WSDM 2024, section 3.2; Devlin et al., NAACL 2019");
}

ONCEKIT_PLUGIN("bert", register_components)
