"""Optimizers and learning-rate schedules by diffusion-pipe's names."""

from __future__ import annotations

import importlib
import math
from typing import Any

import torch
from torch import nn

# Optimizers of packages that this trainer does without: AdamW stands in, less the keys only they know.
STAND_INS: dict[str, set[str]] = {
    "adamw_optimi": {"decouple_lr", "max_lr", "torch_init", "triton"},
    "stableadamw": {"decouple_lr", "max_lr", "torch_init", "triton"},
    "adamw8bit": {"optim_bits", "min_8bit_size", "percentile_clipping", "block_wise", "is_paged", "args"},
    "adamw8bitkahan": {
        "optim_bits",
        "min_8bit_size",
        "percentile_clipping",
        "block_wise",
        "is_paged",
        "stabilize",
    },
    "offload": {"offload_gradients"},
    "automagic": {"min_lr", "max_lr", "lr_bump", "clip_threshold", "beta2"},
    "genericoptim": {"momentum_type", "second_moment_type", "subspace_type", "muon", "adamuon", "rank"},
}
OWN_KEYS = {"type", "gradient_release", "beta2_half_life"}


def make_optimizer(model: nn.Module, config: dict[str, Any], global_batch: int) -> torch.optim.Optimizer:
    """Unknown keys reach the optimizer's class, which refuses them."""
    settings = config["optimizer"]
    kind = str(settings["type"])
    options = {key: value for key, value in settings.items() if key not in OWN_KEYS}
    if "unet_lr" in config["model"]:
        options["lr"] = config["model"]["unet_lr"]
    if "beta2_half_life" in settings:
        options["betas"] = [options["betas"][0], 0.5 ** (global_batch / settings["beta2_half_life"])]
    if "betas" in options:
        options["betas"] = tuple(options["betas"])
    cls = optimizer_class(kind)
    options = {key: value for key, value in options.items() if key not in STAND_INS.get(kind.lower(), set())}
    trained = [p for p in model.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": [p for p in trained if p.ndim > 1]}]
    flat = [p for p in trained if p.ndim <= 1]
    if flat:
        groups.append({"params": flat, "weight_decay": 0.0})
    return cls(groups, **options)


def optimizer_class(kind: str) -> type[torch.optim.Optimizer]:
    if kind.lower() == "adamw" or kind.lower() in STAND_INS:
        return torch.optim.AdamW
    if kind.lower() == "sgd":
        return torch.optim.SGD
    try:
        library = importlib.import_module("pytorch_optimizer")
    except ImportError:
        raise NotImplementedError(
            f"Optimizer type {kind} is not implemented (pytorch_optimizer, which may have it, is absent)"
        ) from None
    cls: type[torch.optim.Optimizer] = getattr(library, kind)
    return cls


def momenta(optimizer: torch.optim.Optimizer) -> list[Any]:
    return [group.get("betas", group.get("momentum", 0.0)) for group in optimizer.param_groups]


class Schedule:
    """Warm-up, then constant, linear or cosine; a function of the step alone."""

    def __init__(self, optimizer: torch.optim.Optimizer, config: dict[str, Any], total_steps: int) -> None:
        if config["lr_scheduler"] not in ("constant", "linear", "cosine"):
            raise NotImplementedError(f"Unknown lr_scheduler: {config['lr_scheduler']}")
        self.optimizer, self.kind = optimizer, config["lr_scheduler"]
        self.warmup, self.total = int(config["warmup_steps"]), total_steps
        self.forced = config.get("force_constant_lr")
        self.base = [group["lr"] for group in optimizer.param_groups]
        self.done = 0
        self.set(0)

    def factor(self, step: int) -> float:
        if step < self.warmup:
            return (1 + step * (self.warmup - 1) / self.warmup) / self.warmup
        share = min(1.0, (step - self.warmup) / max(1, self.total - self.warmup))
        if self.kind == "linear":
            return 1.0 - share
        return (1 + math.cos(math.pi * share)) / 2 if self.kind == "cosine" else 1.0

    def set(self, step: int) -> None:
        self.done = step
        for group, base in zip(self.optimizer.param_groups, self.base, strict=True):
            group["lr"] = float(self.forced) if self.forced is not None else base * self.factor(step)
