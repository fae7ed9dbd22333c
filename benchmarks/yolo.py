"""`python -m benchmarks.yolo [INTERPRETER]`: a training by our child beside the same ultralytics call run bare.

Both have the same seed, data and surroundings; what is compared is the processor time and the wall time of the whole
process, the least of some turns, since a shared machine only ever adds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from api.settings import ROOT
from tests.yolo.children import QUICK, Children
from tests.yolo.shapes import draw

TURNS, EPOCHS = 3, 10
BARE = """
import json, sys
from api.children.ultralytics_train.surroundings import prepare
from api.children.ultralytics_train.models import opened
s = json.load(open(sys.argv[1]))
kept = prepare(s)
opened(s["model"], __import__("pathlib").Path(s["own_data"]).parent).train(
    **s["arguments"], data=s["own_data"], device="cpu", save_dir=s["output"], exist_ok=True)
"""


def main(python: str) -> None:
    least: dict[str, list[tuple[float, float, float]]] = {"bare": [], "child": []}
    last: dict[str, str] = {}
    for turn in range(TURNS):
        with tempfile.TemporaryDirectory() as name:
            home = Path(name)
            data = draw(home / "shapes", train=64, val=16)
            children = Children(home, python)
            asked = {**QUICK, "data": str(data), "epochs": EPOCHS}
            process = children.start(asked)  # the first makes the settings that the bare one reads
            least["child"].append(measured(process))
            last["child"] = final_row(children.output)
            settings = children.output / ".trainyard" / "attempt1.json"
            environment = {**os.environ, **children.engine.prepare(children.launch(asked)).env}
            bare = subprocess.Popen(
                [python, "-c", BARE, str(settings)], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
            least["bare"].append(measured(bare))
            last["bare"] = final_row(children.output)
            print(f"turn {turn + 1}", {name: rows[-1] for name, rows in least.items()}, flush=True)
    best = {name: [min(column) for column in zip(*rows, strict=True)] for name, rows in least.items()}
    ratios = [ours / theirs for ours, theirs in zip(best["child"], best["bare"], strict=True)]
    print(json.dumps({"cpu_s, wall_s, rss_mb": best, "child/bare": [round(ratio, 4) for ratio in ratios]}))
    print("the same losses:", last["child"] == last["bare"])


def measured(process: subprocess.Popen[str]) -> tuple[float, float, float]:
    """Processor seconds, wall seconds, most memory in MB."""
    began = time.monotonic()
    with process:
        assert process.stdout is not None
        log = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, log[-2000:]
    return round(usage.ru_utime + usage.ru_stime, 3), round(time.monotonic() - began, 3), usage.ru_maxrss // 1024


def final_row(output: Path) -> str:
    """Of results.csv, less its time."""
    epoch, _, *values = (output / "results.csv").read_text().splitlines()[-1].split(",")
    return ",".join((epoch, *values))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else sys.executable)
