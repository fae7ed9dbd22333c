"""Python's cyclic collector, set for a process that makes many short-lived rows and few cycles."""

from __future__ import annotations

import gc


def calm_collector() -> None:
    """Called once when all is built: what is there stays, and is no longer walked; the rest is walked less often.

    With Python's own thresholds a flood of log lines spends a fifth of its time in the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
