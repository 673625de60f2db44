#include "oncekit/plugin.h"

#include "llama.h"

static void register_components(oncekit::Registrar& r) {
  r.content_encoder<oncekit::llama::LlamaEncoder>("llama")
      .doc("an open language model (LLaMA 1 to 3, Mistral, Qwen 2 and 3): frozen layers cached, top layers tuned, attention fusion")
      .cite("Liu et al., ONCE, WSDM 2024, section 3.2; Touvron et al. 2023");
}

ONCEKIT_PLUGIN("llama", register_components)
