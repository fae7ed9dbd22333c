"""Room: what a machine has for jobs, and the arithmetic of who fits into it. Pure; the rule of the queue is here.

In order of priority and age each job takes what it needs, or, where that is not free, keeps what is free of it from
those behind: nobody is overtaken on anything that he waits for, and everybody may pass who needs nothing of it. Time
plays no part, since nobody knows when a training ends.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from api.models.job import Resources


class Lane(StrEnum):
    """What a job waits for in the first place; each lane is a queue of its own to the database."""

    GPU = "gpu"
    CORES = "cores"  # cores and memory, and perhaps GPUs: the jobs dialect
    PLACE = "place"  # neither GPU nor cores: one of the `workers`


def lane_of(wanted: Resources) -> Lane:
    if wanted.cpus is not None:
        return Lane.CORES
    return Lane.GPU if wanted.needs_gpu else Lane.PLACE


@dataclass(frozen=True, slots=True)
class Grant:
    """What a job was given."""

    gpus: tuple[int, ...] = ()
    cores: tuple[int, ...] = ()
    memory: int = 0
    place: bool = False


@dataclass(frozen=True, slots=True)
class Room:
    """What is free, or there at all. GPUs and cores by number, most wanted first; memory in bytes."""

    gpus: tuple[int, ...] = ()
    places: int = 0
    cores: tuple[int, ...] = ()
    memory: int = 0

    def is_open(self, lane: Lane) -> bool:
        """Whether the smallest job of a lane could start."""
        if lane is Lane.GPU:
            return bool(self.gpus)
        return bool(self.cores) and self.memory > 0 if lane is Lane.CORES else self.places > 0

    def grant(self, wanted: Resources) -> Grant | None:
        """What the job would get now; None where something is short."""
        if self.short_of(wanted):
            return None
        return Grant(
            gpus=wanted.gpu_ids or self.gpus[: wanted.gpus],
            cores=self.cores[: wanted.cpus or 0],
            memory=wanted.memory or 0 if wanted.cpus is not None else 0,
            place=lane_of(wanted) is Lane.PLACE,
        )

    def short_of(self, wanted: Resources) -> tuple[str, ...]:
        """What of `gpus`, `cores`, `memory`, `place` there is too little of for a job."""
        missing = []
        if len(self.gpus) < wanted.gpus or not set(wanted.gpu_ids) <= set(self.gpus):
            missing.append("gpus")
        if wanted.cpus is not None:
            if len(self.cores) < wanted.cpus:
                missing.append("cores")
            if self.memory < (wanted.memory or 0):
                missing.append("memory")
        if lane_of(wanted) is Lane.PLACE and self.places < 1:
            missing.append("place")
        return tuple(missing)

    def less(self, given: Grant) -> Room:
        return Room(
            gpus=without(self.gpus, given.gpus),
            places=self.places - given.place,
            cores=without(self.cores, given.cores),
            memory=self.memory - given.memory,
        )

    def keeping(self, wanted: Resources) -> Room:
        """What is left for those behind a job that waits: all that is free of what it needs is kept for it."""
        kept = wanted.gpu_ids or self.gpus[: wanted.gpus]
        left = replace(self, gpus=without(self.gpus, kept))
        if wanted.cpus is not None:
            left = replace(left, cores=left.cores[wanted.cpus :], memory=max(0, left.memory - (wanted.memory or 0)))
        return left


def without(numbers: tuple[int, ...], taken: Collection[int]) -> tuple[int, ...]:
    return tuple(number for number in numbers if number not in taken)


@dataclass(frozen=True, slots=True)
class Offer:
    """What the scheduler may give: `room` before leases, of GPUs only those that nobody else uses.

    Of a cluster `nodes` and `free_nodes` say what each node has and has free: a job must fit on one of them.
    """

    room: Room
    gpus_in_all: tuple[int, ...] = ()  # known to the driver, not lost and not drained, whoever uses them
    per_user: int = 0  # jobs at a time of one user; 0: no limit
    nodes: tuple[Room, ...] | None = None
    free_nodes: tuple[Room, ...] = ()

    def fits_a_node(self, wanted: Resources) -> bool:
        return self.nodes is None or any(not node.short_of(wanted) for node in self.free_nodes)

    def keeping(self, wanted: Resources) -> Offer:
        """What is left of the nodes behind a job that waits: the one that comes nearest to holding it is kept for it.
        A place is a core there."""
        able = [number for number, node in enumerate(self.nodes or ()) if not node.short_of(wanted)]
        if not able:
            return self
        nearest = max(able, key=lambda n: (len(self.free_nodes[n].gpus), len(self.free_nodes[n].cores)))
        left = self.free_nodes[nearest].keeping(wanted)
        free = list(self.free_nodes)
        free[nearest] = replace(left, places=min(left.places, len(left.cores)))
        return replace(self, free_nodes=tuple(free))

    def could_ever(self, wanted: Resources) -> bool:
        """Whether the machine as it is now could hold the job once everything else has ended."""
        if self.nodes is not None:
            return any(not node.short_of(wanted) for node in self.nodes)
        whole = replace(self.room, gpus=self.gpus_in_all)
        return not whole.short_of(wanted)
