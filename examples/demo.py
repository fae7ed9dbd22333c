"""`make demo`: trains the bundled small diffusion model through the API, and shows what a client sees."""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REQUEST = ROOT / "examples" / "training_request.json"
BAR = 32
SPARKS = "▁▂▃▄▅▆▇█"


class Client:
    """Speaks to a running service."""

    def __init__(self, base: str) -> None:
        self.base = base

    def call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(self.base + path, method=method)
        if body is not None:
            request.add_header("Content-Type", "application/json")
            request.data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as problem:
            sys.exit(f"demo: {method} {path} answered {problem.code}: {json.load(problem)['message']}")


def start_service(data_dir: Path) -> tuple[subprocess.Popen[str], str]:
    """A service on a free port, and its address."""
    log = open(data_dir / "service.log", "w", encoding="utf-8")
    command = [sys.executable, str(ROOT / "run.py"), "--data-dir", str(data_dir), "--port", "0"]
    service = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT)
    assert service.stdout is not None
    for line in service.stdout:
        if line.startswith("Serving on "):
            return service, line.split()[-1]
    sys.exit(f"demo: the service did not start:\n{(data_dir / 'service.log').read_text()}")


def sparkline(values: list[float]) -> str:
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(SPARKS[round((value - low) / span * (len(SPARKS) - 1))] for value in values)


def show(progress: dict[str, Any], tty: bool) -> None:
    """One line that replaces itself on a terminal."""
    share = progress["progress"]["overall_progress"]
    full = round((share or 0.0) / 100 * BAR)
    percent = "    ?" if share is None else f"{math.floor(share * 10) / 10:5.1f}"  # 100.0 only when it has ended
    loss = progress["metrics"]["current_loss"]
    eta = progress["progress"]["eta_formatted"]
    text = f"{progress['phase']:<10} [{'#' * full}{'.' * (BAR - full)}] {percent} %"
    text += f"  step {progress['progress']['current_step'] or 0:>4}"
    text += "" if loss is None else f"  loss {loss:.4f}"
    text += f"  {eta} left" if progress["progress"]["eta_seconds"] else ""
    print(f"\r\033[K  {text}" if tty else f"  {text}", end="" if tty else "\n", flush=True)


def follow(client: Client, task: str) -> dict[str, Any]:
    """Until it has ended; returns the last progress."""
    tty, shown_at = sys.stdout.isatty(), 0.0
    while True:
        progress: dict[str, Any] = client.call("GET", f"/api/v1/training/{task}/progress")
        ended = progress["status"] in ("completed", "failed", "stopped")
        if tty or ended or time.monotonic() - shown_at > 5:
            shown_at = time.monotonic()
            show(progress, tty)
        if ended:
            print()
            return progress
        time.sleep(0.25)


def report(client: Client, task: str, base: str, stays: bool) -> int:
    """What is left of it, and whether it went well."""
    detail = client.call("GET", f"/api/v1/training/{task}")
    losses = client.call("GET", f"/api/v1/training/{task}/metrics?limit=40")["data"]
    values = [point["value"] for point in losses if point["value"] is not None]
    if detail["status"] != "completed":
        failure = detail["failure"] or {"kind": "unknown", "hint": ""}
        print(f"  {detail['status']}: {failure['kind']}: {failure['hint']}\n  log: {detail['logs_path']}")
        return 1
    newest = {saved["kind"]: saved for saved in detail["checkpoints"]}
    samples = sorted(Path(detail["output_dir"]).glob("*/samples/*.png"))
    print(f"  loss        {values[0]:.3f} -> {values[-1]:.3f}  {sparkline(values)}")
    print(f"  weights     {newest['weights']['path']}")
    print(f"  checkpoint  {newest['state']['path']}")
    if samples:
        print(f"  samples     {samples[-1]}")
    print(f"  log         {detail['logs_path']}")
    print(
        f"  console     {base}/"
        if stays
        else "  console     .venv/bin/python examples/demo.py --keep-serving leaves it open"
    )
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=ROOT / "data" / "demo", help="(default: data/demo)")
    parser.add_argument("--epochs", type=int, help="train fewer or more epochs than the request says")
    parser.add_argument("--keep-serving", action="store_true", help="serve on until Ctrl-C, to look around")
    options = parser.parse_args()
    data_dir: Path = options.data_dir.resolve()
    if (data_dir / "trainyard.db").exists():
        shutil.rmtree(data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    body = json.loads(REQUEST.read_text(encoding="utf-8"))
    if options.epochs:
        body["config"]["epochs"] = options.epochs
    service, base = start_service(data_dir)
    try:
        client = Client(base)
        task = client.call("POST", "/api/v1/training/start", body)["task_id"]
        print(f"Trainyard serves on {base}, and shows this in a browser\nPOST /api/v1/training/start -> {task}")
        follow(client, task)
        status = report(client, task, base, options.keep_serving)
        if options.keep_serving:
            print("Serving until Ctrl-C ...")
            service.wait()
        return status
    except KeyboardInterrupt:
        return 130
    finally:
        service.terminate()
        service.wait(15)
        print(
            "The service has stopped." if service.returncode == 0 else f"The service ended with {service.returncode}."
        )


if __name__ == "__main__":
    sys.exit(main())
