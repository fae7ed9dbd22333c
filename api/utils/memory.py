"""Python's cyclic collector and C's allocator, set for a process that answers requests for months."""

from __future__ import annotations

import ctypes
import gc

_M_MMAP_THRESHOLD = -3  # of glibc's malloc.h
_LARGE = 256 * 1024  # bytes


def calm_collector() -> None:
    """Called once when all is built: what is there stays, and is no longer walked; the rest is walked less often.

    With Python's own thresholds a flood of log lines spends a fifth of its time in the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def return_large_blocks() -> None:
    """What is large goes back to the system when it is freed.

    glibc learns from each large block to keep the next one, in an arena for each thread: a few bodies of 10 MB left a
    service with 0.7 GB for good. Other C libraries have no such call, and no such habit.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
