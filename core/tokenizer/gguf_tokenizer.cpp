// The tokenizer that a GGUF file carries in its metadata: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#include <algorithm>
#include <map>

#include "base/files.h"
#include "data/utf8.h"
#include "oncekit/error.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/sentencepiece.h"
#include "pretokenizer/unicode.h"

namespace oncekit {
namespace {

using nlohmann::json;

constexpr char kGguf[] = "tokenizer.ggml.";

// One metadata value; has() and at() take the part behind "tokenizer.ggml.".
class Metadata {
 public:
  Metadata(const json& metadata, const std::filesystem::path& file) : view_(metadata, file) {}
  bool has(const char* key) const { return view_.has(std::string(kGguf) + key); }
  JsonView at(const char* key) const { return view_.at(std::string(kGguf) + key); }
  bool flag(const char* key, bool absent) const { return view_.flag(std::string(kGguf) + key, absent); }
  const std::filesystem::path& file() const { return view_.file(); }

  std::vector<std::string> tokens() const {
    const JsonView list = at("tokens");
    std::vector<std::string> tokens;
    for (std::size_t i = 0, n = list.size(); i < n; ++i) tokens.push_back(list.at(i).text());
    if (tokens.empty()) list.refuse("is empty", "the file is damaged: fetch it again");
    return tokens;
  }
  // Of each token. Those that are matched in texts must be whole characters: half of one would match in the middle of another. Normal tokens
  // may be bytes.
  std::vector<PieceKind> kinds(const std::vector<std::string>& tokens) const {
    std::vector<PieceKind> kinds(tokens.size(), PieceKind::kNormal);
    if (!has("token_type")) return kinds;
    const JsonView list = at("token_type");
    check_length(list, tokens.size());
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const std::int64_t kind = list.at(i).integer();
      if (kind < 0 || kind > 6)
        list.at(i).refuse("is " + std::to_string(kind) + " where 1 to 6 is expected", "the file is damaged: fetch it again");
      kinds[i] = kind == 0 ? PieceKind::kNormal : static_cast<PieceKind>(kind);
      const bool matched = kinds[i] == PieceKind::kUnknown || kinds[i] == PieceKind::kControl || kinds[i] == PieceKind::kUserDefined;
      if (matched && !is_utf8(tokens[i])) at("tokens").refuse("token " + std::to_string(i) + " is matched in texts, and is not UTF-8", "the file is damaged: fetch it again");
    }
    return kinds;
  }
  void check_length(const JsonView& list, std::size_t n) const {
    if (list.size() != n)
      list.refuse("has " + std::to_string(list.size()) + " entries for " + std::to_string(n) + " tokens",
                  "the file is damaged: fetch it again");
  }
  std::string digest() const {
    json all;
    for (const char* key :
         {"model", "pre", "tokens", "scores", "token_type", "merges", "add_space_prefix", "remove_extra_whitespaces"}) {
      if (has(key)) all[key] = at(key).json();
    }
    return oncekit::digest(all.dump(-1, ' ', false, json::error_handler_t::replace));
  }

 private:
  JsonView view_;
};

// Tokens that are matched in the text: control and user-defined ones.
std::vector<AddedToken> named_tokens(const std::vector<std::string>& tokens, const std::vector<PieceKind>& kinds) {
  std::vector<AddedToken> named;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (kinds[i] == PieceKind::kControl || kinds[i] == PieceKind::kUserDefined)
      named.push_back({.content = tokens[i], .id = static_cast<std::int32_t>(i)});
  }
  return named;
}

// How a "pre" cuts texts: expressions one after the other, each on the pieces of the one before.
struct PreKind {
  std::vector<std::string> expressions;
  bool ignore_merges = false;
  bool nfc = false;
};

// The names and expressions are llama.cpp's; normal form and ignore_merges are those of the models' own tokenizer.json files.
const std::map<std::string, PreKind>& pre_kinds() {
  static const std::map<std::string, PreKind> kinds = [] {
    const std::string clitics = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|)";
    const std::string llama3_start = clitics + R"([^\r\n\p{L}\p{N}]?\p{L}+|)";
    const std::string llama3_end = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
    const PreKind gpt2{{kGpt2Pieces}};
    const PreKind digits{{R"(\p{N})", kGpt2Pieces}};
    const PreKind llama3{{llama3_start + R"(\p{N}{1,3})" + llama3_end}, true};
    const PreKind qwen2{{llama3_start + R"(\p{N})" + llama3_end}, false, true};
    // llama.cpp's own fallback for files without a name.
    const PreKind fallback{{R"([\p{P}\$\+<=>\^~\|]+)",
                            R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))", R"(\p{N}+)",
                            R"([0-9][0-9][0-9])"}};
    return std::map<std::string, PreKind>{
        {"default", fallback}, {"gpt-2", gpt2},
        {"phi-2", gpt2},       {"mpt", gpt2},
        {"olmo", gpt2},        {"smollm", digits},
        {"starcoder", digits}, {"refact", digits},
        {"command-r", digits}, {"llama-bpe", llama3},
        {"llama-v3", llama3},  {"llama3", llama3},
        {"qwen2", qwen2},      {"deepseek-r1-qwen", qwen2},
    };
  }();
  return kinds;
}

