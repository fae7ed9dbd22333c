"""The lock of a data directory: one process works on it, and the kernel lets go when that process dies."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path


class DataDirectoryBusy(RuntimeError):
    """Another service works on this data directory."""


@dataclass(frozen=True, slots=True)
class DirectoryLock:
    """Held for as long as the process lives, or until it is released."""

    descriptor: int

    @classmethod
    def take(cls, data_dir: Path) -> DirectoryLock:
        """Raises DataDirectoryBusy, OSError."""
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(data_dir / "service.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise DataDirectoryBusy(f"the data directory {data_dir} is in use by pid {holder}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        os.close(self.descriptor)
