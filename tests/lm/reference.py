"""Tiny models of each family with random weights, and what Hugging Face transformers makes of them at every layer.

usage: python tests/lm/reference.py        writes tests/lm/fixtures/<family>/{config.json,model.safetensors,reference.safetensors}

reference.safetensors: tokens [T] and offsets [S + 1] of some sequences (several begin alike), hidden.<l> [T, D] float32: input of layer l, and
behind the last layer the final norm's output. Computed in float32 from the stored (bfloat16) weights, one sequence at a time.
Made with torch 2.13 and transformers 5.23.
"""
import json
import pathlib

import torch
import transformers
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent / "fixtures"
DECODER = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, vocab_size=60,
               max_position_embeddings=256, rms_norm_eps=1e-5, pad_token_id=None, bos_token_id=1, eos_token_id=2)
ENCODER = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, vocab_size=60, max_position_embeddings=64)

FAMILIES = {
    "llama1": (transformers.LlamaConfig, dict(DECODER, num_key_value_heads=4)),
    "llama3": (transformers.LlamaConfig, dict(DECODER, tie_word_embeddings=True, rope_theta=500000.0, rope_scaling=dict(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16))),
    "linear": (transformers.LlamaConfig, dict(DECODER, rope_scaling=dict(rope_type="linear", factor=2.0))),
    "yarn": (transformers.LlamaConfig, dict(DECODER, rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=64))),
    "mistral": (transformers.MistralConfig, dict(DECODER, head_dim=16, sliding_window=None)),
    "qwen2": (transformers.Qwen2Config, dict(DECODER)),
    "qwen3": (transformers.Qwen3Config, dict(DECODER, head_dim=12)),
    "bert": (transformers.BertConfig, dict(ENCODER)),
    "roberta": (transformers.RobertaConfig, dict(ENCODER, pad_token_id=1, type_vocab_size=1)),
}


def sequences():
    rng = torch.Generator().manual_seed(7)
    lead = torch.randint(3, 60, (4,), generator=rng).tolist()
    middle = torch.randint(3, 60, (3,), generator=rng).tolist()
    rows = [lead + torch.randint(3, 60, (n,), generator=rng).tolist() for n in (5, 1, 9, 0)]
    rows += [lead + middle + torch.randint(3, 60, (n,), generator=rng).tolist() for n in (2, 7)]
    rows += [torch.randint(3, 60, (n,), generator=rng).tolist() for n in (1, 23)]
    rows.append(rows[0])  # the same text twice
    return rows


def main():
    for number, (name, (kind, settings)) in enumerate(FAMILIES.items()):
        torch.manual_seed(number)
        config = kind(**settings)
        model = transformers.AutoModelForCausalLM.from_config(config) if kind.model_type not in ("bert", "roberta") \
            else transformers.AutoModel.from_config(config)
        with torch.no_grad():
            for key, p in model.named_parameters():
                scale = 0.1 if p.dim() == 1 else 1.5 / p.shape[1] ** 0.5
                noise = torch.randn_like(p) * scale
                p.copy_((noise + (1 if "norm" in key.lower() and key.endswith("weight") else 0)).bfloat16().float())
        body = getattr(model, "model", model).eval().float()
        rows = sequences()
        layers = [[] for _ in range(config.num_hidden_layers + 1)]
        for row in rows:
            with torch.no_grad():
                states = body(torch.tensor([row]), output_hidden_states=True).hidden_states
            for into, state in zip(layers, states):
                into.append(state[0])
        folder = HERE / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config.to_diff_dict() | {"model_type": config.model_type, "vocab_size": 60}, indent=1) + "\n")
        wanted = {k: v.bfloat16().contiguous() for k, v in model.state_dict().items()
                  if "lm_head" not in k and "pooler" not in k and "position_ids" not in k and "token_type_ids" not in k and "inv_freq" not in k}
        save_file(wanted, folder / "model.safetensors")
        offsets = torch.tensor([0] + [len(row) for row in rows]).cumsum(0)
        reference = {"tokens": torch.tensor(sum(rows, [])), "offsets": offsets}
        reference |= {f"hidden.{l}": torch.cat(parts).contiguous() for l, parts in enumerate(layers)}
        save_file(reference, folder / "reference.safetensors")
        print(name, sum(p.numel() for p in wanted.values()), "weights")


if __name__ == "__main__":
    main()
