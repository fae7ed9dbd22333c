"""Flow matching: the training loss, and sampling by Euler steps."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from model import MiniUNet

SAMPLING_STEPS = 20
SAMPLE_SEED = 1234


def velocity_error(predicted: Tensor, target: Tensor, config: dict[str, Any]) -> Tensor:
    if "huber_delta" in config:
        return F.huber_loss(predicted, target, delta=config["huber_delta"])
    if "smooth_l1_beta" in config:
        return F.smooth_l1_loss(predicted, target, beta=config["smooth_l1_beta"])
    return F.mse_loss(predicted, target)


def autocast(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[Any]:
    """Half precision on the GPU only: on a CPU it is slower than float32."""
    if device.type == "cuda" and dtype is torch.bfloat16:
        return torch.autocast("cuda", dtype=dtype)
    return contextlib.nullcontext()


def spread_times(count: int, generator: torch.Generator) -> Tensor:
    """Uniform in 0..1, one per equal slice, so that a small batch's loss does not jump with its times."""
    slices = torch.randperm(count, generator=generator)
    return (slices + torch.rand(count, generator=generator)) / count


def diffusion_loss(
    model: MiniUNet, images: Tensor, captions: Tensor, times: Tensor, noise: Tensor, *, config: dict[str, Any]
) -> Tensor:
    t = times[:, None, None, None]
    predicted = model((1 - t) * images + t * noise, times, captions)
    return velocity_error(predicted.float(), noise - images, config)


@torch.no_grad()
def sample(model: MiniUNet, words: Tensor, size: tuple[int, int], device: torch.device) -> Tensor:
    """One image [3, height, width] for each row of caption ids, always from the same noise."""
    generator = torch.Generator().manual_seed(SAMPLE_SEED)
    images = torch.randn(len(words), 3, size[1], size[0], generator=generator).to(device)
    words = words.to(device)
    was_training = model.training
    model.eval()
    for step in range(SAMPLING_STEPS, 0, -1):
        times = torch.full((len(words),), step / SAMPLING_STEPS, device=device)
        images = images - model(images, times, words) / SAMPLING_STEPS
    model.train(was_training)
    return images.clamp(-1, 1).cpu()


def save_grid(images: Tensor, path: Path, columns: int = 4, zoom: int = 3) -> None:
    rows = [torch.cat(list(images[i : i + columns]), dim=2) for i in range(0, len(images), columns)]
    rows = [F.pad(row, (0, rows[0].shape[2] - row.shape[2])) for row in rows]
    pixels = ((torch.cat(rows, dim=1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(pixels.numpy()))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST).save(path)
