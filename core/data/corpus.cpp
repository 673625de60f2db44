// Items::attribute: the one function of a Corpus that can fail.
#include "oncekit/corpus.h"

#include "oncekit/error.h"

namespace oncekit {

const StringColumn& Items::attribute(const std::string& name) const {
  if (const auto found = attributes.find(name); found != attributes.end()) return found->second;
  std::vector<std::string> names;
  std::string list;
  for (const auto& [have, column] : attributes) {
    names.push_back(have);
    list += (list.empty() ? "" : ", ") + have;
  }
  const std::string near = nearest_name(name, names);
  throw Error(ErrorKind::kData, "items have no attribute '" + name + "'; they have: " + (list.empty() ? "none" : list),
              near.empty() ? "name one of these, or load it with [dataset] attributes" : "did you mean '" + near + "'?");
}

}  // namespace oncekit
