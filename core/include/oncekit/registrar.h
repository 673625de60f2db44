// How a plugin's components reach the core: its one entry function gets a Registrar and adds to it.
//
//   void register_components(oncekit::Registrar& r) {
//     r.user_encoder<Nrms>("nrms").doc("multi-head self-attention over clicks").cite("Wu et al., EMNLP 2019");
//   }
//   ONCEKIT_PLUGIN("nrms", register_components)     // oncekit/plugin.h
//
// A component class T has `using Options = ...;` (a struct with describe(); NoOptions when it has none) and a constructor
// T(const Options&, const Dims&), for datasets and augmenters T(const Options&). Optional:
//   static std::vector<std::string> T::needs(const Options&);   e.g. {"item:title", "item:category"}, {"user:topic"}
//   static std::vector<std::string> T::gives(const Options&);   e.g. {"multi-vectors"}
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "oncekit/options.h"

namespace oncekit {

class Dataset;
class Augmenter;
class ContentEncoder;
class UserEncoder;
class Interaction;

/// Sizes a model component is built for.
struct Dims {
  std::int64_t width = 64;       ///< D, the common width of item and user vectors ([model] width)
  std::int64_t item_width = 64;  ///< width of the item vectors that reach user encoder and interaction
};

/// One registered component: what it is called, what its options are, how to make one.
struct ComponentSpec {
  std::string kind;    ///< "dataset", "augmenter", "content_encoder", "user_encoder", "interaction"
  std::string name;    ///< as in `use = "nrms"`
  std::string plugin;  ///< filled in by the host
  std::string doc_text, cite_text;

  std::function<std::unique_ptr<OptionSet>()> options;
  std::function<std::vector<std::string>(const OptionSet&)> needs, gives;

  // Exactly one of these, by kind.
  std::function<std::unique_ptr<Dataset>(const OptionSet&)> make_dataset;
  std::function<std::unique_ptr<Augmenter>(const OptionSet&)> make_augmenter;
  std::function<std::shared_ptr<ContentEncoder>(const OptionSet&, const Dims&)> make_content_encoder;
  std::function<std::shared_ptr<UserEncoder>(const OptionSet&, const Dims&)> make_user_encoder;
  std::function<std::shared_ptr<Interaction>(const OptionSet&, const Dims&)> make_interaction;

  ComponentSpec& doc(std::string text) { doc_text = std::move(text); return *this; }
  ComponentSpec& cite(std::string text) { cite_text = std::move(text); return *this; }
};

class Registrar {
 public:
  virtual ~Registrar();
  /// Throws Error(kPlugin) when kind/name is taken. The reference stays valid while the host lives.
  virtual ComponentSpec& add(ComponentSpec spec) = 0;

  template <class T>
  ComponentSpec& dataset(std::string name) {
    ComponentSpec spec = describe<T>("dataset", std::move(name));
    spec.make_dataset = [](const OptionSet& o) -> std::unique_ptr<Dataset> { return std::make_unique<T>(options_of<T>(o)); };
    return add(std::move(spec));
  }
  template <class T>
  ComponentSpec& augmenter(std::string name) {
    ComponentSpec spec = describe<T>("augmenter", std::move(name));
    spec.make_augmenter = [](const OptionSet& o) -> std::unique_ptr<Augmenter> { return std::make_unique<T>(options_of<T>(o)); };
    return add(std::move(spec));
  }
  template <class T>
  ComponentSpec& content_encoder(std::string name) {
    ComponentSpec spec = describe<T>("content_encoder", std::move(name));
    spec.make_content_encoder = [](const OptionSet& o, const Dims& d) -> std::shared_ptr<ContentEncoder> {
      return std::make_shared<T>(options_of<T>(o), d);
    };
    return add(std::move(spec));
  }
  template <class T>
  ComponentSpec& user_encoder(std::string name) {
    ComponentSpec spec = describe<T>("user_encoder", std::move(name));
    spec.make_user_encoder = [](const OptionSet& o, const Dims& d) -> std::shared_ptr<UserEncoder> {
      return std::make_shared<T>(options_of<T>(o), d);
    };
    return add(std::move(spec));
  }
  template <class T>
  ComponentSpec& interaction(std::string name) {
    ComponentSpec spec = describe<T>("interaction", std::move(name));
    spec.make_interaction = [](const OptionSet& o, const Dims& d) -> std::shared_ptr<Interaction> {
      return std::make_shared<T>(options_of<T>(o), d);
    };
    return add(std::move(spec));
  }

 private:
  template <class T>
  static const typename T::Options& options_of(const OptionSet& o) {
    return static_cast<const TypedOptions<typename T::Options>&>(o).value;
  }
  template <class T>
  static ComponentSpec describe(const char* kind, std::string name) {
    ComponentSpec spec;
    spec.kind = kind;
    spec.name = std::move(name);
    spec.options = [] { return std::make_unique<TypedOptions<typename T::Options>>(); };
    spec.needs = [](const OptionSet& o) -> std::vector<std::string> {
      if constexpr (requires(const typename T::Options& x) { T::needs(x); }) return T::needs(options_of<T>(o));
      (void)o;
      return {};
    };
    spec.gives = [](const OptionSet& o) -> std::vector<std::string> {
      if constexpr (requires(const typename T::Options& x) { T::gives(x); }) return T::gives(options_of<T>(o));
      (void)o;
      return {};
    };
    return spec;
  }
};

}  // namespace oncekit
