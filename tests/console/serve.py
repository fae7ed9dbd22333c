"""`run.py` with GPUs that are not there: TRAINYARD_TEST_GPUS of them, each with a life of its own."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from api import core
from api.cli import main
from api.services.gpus.fake import FakeSource


def live(source: FakeSource, count: int) -> None:
    while True:
        for gpu in range(count):
            wave = (1 + math.sin(time.monotonic() / 3 + gpu)) / 2
            busy = gpu % 4 != 3
            source.set(
                gpu,
                utilization_percent=round(70 + 28 * wave) if busy else 0,
                temperature_c=round(58 + 20 * wave) if busy else 34,
                power_w=round(180 + 150 * wave, 1) if busy else 26.0,
            )
        time.sleep(0.5)


if __name__ == "__main__":
    number = int(os.environ.get("TRAINYARD_TEST_GPUS", "0"))
    source = FakeSource(number, memory_mb=81920, name="Fake GPU 80GB")
    for gpu in range(number):
        if gpu % 3 == 2:
            source.occupy(gpu, 1, 30_000 + 9000 * gpu, "python")
    threading.Thread(target=live, args=(source, number), daemon=True).start()
    core.NvmlSource = lambda visible: source  # type: ignore[assignment,misc]
    sys.exit(main(sys.argv[1:]))
