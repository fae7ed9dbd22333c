"""Trains the bundled base checkpoint: it knows grey shapes on slate, and no colour. Takes minutes."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import numpy as np
import torch

from diffusion import diffusion_loss, sample, save_grid, spread_times
from make_images import SHAPES, draw_shape
from model import MiniUNet, caption_ids, save_model

STEPS, BATCH, RATE, SEED = 3000, 16, 2e-3, 7
GREYS = {"dark": 25, "light": 205}


def grey_shapes(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = random.Random(SEED)
    images, captions = [], []
    for _ in range(count):
        shape, (name, level) = rng.choice(SHAPES), rng.choice(list(GREYS.items()))
        picture = draw_shape(shape, (level,) * 3, (96, 100, 108), rng)
        images.append(np.asarray(picture, dtype=np.float32) / 127.5 - 1)
        captions.append(caption_ids(f"a {name} {shape} on slate"))
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous(), torch.tensor(captions)


def main(path: Path) -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(SEED)
    model = MiniUNet()
    images, captions = grey_shapes(512)
    optimizer = torch.optim.AdamW(model.parameters(), RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=STEPS, pct_start=0.05)
    started = time.monotonic()
    for step in range(1, STEPS + 1):
        picks = torch.randint(len(images), (BATCH,), generator=generator)
        noise = torch.randn(BATCH, *images.shape[1:], generator=generator)
        times = spread_times(BATCH, generator)
        loss = diffusion_loss(model, images[picks], captions[picks], times, noise, config={})
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step} loss {loss.item():.4f} {time.monotonic() - started:.0f} s", flush=True)
    path.parent.mkdir(exist_ok=True)
    save_model(model, path, torch.float16)
    if len(sys.argv) > 1:
        words = torch.tensor([caption_ids(f"a {grey} {shape} on slate") for grey in GREYS for shape in SHAPES])
        save_grid(sample(model, words, (32, 32), torch.device("cpu")), Path(sys.argv[1]))


if __name__ == "__main__":
    main(Path(__file__).resolve().parent / "checkpoints" / "mini.safetensors")
