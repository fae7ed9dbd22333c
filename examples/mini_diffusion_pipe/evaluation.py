"""The loss on the eval datasets, at nine fixed times of the diffusion; it goes to TensorBoard only."""

from __future__ import annotations

import time
from typing import Any

import torch

from console import Bar, say
from loader import Loader
from run_state import Run

QUANTILES = tuple(tenth / 10 for tenth in range(1, 10))
SEED = 99


class Evaluator:
    """`loaders` by the eval dataset's name. The noise is always the same, so that values can be compared."""

    def __init__(self, run: Run, loaders: dict[str, Loader], writer: Any) -> None:
        self.run, self.loaders, self.writer = run, loaders, writer
        config = run.config
        self.every_steps = config.get("eval_every_n_steps")
        if "eval_every_n_examples" in config:
            self.every_steps = max(1, config["eval_every_n_examples"] // run.global_batch)
            say(f"Computed eval_every_n_steps = {self.every_steps}")

    def due(self, ended_epoch: int | None) -> bool:
        epochs = self.run.config.get("eval_every_n_epochs")
        by_epoch = bool(epochs and ended_epoch and ended_epoch % epochs == 0)
        return by_epoch or bool(self.every_steps and self.run.step % self.every_steps == 0)

    def evaluate(self, x: int) -> None:
        if not self.loaders:
            return
        say("Running eval")
        started = time.monotonic()
        bar = Bar(sum(len(loader) for loader in self.loaders.values()) * len(QUANTILES))
        self.run.model.eval()
        for name, loader in self.loaders.items():
            losses = [self._loss(loader, quantile, bar) for quantile in QUANTILES]
            for quantile, loss in zip(QUANTILES, losses, strict=True):
                self.writer.add_scalar(f"{name}/loss_quantile_{quantile:.2f}", loss, x)
            self.writer.add_scalar(f"{name}/loss", sum(losses) / len(losses), x)
        self.run.model.train()
        bar.close()
        self.writer.add_scalar("eval/eval_time_sec", time.monotonic() - started, x)

    @torch.no_grad()
    def _loss(self, loader: Loader, quantile: float, bar: Bar) -> float:
        generator = torch.Generator().manual_seed(SEED)
        total = 0.0
        for number in range(len(loader)):
            batch = loader.get(number)
            noise = torch.randn(batch.images.shape, generator=generator)
            times = torch.full((len(batch.images),), quantile)
            total += self.run.loss_of(batch.images, batch.words, times, noise).item()
            bar.step()
        return total / len(loader)
