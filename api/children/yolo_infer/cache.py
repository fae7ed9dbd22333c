"""Loaded models, the least recently used of which make room: for others, for memory, and when time has passed."""

from __future__ import annotations

import gc
import os
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.children.common.report import Problem
from api.children.ultralytics_train.models import loaded
from api.children.yolo_infer.problems import Failed


@dataclass(slots=True)
class _Held:
    model: Any
    stamp: tuple[int, int]  # of the file that it was read from
    size: int  # bytes of its parameters
    used: float


class Models:
    """`most` at a time, of at most `memory` bytes together (but one, whatever its size), each for `idle` seconds."""

    def __init__(self, most: int, memory: int, idle: float) -> None:
        self._most = most
        self._memory = memory
        self._idle = idle
        self._held: OrderedDict[str, _Held] = OrderedDict()

    @property
    def ids(self) -> list[str]:
        """The least recently used first."""
        return list(self._held)

    def get(self, model_id: str, path: str) -> Any:
        """Raises Failed."""
        stamp = _stamp(path)
        held = self._held.get(model_id)
        if held is not None and held.stamp == stamp:
            held.used = time.monotonic()
            self._held.move_to_end(model_id)
            return held.model
        self._drop(model_id)
        while len(self._held) >= self._most:
            self._drop(next(iter(self._held)))
        model = self._load(path)
        size = sum(each.numel() * each.element_size() for each in model.model.parameters())
        self._held[model_id] = _Held(model, stamp, size, time.monotonic())
        while len(self._held) > 1 and sum(each.size for each in self._held.values()) > self._memory:
            self._drop(next(iter(self._held)))
        return model

    def _load(self, path: str) -> Any:
        try:
            return loaded(Path(path))
        except Problem as problem:
            if not isinstance(problem.__cause__, MemoryError):
                raise Failed("model", str(problem)) from problem
        self.clear()
        try:
            return loaded(Path(path))
        except Problem as problem:
            kind = "memory" if isinstance(problem.__cause__, MemoryError) else "model"
            raise Failed(kind, str(problem)) from problem

    def expire(self) -> None:
        before = time.monotonic() - self._idle
        for model_id in [model_id for model_id, held in self._held.items() if held.used < before]:
            self._drop(model_id)

    def clear(self) -> None:
        for model_id in self.ids:
            self._drop(model_id)

    def _drop(self, model_id: str) -> None:
        if self._held.pop(model_id, None) is not None:
            gc.collect()  # a predictor and its model know each other
            _empty_gpu()


def _empty_gpu() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _stamp(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise Failed("model", "its weights are gone") from None
    return found.st_mtime_ns, found.st_size
