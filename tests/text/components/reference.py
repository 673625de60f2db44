"""Reference ids of every component of a tokenizer.json, by Hugging Face's tokenizers and Google's sentencepiece.

    python tests/text/components/reference.py [--train]

Writes expected.json: what variants of three tiny vocabularies, each a base file and a merge patch (RFC 7386), give for texts.txt, as one
digest a text (FNV-1a, 32 bits, of "id id id"). --train makes the vocabularies anew. texts.txt holds one text a line, with the escapes
\\n \\t \\r \\\\ and \\u{HEX}. Needs: tokenizers, sentencepiece.
"""
import json
import os
import re
import sys
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import sentencepiece  # noqa: E402
from sentencepiece import sentencepiece_model_pb2  # noqa: E402
from tokenizers import Tokenizer, models, pre_tokenizers, trainers  # noqa: E402

HERE = Path(__file__).parent

ENGLISH = """The girl on the train. A song of ice and fire. Pride and prejudice. News article: the title, the abstract and the category of a
book. It was the best of times, it was the worst of times. Don't stop reading the reader's books: they're waiting, I'll say. The old man
and the sea, the sun also rises, for whom the bell tolls. One hundred years of solitude; love in the time of cholera. What we've written
here is ordinary text, with ordinary words and interesting endings, so that a vocabulary of a few hundred tokens has something to learn."""

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")


def texts():
    def character(match):
        named = {"\\n": "\n", "\\t": "\t", "\\r": "\r", "\\\\": "\\"}
        return named.get(match[0]) or chr(int(match[0][3:-1], 16))

    lines = (HERE / "texts.txt").read_bytes().decode().removesuffix("\n").split("\n")
    return [re.sub(r"\\u\{[0-9A-F]+\}|\\.", character, line) for line in lines]


def train():
    lines = [text for text in texts() if text.strip()] + ENGLISH.split("\n") * 5
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=700, special_tokens=["<|endoftext|>", "<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.save(str(HERE / "byte_level.json"), pretty=False)

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    letters = [text for text in lines if len(text) < 60 and sum(c.isalpha() for c in text) > len(text) / 2]
    tokenizer.train_from_iterator(letters + ENGLISH.lower().split("\n") * 5, trainers.WordPieceTrainer(
        vocab_size=900, limit_alphabet=500, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    tokenizer.save(str(HERE / "wordpiece.json"), pretty=False)

    known = [text for text in lines if all(c < "\u0530" or c in "“”’–—日本" for c in text)]
    with open(HERE / "sentencepiece.model", "wb") as out:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(known), model_writer=out, model_type="bpe", vocab_size=900, byte_fallback=True,
            character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False, num_threads=1,
            allow_whitespace_only_pieces=True, user_defined_symbols=["<extra>"], minloglevel=1)


def byte_fallback_json(model):
    """A tokenizer.json of a sentencepiece BPE model as Hugging Face made LLaMA's: every split of a piece into two pieces is a merge, in the
    order of the whole's score."""
    vocab = {piece.piece: i for i, piece in enumerate(model.pieces)}
    scores = {piece.piece: piece.score for piece in model.pieces if piece.type == 1}
    merges = []
    for piece, score in scores.items():
        here = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece)) if piece[:cut] in scores and piece[cut:] in scores]
        merges += [(score, left, right) for left, right in sorted(here, key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))]
    merges.sort(key=lambda merge: -merge[0])
    named = [added(piece.piece, i, special=piece.type != 4) for i, piece in enumerate(model.pieces) if piece.type in (2, 3, 4)]
    return {"version": "1.0", "added_tokens": named,
            "normalizer": normalizers({"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}),
            "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "vocab": vocab,
                      "merges": [[left, right] for _, left, right in merges]}}


def split(regex, behavior="Isolated", invert=False):
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}


def literal(string, behavior):
    return {"type": "Split", "pattern": {"String": string}, "behavior": behavior, "invert": False}


def byte_level(prefix=False, regex=True):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


def normalizers(*steps):
    return {"type": "Sequence", "normalizers": list(steps)}


def bert(**changes):
    return {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True, **changes}


def metaspace(scheme, split):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}


def added(content, id, **flags):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False,
            **flags}