std::unique_ptr<Tokenizer> byte_level(const Metadata& data) {
  const std::string pre = data.has("pre") ? data.at("pre").text() : "default";
  const auto kind = pre_kinds().find(pre);
  if (kind == pre_kinds().end()) {
    std::string known;
    for (const auto& [name, ignored] : pre_kinds()) known += (known.empty() ? "" : ", ") + name;
    data.at("pre").refuse("'" + pre + "' is not known here",
                          "known: " + known + "; or use the Hugging Face folder of this model");
  }
  const std::vector<std::string> names = data.tokens();
  const std::vector<PieceKind> kinds = data.kinds(names);
  TokenTable tokens;
  for (std::size_t i = 0; i < names.size(); ++i) tokens.add(names[i], static_cast<std::int32_t>(i));

  json list = json::array();
  for (const std::string& expression : kind->second.expressions)
    list.push_back({{"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}});
  list.push_back({{"type", "ByteLevel"}, {"add_prefix_space", data.flag("add_space_prefix", false)}, {"use_regex", false}});
  const json pre_tokenizer = {{"type", "Sequence"}, {"pretokenizers", list}};
  const json normalizer = {{"type", "NFC"}};
  PipelineParts parts;
  parts.pre_tokenize = make_pre_tokenizer(JsonView(pre_tokenizer, data.file()));
  if (kind->second.nfc) parts.normalize = make_normalizer(JsonView(normalizer, data.file()));
  parts.added = named_tokens(names, kinds);
  BpeOptions options;
  options.ignore_merges = kind->second.ignore_merges;
  parts.model = make_bpe(std::move(tokens), read_merges(data.at("merges")), options, data.file());
  parts.digest = data.digest();
  return make_pipeline(std::move(parts));
}

std::unique_ptr<Tokenizer> llama(const Metadata& data) {
  const std::vector<std::string> names = data.tokens();
  const std::vector<PieceKind> kinds = data.kinds(names);
  const JsonView scores = data.at("scores");
  data.check_length(scores, names.size());
  std::vector<SentencePieceEntry> pieces;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const json& score = scores.json()[i];
    if (!score.is_number()) scores.at(i).refuse("is no number", "the file is damaged: fetch it again");
    pieces.push_back({names[i], score.get<float>(), kinds[i]});
  }
  // The space before every section between special tokens: llama.cpp does as transformers' "legacy".
  return make_sentencepiece(
      write_sentencepiece_model(pieces, data.flag("add_space_prefix", true), data.flag("remove_extra_whitespaces", false)), {},
      data.file());
}

// llama.cpp marks the starts of words ("▁book"), BERT their continuations ("##book").
std::unique_ptr<Tokenizer> bert(const Metadata& data) {
  constexpr std::string_view kStart = "▁";
  const std::vector<std::string> names = data.tokens();
  const std::vector<PieceKind> kinds = data.kinds(names);
  TokenTable tokens;
  bool cased = false;
  for (std::size_t i = 0; i < names.size(); ++i) {
    std::string name = names[i];
    const bool special = kinds[i] != PieceKind::kNormal || (name.starts_with('[') && name.ends_with(']') && name.size() > 2);
    if (name.starts_with(kStart) && name != kStart) {
      name.erase(0, kStart.size());
    } else if (!special) {
      name.insert(0, "##");
    }
    // No flag says so: a vocabulary with capital letters is a cased one.
    const bool bracketed = name.starts_with('[');
    cased =
        cased || (!special && !bracketed && std::any_of(name.begin(), name.end(), [](char c) { return c >= 'A' && c <= 'Z'; }));
    tokens.add(name, static_cast<std::int32_t>(i));
  }
  PipelineParts parts = bert_parts(std::move(tokens), {{"lowercase", !cased}}, data.file());
  parts.digest = data.digest();
  return make_pipeline(std::move(parts));
}

}  // namespace

std::unique_ptr<Tokenizer> gguf_tokenizer(const json& metadata, const std::filesystem::path& file) {
  const Metadata data(metadata, file);
  const std::string& model = data.at("model").text();
  if (model == "gpt2") return byte_level(data);
  if (model == "llama") return llama(data);
  if (model == "bert") return bert(data);
  data.at("model").refuse("a tokenizer of the kind '" + model + "' is not known here",
                          "known: llama, gpt2, bert; or use the Hugging Face folder of this model");
}

}  // namespace oncekit
