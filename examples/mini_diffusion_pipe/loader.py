"""Batches of the cached data in an order that seed and epoch alone decide, so that a run can be resumed."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from caching import Bucket
from console import log
from data import Key
from options import batch_size_for

SEED = 1234
Item = tuple[int, int, int]  # bucket, image, caption


@dataclass(frozen=True)
class Batch:
    images: Tensor  # float [n, 3, height, width] in -1..1
    words: Tensor  # int64 [n, MAX_WORDS]


class Loader:
    """Hands out global batches. `epoch` counts from 1 and moves on with the last batch of an epoch."""

    def __init__(
        self, buckets: list[Bucket], micro_batch: int | list[list[int]], accumulation: int, ratio: float = 1.0
    ) -> None:
        self.buckets, self.ratio = buckets, ratio
        self.epoch, self.pulled = 1, 0
        self.sizes: dict[Key, int] = {}
        self.items: dict[Key, list[Item]] = defaultdict(list)
        for number, bucket in enumerate(buckets):
            pairs = [(number, int(image), caption) for caption, image in enumerate(bucket.owner)]
            wanted = int(len(pairs) * bucket.repeats)
            self.items[bucket.key] += [pairs[i % len(pairs)] for i in range(wanted)]
            side = math.sqrt(bucket.key[1] * bucket.key[2])
            self.sizes[bucket.key] = batch_size_for(micro_batch, side) * accumulation
        self._warn_of_small_buckets()
        self.batches = int(sum(len(items) // self.sizes[key] for key, items in self.items.items()) * ratio)
        if self.batches == 0:
            raise RuntimeError("Processed dataset was empty. Probably caused by rounding down for each size bucket.")
        self.order = self._shuffled()

    def _warn_of_small_buckets(self) -> None:
        for key, items in self.items.items():
            if len(items) < self.sizes[key]:
                log(
                    f"size bucket {(*key, 1)} is being completely dropped because it doesn't have enough images",
                    "dataset.py:396:_make_divisible_by",
                    "WARNING",
                )

    def _shuffled(self) -> list[list[Item]]:
        rng = random.Random(SEED * 1_000_003 + self.epoch)
        batches = []
        for key, items in self.items.items():
            size, mixed = self.sizes[key], rng.sample(items, len(items))
            batches += [mixed[i : i + size] for i in range(0, len(mixed) - size + 1, size)]
        rng.shuffle(batches)
        return batches[: self.batches]

    def __len__(self) -> int:
        return self.batches

    def next(self) -> Batch:
        batch = self.get(self.pulled)
        self.pulled += 1
        if self.pulled == self.batches:
            self.epoch, self.pulled = self.epoch + 1, 0
            self.order = self._shuffled()
        return batch

    def get(self, number: int) -> Batch:
        chosen = self.order[number]
        images = torch.stack([torch.from_numpy(self.buckets[b].images[i]) for b, i, _ in chosen])
        words = torch.stack([torch.from_numpy(self.buckets[b].words[c]) for b, _, c in chosen])
        return Batch(images.float() / 127.5 - 1, words)

    def state(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "pulled": self.pulled}

    def restore(self, state: dict[str, Any], epoch_only: bool) -> None:
        self.epoch = state["epoch"]
        self.pulled = 0 if epoch_only else min(state["pulled"], self.batches - 1)
        self.order = self._shuffled()
