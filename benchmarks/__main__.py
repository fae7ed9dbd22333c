"""`python -m benchmarks [NAME ...] [--quick] [--json FILE]`; exits with 0 whatever it measures."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from benchmarks.report import Row, table

#: name -> what it measures; each is a module here with `run(quick) -> list[Row]`
BENCHMARKS = {
    "startup": "start-up and idle memory",
    "rates": "requests a second",
    "ingest": "log lines a second",
    "child": "what a training pays for being followed",
    "submit": "from a submission to the child's first line",
    "history": "a metric's history of 1,000 to 1,000,000 points",
    "jobs": "100,000 jobs",
    "documents": "documents of 1,000 and 100,000 lines",
    "streams": "event streams",
    "preprocessing": "videos into a dataset",
    "inference": "YOLO inference, warm and cold",
    "slurm": "jobs on a real Slurm of two nodes on loopback",
    "ray": "jobs on a real Ray on loopback",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller fills: a smoke test")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    chosen = parser.parse_args()
    unknown = set(chosen.names) - BENCHMARKS.keys()
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(BENCHMARKS)}")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{time.strftime('%Y-%m-%d %H:%M')}  {machine}  load {os.getloadavg()[0]:.2f}", flush=True)
    rows: list[Row] = []
    for name in chosen.names or BENCHMARKS:
        run: Callable[[bool], list[Row]] = import_module(f"benchmarks.{name}").run
        began = time.monotonic()
        try:
            found = run(chosen.quick)
        except Exception as problem:  # noqa: BLE001  (the other figures are still worth having)
            print(f"\n{name}: {type(problem).__name__}: {problem}", flush=True)
            continue
        rows += found
        print(f"\n{BENCHMARKS[name]} ({time.monotonic() - began:.0f} s)\n{table(found)}", flush=True)
    if chosen.json:
        document = {"at": time.time(), "machine": machine, "rows": [row.as_json() for row in rows]}
        chosen.json.write_text(json.dumps(document, indent=1) + "\n")
    missed = [row.what for row in rows if row.verdict == "MISS"]
    print(f"\n{len(rows)} figures; " + (f"missed: {'; '.join(missed)}" if missed else "every target met"))


main()
