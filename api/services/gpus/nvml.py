"""GPUs as the NVIDIA driver sees them, through NVML."""

from __future__ import annotations

import importlib
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from api.models.gpu import GpuProcess, GpuState
from api.services.gpus.base import Reading

log = logging.getLogger(__name__)

# nvml.h, nvmlReturn_t
NO_PERMISSION, GPU_IS_LOST, RESET_REQUIRED, UNKNOWN = 4, 15, 16, 999
MIB = 2**20
NOT_AVAILABLE = 2**63  # NVML says "no value" by all bits set, which is above it


class GpuLost(Exception):
    """The driver cannot reach this GPU any more."""


class NvmlSource:
    """Reads NVML. Without the library or the driver it is empty, and tries again every `retry` reads.

    `visible` is the service's own CUDA_VISIBLE_DEVICES (None: all). NVML is never restarted for a lost GPU:
    that would renumber the others under running jobs. A repaired GPU may need a restart of the service,
    which leaves jobs alone.
    """

    def __init__(self, visible: str | None = None, nvml: Any = None, retry: int = 30) -> None:
        self._visible = visible
        self._nvml = nvml
        self._retry = retry
        self._skip = 0  # reads until the next try to open
        self._is_open = False
        self._versions: tuple[str | None, str | None] = (None, None)
        self._known: dict[int, GpuState] = {}  # by index, what each GPU was when it last answered
        self._said = ""
        self._lost: set[int] = set()
        self._why_lost: dict[int, str] = {}

    def open(self) -> None:
        if self._is_open:
            return
        try:
            if self._nvml is None:
                self._nvml = importlib.import_module("pynvml")
            self._nvml.nvmlInit()
        except Exception as error:  # ImportError, any NVMLError, OSError: all mean that there is no driver
            self._skip = self._retry
            self._say(f"no GPU driver: {error}")
            return
        self._is_open = True
        cuda = _number(self._ask("nvmlSystemGetCudaDriverVersion"))
        self._versions = (
            _text(self._ask("nvmlSystemGetDriverVersion")),
            f"{int(cuda) // 1000}.{int(cuda) % 1000 // 10}" if cuda else None,
        )
        self._say(f"GPU driver {self._versions[0]}, CUDA {self._versions[1]}")

    def read(self) -> Reading:
        if not self._is_open and self._skip > 0:
            self._skip -= 1
        else:
            self.open()
        if not self._is_open:
            return Reading(gpus=self._select(self._with_missing([])))
        try:
            count = int(self._nvml.nvmlDeviceGetCount())
        except Exception as error:
            self._say(f"the GPU driver does not answer: {error}")
            self.close()
            return Reading(gpus=self._select(self._with_missing([])))
        gpus = self._with_missing([self._state(index, handle) for index, handle in self._handles(count)])
        return Reading(*self._versions, gpus=self._select(gpus))

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._ask("nvmlShutdown")

    def _handles(self, count: int) -> Iterator[tuple[int, Any]]:
        """The handle, or why there is none, of each GPU that we may open: CUDA numbers those only."""
        index = 0
        for device in range(count):
            try:
                handle = self._nvml.nvmlDeviceGetHandleByIndex(device)
            except Exception as error:
                if _code(error) == NO_PERMISSION:
                    continue
                handle = error
            yield index, handle
            index += 1

    def _state(self, index: int, handle: Any) -> GpuState:
        try:
            if isinstance(handle, Exception):
                raise GpuLost(str(handle))
            return self._ask_all(index, handle)
        except GpuLost as error:
            self._why_lost[index] = str(error)
            return self._known.get(index, GpuState(index)).as_lost()

    def _ask_all(self, index: int, handle: Any) -> GpuState:
        memory = self._memory(handle)
        temperature = getattr(self._nvml, "NVML_TEMPERATURE_GPU", 0)
        utilization = self._ask("nvmlDeviceGetUtilizationRates", handle)
        return GpuState(
            index=index,
            uuid=_text(self._ask("nvmlDeviceGetUUID", handle)),
            name=_text(self._ask("nvmlDeviceGetName", handle)),
            memory_total_mb=_mb(getattr(memory, "total", None)),
            memory_used_mb=_mb(getattr(memory, "used", None)),
            memory_free_mb=_mb(getattr(memory, "free", None)),
            utilization_percent=_whole(getattr(utilization, "gpu", None)),
            temperature_c=_whole(self._ask("nvmlDeviceGetTemperature", handle, temperature)),
            power_w=_watts(self._ask("nvmlDeviceGetPowerUsage", handle)),
            power_limit_w=_watts(self._ask("nvmlDeviceGetEnforcedPowerLimit", handle)),
            processes=self._processes(handle),
        )

    def _memory(self, handle: Any) -> Any:
        """Version 2 counts as nvidia-smi does; version 1 calls used what the driver keeps for itself, too."""
        version = getattr(self._nvml, "nvmlMemory_v2", None)
        found = self._ask("nvmlDeviceGetMemoryInfo", handle, version) if version else None
        if found is not None:
            return found
        return self._ask("nvmlDeviceGetMemoryInfo", handle, lost=(GPU_IS_LOST, RESET_REQUIRED, UNKNOWN))

    def _processes(self, handle: Any) -> tuple[GpuProcess, ...]:
        memory: dict[int, int | None] = {}
        for kind in ("Compute", "Graphics"):
            name = f"nvmlDeviceGet{kind}RunningProcesses"
            found = self._ask(name, handle)
            if found is None:  # a driver older than the library
                found = self._ask(name + "_v2", handle)
            for process in found or ():
                used = _mb(getattr(process, "usedGpuMemory", None))
                before = memory.get(process.pid)
                memory[process.pid] = used if before is None or used is None else max(before, used)
        return tuple(GpuProcess(pid, self._process_name(pid), used) for pid, used in sorted(memory.items()))

    def _process_name(self, pid: int) -> str | None:
        name = _text(self._ask("nvmlSystemGetProcessName", pid))
        return os.path.basename(name.split(" ", 1)[0]) or name if name else None

    def _ask(self, function: str, *arguments: Any, lost: tuple[int, ...] = (GPU_IS_LOST, RESET_REQUIRED)) -> Any:
        """The driver's answer; None where it has none (not supported, not permitted, garbled)."""
        try:
            call: Callable[..., Any] = getattr(self._nvml, function)
            return call(*arguments)
        except Exception as error:
            if _code(error) in lost:
                raise GpuLost(f"{function}: {error}") from error
            return None

    def _with_missing(self, found: list[GpuState]) -> list[GpuState]:
        """What was found, and as lost what the driver knew before and does not list any more."""
        present, uuids = {gpu.index for gpu in found}, {gpu.uuid for gpu in found if gpu.uuid}
        missing = [gpu for gpu in self._known.values() if gpu.index not in present and gpu.uuid not in uuids]
        for gpu in found:
            before = self._known.get(gpu.index)
            if before and gpu.uuid and before.uuid not in (None, gpu.uuid):
                log.warning("GPU %d was %s and is now %s", gpu.index, before.uuid, gpu.uuid)
        moved = {gpu.index for gpu in self._known.values() if gpu.index not in present and gpu.uuid in uuids}
        self._known = {index: gpu for index, gpu in self._known.items() if index not in moved}
        self._known.update({gpu.index: gpu for gpu in found if not gpu.lost})
        gpus = sorted([*found, *(gpu.as_lost() for gpu in missing)], key=lambda gpu: gpu.index)
        self._report({gpu.index for gpu in gpus if gpu.lost})
        return gpus

    def _report(self, lost: set[int]) -> None:
        for index in sorted(lost - self._lost):
            log.warning("GPU %d is lost: %s", index, self._why_lost.get(index, "the driver does not list it"))
        for index in sorted(self._lost - lost):
            log.info("GPU %d answers again", index)
        self._lost, self._why_lost = lost, {}

    def _select(self, gpus: Iterable[GpuState]) -> tuple[GpuState, ...]:
        found = {gpu.index: gpu for gpu in gpus}
        chosen = visible_indices(self._visible, {index: gpu.uuid for index, gpu in found.items()})
        return tuple(found[index] for index in sorted(chosen))

    def _say(self, text: str) -> None:
        """Logs a change, and not the same every second."""
        if text != self._said:
            self._said = text
            log.info("%s", text)


