"""What the plain PyTorch models share: reading oncekit's files, padding, 200 steps of Adam, comparing. Only torch is needed.

A folder holds, all written by oncekit: initial.safetensors (the weights before the first step), items.safetensors (packed title
tokens: "tokens", "offsets"), batches.safetensors (per step i: "i.clicks", "i.offsets", "i.candidates"), losses.safetensors ("losses")
and final.safetensors ("items", the item vectors after the last step).
"""
import json
import struct
import sys

import torch
import torch.nn.functional as F

TYPES = {"F32": torch.float32, "I64": torch.int64, "I32": torch.int32, "F64": torch.float64, "U8": torch.uint8, "BOOL": torch.bool}


def read(path):
    data = open(path, "rb").read()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        flat = torch.frombuffer(bytearray(data[start + begin:start + end] or b"\0" * 8), dtype=TYPES[entry["dtype"]])
        tensors[name] = flat[: (end - begin) // flat.element_size()].reshape(entry["shape"]).clone()
    return tensors


def pad(values, offsets):
    """Ragged rows -> [rows, longest], -1 where nothing stands."""
    rows = [values[a:b].long() for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist())]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1)


def additive_attention(x, mask, weight, bias, query):
    """[B, L, D] -> [B, D]; a row without real places gives zeros."""
    a = (torch.tanh(x @ weight.T + bias) @ query).masked_fill(~mask, -torch.inf)
    alpha = torch.softmax(a, 1).masked_fill(~mask, 0).nan_to_num(0)
    return (alpha.unsqueeze(1) @ x).squeeze(1)


def main(encode_items, encode_users):
    """encode_items(p, tokens_UL) -> [U, D]; encode_users(p, clicks_BHD, mask_BH) -> [B, D]; p: name -> tensor."""
    folder = sys.argv[1]
    torch.manual_seed(0)
    p = {name: tensor.requires_grad_(tensor.is_floating_point()) for name, tensor in read(f"{folder}/initial.safetensors").items()}
    packed, batches = read(f"{folder}/items.safetensors"), read(f"{folder}/batches.safetensors")
    ours = read(f"{folder}/losses.safetensors")["losses"]
    titles = pad(packed["tokens"], packed["offsets"])
    empty = torch.full_like(titles[:1], -1)
    titles = torch.cat([titles, empty])  # the last row, -1, is what a padded slot holds
    adam = torch.optim.Adam(p.values(), lr=1e-3)
    losses = []
    for i in range(len(ours)):
        clicks, candidates = pad(batches[f"{i}.clicks"], batches[f"{i}.offsets"]), batches[f"{i}.candidates"].long()
        B, H, C = len(clicks), clicks.shape[1], candidates.shape[1]
        slots = torch.cat([clicks.reshape(-1), candidates.reshape(-1)])
        vectors = encode_items(p, titles[slots])  # every slot, as plain as it gets
        users = encode_users(p, vectors[: B * H].view(B, H, -1), clicks >= 0)
        scores = (vectors[B * H:].view(B, C, -1) @ users.unsqueeze(2)).squeeze(2).masked_fill(candidates < 0, -torch.inf)
        loss = F.cross_entropy(scores, torch.zeros(B, dtype=torch.long))
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    with torch.no_grad():
        items = encode_items(p, titles[:-1])
    theirs = read(f"{folder}/final.safetensors")["items"]
    loss_gap = max(abs(a - b) / abs(b) for a, b in zip(losses, ours.tolist()))
    vector_gap = ((items - theirs).norm() / theirs.norm()).item()
    print(json.dumps({"steps": len(losses), "first_20": sum(losses[:20]) / 20, "last_20": sum(losses[-20:]) / 20,
                      "loss_gap": loss_gap, "vector_gap": vector_gap}))
    sys.exit(0 if loss_gap <= 1e-4 and vector_gap <= 1e-4 else 1)
