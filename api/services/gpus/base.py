"""The seam behind which a GPU driver is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from api.models.gpu import GpuState


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer of a driver; all None and empty where there is none. `unknown`: nobody has answered."""

    driver_version: str | None = None
    cuda_version: str | None = None
    gpus: tuple[GpuState, ...] = ()
    unknown: bool = False


class GpuSource(Protocol):
    """Called by one thread only, the monitor's, which may hang in it. Slow imports belong into `open`."""

    def open(self) -> None:
        """Loads the driver's library, if there is one. Never raises for a missing one."""
        ...

    def read(self) -> Reading:
        """Asks the driver now. A GPU that does not answer is `lost` in it and spoils none of the others."""
        ...

    def close(self) -> None: ...
