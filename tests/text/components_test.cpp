// Every component of a tokenizer.json, and GGUF's tokenizers, against stored ids of Hugging Face's (components/reference.py).
#include <catch2/catch.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "tokenizer/pipeline.h"
#include "tokenizer/sentencepiece.h"
#include "tokenizer/tokenizer.h"
#include "pretokenizer/unicode.h"

using namespace oncekit;
using nlohmann::json;
using Ids = std::vector<std::int32_t>;

namespace {

const std::filesystem::path kFolder = std::filesystem::path(ONCEKIT_TREE) / "tests/text/components";

std::vector<std::string> lines_of(const std::string& content, char separator) {
  std::vector<std::string> lines(1);
  for (const char c : content) c == separator ? lines.emplace_back() : lines.back() += c;
  return lines;
}

// texts.txt with its escapes resolved.
std::vector<std::string> texts() {
  std::vector<std::string> texts = lines_of(read_file(kFolder / "texts.txt"), '\n');
  texts.pop_back();
  for (std::string& text : texts) {
    std::string out;
    for (std::size_t at = 0; at < text.size(); ++at) {
      if (text[at] != '\\') {
        out += text[at];
      } else if (text[++at] == 'u') {
        const std::size_t end = text.find('}', at);
        append_char(out, static_cast<char32_t>(std::stoul(text.substr(at + 2, end - at - 2), nullptr, 16)));
        at = end;
      } else {
        out += text[at] == 'n' ? '\n' : text[at] == 't' ? '\t' : text[at] == 'r' ? '\r' : text[at];
      }
    }
    text = out;
  }
  return texts;
}

std::string digest_of(const Ids& ids) {
  std::uint32_t value = 0x811C9DC5;
  for (const char c : fmt::format("{}", fmt::join(ids, " "))) value = (value ^ static_cast<unsigned char>(c)) * 0x01000193;
  return fmt::format("{:08x}", value);
}

json read(const char* name) { return json::parse(read_file(kFolder / (std::string(name) + ".json"))); }

const json& expected(const std::string& name) {
  static const json all = read("expected");
  for (const json& entry : all) {
    if (entry["name"] == name) return entry;
  }
  throw std::runtime_error("expected.json has no '" + name + "'");
}

template <typename Encode>
void check_ids(const std::string& name, Encode encode) {
  static const std::vector<std::string> all = texts();
  const std::vector<std::string> digests = lines_of(expected(name)["digests"].get<std::string>(), ' ');
  REQUIRE(digests.size() == all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Ids ids = encode(all[i]);
    INFO(name << ", line " << i + 1 << " '" << all[i] << "' gives " << fmt::format("{}", fmt::join(ids, " ")));
    CHECK(digest_of(ids) == digests[i]);
  }
}

// GGUF's lists of a vocabulary; a piece's kind by its looks.
json gguf_lists(const json& vocab) {
  std::vector<std::string> tokens(vocab.size());
  for (const auto& [token, id] : vocab.items()) tokens.at(id.get<std::size_t>()) = token;
  json scores = json::array(), kinds = json::array();
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::string& token = tokens[i];
    scores.push_back(-static_cast<double>(i));
    kinds.push_back(token == "<unk>" ? 2 : token == "<extra>" ? 4 : token == "<s>" || token == "</s>" ? 3 : token.starts_with("<0x") && token.size() == 6 ? 6 : 1);
  }
  return {{"tokenizer.ggml.tokens", tokens}, {"tokenizer.ggml.scores", scores}, {"tokenizer.ggml.token_type", kinds}};
}

}  // namespace

TEST_CASE("every component of a tokenizer.json gives Hugging Face's ids", "[parity]") {
  const json all = read("expected");
  for (const json& entry : all) {
    if (!entry.contains("base")) continue;
    json spec = read(entry["base"].get<std::string>().c_str());
    spec.merge_patch(entry["patch"]);
    const auto tokenizer = json_tokenizer(spec, "tokenizer.json", "digest");
    check_ids(entry["name"], [&](const std::string& text) { return tokenizer->encode(text); });
  }
}

TEST_CASE("sentencepiece models give LlamaTokenizer's ids, legacy and not", "[parity]") {
  const std::string model = read_file(kFolder / "sentencepiece.model");
  const auto legacy = make_sentencepiece(model, {}, "tokenizer.model");
  check_ids("sentencepiece", [&](const std::string& text) { return legacy->encode(text); });
  SentencePieceOptions options;
  options.every_section = false;
  const auto first = make_sentencepiece(model, options, "tokenizer.model");
  check_ids("sentencepiece first", [&](const std::string& text) { return first->encode(text); });
  CHECK(legacy->digest() != first->digest());
}

TEST_CASE("GGUF's tokenizers give the ids of the files that they were made from", "[parity]") {
  SECTION("gpt2") {
    const json spec = read("byte_level");
    json metadata = gguf_lists(spec["model"]["vocab"]);
    metadata["tokenizer.ggml.model"] = "gpt2";
    metadata["tokenizer.ggml.merges"] = spec["model"]["merges"];
    for (int id = 0; id < 6; ++id) metadata["tokenizer.ggml.token_type"][static_cast<std::size_t>(id)] = 3;
    for (const auto& [pre, name] : {std::pair{"gpt-2", "gpt2"}, {"smollm", "smollm"}, {"llama-bpe", "llama3"}, {"qwen2", "qwen2"}, {"default", "default"}}) {
      metadata["tokenizer.ggml.pre"] = pre;
      const auto tokenizer = gguf_tokenizer(metadata, "model.gguf");
      check_ids(name, [&](const std::string& text) { return tokenizer->encode(text); });
    }
    metadata.erase("tokenizer.ggml.pre");
    const auto unnamed = gguf_tokenizer(metadata, "model.gguf");
    check_ids("default", [&](const std::string& text) { return unnamed->encode(text); });
  }
  SECTION("llama") {
    json metadata = gguf_lists(read("byte_fallback")["model"]["vocab"]);
    metadata["tokenizer.ggml.model"] = "llama";
    const auto tokenizer = gguf_tokenizer(metadata, "model.gguf");
    CHECK(tokenizer->kind() == "sentencepiece");
    check_ids("sentencepiece", [&](const std::string& text) { return tokenizer->encode(text); });
    metadata["tokenizer.ggml.add_space_prefix"] = false;
    const auto bare = gguf_tokenizer(metadata, "model.gguf");
    CHECK_FALSE(bare->token(bare->encode("book").at(0)).starts_with("▁"));
    CHECK(tokenizer->token(tokenizer->encode("book").at(0)).starts_with("▁"));
  }
  SECTION("bert") {
    json metadata = gguf_lists(read("wordpiece")["model"]["vocab"]);
    metadata["tokenizer.ggml.model"] = "bert";
    json& tokens = metadata["tokenizer.ggml.tokens"];
    for (json& entry : tokens) {
      auto token = entry.get<std::string>();
      const bool special = token.starts_with('[') && token.ends_with(']');
      if (!special) entry = token.starts_with("##") ? token.substr(2) : "▁" + token;
    }
    const auto cased = gguf_tokenizer(metadata, "model.gguf");
    check_ids("cased", [&](const std::string& text) { return cased->encode(text); });
    // Without its capital letters it is an uncased vocabulary.
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const auto token = tokens[i].get<std::string>();
      if (token[0] != '[' && std::any_of(token.begin(), token.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) tokens[i] = "[unused" + std::to_string(i) + "]";
    }
    const auto uncased = gguf_tokenizer(metadata, "model.gguf");
    check_ids("uncased", [&](const std::string& text) { return uncased->encode(text); });
  }
}