def variants(bases):
    special = [added(name, id, lstrip=name == "<mask>", special=True) for id, name in
               enumerate(["<|endoftext|>", "<s>", "<pad>", "</s>", "<unk>", "<mask>"])]
    base = "byte_level"
    new = len(bases[base]["model"]["vocab"])
    yield "gpt2", base, {}
    yield "smollm", base, {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": True}, byte_level())}
    yield "llama3", base, {"pre_tokenizer": sequence(split(LLAMA3), byte_level(regex=False)), "model": {"ignore_merges": True}}
    yield "qwen2", base, {"normalizer": {"type": "NFC"}, "pre_tokenizer": sequence(split(QWEN2), byte_level(regex=False))}
    yield "roberta", base, {"pre_tokenizer": byte_level(prefix=True), "added_tokens": special}
    # llama.cpp's expressions for a GGUF file that names none.
    yield "default", base, {"pre_tokenizer": sequence(split(r"[\p{P}\$\+<=>\^~\|]+"), split(GPT2[:GPT2.rindex("|")]), split(r"\p{N}+"),
                                                      split("[0-9][0-9][0-9]"), byte_level(regex=False))}
    # Added tokens with each of their flags, matched before and after the normaliser.
    yield "added", base, {"normalizer": {"type": "Lowercase"}, "added_tokens": special + [
        added("<extra>", new, rstrip=True), added("ADD", new + 1, normalized=True), added("added", new + 2, normalized=True, single_word=True),
        added("quick word", new + 3, single_word=True), added("TEXT", new + 4, lstrip=True, rstrip=True), added("<p", new + 5)]}
    yield "nfkc", base, {"normalizer": normalizers({"type": "NFKC"}, {"type": "Strip", "strip_left": True, "strip_right": True})}
    yield "nfd", base, {"normalizer": normalizers({"type": "NFD"}, {"type": "StripAccents"}, {"type": "Lowercase"})}
    yield "nfkd", base, {"normalizer": normalizers({"type": "NFKD"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "})}
    yield "strip_right", base, {"normalizer": {"type": "Strip", "strip_left": False, "strip_right": True}}
    yield "whitespace", base, {"pre_tokenizer": sequence({"type": "Whitespace"}, byte_level(regex=False))}
    yield "words", base, {"pre_tokenizer": sequence({"type": "WhitespaceSplit"}, {"type": "Punctuation", "behavior": "Contiguous"},
                                                    byte_level(prefix=True, regex=False))}
    yield "digits", base, {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": False}, byte_level())}
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        yield f"split {behavior}", base, {"pre_tokenizer": sequence(
            split(r"[\w']", behavior), literal("e", behavior), {"type": "Punctuation", "behavior": behavior}, byte_level(regex=False))}
    yield "split inverted", base, {"pre_tokenizer": sequence(split(r"\p{L}+|\d+", "Removed", True), byte_level(regex=False))}

    yield "uncased", "wordpiece", {"normalizer": bert()}
    yield "cased", "wordpiece", {"normalizer": bert(lowercase=False)}
    yield "short words", "wordpiece", {"normalizer": bert(clean_text=False, handle_chinese_chars=False, strip_accents=False),
                                       "model": {"max_input_chars_per_word": 9}}

    base = "byte_fallback"
    yield "llama", base, {}
    yield "metaspace first", base, {"normalizer": None, "pre_tokenizer": metaspace("first", False)}
    yield "metaspace always", base, {"normalizer": None, "pre_tokenizer": metaspace("always", True)}
    yield "unknown fused", base, {"model": {"byte_fallback": False}}
    yield "unknown each", base, {"model": {"byte_fallback": False, "fuse_unk": False}}
    affixes = ["##a", "##b", "##b</w>", "##a</w>", "ab", "abb</w>", "##ab", "a</w>", "ab</w>"]
    known = bases[base]["model"]["vocab"]
    affixes = [token for token in affixes if token not in known]
    yield "affixes", base, {"model": {
        "byte_fallback": False, "continuing_subword_prefix": "##", "end_of_word_suffix": "</w>",
        "vocab": {token: len(known) + i for i, token in enumerate(affixes)}, "merges": [["a", "##b"], ["ab", "##b</w>"], ["##a", "##b"]]}}


def merged(base, patch):
    if not isinstance(patch, dict):
        return patch
    out = dict(base) if isinstance(base, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merged(out.get(key), value)
    return out


def sentencepiece_encoder(model, first_only=False):
    """As transformers' LlamaTokenizer: control, unknown and user-defined pieces are matched in the text, what lies between is
    sentencepiece's. first_only is its legacy=False: a space only before the very first section, unless it has one."""
    bare = sentencepiece_model_pb2.ModelProto.FromString(model.SerializeToString())
    bare.normalizer_spec.add_dummy_prefix = False
    spaced, plain = (sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString()) for proto in (model, bare))
    named = {piece.piece: i for i, piece in enumerate(model.pieces) if piece.type in (2, 3, 4)}
    cutter = re.compile("(" + "|".join(map(re.escape, sorted(named, key=len, reverse=True))) + ")")

    def encode(text):
        ids, at = [], 0
        for part in cutter.split(text):
            if part in named:
                ids.append(named[part])
            elif part:
                space = not first_only or (at == 0 and not part.startswith((" ", "▁")))
                ids += (spaced if space else plain).encode(part)
            at += len(part)
        return ids

    return encode


def of_spec(spec):
    tokenizer = Tokenizer.from_str(json.dumps({"truncation": None, "padding": None, "pre_tokenizer": None, "post_processor": None,
                                               "decoder": None, "normalizer": None} | spec))
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def digest(ids):
    value = 0x811C9DC5
    for byte in " ".join(map(str, ids)).encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{value:08x}"


def main():
    if "--train" in sys.argv:
        train()
    model = sentencepiece_model_pb2.ModelProto.FromString((HERE / "sentencepiece.model").read_bytes())
    bases = {name: json.loads((HERE / f"{name}.json").read_text()) for name in ("byte_level", "wordpiece")}
    bases["byte_fallback"] = byte_fallback_json(model)
    (HERE / "byte_fallback.json").write_text(json.dumps(bases["byte_fallback"], ensure_ascii=False, separators=(",", ":")) + "\n")
    cases = [{"name": name, "base": base, "patch": patch, "encode": of_spec(merged(bases[base], patch))}
             for name, base, patch in variants(bases)]
    cases += [{"name": "sentencepiece", "encode": sentencepiece_encoder(model)},
              {"name": "sentencepiece first", "encode": sentencepiece_encoder(model, first_only=True)}]
    for case in cases:
        encode = case.pop("encode")
        case["digests"] = " ".join(digest(encode(text)) for text in texts())
    (HERE / "expected.json").write_text(
        "[\n" + ",\n".join(json.dumps(case, ensure_ascii=False, separators=(",", ":")) for case in cases) + "\n]\n")


main()
