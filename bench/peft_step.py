"""LoRA step of SmolLM2's top layers from cached states: peft against oncekit, alternating in one run.

usage: python bench/peft_step.py BENCH_TUNING MODEL.gguf [K] [ROUNDS]      needs torch, transformers, peft, gguf

Both: rank 32 on q_proj and v_proj, dropout 0, batch of 64 items of 30 tokens, float32, 2 threads, forward and backward.
"""
import pathlib
import re
import statistics
import subprocess
import sys
import time

import peft
import torch
import transformers

bench, model_file = sys.argv[1], pathlib.Path(sys.argv[2])
top, rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 2, int(sys.argv[4]) if len(sys.argv) > 4 else 5
torch.set_num_threads(2)
model = transformers.AutoModelForCausalLM.from_pretrained(model_file.parent, gguf_file=model_file.name, dtype=torch.float32).model
model.layers = model.layers[-top:]
for i, layer in enumerate(model.layers):
    layer.self_attn.layer_idx = i
model.config.num_hidden_layers = top
model = peft.get_peft_model(model, peft.LoraConfig(r=32, lora_alpha=128, lora_dropout=0.0, target_modules=["q_proj", "v_proj"]))
model.train()
states = torch.randn(64, 30, model.config.hidden_size)
projection = (torch.randn(64, model.config.hidden_size) * 0.02).requires_grad_()


def step():
    for p in model.parameters():
        p.grad = None
    hidden = model(inputs_embeds=states, use_cache=False).last_hidden_state
    (hidden @ projection.T).pow(2).mean().backward()


def peft_ms(steps=8):
    times = []
    for _ in range(steps):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e3


peft_ms(2)
ratios = []
for _ in range(rounds):
    theirs = peft_ms()
    out = subprocess.run([bench, str(model_file), str(top), "32", "64", "30", "8"], capture_output=True, text=True, check=True).stdout
    ours = float(re.match(r"([\d.]+) ms", out).group(1))
    ratios.append(ours / theirs)
    print(f"peft {theirs:.1f} ms, oncekit {ours:.1f} ms, ratio {ours / theirs:.2f}", flush=True)
print(f"median ratio {statistics.median(ratios):.2f}")
