"""Real models: mean state of each item at every layer, oncekit's cache against Hugging Face transformers in float32.

usage: python tests/lm/real_parity.py ONCEKIT MODEL TITLES [N]
       MODEL: a folder or .gguf; TITLES: MIND's news.tsv (column 4) or one title a line; N of them (200)
Needs torch, transformers, and gguf for .gguf files. Prints the largest relative rms over layers for f32 and bf16, and fails above 1e-5 and 2e-2.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
import transformers

oncekit, model_path, titles_path = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
count = int(sys.argv[4]) if len(sys.argv) > 4 else 200
titles = [line.split("\t")[3] if "\t" in line else line for line in titles_path.read_text().splitlines()[:count]]

where = dict(gguf_file=model_path.name) if model_path.suffix == ".gguf" else {}
folder = model_path.parent if where else model_path
tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **where)
model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32, **where).eval()
decoder = model.config.model_type not in ("bert", "roberta")
pieces = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("book:", "<title>")]
expected = []
with torch.no_grad():
    for title in titles:
        ids = pieces[0] + pieces[1] + tokenizer(title, add_special_tokens=False)["input_ids"][:20]
        states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        expected.append(torch.stack([s[0].mean(0) for s in states]))
expected = torch.stack(expected, 1).double().numpy()  # [layers + 1, items, D]

failed = False
for compute, bound in (("f32", 1e-5), ("bf16", 2e-2)):
    with tempfile.TemporaryDirectory() as work:
        data = pathlib.Path(work) / "data"
        data.mkdir()
        (data / "items.tsv").write_text("id\ttitle\n" + "".join(f"i{n}\t{title}\n" for n, title in enumerate(titles)))
        for split in ("train", "dev"):
            (data / f"{split}.tsv").write_text("user\thistory\tcandidates\tlabels\nann\ti0\ti1 i2\t1 0\n")
        recipe = pathlib.Path(work) / "recipe.toml"
        recipe.write_text(f'''[dataset]
use = "table"
path = "{data}"
[content_encoder]
use = "{'llama' if decoder else 'bert'}"
weights = "{model_path.absolute()}"
lead = "book:"
max_tokens = [20]
pooling = "mean"
keep_pooled = "all"
compute = "{compute}"
states = "{compute}"
[user_encoder]
use = "mean"
[interaction]
use = "dot"
''')
        subprocess.run([oncekit, "cache", "build", recipe, "--cache", pathlib.Path(work) / "cache", "--quiet"], check=True, capture_output=True)
        entry = next((pathlib.Path(work) / "cache").glob("pooled-*"))
        errors = []
        for layer in range(expected.shape[0]):
            ours = numpy.fromfile(entry / f"mean.{layer:04d}.bin", numpy.float32).reshape(expected[layer].shape).astype(float)
            errors.append(numpy.sqrt(((ours - expected[layer]) ** 2).mean() / (expected[layer] ** 2).mean()))
        print(f"{compute}: largest relative rms {max(errors):.2g} at layer {int(numpy.argmax(errors))} of {len(errors) - 1}, last layer {errors[-1]:.2g}")
        failed |= max(errors) > bound
sys.exit(failed)
