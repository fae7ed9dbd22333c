"""A chatty job's page left open: `python -m benchmarks.console [--minutes 60] [--json FILE]`.

The job prints 50 lines a second, two of them steps, each with a loss and a learning rate, and both are drawn. Every
minute the garbage is collected, and then the heap in use, the DOM's nodes, the event listeners and the renderer's RSS
are read. The figures are printed as they come; the last line compares the last ten minutes with minutes 5 to 15.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from playwright.sync_api import CDPSession, Page, sync_playwright

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
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
METRICS = {"JSHeapUsedSize": "heap_mb", "Nodes": "nodes", "JSEventListeners": "listeners"}
HEADING = "minute  heap MB   nodes  listeners  renderer MB  rows of the log"


def renderer_mb() -> float:
    """RSS of our page's renderer, the largest: a spare one waits beside it."""
    found = (one for one in psutil.Process().children(recursive=True) if "--type=renderer" in one.cmdline())
    return max(one.memory_info().rss for one in found) / 2**20


def sample(page: Page, tools: CDPSession, minute: int) -> dict[str, float]:
    tools.send("HeapProfiler.collectGarbage")
    told = {one["name"]: one["value"] for one in tools.send("Performance.getMetrics")["metrics"]}
    found = {mine: told[theirs] for theirs, mine in METRICS.items()}
    found["heap_mb"] /= 2**20
    rows = page.locator(".log [data-line]").count()
    return {"minute": minute, **found, "renderer_mb": renderer_mb(), "rows": rows}


def watch(page: Page, minutes: int) -> list[dict[str, float]]:
    tools = page.context.new_cdp_session(page)
    tools.send("HeapProfiler.enable")
    tools.send("Performance.enable")
    began = time.monotonic()
    found: list[dict[str, float]] = []
    print(HEADING, flush=True)
    for minute in range(minutes + 1):
        page.wait_for_timeout(max(0.0, began + 60 * minute - time.monotonic()) * 1000)
        found.append(now := sample(page, tools, minute))
        print(
            f"{minute:6}  {now['heap_mb']:7.2f}  {now['nodes']:6.0f}  {now['listeners']:9.0f}  "
            f"{now['renderer_mb']:11.1f}  {now['rows']:.0f}",
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


def opened(page: Page, url: str, job: str) -> None:
    page.goto(f"{url}/#/job/{job}?metrics=step+loss%2Cstep+lr")
    page.locator(".plot canvas").nth(1).wait_for(timeout=60_000)
    page.locator(".log [data-line]").first.wait_for()


def main(minutes: int, kept: Path | None) -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("there is no Chromium here: make chromium")
    with workplace() as home, trainyard(home / "data", env=trainer(home / "trainer", CHILD)) as service:
        client = service.client()
        body: dict[str, Any] = training_request(home / "data")
        job = client.data("POST", "/api/v1/training/start", body)["task_id"]
        until(lambda: client.data("GET", f"/api/v1/training/{job}/progress")["progress"]["current_step"])
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 860})
            opened(page, f"http://127.0.0.1:{service.port}", job)
            print(f"{browser.browser_type.name} {browser.version}, load {os.getloadavg()[0]:.1f}", flush=True)
            found = watch(page, minutes)
            browser.close()
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
