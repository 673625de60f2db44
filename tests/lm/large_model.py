"""A model folder of LLaMA-13B's shapes (26 GB) or any other size with random bfloat16 weights, for tests of memory. Needs torch alone.

usage: python tests/lm/large_model.py FOLDER [TOKENIZER.model] [--layers 40] [--width 5120] [--hidden 13824] [--heads 40]

Sharded safetensors, one layer a shard. Weights repeat one random block, so that writing takes the disk's time and no more.
"""
import argparse
import json
import pathlib
import shutil
import struct

import torch

arguments = argparse.ArgumentParser()
arguments.add_argument("folder", type=pathlib.Path)
arguments.add_argument("tokenizer", type=pathlib.Path, nargs="?")
arguments.add_argument("--layers", type=int, default=40)
arguments.add_argument("--width", type=int, default=5120)
arguments.add_argument("--hidden", type=int, default=13824)
arguments.add_argument("--heads", type=int, default=40)
arguments.add_argument("--vocabulary", type=int, default=32000)
a = arguments.parse_args()
a.folder.mkdir(parents=True, exist_ok=True)
block = (torch.randn(1 << 22, generator=torch.Generator().manual_seed(1)) * a.width ** -0.5).bfloat16().view(torch.uint8).numpy().tobytes()
ones = torch.ones(a.width).bfloat16().view(torch.uint8).numpy().tobytes()


def write(name, tensors):
    header, offset = {}, 0
    for key, shape in tensors:
        size = 2 * int(torch.tensor(shape).prod())
        header[key] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with open(a.folder / name, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for key, shape in tensors:
            left = 2 * int(torch.tensor(shape).prod())
            source = ones if len(shape) == 1 else block
            while left > 0:
                left -= f.write(source[:left])
    for key, _ in tensors:
        weight_map[key] = name


weight_map = {}
d, h = a.width, a.hidden
for l in range(a.layers):
    p = f"model.layers.{l}."
    write(f"model-{l + 1:05d}-of-{a.layers + 1:05d}.safetensors",
          [(p + "self_attn.q_proj.weight", [d, d]), (p + "self_attn.k_proj.weight", [d, d]), (p + "self_attn.v_proj.weight", [d, d]),
           (p + "self_attn.o_proj.weight", [d, d]), (p + "mlp.gate_proj.weight", [h, d]), (p + "mlp.up_proj.weight", [h, d]),
           (p + "mlp.down_proj.weight", [d, h]), (p + "input_layernorm.weight", [d]), (p + "post_attention_layernorm.weight", [d])])
write(f"model-{a.layers + 1:05d}-of-{a.layers + 1:05d}.safetensors", [("model.embed_tokens.weight", [a.vocabulary, d]), ("model.norm.weight", [d])])
(a.folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
(a.folder / "config.json").write_text(json.dumps({
    "model_type": "llama", "hidden_size": d, "intermediate_size": h, "num_hidden_layers": a.layers, "num_attention_heads": a.heads, "vocab_size": a.vocabulary,
    "rms_norm_eps": 1e-6, "max_position_embeddings": 2048, "hidden_act": "silu"}, indent=1))
if a.tokenizer:
    shutil.copy(a.tokenizer, a.folder / "tokenizer.model")
