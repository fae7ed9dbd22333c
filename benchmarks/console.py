"""A chatty job's page left open: `python -m benchmarks.console [--minutes 60] [--json FILE]`.

The job prints 50 lines a second, two of them steps, each with a loss and a learning rate, and both are drawn. Every
minute the garbage is collected, and then the heap in use, the DOM's nodes, the event listeners and the renderer's RSS
are read. The figures are printed as they come; the last line compares the last ten minutes with minutes 5 to 15.

The browser is spoken to over its own pipe and is asked for nothing but these figures: a driver that listens to the
network, as Playwright does, has the renderer keep the bodies of answers, which looks like a leak of the page.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.service import trainer, training_request, trainyard, until, workplace

CHILD = """
import time

began = time.monotonic()
for n in range(1, 10**9):
    if n % 25 == 0:
        loss = 1 / (1 + n / 5000) + n % 97 / 1000
        print(f"steps: {n // 25} loss: {loss:.4f} iter time (s): 0.500 samples/sec: 2.000", flush=True)
        print(f"step={n // 25}, skipped=0, lr=[{1e-4 / (1 + n / 90000):.3e}], mom=[[0.9, 0.99]]", flush=True)
    else:
        print(f"batch {n}: 4 latents of 32x32 loaded, 118 tensors on cpu, text embeddings at hand, ok", flush=True)
    time.sleep(max(0, began + n / 50 - time.monotonic()))
"""
FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --window-size=1280,860 "
    "--remote-debugging-pipe"
)
METRICS = {"JSHeapUsedSize": "heap_mb", "Nodes": "nodes", "JSEventListeners": "listeners"}
HEADING = "minute  heap MB   nodes  listeners  renderer MB  rows of the log  charts"
ROWS, CHARTS = ".log [data-line]", ".plot canvas"


class Browser:
    """One page, over the pipe that Chromium reads on descriptor 3 and writes on 4: JSON, with a zero byte between."""

    def __init__(self, process: subprocess.Popen[bytes], told: int, said: int) -> None:
        self.process = process
        self._out, self._in = os.fdopen(told, "wb", 0), os.fdopen(said, "rb", 0)
        self._rest, self._number, self._session = b"", 0, ""

    def open(self, url: str) -> None:
        target = self.send("Target.createTarget", url=url)["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.send("Performance.enable")

    def send(self, method: str, **values: Any) -> dict[str, Any]:
        self._number += 1
        asked = {"id": self._number, "method": method, "params": values}
        if self._session:
            asked["sessionId"] = self._session
        self._out.write(json.dumps(asked).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        found: dict[str, Any] = answer["result"]
        return found

    def count(self, selector: str) -> int:
        told = self.send("Runtime.evaluate", expression=f"document.querySelectorAll({json.dumps(selector)}).length")
        return int(told["result"]["value"])

    def renderer_mb(self) -> float:
        """RSS of our page's renderer, the largest: a spare one waits beside it."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        return max(one.memory_info().rss for one in family if "--type=renderer" in one.cmdline()) / 2**20

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = self._in.read(1 << 16)
            if not more:
                raise RuntimeError("the browser has gone")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(line)
        return found


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("there is no Chromium here: make chromium")
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    command = f'exec {program} {FLAGS} --user-data-dir="{profile}" 3<&{theirs_in} 4>&{theirs_out}'
    argv = ["bash", "-c", command]
    with subprocess.Popen(argv, pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL) as process:
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Browser(process, ours_out, ours_in)
        finally:
            process.terminate()


def sample(page: Browser, minute: int) -> dict[str, float]:
    page.send("HeapProfiler.collectGarbage")
    told = {one["name"]: one["value"] for one in page.send("Performance.getMetrics")["metrics"]}
    found = {mine: told[theirs] for theirs, mine in METRICS.items()}
    found["heap_mb"] /= 2**20
    seen = {"rows": page.count(ROWS), "charts": page.count(CHARTS)}
    return {"minute": minute, **found, "renderer_mb": page.renderer_mb(), **seen}


def watch(page: Browser, minutes: int) -> list[dict[str, float]]:
    began = time.monotonic()
    found: list[dict[str, float]] = []
    print(HEADING, flush=True)
    for minute in range(minutes + 1):
        time.sleep(max(0.0, began + 60 * minute - time.monotonic()))
        found.append(now := sample(page, minute))
        print(
            f"{minute:6}  {now['heap_mb']:7.2f}  {now['nodes']:6.0f}  {now['listeners']:9.0f}  "
            f"{now['renderer_mb']:11.1f}  {now['rows']:15.0f}  {now['charts']:6.0f}",
            flush=True,
        )
    return found


def compared(found: list[dict[str, float]]) -> str:
    early, late = found[5:16], found[-10:]
    if len(found) < 26:
        return "too short to compare"
    told = []
    for key in ("heap_mb", "nodes", "listeners", "renderer_mb"):
        before, after = (median(one[key] for one in some) for some in (early, late))
        told.append(f"{key} {before:.1f} -> {after:.1f} (x{after / before:.2f})")
    return "minutes 5 to 15 against the last ten, medians: " + ", ".join(told)


def main(minutes: int, kept: Path | None) -> None:
    with workplace() as home, trainyard(home / "data", env=trainer(home / "trainer", CHILD)) as service:
        client = service.client()
        job = client.data("POST", "/api/v1/training/start", training_request(home / "data"))["task_id"]
        until(lambda: client.data("GET", f"/api/v1/training/{job}/progress")["progress"]["current_step"])
        with browser(home / "profile") as page:
            page.open(f"http://127.0.0.1:{service.port}/#/job/{job}?metrics=step+loss%2Cstep+lr")
            until(lambda: page.count(CHARTS) == 2 and page.count(ROWS) > 0, every=0.2)
            print(f"{page.send('Browser.getVersion')['product']}, load {os.getloadavg()[0]:.1f}", flush=True)
            found = watch(page, minutes)
        service.client().data("POST", f"/api/v1/training/stop/{job}?wait=20", {"force": True})
    if kept:
        kept.write_text(json.dumps(found, indent=1) + "\n")
    print(compared(found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    chosen = parser.parse_args()
    main(chosen.minutes, chosen.json)
