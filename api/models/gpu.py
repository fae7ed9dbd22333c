"""What is known of the GPUs and the machine. MB is 2**20 bytes, as nvidia-smi counts; None: nobody says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class GpuStatus(StrEnum):
    """What can be done with a GPU, in contract 1's words."""

    AVAILABLE = "available"  # nobody's: a job may lease it
    TRAINING = "training"  # leased by a job
    PREPROCESSING = "preprocessing"  # leased by a preprocessing job
    BUSY = "busy"  # not leased, but a process that is not ours holds its memory, or an admin drained it
    UNKNOWN = "unknown"  # fell off the bus, or the driver does not answer: nothing is started on it


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process with memory on a GPU. In a container the driver may give the host's pid, and no name."""

    pid: int
    name: str | None = None
    memory_mb: int | None = None


@dataclass(frozen=True, slots=True)
class GpuState:
    """One GPU at one moment. `index` is the gpu_id: its place in PCI bus order, as the children count."""

    index: int
    uuid: str | None = None
    name: str | None = None
    memory_total_mb: int | None = None
    memory_used_mb: int | None = None
    memory_free_mb: int | None = None
    utilization_percent: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    processes: tuple[GpuProcess, ...] = ()
    lost: bool = False  # the driver cannot reach it; uuid, name and total are the last known
    node: str | None = None  # of a cluster: the machine that it is in
    job: str | None = None  # of a cluster: which job of ours its engine gave it to
    taken: bool = False  # of a cluster: its engine gave it to some job

    @property
    def memory_utilization(self) -> float | None:
        """Percent of the memory that is used."""
        if self.memory_used_mb is None or not self.memory_total_mb:
            return None
        return round(100 * self.memory_used_mb / self.memory_total_mb, 1)

    def as_lost(self) -> GpuState:
        return GpuState(self.index, self.uuid, self.name, self.memory_total_mb, lost=True, node=self.node)


@dataclass(frozen=True, slots=True)
class GpuSnapshot:
    """All GPUs that the service may use. `taken_at`: Unix seconds, 0 before the first answer.

    `stale`: the driver has not answered for too long. Then nothing is known, not even the number of GPUs.
    """

    taken_at: float = 0.0
    driver_version: str | None = None
    cuda_version: str | None = None
    gpus: tuple[GpuState, ...] = ()
    stale: bool = False

    def get(self, index: int) -> GpuState | None:
        return next((gpu for gpu in self.gpus if gpu.index == index), None)


@dataclass(frozen=True, slots=True)
class GpuPoint:
    """One second of a GPU's history. `at`: Unix seconds."""

    at: float
    memory_used_mb: int | None
    utilization_percent: int | None
    temperature_c: int | None
    power_w: float | None


@dataclass(frozen=True, slots=True)
class GpuHolder:
    """The job that leases a GPU, or the inference process, which is none."""

    job_id: str | None
    engine: str


@dataclass(frozen=True, slots=True)
class GpuSummary:
    """`busy` counts leased and foreign GPUs; unknown ones are only in `total`. Memory in MB."""

    total: int = 0
    available: int = 0
    busy: int = 0
    total_memory_mb: int = 0
    available_memory_mb: int = 0  # free on the available ones


@dataclass(frozen=True, slots=True)
class MachineState:
    """What the service may use of this machine, limits of affinity and cgroup v2 applied. Sizes in bytes."""

    cpu_count: int
    cpu_usage: float | None  # percent of those cores; None until two samples were taken
    memory_total: int
    memory_used: int
    memory_available: int
    disk_total: int
    disk_used: int
    disk_free: int
