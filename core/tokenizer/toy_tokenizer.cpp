#include "tokenizer/toy_tokenizer.h"

#include <set>

#include <sentencepiece_trainer.h>

#include "base/files.h"
#include "oncekit/error.h"
#include "oncekit/text.h"

namespace oncekit {
namespace {

class Texts final : public sentencepiece::SentenceIterator {
 public:
  explicit Texts(const std::vector<std::string>& texts) : at_(texts.begin()), end_(texts.end()) {}
  bool done() const override { return at_ == end_; }
  void Next() override { ++at_; }
  const std::string& value() const override { return *at_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  std::vector<std::string>::const_iterator at_, end_;
};

std::int64_t write_wordpiece(const std::vector<std::string>& texts, const std::filesystem::path& folder) {
  std::set<std::string> words;
  for (const std::string& text : texts)
    for (const std::string& word : split_words(text, /*punctuation=*/true)) words.insert(word);
  std::string lines = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
  std::int64_t count = 5;
  const auto add = [&](const std::string& token) {
    lines += token + '\n';
    ++count;
  };
  for (char c = '!'; c <= '~'; ++c) {
    if (c >= 'A' && c <= 'Z') continue;
    words.erase(std::string(1, c));
    add(std::string(1, c));
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) add("##" + std::string(1, c));
  }
  for (const std::string& word : words) add(word);
  write_file(folder / "vocab.txt", lines);
  write_file(folder / "tokenizer_config.json", "{\"do_lower_case\": true, \"tokenizer_class\": \"BertTokenizer\"}\n");
  return count;
}

std::int64_t write_sentencepiece(const std::vector<std::string>& texts, const std::filesystem::path& folder) {
  std::string model;
  // As LLaMA's own: BPE, bytes for what is unknown, digits apart, no normalisation. The size is an upper bound.
  const std::unordered_map<std::string, std::string> settings{
      {"model_type", "bpe"}, {"vocab_size", "1000"}, {"hard_vocab_limit", "false"}, {"byte_fallback", "true"}, {"character_coverage", "1.0"},
      {"split_digits", "true"}, {"normalization_rule_name", "identity"}, {"num_threads", "1"}, {"minloglevel", "3"}, {"unk_surface", " \xE2\x81\x87 "}};
  Texts sentences(texts);
  const auto status = sentencepiece::SentencePieceTrainer::Train(settings, &sentences, &model);
  if (!status.ok()) throw Error(ErrorKind::kRun, std::string("no toy tokenizer could be learnt: ") + status.error_message(), "the items' texts are too few or too short for it");
  write_file(folder / "tokenizer.model", model);
  return 1000;
}

}  // namespace

std::int64_t write_toy_tokenizer(const std::string& kind, const std::vector<std::string>& texts, const std::filesystem::path& folder) {
  return kind == "wordpiece" ? write_wordpiece(texts, folder) : write_sentencepiece(texts, folder);
}

}  // namespace oncekit
