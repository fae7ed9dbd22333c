"""The desk where GPUs are asked for: what the driver says, less what jobs lease and strangers use."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass

from api.models.gpu import GpuHolder, GpuSnapshot, GpuStatus, GpuSummary
from api.services.gpus import status
from api.services.gpus.monitor import GpuMonitor
from api.services.store import jobs as store
from api.services.store.database import Database


@dataclass(frozen=True, slots=True)
class GpuView:
    """Everything that a page about GPUs needs, of one moment."""

    snapshot: GpuSnapshot
    leases: dict[int, GpuHolder]
    own_pids: Set[int]

    @property
    def statuses(self) -> dict[int, GpuStatus]:
        return status.statuses(self.snapshot, self.leases, self.own_pids)

    @property
    def summary(self) -> GpuSummary:
        return status.summary(self.snapshot, self.leases, self.own_pids)

    @property
    def free(self) -> tuple[int, ...]:
        return status.free_gpus(self.snapshot, self.leases, self.own_pids)

    def name_of(self, gpu_id: int) -> str | None:
        gpu = self.snapshot.get(gpu_id)
        return gpu.name if gpu else None


class GpuDesk:
    """Answers at once: the driver is asked by the monitor's own thread."""

    def __init__(self, monitor: GpuMonitor, db: Database, own_pids: Callable[[], Set[int]]) -> None:
        self.monitor = monitor
        self._db = db
        self._own_pids = own_pids

    def view(self) -> GpuView:
        with self._db.read() as connection:
            held = store.leases(connection)
        leases = {gpu: GpuHolder(job_id, engine) for gpu, (job_id, engine) in held.items()}
        return GpuView(self.monitor.snapshot(), leases, self._own_pids())

    def free(self) -> tuple[int, ...]:
        return self.view().free

    def known(self) -> tuple[int, ...]:
        """Numbers of the GPUs that the driver has shown."""
        return tuple(gpu.index for gpu in self.monitor.snapshot().gpus)