def visible_indices(visible: str | None, uuids: Mapping[int, str | None]) -> set[int]:
    """The GPUs that a CUDA_VISIBLE_DEVICES names, by index in PCI bus order or by the start of a UUID.

    As CUDA does, the list ends before the first entry that names nothing ("-1", "NoDevFiles", "").
    """
    if visible is None:
        return set(uuids)
    chosen: set[int] = set()
    for entry in visible.split(","):
        word = entry.strip()
        if word.isdecimal():
            matches = [int(word)] if int(word) in uuids else []
        else:
            matches = [index for index, uuid in uuids.items() if word and uuid and uuid.startswith(word)]
        if len(matches) != 1:
            break
        chosen.update(matches)
    return chosen


def _code(error: Exception) -> object:
    return getattr(error, "value", None)


def _text(value: object) -> str | None:
    if isinstance(value, bytes):  # old bindings
        value = value.decode(errors="replace")
    return value.strip() or None if isinstance(value, str) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None  # "N/A", "[Unknown Error]"
    return value if math.isfinite(value) and 0 <= value < NOT_AVAILABLE else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None else round(number)


def _mb(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number) // MIB


def _watts(milliwatts: object) -> float | None:
    number = _number(milliwatts)
    return None if number is None else round(number / 1000, 1)
