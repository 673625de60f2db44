#include "data/digest.h"

#include "base/files.h"

namespace oncekit {

std::string corpus_digest(const Corpus& corpus) {
  std::string all;
  const auto bytes = [&](const void* data, std::size_t size) {
    all += digest(std::string_view(static_cast<const char*>(data), size));
  };
  const auto vector = [&](const auto& values) { bytes(values.data(), values.size() * sizeof(values[0])); };
  const auto column = [&](const StringColumn& strings) {
    all += digest(strings.bytes());
    bytes(strings.offsets().data(), strings.offsets().size_bytes());
  };
  const auto ragged = [&](const auto& lists) {
    bytes(lists.values().data(), lists.values().size_bytes());
    bytes(lists.offsets().data(), lists.offsets().size_bytes());
  };
  const auto lists = [&](const std::map<std::string, ListAttribute>& attributes) {
    for (const auto& [name, attribute] : attributes) {
      all += name;
      column(attribute.vocabulary);
      ragged(attribute.values);
    }
  };
  column(corpus.items.ids);
  for (const auto& [name, strings] : corpus.items.attributes) {
    all += name;
    column(strings);
  }
  all += std::to_string(corpus.items.listed);
  column(corpus.users.ids);
  lists(corpus.users.attributes);
  ragged(corpus.histories);
  vector(corpus.clicks_before);
  vector(corpus.real_clicks);
  vector(corpus.history_users);
  lists(corpus.profiles);
  for (const Impressions* part : {&corpus.train, &corpus.dev, &corpus.test}) {
    column(part->ids);
    vector(part->users);
    vector(part->histories);
    vector(part->times);
    ragged(part->candidates);
    vector(part->labels);
  }
  return digest(all);
}

}  // namespace oncekit
