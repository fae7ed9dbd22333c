"""A small U-Net that predicts the flow-matching velocity of images, conditioned on time and caption."""

from __future__ import annotations

import json
import math
import re
import zlib
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tensorfile import load_tensors, save_tensors

PATCH = 2  # a pixel block of this side becomes one latent position
SIZE_MULTIPLE = 8  # what a bucket's sides must divide by: PATCH, the U-Net's one halving, and some air
VOCABULARY = 256
MAX_WORDS = 16


def caption_ids(caption: str) -> list[int]:
    """Words hashed into a small vocabulary; 0 pads (an empty caption is all padding)."""
    words = re.findall(r"\w+", caption.lower())[:MAX_WORDS]
    ids = [1 + zlib.crc32(word.encode()) % (VOCABULARY - 1) for word in words]
    return ids + [0] * (MAX_WORDS - len(ids))


def time_features(t: Tensor, width: int) -> Tensor:
    half = width // 2
    frequencies = torch.exp(-math.log(1000.0) * torch.arange(half, device=t.device) / half)
    angles = t[:, None] * 1000.0 * frequencies[None]
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class Residual(nn.Module):
    """Two convolutions whose middle is scaled and shifted by the condition."""

    def __init__(self, inputs: int, outputs: int, condition: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.film = nn.Linear(condition, 2 * outputs)
        self.norm2 = nn.GroupNorm(8, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
        h = self.norm2(h) * (1 + scale) + shift
        out: Tensor = self.skip(x) + self.conv2(F.silu(h))
        return out


class Attention(nn.Module):
    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(tokens).view(b, h * w, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, h * w, c)
        out: Tensor = x + self.out(mixed).transpose(1, 2).reshape(b, c, h, w)
        return out


class MiniUNet(nn.Module):
    """Images [B,3,H,W] in -1..1, times [B] in 0..1 and caption ids [B,MAX_WORDS] to velocities [B,3,H,W]."""

    def __init__(self, width: int = 40, condition: int = 64) -> None:
        super().__init__()
        self.settings = {"width": width, "condition": condition}
        latent = 3 * PATCH * PATCH
        self.words = nn.Embedding(VOCABULARY, condition, padding_idx=0)
        self.time_in = nn.Linear(64, condition)
        self.time_out = nn.Linear(condition, condition)
        self.conv_in = nn.Conv2d(latent, width, 3, padding=1)
        self.down1 = Residual(width, width, condition)
        self.shrink = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.middle1 = Residual(2 * width, 2 * width, condition)
        self.attention = Attention(2 * width)
        self.middle2 = Residual(2 * width, 2 * width, condition)
        self.grow = nn.Conv2d(2 * width, width, 3, padding=1)
        self.up1 = Residual(2 * width, width, condition)
        self.norm_out = nn.GroupNorm(8, width)
        self.conv_out = nn.Conv2d(width, latent, 3, padding=1)

    def forward(self, images: Tensor, times: Tensor, captions: Tensor) -> Tensor:
        words = self.words(captions).sum(1) / (captions > 0).sum(1, keepdim=True).clamp(min=1) ** 0.5
        condition = F.silu(self.time_out(F.silu(self.time_in(time_features(times, 64)))) + words)
        first = self.down1(self.conv_in(F.pixel_unshuffle(images, PATCH)), condition)
        h = self.middle1(self.shrink(first), condition)
        h = self.middle2(self.attention(h), condition)
        h = self.grow(F.interpolate(h, scale_factor=2.0))
        h = self.up1(torch.cat([h, first], dim=1), condition)
        return F.pixel_shuffle(self.conv_out(F.silu(self.norm_out(h))), PATCH)


def save_model(model: MiniUNet, path: Path, dtype: torch.dtype) -> None:
    tensors = {name: value.detach().to(dtype) for name, value in model.state_dict().items()}
    save_tensors(tensors, path, {"architecture": "mini-unet", "settings": json.dumps(model.settings)})


def load_model(path: Path) -> MiniUNet:
    tensors, metadata = load_tensors(path)
    if metadata.get("architecture") != "mini-unet":
        raise ValueError(f"{path} is not a checkpoint of the mini trainer (make_checkpoint.py writes one)")
    settings: dict[str, Any] = json.loads(metadata["settings"])
    model = MiniUNet(**settings)
    model.load_state_dict({name: value.float() for name, value in tensors.items()})
    return model
