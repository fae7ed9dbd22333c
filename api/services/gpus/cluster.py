"""The GPUs of a cluster, as the engine that places jobs on them reports them: where they are and who has them.

How warm they are and what fills their memory only their nodes know; those fields stay empty.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from api.models.cluster import ClusterState, Node, NodeGpu
from api.models.gpu import GpuState
from api.services.gpus.base import Reading

STALE_SECONDS = 60.0


class ClusterSource:
    """A `GpuSource` that asks nobody: it shows what the executor last heard."""

    def __init__(self, state: Callable[[], ClusterState], clock: Callable[[], float] = time.time) -> None:
        self._state = state
        self._clock = clock

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def read(self) -> Reading:
        """What was heard long ago may not be true any more: then its GPUs count as lost."""
        state = self._state()
        stale = self._clock() - state.at > STALE_SECONDS
        gpus = tuple(_gpu(number, node, gpu, stale) for number, node, gpu in state.numbered())
        return Reading(gpus=gpus, unknown=not state.at)


def _gpu(number: int, node: Node, gpu: NodeGpu, stale: bool) -> GpuState:
    return GpuState(
        index=number,
        uuid=f"{node.name}/{gpu.index}",
        name=f"{gpu.name or 'GPU'} on {node.name}",
        lost=stale or not node.up,
        node=node.name,
        job=gpu.job,
        taken=gpu.busy,
    )
