"""Prints, as JSON, what Trainyard sees of this machine's GPUs. Needs Python 3.11, nvidia-ml-py and psutil.

    python tests/gpu/check_gpu.py [--seconds 3]

Exits 1 when there is no GPU, or when a GPU that answers lacks its memory: on a real one both are mistakes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from api.services.gpus import status  # noqa: E402
from api.services.gpus.monitor import GpuMonitor  # noqa: E402
from api.services.gpus.nvml import NvmlSource  # noqa: E402
from api.services.machine import MachineMonitor  # noqa: E402


def look(seconds: float) -> dict[str, Any]:
    """Watches for some seconds; `started_in`: seconds from nothing to the first answer."""
    source = NvmlSource(os.environ.get("CUDA_VISIBLE_DEVICES"))
    machine = MachineMonitor(ROOT)
    monitor = GpuMonitor(source, also=(machine.turn,))
    begun = time.monotonic()
    monitor.start()
    started_in = time.monotonic() - begun
    time.sleep(seconds)
    snapshot, reads = monitor.snapshot(), []
    history = {gpu.index: len(monitor.history(gpu.index)) for gpu in snapshot.gpus}
    monitor.stop()
    for _ in range(20):
        begun = time.monotonic()
        source.read()
        reads.append(time.monotonic() - begun)
    source.close()
    return {
        "snapshot": asdict(snapshot),
        "statuses": status.statuses(snapshot, {}, {os.getpid()}),
        "free": status.free_gpus(snapshot, {}, {os.getpid()}),
        "why": status.why_all_busy(snapshot, {}, {os.getpid()}),
        "history_points": history,
        "machine": asdict(machine.state()),
        "started_in": round(started_in, 4),
        "read_seconds": {"median": sorted(reads)[10], "max": max(reads)},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=3.0)
    found = look(parser.parse_args().seconds)
    print(json.dumps(found, indent=2))
    gpus = found["snapshot"]["gpus"]
    return 0 if gpus and all(gpu["lost"] or gpu["memory_total_mb"] for gpu in gpus) else 1


if __name__ == "__main__":
    sys.exit(main())
