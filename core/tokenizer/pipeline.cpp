#include "tokenizer/pipeline.h"

#include <algorithm>

#include "base/files.h"
#include "data/utf8.h"
#include "oncekit/error.h"

namespace oncekit {
namespace {

using nlohmann::json;

class Pipeline final : public Tokenizer {
 public:
  explicit Pipeline(PipelineParts parts) : parts_(std::move(parts)), size_(parts_.model->tokens().size()) {
    for (AddedToken& token : parts_.added) {
      size_ = std::max<std::int64_t>(size_, token.id + 1);
      added_names_.add(token.content, token.id);
      if (token.normalized && parts_.normalize) parts_.normalize(token.content);
      (token.normalized ? normalized_ : raw_).add(token);
    }
  }

  std::vector<std::int32_t> encode(std::string_view text) const override {
    std::string mended;
    if (!is_utf8(text)) text = mended = mend_utf8(text);
    std::vector<std::int32_t> ids;
    const auto token = [&](std::int32_t id) { ids.push_back(id); };
    raw_.split(
        text,
        [&](std::size_t begin, std::size_t end) {
          std::string section(text.substr(begin, end - begin));
          if (parts_.normalize) parts_.normalize(section);
          normalized_.split(
              section,
              [&](std::size_t from, std::size_t to) {
                std::vector<TextPiece> pieces(1);
                pieces[0] = {section.substr(from, to - from), begin == 0 && from == 0};
                if (parts_.pre_tokenize) parts_.pre_tokenize(pieces);
                for (const TextPiece& piece : pieces) parts_.model->encode(piece.text, ids);
              },
              token);
        },
        token);
    return ids;
  }
  std::int64_t size() const override { return size_; }
  std::int64_t vocabulary_size() const override { return parts_.model->tokens().size(); }
  std::string digest() const override { return parts_.digest; }
  std::string kind() const override { return parts_.model->kind(); }
  std::string token(std::int32_t id) const override {
    const std::string& known = parts_.model->tokens().token(id);
    return known.empty() ? added_names_.token(id) : known;
  }

 private:
  PipelineParts parts_;
  AddedTokens raw_, normalized_;
  TokenTable added_names_;
  std::int64_t size_;
};

std::unique_ptr<PieceModel> read_bpe(const JsonView& model) {
  if (model.has("dropout") && model.at("dropout").json().is_number() && model.at("dropout").json().get<double>() != 0) {
    model.refuse("dropout is " + model.at("dropout").json().dump() + ": the ids would be random", "set it to null in the file");
  }
  BpeOptions options;
  options.unknown = model.text("unk_token", "");
  options.continuing_prefix = model.text("continuing_subword_prefix", "");
  options.end_suffix = model.text("end_of_word_suffix", "");
  options.byte_fallback = model.flag("byte_fallback", false);
  options.fuse_unknown = model.flag("fuse_unk", false);
  options.ignore_merges = model.flag("ignore_merges", false);
  return make_bpe(read_vocabulary(model.at("vocab")), read_merges(model.at("merges")), std::move(options), model.file());
}

std::unique_ptr<PieceModel> read_wordpiece(const JsonView& model) {
  const std::int64_t most = model.has("max_input_chars_per_word") ? model.at("max_input_chars_per_word").integer() : 100;
  return make_wordpiece(read_vocabulary(model.at("vocab")), model.text("unk_token", "[UNK]"),
                        model.text("continuing_subword_prefix", "##"), most, model.file());
}

std::unique_ptr<PieceModel> read_model(const JsonView& model) {
  // Old files have no type: merges tell.
  const std::string type = model.text("type", model.has("merges") ? "BPE" : "WordPiece");
  if (type == "BPE") return read_bpe(model);
  if (type == "WordPiece") return read_wordpiece(model);
  model.refuse("a model of the kind '" + type + "' is not known here",
               "known: BPE, WordPiece; multilingual encoders (XLM-RoBERTa and what was made from it) have Unigram: choose an English model");
}

std::vector<AddedToken> read_added(const JsonView& root, const TokenTable& tokens) {
  std::vector<AddedToken> added;
  if (!root.has("added_tokens")) return added;
  const JsonView list = root.at("added_tokens");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const JsonView entry = list.at(i);
    const std::int64_t id = entry.at("id").integer();
    if (id < 0 || id >= TokenTable::kLargest)
      entry.at("id").refuse("is " + std::to_string(id), "the file is damaged: fetch it again");
    AddedToken token = read_added_token(entry, static_cast<std::int32_t>(id));
    // The model's own id of a token wins, as in Hugging Face's.
    if (const std::int32_t known = tokens.find(token.content); known >= 0) token.id = known;
    added.push_back(std::move(token));
  }
  return added;
}

// Ids that no token has point at a damaged file: a model would have embeddings that nothing reaches.
void check_gaps(const TokenTable& tokens, const std::vector<AddedToken>& added, const JsonView& vocab) {
  if (tokens.first_gap() < 0) return;
  std::vector<bool> used(static_cast<std::size_t>(tokens.size()));
  for (std::int32_t id = 0; id < tokens.size(); ++id)
    used[static_cast<std::size_t>(id)] = !tokens.token(id).empty() || tokens.find("") == id;
  for (const AddedToken& token : added) {
    if (token.id < tokens.size()) used[static_cast<std::size_t>(token.id)] = true;
  }
  const auto gap = std::find(used.begin(), used.end(), false);
  if (gap == used.end()) return;
  vocab.refuse("no token has the id " + std::to_string(gap - used.begin()) + ", one of " +
                   std::to_string(std::count(used.begin(), used.end(), false)) + " gaps below " + std::to_string(tokens.size()),
               "the file is damaged: fetch it again");
}

}  // namespace

