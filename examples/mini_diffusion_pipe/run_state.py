"""What a training is made of, and the part of it that a checkpoint holds."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusion import autocast, diffusion_loss, sample, spread_times
from loader import Batch, Loader
from model import MiniUNet
from optim import Schedule
from options import DTYPES

NOISE_SEED = 4321
MAX_SAMPLES = 16
MAX_SAMPLE_SIDE = 64


class Run:
    """`step` is the last step that was made; the generator gives every random number of the training."""

    def __init__(self, config: dict[str, Any], model: MiniUNet, loader: Loader, device: torch.device) -> None:
        self.config, self.model, self.loader, self.device = config, model, loader, device
        self.step = 0
        self.accumulation: int = config["gradient_accumulation_steps"]
        self.global_batch = next(iter(loader.sizes.values()))
        self.generator = torch.Generator().manual_seed(NOISE_SEED)
        self.dtype = DTYPES[config["model"]["dtype"]]
        self.sample_words = torch.from_numpy(np.unique(loader.buckets[0].words, axis=0))
        _, width, height = loader.buckets[0].key
        self.sample_size = (min(width, MAX_SAMPLE_SIDE), min(height, MAX_SAMPLE_SIDE))
        self.optimizer: torch.optim.Optimizer
        self.schedule: Schedule

    def train_step(self) -> tuple[float, float]:
        """One optimizer step over one global batch: its loss, and the gradient's norm before clipping."""
        batch = self.loader.next()
        total = 0.0
        self.optimizer.zero_grad(set_to_none=True)
        pieces = zip(batch.images.chunk(self.accumulation), batch.words.chunk(self.accumulation), strict=True)
        for images, words in pieces:
            loss = self._loss(Batch(images, words))
            torch.autograd.backward(loss / self.accumulation)
            total += loss.item() / self.accumulation
        norm = self._clip()
        self.optimizer.step()
        self.step += 1
        self.schedule.set(self.schedule.done + 1)
        return total, norm

    def _loss(self, batch: Batch) -> Tensor:
        count = len(batch.images)
        times = spread_times(count, self.generator)
        noise = torch.randn(batch.images.shape, generator=self.generator)
        dropped = torch.rand(count, generator=self.generator) < self.config["uncond_fraction"]
        words = batch.words.masked_fill(dropped[:, None], 0)
        with autocast(self.device, self.dtype):
            return self.loss_of(batch.images, words, times, noise)

    def loss_of(self, images: Tensor, words: Tensor, times: Tensor, noise: Tensor) -> Tensor:
        images, words, times, noise = (x.to(self.device) for x in (images, words, times, noise))
        return diffusion_loss(self.model, images, words, times, noise, config=self.config)

    def samples(self) -> Tensor:
        """Images for some of the captions of the first bucket, evenly picked."""
        count = len(self.sample_words)
        chosen = self.sample_words[torch.linspace(0, count - 1, min(count, MAX_SAMPLES)).round().long()]
        return sample(self.model, chosen, self.sample_size, self.device)

    def _clip(self) -> float:
        limit = self.config["gradient_clipping"] or float("inf")
        trained = [p for p in self.model.parameters() if p.requires_grad]
        return float(torch.nn.utils.clip_grad_norm_(trained, limit))

    def state(self) -> dict[str, Any]:
        trained = {name for name, p in self.model.named_parameters() if p.requires_grad}
        return {
            "module": {name: value for name, value in self.model.state_dict().items() if name in trained},
            "optimizer": self.optimizer.state_dict(),
            "schedule": {"done": self.schedule.done, "base": self.schedule.base},
            "generator": self.generator.get_state(),
            "dropout": torch.get_rng_state(),
            "loader": self.loader.state(),
            "step": self.step,
        }

    def restore(self, state: dict[str, Any], flags: Namespace) -> None:
        missing, unexpected = self.model.load_state_dict(state["module"], strict=False)
        trained = {name for name, p in self.model.named_parameters() if p.requires_grad}
        if unexpected or trained & set(missing):
            raise RuntimeError("The checkpoint's weights do not fit this config ([adapter] or rank changed?)")
        if not flags.reset_optimizer:
            self._restore_optimizer(state, keep_config=flags.reset_optimizer_params)
        self.generator.set_state(state["generator"].cpu())
        torch.set_rng_state(state["dropout"].cpu())
        self.loader.restore(state["loader"], epoch_only=flags.reset_dataloader)
        self.step = state["step"]

    def _restore_optimizer(self, state: dict[str, Any], keep_config: bool) -> None:
        configured = [{k: v for k, v in g.items() if k != "params"} for g in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        if keep_config:
            for group, settings in zip(self.optimizer.param_groups, configured, strict=True):
                group.update(settings)
            return
        self.schedule.base = state["schedule"]["base"]
        self.schedule.set(state["schedule"]["done"])
