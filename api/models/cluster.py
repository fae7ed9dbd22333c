"""What is known of a cluster: its nodes, as the engine that places jobs on them reports them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from api.models.job import Resources
from api.models.room import Room


@dataclass(frozen=True, slots=True)
class NodeGpu:
    """One GPU of a node. `job`: the id of our job that has it, where the engine says."""

    index: int = 0  # on its node
    name: str | None = None
    busy: bool = False
    job: str | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """One machine. `up`: jobs can be started on it now or when something on it has ended."""

    name: str
    state: str  # in the engine's words
    up: bool = True
    cpus: int = 0
    memory: int = 0  # bytes
    gpus: tuple[NodeGpu, ...] = ()
    cpus_used: int = 0
    memory_used: int = 0
    reason: str | None = None  # why it is not up

    @property
    def room(self) -> Room:
        """All of it, for one job that wants it."""
        return Room(tuple(range(len(self.gpus))), places=1, cores=tuple(range(self.cpus)), memory=self.memory)

    @property
    def free(self) -> Room:
        """What of it a job could have now."""
        cores = max(0, self.cpus - self.cpus_used)
        gpus = tuple(number for number, gpu in enumerate(self.gpus) if not gpu.busy)
        return Room(gpus, places=cores, cores=tuple(range(cores)), memory=max(0, self.memory - self.memory_used))


@dataclass(frozen=True, slots=True)
class ClusterState:
    """All nodes at one moment. `at`: Unix seconds, 0 before the first answer. `problem`: why it is not newer."""

    nodes: tuple[Node, ...] = ()
    at: float = 0.0
    problem: str | None = None

    @property
    def room(self) -> Room:
        """Everything of the nodes that are up, numbered through; what a queue of our own may give."""
        up = [node for node in self.nodes if node.up]
        cores = sum(node.cpus for node in up)
        numbers = tuple(number for number, node, _ in self.numbered() if node.up)
        return Room(numbers, places=cores, cores=tuple(range(cores)), memory=sum(node.memory for node in up))

    def numbered(self) -> Iterator[tuple[int, Node, NodeGpu]]:
        """Every GPU with the number it goes by here: the nodes in the order of their names, down ones included."""
        number = 0
        for node in sorted(self.nodes, key=lambda node: node.name):
            for gpu in node.gpus:
                yield number, node, gpu
                number += 1

    def largest_for(self, wanted: Resources) -> Room:
        """The room of the node that comes nearest to holding a job: one that has all of it if there is one.

        A node that is down counts: it may come back, and the job waits.
        """
        rooms = [node.room for node in self.nodes] or [Room(places=1)]
        return min(rooms, key=lambda room: (len(room.short_of(wanted)), -len(room.gpus), -len(room.cores)))