std::pair<std::string, std::string> read_merge(const std::string& text, std::size_t number, const std::filesystem::path& file) {
  const std::size_t space = text.find(' ');
  if (space == std::string::npos || space == 0 || space + 1 == text.size() || text.find(' ', space + 1) != std::string::npos) {
    throw Error(ErrorKind::kData,
                "merge " + std::to_string(number) + " is '" + text + "' where two tokens with a space between are expected",
                "the file is damaged: fetch it again", file.string());
  }
  return {text.substr(0, space), text.substr(space + 1)};
}

Merges read_merges(const JsonView& list) {
  Merges merges;
  const std::size_t n = list.size();
  merges.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    const json& entry = list.json()[i];
    if (entry.is_string()) {
      merges.push_back(read_merge(entry.get_ref<const std::string&>(), i + 1, list.file()));
    } else if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
      merges.emplace_back(entry[0].get<std::string>(), entry[1].get<std::string>());
    } else {
      list.at(i).refuse("is no pair of tokens", "the file is damaged: fetch it again");
    }
  }
  return merges;
}

std::unique_ptr<Tokenizer> make_pipeline(PipelineParts parts) { return std::make_unique<Pipeline>(std::move(parts)); }

std::unique_ptr<Tokenizer> json_tokenizer(const json& file_content, const std::filesystem::path& file,
                                          const std::string& digest) {
  const JsonView root(file_content, file);
  PipelineParts parts;
  parts.digest = digest;
  if (root.has("normalizer")) parts.normalize = make_normalizer(root.at("normalizer"));
  if (root.has("pre_tokenizer")) parts.pre_tokenize = make_pre_tokenizer(root.at("pre_tokenizer"));
  parts.model = read_model(root.at("model"));
  parts.added = read_added(root, parts.model->tokens());
  check_gaps(parts.model->tokens(), parts.added, root.at("model").at("vocab"));
  return make_pipeline(std::move(parts));
}

PipelineParts bert_parts(TokenTable tokens, json normalizer, const std::filesystem::path& file) {
  PipelineParts parts;
  normalizer["type"] = "BertNormalizer";
  const json pre_tokenizer = {{"type", "BertPreTokenizer"}};
  parts.normalize = make_normalizer(JsonView(normalizer, file));
  parts.pre_tokenize = make_pre_tokenizer(JsonView(pre_tokenizer, file));
  for (const char* name : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) {
    if (const std::int32_t id = tokens.find(name); id >= 0) parts.added.push_back({.content = name, .id = id});
  }
  parts.model = make_wordpiece(std::move(tokens), "[UNK]", "##", 100, file);
  return parts;
}

}  // namespace oncekit
