"""The machine as far as the service may use it: affinity and cgroup v2 limits count, not the host's size."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from api.models.gpu import MachineState

CGROUPS = Path("/sys/fs/cgroup")
STALE_SECONDS = 5.0


class MachineMonitor:
    """The machine's state with the CPU use between the last two turns, which somebody's thread makes."""

    def __init__(
        self,
        disk_path: str | os.PathLike[str],
        clock: Callable[[], float] = time.monotonic,
        cgroup: Path | None = None,
    ) -> None:
        self._disk_path = disk_path
        self._clock = clock
        self._cgroup = cgroup
        self._before: tuple[float, float] | None = None
        self._usage: tuple[float, float] | None = None  # when, and percent

    def turn(self, now: float) -> None:
        """`now`: the clock's time."""
        busy, total = _cpu_seconds(now, own_cgroup() if self._cgroup is None else self._cgroup)
        if self._before is not None:
            spent, passed = busy - self._before[0], total - self._before[1]
            if passed <= 0:
                return
            self._usage = now, round(min(100.0, max(0.0, 100 * spent / passed)), 1)
        self._before = busy, total

    def state(self) -> MachineState:
        """Only reads. `cpu_usage` is None before two turns, and when none was made for 5 s."""
        fresh = self._usage is not None and self._clock() - self._usage[0] <= STALE_SECONDS
        usage = self._usage[1] if fresh and self._usage is not None else None
        return machine_state(self._disk_path, usage, self._cgroup)


def machine_state(
    disk_path: str | os.PathLike[str], cpu_usage: float | None = None, cgroup: Path | None = None
) -> MachineState:
    """Reads /proc, the cgroup and the file system of `disk_path` (or of its nearest parent that exists)."""
    group = own_cgroup() if cgroup is None else cgroup
    total, used, available = _memory(group)
    disk = psutil.disk_usage(str(_existing(Path(disk_path))))
    return MachineState(
        cpu_count=cpu_count(group),
        cpu_usage=cpu_usage,
        memory_total=total,
        memory_used=used,
        memory_available=available,
        disk_total=disk.total,
        disk_used=disk.used,
        disk_free=disk.free,
    )


def cpu_count(cgroup: Path | None = None) -> int:
    """Cores that we may use: by affinity, and by the CPU time that the cgroup grants, at least one."""
    quota = _quota(own_cgroup() if cgroup is None else cgroup)
    cores = len(_affinity())
    return max(1, cores if quota is None else min(cores, math.ceil(quota[0])))


def usable_cores(reserve: int = 0, cgroup: Path | None = None) -> tuple[int, ...]:
    """Numbers of the cores that jobs may lease. Those kept back are the lowest, which the kernel likes best."""
    return tuple(sorted(_affinity())[: cpu_count(cgroup)][reserve:])


def usable_memory(reserve: int = 0, cgroup: Path | None = None) -> int:
    """Bytes that jobs may lease: of all that there is, not of what happens to be free."""
    return max(0, _memory(own_cgroup() if cgroup is None else cgroup)[0] - reserve)


def own_cgroup() -> Path:
    """Our folder of the cgroup v2 tree; its root where there is none."""
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        if line.startswith("0::"):
            return CGROUPS / line[3:].strip().lstrip("/")
    return CGROUPS


def _memory(cgroup: Path) -> tuple[int, int, int]:
    """Total, used and available bytes: the host's, or those of the tightest limit above us."""
    host = psutil.virtual_memory()
    best = (int(host.total), int(host.used), int(host.available))
    for folder in _upwards(cgroup):
        limit = _read(folder / "memory.max").strip()
        if not limit.isdecimal() or int(limit) >= host.total:
            continue
        cache = _statistic(folder / "memory.stat", "inactive_file")  # given back before anybody is killed
        used = max(0, _integer(folder / "memory.current") - cache)
        left = min(max(0, int(limit) - used), host.available)
        best = min(best, (int(limit), used, int(left)), key=lambda memory: memory[0])
    return best


def _statistic(path: Path, word: str) -> int:
    """The number after a word in a cgroup's flat keyed file; 0 where there is none."""
    for line in _read(path).splitlines():
        if line.startswith(word + " "):
            return int(line.split()[1])
    return 0


def _quota(cgroup: Path) -> tuple[float, Path] | None:
    """The fewest cores' worth of time that a cgroup around us grants, and that cgroup; None: no limit."""
    found: list[tuple[float, Path]] = []
    for folder in _upwards(cgroup):
        words = _read(folder / "cpu.max").split()  # "150000 100000", "max 100000"
        if len(words) == 2 and words[0] != "max":
            found.append((int(words[0]) / int(words[1]), folder))
    return min(found, default=None, key=lambda quota: quota[0])


def _cpu_seconds(now: float, cgroup: Path) -> tuple[float, float]:
    """Seconds spent and seconds that there were since whenever, of our cores or of our cgroup's quota."""
    ours, quota = _affinity(), _quota(cgroup)
    if quota is not None and quota[0] < len(ours):
        return _statistic(quota[1] / "cpu.stat", "usage_usec") / 1e6, now * quota[0]
    cores = psutil.cpu_times(percpu=True)
    times = [core for index, core in enumerate(cores) if index in ours] or cores
    total = sum(sum(core) - getattr(core, "guest", 0) - getattr(core, "guest_nice", 0) for core in times)
    idle = sum(core.idle + getattr(core, "iowait", 0) for core in times)
    return total - idle, total


def _affinity() -> set[int]:
    try:
        return os.sched_getaffinity(0)
    except (AttributeError, OSError):  # not Linux
        return set(range(os.cpu_count() or 1))


def _upwards(folder: Path) -> Iterator[Path]:
    """A cgroup and those around it: a limit of any of them holds."""
    yield folder
    for parent in folder.parents:
        if not (parent / "cgroup.controllers").exists():
            return
        yield parent


def _existing(path: Path) -> Path:
    return next((folder for folder in (path, *path.absolute().parents) if folder.exists()), Path("/"))


def _integer(path: Path) -> int:
    text = _read(path).strip()
    return int(text) if text.isdecimal() else 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
