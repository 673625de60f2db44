#include "recipe/check.h"

#include <set>

#include "base/files.h"
#include "recipe/layers.h"

namespace oncekit {
namespace {

struct Part {
  std::string table;
  const UsedComponent* used;
};

class Needs {
 public:
  Needs(const Recipe& recipe, const Description& data, Catalog* catalog) : recipe_(recipe), data_(data), catalog_(catalog) {
    for (std::size_t i = 0; i < recipe.augmenters().size(); ++i)
      parts_.push_back({"augmenter." + toml_key(recipe.augment()[i]), &recipe.augmenters()[i]});
    for (const char* kind : {"content_encoder", "user_encoder", "interaction"})
      parts_.push_back({kind, &recipe.component(kind)});
  }

  Problems check() {
    std::set<std::string> given;
    for (const std::string& name : data_.item_attributes) given.insert("item:" + name);
    for (const std::string& name : data_.user_attributes) given.insert("user:" + name);
    add(recipe_.component("dataset"), given);
    for (const Part& part : parts_) {
      for (const std::string& need : part.used->spec->needs(*part.used->options)) {
        const bool of_data = need.starts_with("item:") || need.starts_with("user:");
        if (given.count(need) == 0 && (data_.known || !of_data)) unmet(part, need, given);
      }
      add(*part.used, given);
    }
    return std::move(problems_);
  }

 private:
  static void add(const UsedComponent& used, std::set<std::string>& given) {
    for (std::string& gift : used.spec->gives(*used.options)) given.insert(std::move(gift));
  }
  static std::string name(const ComponentSpec& spec) { return spec.kind + "/" + spec.name; }

  // "the item attribute 'title'", or the need's own name.
  static std::string words(const std::string& need) {
    const std::size_t colon = need.find(':');
    return colon == std::string::npos ? "'" + need + "'"
                                      : "the " + need.substr(0, colon) + " attribute '" + need.substr(colon + 1) + "'";
  }

  void unmet(const Part& part, const std::string& need, const std::set<std::string>& given) {
    std::string hint = from_later(part, need);
    if (hint.empty()) hint = from_others(need);
    if (hint.empty() && need.find(':') != std::string::npos) hint = from_data(need, given);
    if (hint.empty()) hint = "no component gives it: use another " + part.used->spec->kind;
    problems_.add(
        "[" + part.table + "]: " + name(*part.used->spec) + " needs " + words(need) + ", which nothing before it gives", hint,
        display_path(recipe_.file()));
  }

  // A part that stands behind the one in need.
  std::string from_later(const Part& part, const std::string& need) const {
    bool behind = false;
    for (const Part& other : parts_) {
      if (behind)
        for (const std::string& gift : other.used->spec->gives(*other.used->options))
          if (gift == need)
            return "[" + other.table + "] gives it, but comes later" +
                   (other.used->spec->kind == "augmenter" ? ": put it first in `augment`" : "");
      behind = behind || other.table == part.table;
    }
    return {};
  }

  // Components the recipe does not use, at their default options.
  std::string from_others(const std::string& need) const {
    if (!catalog_) return {};
    std::vector<std::string> givers;
    for (const char* kind : {"augmenter", "content_encoder", "user_encoder"})
      for (const std::string& candidate : catalog_->names(kind)) {
        try {
          const ComponentSpec& spec = catalog_->find(kind, candidate);
          for (const std::string& gift : spec.gives(*spec.options()))
            if (gift == need) givers.push_back(name(spec));
        } catch (const Error&) {
          // A plugin that cannot be loaded gives nothing.
        }
      }
    return givers.empty() ? "" : "given by: " + listed(givers);
  }

  std::string from_data(const std::string& need, const std::set<std::string>& given) const {
    const std::string kind = need.substr(0, need.find(':') + 1);
    std::vector<std::string> names;
    for (const std::string& gift : given)
      if (gift.starts_with(kind)) names.push_back(gift.substr(kind.size()));
    const std::string who = name(*recipe_.component("dataset").spec);
    if (names.empty()) return who + " has no " + kind.substr(0, kind.size() - 1) + " attributes";
    const std::string near = nearest_name(need.substr(kind.size()), names);
    return near.empty() ? "with " + who + " there are: " + listed(names) : "did you mean '" + near + "'?";
  }

  const Recipe& recipe_;
  const Description& data_;
  Catalog* catalog_;
  std::vector<Part> parts_;
  Problems problems_;
};

}  // namespace

Problems unmet_needs(const Recipe& recipe, const Description& data, Catalog* catalog) {
  return Needs(recipe, data, catalog).check();
}

}  // namespace oncekit
