// A model's files as the encoder sees them: config values with located errors, tensors under normal names, shapes checked.
#pragma once

#include <memory>

#include "oncekit/language_model.h"
#include "weights/model_source.h"

namespace oncekit::lm {

/// Looks into a source that must outlive it.
std::unique_ptr<ModelConfig> model_config(const ModelSource& source);

/// NAME as the checkpoint has it: older BERT files say gamma and beta where newer ones say weight and bias.
std::string checkpoint_name(const ModelSource& source, const std::string& name);

/// All tensors that the architecture needs are there, in the right shapes; throws Error(kData) that lists those that are not.
void check_tensors(const ModelSource& source, const Architecture& architecture);

}  // namespace oncekit::lm
