"""NRMS (words and clicks) in plain PyTorch, every slot padded and encoded: what oncekit's content_encoder/nrms and user_encoder/nrms
are held to. Usage: python nrms.py FOLDER (see common.py). Dropout 0."""
import torch
import torch.nn.functional as F

from common import additive_attention, main

HEADS = 4


def encoder(p, name, x, mask):
    """Self-attention, linear layer, additive attention. [B, L, I] -> [B, D]."""
    B, L, I = x.shape
    q, k, v = (y.view(B, L, HEADS, I // HEADS).transpose(1, 2) for y in
               F.linear(x, p[f"{name}.in_proj_weight"], p[f"{name}.in_proj_bias"]).chunk(3, 2))
    scores = (q @ k.transpose(2, 3)) / (I // HEADS) ** 0.5
    alpha = torch.softmax(scores.masked_fill(~mask.view(B, 1, 1, L), -torch.inf), 3).nan_to_num(0)
    y = (alpha @ v).transpose(1, 2).reshape(B, L, I)
    y = F.linear(y, p[f"{name}.out_proj.weight"], p[f"{name}.out_proj.bias"])
    y = F.linear(y, p[f"{name}.linear.weight"], p[f"{name}.linear.bias"])
    return additive_attention(y, mask, p[f"{name}.pooling.hidden.weight"], p[f"{name}.pooling.hidden.bias"], p[f"{name}.pooling.score.weight"][0])


def encode_items(p, tokens_UL):
    mask = tokens_UL >= 0
    words = p["content_encoder.words.words"][tokens_UL.clamp(min=0)]
    return encoder(p, "content_encoder.encoder", words, mask)


def encode_users(p, clicks_BHD, mask_BH):
    return encoder(p, "user_encoder.encoder", clicks_BHD, mask_BH)


main(encode_items, encode_users)
