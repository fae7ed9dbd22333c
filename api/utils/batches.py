"""Many things taken a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def batches(
    things: Iterable[T], most: int, weigh: Callable[[T], int] = lambda _: 0, heaviest: int = 1
) -> Iterator[list[T]]:
    """At most `most` of them at a time, and no further one once they weigh `heaviest`."""
    batch: list[T] = []
    weight = 0
    for thing in things:
        batch.append(thing)
        weight += weigh(thing)
        if len(batch) >= most or weight >= heaviest:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch
