// From components to a recommender ready to train, without torch in the header: for the run room.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "model/options.h"
#include "oncekit/corpus.h"
#include "oncekit/registrar.h"
#include "oncekit/workspace.h"

namespace oncekit {

class Recommender;  // model/recommender.h

/// A registered component and its options.
struct ComponentChoice {
  const ComponentSpec* spec = nullptr;
  const OptionSet* options = nullptr;
};

/// Fixes the thread count, default dtype and allocator behaviour for the life of the process. Call once, before anything else of torch.
void start_torch(int threads);
/// LibTorch's version and build, e.g. "2.13.0+cpu".
std::string torch_version();
bool cuda_available();

/// Seeds the generator with `seed`, constructs the three components, prepares them on the corpus, moves them to the workspace's device.
/// Exceptions of a plugin come out as Error(kPlugin) naming plugin, component and call.
std::shared_ptr<Recommender> build_recommender(const ComponentChoice& content, const ComponentChoice& user,
                                               const ComponentChoice& interaction, const ModelOptions& options,
                                               std::uint64_t seed, const Corpus& corpus, Workspace& workspace);

struct ModelSize {
  std::int64_t trainable = 0, frozen = 0;            ///< parameters
  std::map<std::string, std::int64_t> groups;        ///< trainable parameters of "lm" and "rest"
};
ModelSize model_size(Recommender& model);

/// What the content encoder says of itself for the run record: weights, kernel, cached states.
std::map<std::string, std::string> model_facts(Recommender& model);
/// Lets the content encoder write what other tools read (an adapter) into `folder`, made for it; leaves none when there is nothing.
void save_for_others(Recommender& model, const std::filesystem::path& folder);

}  // namespace oncekit
