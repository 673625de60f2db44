// Do the parts of a recipe fit? What each component needs against what the dataset, augmenters and other components give.
#pragma once

#include "oncekit/dataset.h"
#include "recipe/recipe.h"

namespace oncekit {

/// All unmet needs. Needs and gifts are "item:ATTRIBUTE", "user:ATTRIBUTE", or a name of their own such as "multi-vectors".
/// An augmenter may need what the dataset and the augmenters before it give; the model's parts also what the parts before them
/// give. With a catalog, the hints also name components the recipe does not use (which loads their plugins).
Problems unmet_needs(const Recipe& recipe, const Description& data, Catalog* catalog = nullptr);

}  // namespace oncekit
