"""From the spawn to the first 200 of /readyz, and what the service then weighs."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

from benchmarks.report import Row, at_most
from benchmarks.service import hello, interleaved, ratio, trainyard, workplace

TRAINING_LIBRARIES = ("torch", "numpy", "ultralytics", "kraken", "tensorflow", "transformers", "torchvision")


def mapped_libraries(pid: int) -> set[str]:
    """Those of TRAINING_LIBRARIES that a process has files of in its memory."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return {name for name in TRAINING_LIBRARIES if f"/{name}/" in maps}


def run(quick: bool) -> list[Row]:
    memory: dict[str, float] = {}
    libraries: set[str] = set()
    with workplace() as home:
        with trainyard(home / "data"):  # makes the database and the bytecode
            pass

        def first(number: list[int]) -> float:
            number[0] += 1
            began = time.perf_counter()
            with trainyard(home / f"fresh{number[0]}"):
                return time.perf_counter() - began

        def again() -> float:
            began = time.perf_counter()
            with trainyard(home / "data") as service:
                taken = time.perf_counter() - began
                memory.update(cpu=service.cpu_seconds())
                time.sleep(0.5)
                memory.update(Pss=service.memory(), Rss=service.memory("Rss"))
                libraries.update(mapped_libraries(service.process.pid))
                return taken

        def bare() -> float:
            began = time.perf_counter()
            with hello() as service:
                service.client().ask("GET", "/hello")
                taken = time.perf_counter() - began
                memory.update(bare=service.memory())
                return taken

        count = [0]
        found = interleaved({"first": lambda: first(count), "again": again, "bare": bare}, 2 if quick else 7)
    return _rows(found, memory, libraries)


def _rows(found: dict[str, list[float]], memory: dict[str, float], libraries: set[str]) -> list[Row]:
    against = "Flask hello on waitress"
    times = [
        Row(
            f"spawn → /readyz 200, {text}",
            median(found[name]),
            "s",
            median(found["bare"]),
            against,
            ratio(found[name], found["bare"]),
            at_most(2),
        )
        for name, text in (("first", "a new data directory"), ("again", "one that was there"))
    ]
    return [
        *times,
        Row("CPU time until then, one that was there", memory["cpu"], "s"),
        Row(
            "idle memory, PSS",
            memory["Pss"],
            "MB",
            memory["bare"],
            against,
            memory["Pss"] / memory["bare"],
            at_most(120),
        ),
        Row("idle memory, RSS", memory["Rss"], "MB", goal=at_most(120)),
        Row("training libraries in the process", len(libraries), "", goal=at_most(0)),
    ]
