"""Bounds of a child that reads what strangers sent: it can neither fill the machine nor outlive the service."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1


def confine(parent: int, *, memory: int, file: int, data: int | None = None, cpu: int | None = None) -> None:
    """In bytes `memory` (addresses), `data` (what it may fill, libraries aside) and `file` (the largest that it may
    write); `cpu` in seconds. No core dump is left."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file, file))
    if data is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    if cpu is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the service is gone")
