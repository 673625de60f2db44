// Opens the tokenizer of a Hugging Face folder, whichever of the usual files it has.
#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <sstream>

#include "base/files.h"
#include "oncekit/error.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/sentencepiece.h"

namespace oncekit {

Tokenizer::~Tokenizer() = default;

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// tokenizer_config.json, or an empty object.
json read_config(const fs::path& folder) {
  const fs::path file = folder / "tokenizer_config.json";
  return fs::exists(file) ? parse_json(file) : json::object();
}

// Tokens that a folder adds to its vocabulary: tokenizer_config.json's "added_tokens_decoder", else added_tokens.json.
std::vector<AddedToken> read_added(const fs::path& folder, const JsonView& config) {
  std::vector<AddedToken> added;
  const auto checked = [](const JsonView& at, std::int64_t id) {
    if (id < 0 || id >= TokenTable::kLargest) at.refuse("is no id of a token", "the file is damaged: fetch it again");
    return static_cast<std::int32_t>(id);
  };
  if (config.has("added_tokens_decoder")) {
    const JsonView decoder = config.at("added_tokens_decoder");
    if (!decoder.json().is_object()) decoder.refuse("is not a table of ids and tokens", "the file is damaged: fetch it again");
    for (const auto& [key, ignored] : decoder.json().items()) {
      const bool digits = !key.empty() && key.size() < 9 && key.find_first_not_of("0123456789") == std::string::npos;
      added.push_back(read_added_token(decoder.at(key), checked(decoder.at(key), digits ? std::stoll(key) : -1)));
    }
    return added;
  }
  const fs::path file = folder / "added_tokens.json";
  if (!fs::exists(file)) return added;
  const json content = parse_json(file);
  const JsonView root(content, file);
  if (!content.is_object()) root.refuse("is not a table of tokens and ids", "the file is damaged: fetch it again");
  for (const auto& [name, ignored] : content.items())
    added.push_back({.content = name, .id = checked(root.at(name), root.at(name).integer()), .normalized = true});
  return added;
}

std::unique_ptr<Tokenizer> open_sentencepiece(const fs::path& folder) {
  const json config = read_config(folder);
  const fs::path config_file = folder / "tokenizer_config.json";
  const JsonView view(config, config_file);
  SentencePieceOptions options;
  options.added = read_added(folder, view);
  options.every_section = view.flag("legacy", true);
  const fs::path file = folder / "tokenizer.model";
  return make_sentencepiece(read_file(file), std::move(options), file);
}

std::unique_ptr<Tokenizer> open_json(const fs::path& file) {
  return json_tokenizer(parse_json(file), file, digest(read_file(file)));
}

std::unique_ptr<Tokenizer> open_vocab_txt(const fs::path& folder) {
  const fs::path file = folder / "vocab.txt", config_file = folder / "tokenizer_config.json";
  const json config = read_config(folder);
  const JsonView view(config, config_file);
  json normalizer = {{"lowercase", view.flag("do_lower_case", true)},
                     {"handle_chinese_chars", view.flag("tokenize_chinese_chars", true)}};
  if (view.has("strip_accents")) normalizer["strip_accents"] = view.flag("strip_accents", false);
  const std::string content = read_file(file);
  TokenTable tokens;
  std::istringstream lines(content);
  std::int32_t id = 0;
  for (std::string line; std::getline(lines, line); ++id) {
    if (line.ends_with('\r')) line.pop_back();
    tokens.add(line, id);
  }
  PipelineParts parts = bert_parts(std::move(tokens), normalizer, file);
  std::string all = content + normalizer.dump();
  for (AddedToken& token : read_added(folder, view)) {
    all += as_text(token);
    parts.added.push_back(std::move(token));
  }
  parts.digest = digest(all);
  return make_pipeline(std::move(parts));
}

// GPT-2 and RoBERTa before there was tokenizer.json.
std::unique_ptr<Tokenizer> open_vocab_json(const fs::path& folder) {
  const fs::path file = folder / "vocab.json", merges_file = folder / "merges.txt",
                 config_file = folder / "tokenizer_config.json";
  const json config = read_config(folder);
  const JsonView view(config, config_file);
  const json vocab = parse_json(file);
  const json pre_tokenizer = {{"type", "ByteLevel"}, {"add_prefix_space", view.flag("add_prefix_space", false)}};

  Merges merges;
  const std::string content = read_file(merges_file);
  std::istringstream lines(content);
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty() && !line.starts_with("#version")) merges.push_back(read_merge(line, merges.size() + 1, merges_file));
  }
  PipelineParts parts;
  TokenTable tokens = read_vocabulary(JsonView(vocab, file));
  parts.added = read_added(folder, view);
  std::string all = vocab.dump(-1, ' ', false, json::error_handler_t::replace) + content +
                    config.dump(-1, ' ', false, json::error_handler_t::replace);
  for (const AddedToken& token : parts.added) all += as_text(token);
  if (!view.has("added_tokens_decoder")) {
    // RoBERTa's vocabulary has GPT-2's one name too, as an ordinary token.
    const bool roberta = tokens.find("<s>") >= 0 && tokens.find("<mask>") >= 0;
    const auto names = roberta ? std::vector<std::string>{"<s>", "<pad>", "</s>", "<unk>", "<mask>"}
                               : std::vector<std::string>{"<|endoftext|>"};
    for (const std::string& name : names) {
      if (const std::int32_t id = tokens.find(name); id >= 0)
        parts.added.push_back({.content = name, .id = id, .left_strip = name == "<mask>"});
    }
  }
  parts.pre_tokenize = make_pre_tokenizer(JsonView(pre_tokenizer, file));
  parts.model = make_bpe(std::move(tokens), merges, {}, merges_file);
  parts.digest = digest(all);
  return make_pipeline(std::move(parts));
}

}  // namespace

std::unique_ptr<Tokenizer> open_tokenizer(const fs::path& folder) {
  const auto has = [&](const char* name) { return fs::exists(folder / name); };
  if (has("tokenizer.model")) return open_sentencepiece(folder);
  if (has("tokenizer.json")) return open_json(folder / "tokenizer.json");
  if (has("vocab.txt")) return open_vocab_txt(folder);
  if (has("vocab.json") && has("merges.txt")) return open_vocab_json(folder);
  throw Error(ErrorKind::kData,
              fs::is_directory(folder)
                  ? "has no tokenizer: looked for tokenizer.model, tokenizer.json, vocab.txt, and vocab.json with merges.txt"
                  : "is no folder",
              "copy the tokenizer's files from where the weights came from", folder.string());
}

}  // namespace oncekit
