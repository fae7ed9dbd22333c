"""GPUs that are not there, for tests and for work on the console."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from api.models.gpu import GpuProcess, GpuState
from api.services.gpus.base import Reading


class FakeSource:
    """GPUs that say what a script tells them to. Every method may be called from any thread.

    Used memory is what `occupy` gave to processes, unless `set(memory_used_mb=...)` says otherwise: what is
    used and belongs to no listed process counts as held by somebody whom the driver does not show.
    """

    def __init__(self, count: int = 1, memory_mb: int = 24576, name: str = "Fake GPU 24GB") -> None:
        self._lock = threading.RLock()
        self._go = threading.Event()
        self._go.set()
        self._memory_mb = memory_mb
        self._name = name
        self._error: Exception | None = None
        self._gpus: dict[int, GpuState] = {}
        self.reads = 0  # begun
        self.resize(count)

    def open(self) -> None: ...

    def close(self) -> None: ...

    def read(self) -> Reading:
        self.reads += 1
        self._go.wait()
        with self._lock:
            if self._error is not None:
                raise self._error
            gpus = tuple(gpu.as_lost() if gpu.lost else gpu for gpu in self._gpus.values())
        return Reading("000.00", "0.0", gpus) if gpus else Reading()

    def resize(self, count: int) -> None:
        """Adds idle GPUs at the end, or takes the last ones away without a trace."""
        with self._lock:
            self._gpus = {index: self._gpus.get(index) or self._idle(index) for index in range(count)}

    def set(self, index: int, **fields: Any) -> None:
        """Changes fields of a GpuState: utilization_percent=97, temperature_c=None, memory_used_mb=…"""
        with self._lock:
            gpu = replace(self._gpus[index], **fields)
            used = fields.get("memory_used_mb")
            if used is not None and "memory_free_mb" not in fields:
                gpu = replace(gpu, memory_free_mb=max(0, (gpu.memory_total_mb or 0) - used))
            self._gpus[index] = gpu

    def occupy(self, index: int, pid: int, memory_mb: int | None, name: str | None = "python") -> None:
        """A process takes memory, ours or not; the pid decides. None: the driver does not say how much."""
        self._settle(index, pid, (GpuProcess(pid, name, memory_mb),))

    def release(self, index: int, pid: int) -> None:
        self._settle(index, pid, ())

    def lose(self, index: int) -> None:
        self.set(index, lost=True)

    def recover(self, index: int) -> None:
        self.set(index, lost=False)

    def hang(self) -> None:
        """From now on a read does not come back, until `resume`."""
        self._go.clear()

    def resume(self) -> None:
        self._go.set()

    def fail(self, error: Exception | None) -> None:
        """From now on a read raises; None: it does not."""
        with self._lock:
            self._error = error

    def _idle(self, index: int) -> GpuState:
        return GpuState(
            index,
            f"GPU-fake-{index:04d}",
            self._name,
            self._memory_mb,
            0,
            self._memory_mb,
            0,
            31,
            25.0,
            350.0,
        )

    def _settle(self, index: int, pid: int, instead: tuple[GpuProcess, ...]) -> None:
        with self._lock:
            others = (process for process in self._gpus[index].processes if process.pid != pid)
            processes = (*others, *instead)
            used = sum(process.memory_mb or 0 for process in processes)
            self.set(index, processes=processes, memory_used_mb=used)
