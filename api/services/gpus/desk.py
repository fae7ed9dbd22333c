"""The desk where GPUs are asked for: what the driver says, less what jobs lease and strangers use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field

from api.models.gpu import GpuHolder, GpuSnapshot, GpuStatus, GpuSummary
from api.services.gpus import status
from api.services.gpus.monitor import GpuMonitor
from api.services.store import queue
from api.services.store.database import Database
from api.services.store.leases import gpu_holders
from api.services.store.queue import Drain


@dataclass(frozen=True, slots=True)
class GpuView:
    """Everything that a page about GPUs needs, of one moment."""

    snapshot: GpuSnapshot
    leases: dict[int, GpuHolder]
    own_pids: Set[int]
    drains: Mapping[int, Drain] = field(default_factory=dict)  # by the number that the device has now

    @property
    def statuses(self) -> dict[int, GpuStatus]:
        return status.statuses(self.snapshot, self.leases, self.own_pids, self.drains.keys())

    @property
    def summary(self) -> GpuSummary:
        return status.summary(self.snapshot, self.leases, self.own_pids, self.drains.keys())

    @property
    def free(self) -> tuple[int, ...]:
        return status.free_gpus(self.snapshot, self.leases, self.own_pids, self.drains.keys())

    @property
    def in_service(self) -> tuple[int, ...]:
        """Those that a job may get sooner or later, whoever uses them now."""
        return tuple(gpu.index for gpu in self.snapshot.gpus if not gpu.lost and gpu.index not in self.drains)

    def why_not(self, gpu_id: int) -> str | None:
        """Why nothing can start on a GPU, in words for a user; None if something can."""
        gpu = self.snapshot.get(gpu_id)
        if gpu is None:
            return f"GPU {gpu_id} is gone"
        told = status.why_busy(gpu, self.leases.get(gpu_id), self.own_pids, self.snapshot.stale)
        if told is None and gpu_id in self.drains:
            return f"GPU {gpu_id} is drained ({self.drains[gpu_id].reason})"
        return told

    def name_of(self, gpu_id: int) -> str | None:
        gpu = self.snapshot.get(gpu_id)
        return gpu.name if gpu else None


class GpuDesk:
    """Answers at once: the driver is asked by the monitor's own thread."""

    def __init__(self, monitor: GpuMonitor, db: Database, *own_pids: Callable[[], Set[int]]) -> None:
        self.monitor = monitor
        self._db = db
        self._own_pids = list(own_pids)

    def also_ours(self, pids: Callable[[], Set[int]]) -> None:
        """Further processes that are not strangers on a GPU."""
        self._own_pids.append(pids)

    def view(self) -> GpuView:
        snapshot = self.monitor.snapshot()
        placed = {gpu.index: gpu.job for gpu in snapshot.gpus if gpu.job is not None}
        with self._db.read() as connection:
            held, drained = gpu_holders(connection, placed), queue.drains(connection)
        return GpuView(
            snapshot,
            {gpu: GpuHolder(job_id, engine) for gpu, (job_id, engine) in held.items()},
            frozenset().union(*(pids() for pids in self._own_pids)),
            {gpu.index: drained[gpu.uuid] for gpu in snapshot.gpus if gpu.uuid and gpu.uuid in drained},
        )

    def known(self) -> tuple[int, ...]:
        """Numbers of the GPUs that the driver has shown."""
        return tuple(gpu.index for gpu in self.monitor.snapshot().gpus)
