#include "lm/tokens.h"

#include <algorithm>

namespace oncekit::lm {

std::unique_ptr<Tokenizer> model_tokenizer(const ModelSource& source) {
  return source.metadata().is_null() ? open_tokenizer(source.path()) : gguf_tokenizer(source.metadata(), source.path());
}

PackedText item_tokens(const Options& options, const Items& items, const Tokenizer& tokenizer, Workspace& workspace) {
  struct Attribute {
    const StringColumn* texts;
    std::vector<std::int32_t> tag;
    std::size_t most;
  };
  const std::vector<std::int32_t> lead = tokenizer.encode(options.lead);
  std::vector<Attribute> attributes;
  for (std::size_t a = 0; a < options.attributes.size(); ++a) {
    const std::string& name = options.attributes[a];
    attributes.push_back({&items.attribute(name), tokenizer.encode(options.tags.empty() ? "<" + name + ">" : options.tags[a]),
                          static_cast<std::size_t>(options.max_tokens.size() == 1 ? options.max_tokens[0] : options.max_tokens[a])});
  }
  constexpr std::int64_t kChunk = 512;
  const auto n = static_cast<std::int64_t>(items.size());
  std::vector<PackedText> chunks(static_cast<std::size_t>((n + kChunk - 1) / kChunk));
  workspace.parallel_for(n, kChunk, [&](std::int64_t begin, std::int64_t end) {
    PackedText& out = chunks[static_cast<std::size_t>(begin / kChunk)];
    for (std::int64_t i = begin; i < end; ++i) {
      out.ids.insert(out.ids.end(), lead.begin(), lead.end());
      for (const Attribute& attribute : attributes) {
        out.ids.insert(out.ids.end(), attribute.tag.begin(), attribute.tag.end());
        const std::vector<std::int32_t> text = tokenizer.encode((*attribute.texts)[static_cast<std::size_t>(i)]);
        out.ids.insert(out.ids.end(), text.begin(), text.begin() + static_cast<std::ptrdiff_t>(std::min(text.size(), attribute.most)));
      }
      out.offsets.push_back(static_cast<std::int64_t>(out.ids.size()));
    }
  });
  PackedText all;
  for (const PackedText& chunk : chunks) {
    const std::int64_t base = all.offsets.back();
    all.ids.insert(all.ids.end(), chunk.ids.begin(), chunk.ids.end());
    for (std::size_t i = 1; i < chunk.offsets.size(); ++i) all.offsets.push_back(base + chunk.offsets[i]);
  }
  return all;
}

}  // namespace oncekit::lm
