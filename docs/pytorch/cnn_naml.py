"""Word CNN and NAML's user encoder in plain PyTorch, every slot padded and encoded: what oncekit's content_encoder/cnn_glove and
user_encoder/naml are held to. Usage: python cnn_naml.py FOLDER (see common.py). Dropout 0."""
import torch
import torch.nn.functional as F

from common import additive_attention, main


def attention(p, name, x, mask):
    return additive_attention(x, mask, p[f"{name}.hidden.weight"], p[f"{name}.hidden.bias"], p[f"{name}.score.weight"][0])


def encode_items(p, tokens_UL):
    mask = tokens_UL >= 0
    words = p["content_encoder.words.words"][tokens_UL.clamp(min=0)] * mask.unsqueeze(2)  # edges and padding are zeros
    weight = p["content_encoder.convolution.weight"].permute(1, 2, 0)                     # ours [tap, out, in], torch's [out, in, tap]
    h = F.conv1d(words.transpose(1, 2), weight, p["content_encoder.convolution.bias"], padding=weight.shape[2] // 2)
    return attention(p, "content_encoder.attention", torch.relu(h).transpose(1, 2), mask)


def encode_users(p, clicks_BHD, mask_BH):
    return attention(p, "user_encoder.attention", clicks_BHD, mask_BH)


main(encode_items, encode_users)
