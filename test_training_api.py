"""A walk through the training v1 API of a running service, as a client would take it.

    python test_training_api.py [--base-url http://127.0.0.1:8080] [--token TOKEN]

Prints a line a check and ends with the first wrong answer. Without a URL it starts a private service, and removes it.
Only the standard library is used, so that it also runs where the service does not. It starts, stops, resumes, restarts
and deletes small trainings of the bundled example, and deletes what it made.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
API = "/api/v1/training"
TERMINAL = ("completed", "failed", "stopped")


class WrongAnswer(Exception):
    """What was expected, and what came."""


class Client:
    """Speaks HTTP, and insists on the envelope."""

    def __init__(self, base: str, token: str | None) -> None:
        self.base = base.rstrip("/")
        self.headers = {"Authorization": f"Token {token}"} if token else {}

    def raw(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, bytes]:
        request = urllib.request.Request(self.base + path, body, {**self.headers, **headers}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as problem:
            return problem.code, problem.headers, problem.read()

    def call(self, method: str, path: str, body: Any = None, expect: int = 200) -> Any:
        """The `data` of an answer with the expected status."""
        sent = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        status, _, raw = self.raw(method, path, sent, **headers)
        try:
            answer = json.loads(raw)
        except ValueError:
            raise WrongAnswer(f"{method} {path}: not JSON but {raw[:200]!r}") from None
        if status != expect:
            raise WrongAnswer(f"{method} {path}: {status} and not {expect}: {answer.get('message')}")
        if set(answer) != {"code", "message", "data", "timestamp"} or answer["code"] != status:
            raise WrongAnswer(f"{method} {path}: not the envelope: {raw[:200]!r}")
        return answer["data"]


def must(condition: bool, what: str, got: Any = "") -> None:
    if not condition:
        raise WrongAnswer(f"{what} {got!r}" if got != "" else what)


class Walk:
    """The checks, in the order in which a client would meet them."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.made: list[str] = []
        self.passed = 0

    def check(self, what: str, step: Callable[[], Any]) -> Any:
        result = step()
        self.passed += 1
        print(f"ok {self.passed:>3}  {what}", flush=True)
        return result

    def request(self, epochs: int) -> dict[str, Any]:
        body: dict[str, Any] = json.loads((ROOT / "examples" / "training_request.json").read_text("utf-8"))
        body["description"] = "test_training_api.py"
        body["config"]["epochs"] = epochs
        return body

    def start(self, epochs: int) -> str:
        data = self.client.call("POST", f"{API}/start", self.request(epochs), expect=201)
        self.made.append(data["task_id"])
        must(data["task_id"].startswith("train_"), "an id of the documented form", data["task_id"])
        must(data["status"] in ("queued", "running"), "status", data["status"])
        must(data["config"]["epochs"] == epochs, "the config is echoed")
        return str(data["task_id"])

    def until(self, task: str, condition: Callable[[dict[str, Any]], bool], seconds: float = 120) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while True:
            progress: dict[str, Any] = self.client.call("GET", f"{API}/{task}/progress")
            if condition(progress):
                return progress
            must(time.monotonic() < deadline, "waited too long; the last progress was", progress)
            time.sleep(0.2)

    # ---- the walk

    def run(self) -> None:
        self.check("the service is ready", self.ready)
        self.check("GPUs, machine and engines are shown", self.surroundings)
        self.check("bad requests are refused by field, and start nothing", self.bad_requests)
        whole = self.check("POST /start", lambda: self.start(2))
        self.check("GET /list shows it first", lambda: self.listed(whole))
        self.check("GET /<id> and /progress while it runs", lambda: self.watched(whole))
        self.check("it completes, with proof", lambda: self.completed(whole))
        self.check("GET /<id>/metrics: steps, epochs, names, CSV, thinned", lambda: self.metrics(whole))
        self.check("GET /<id>/logs: tail, level, cursor, search, stream", lambda: self.logs(whole))
        self.check("GET /<id>/checkpoints and /artifacts, with a range", lambda: self.files(whole))
        self.check(
            "an ended job cannot be stopped", lambda: self.client.call("POST", f"{API}/stop/{whole}", expect=409)
        )
        stopped = self.check("POST /stop saves a checkpoint", self.stopped)
        self.check("POST /resume goes on where it stopped", lambda: self.resumed(stopped))
        self.check("POST /stop with force", lambda: self.forced(stopped))
        self.check("POST /restart begins anew", lambda: self.restarted(stopped))
        self.check("DELETE is refused while it runs, and works after", lambda: self.deleted(stopped))
        self.check("unknown ids, paths and methods are enveloped errors", self.unknown)

    def ready(self) -> None:
        status, _, raw = self.client.raw("GET", "/readyz")
        must(status == 200, "/readyz", raw)

    def surroundings(self) -> None:
        summary = self.client.call("GET", "/api/v1/gpu/status")["summary"]
        must(self.client.call("GET", "/api/v1/gpu/summary") == summary, "the summaries agree")
        must(self.client.call("GET", "/api/v1/system/overview")["system"]["cpu_count"] >= 1, "cpu_count")
        names = [engine["name"] for engine in self.client.call("GET", "/api/v1/engines")["engines"]]
        must("diffusion_pipe" in names, "engines", names)

    def bad_requests(self) -> None:
        before = self.client.call("GET", f"{API}/list?limit=1")["pagination"]["total"]
        good = self.request(1)
        for field, value in {"model_type": "no_such_model", "num_gpus": 0, "priority": 11, "surprise": 1}.items():
            data = self.client.call("POST", f"{API}/start", {**good, field: value}, expect=422)
            must(any(error["field"] == field for error in data["errors"]), f"the error names {field}", data)
        self.client.call("POST", f"{API}/start", {**good, "gpu_id": 1000}, expect=507)
        outside = {**good, "dataset": {"resolutions": [32], "directory": [{"path": "/etc"}]}}
        self.client.call("POST", f"{API}/start", outside, expect=403)
        for body, kind, expected in ((b"{", "application/json", 400), (b'{"a": NaN}', "application/json", 400),
                                     (b"{}", "text/plain", 415)):  # fmt: skip
            status, _, raw = self.client.raw("POST", f"{API}/start", body, **{"Content-Type": kind})
            must(status == expected and json.loads(raw)["code"] == expected, f"{body!r} as {kind}", status)
        after = self.client.call("GET", f"{API}/list?limit=1")["pagination"]["total"]
        must(after == before, "nothing was started", after - before)

    def listed(self, task: str) -> None:
        data = self.client.call("GET", f"{API}/list?limit=1&engine=diffusion_pipe")
        must(data["tasks"][0]["task_id"] == task, "newest first", data["tasks"][0]["task_id"])
        must(data["pagination"]["limit"] == 1, "the limit is kept")
        self.client.call("GET", f"{API}/list?limit=501", expect=422)

    def watched(self, task: str) -> None:
        self.until(task, lambda p: (p["progress"]["current_step"] or 0) > 0 or p["status"] in TERMINAL)
        detail = self.client.call("GET", f"{API}/{task}")
        must(detail["command"] and detail["attempts"][0]["pid"], "the command and its pid are shown")
        must(detail["config"]["model"]["type"] == detail["model_type"], "model type")

    def completed(self, task: str) -> None:
        progress = self.until(task, lambda p: p["status"] in TERMINAL)
        must(progress["status"] == "completed", "status", progress["status"])
        must(progress["progress"]["overall_progress"] == 100, "100 %", progress["progress"])
        attempt = self.client.call("GET", f"{API}/{task}")["attempts"][-1]
        must((attempt["exit_code"], attempt["reason"]) == (0, "done"), "exit code and reason", attempt)

    def metrics(self, task: str) -> None:
        data = self.client.call("GET", f"{API}/{task}/metrics?limit=10000")
        steps = [point["step"] for point in data["data"]]
        must(steps == list(range(1, len(steps) + 1)) and data["total_points"] == len(steps), "each step once", steps)
        epochs = self.client.call("GET", f"{API}/{task}/metrics?type=epoch")["data"]
        must([point["epoch"] for point in epochs] == [1, 2], "an epoch loss each", epochs)
        names = {row["name"] for row in self.client.call("GET", f"{API}/{task}/metrics/names")["metrics"]}
        must({"loss", "lr"} <= names, "names", names)
        thin = self.client.call("GET", f"{API}/{task}/metrics?limit=5")
        must(len(thin["data"]) == 5 and thin["downsampled"], "thinned to 5")
        status, headers, raw = self.client.raw("GET", f"{API}/{task}/metrics?format=csv&limit=10000")
        must(status == 200 and headers["Content-Type"].startswith("text/csv"), "CSV")
        must(len(raw.splitlines()) == len(steps) + 1, "a CSV row each")

    def logs(self, task: str) -> None:
        tail = self.client.call("GET", f"{API}/{task}/logs?tail=5")
        must(len(tail["logs"]) == 5 and tail["logs"][-1]["line_number"] == tail["total_lines"], "the last five", tail)
        cursor, seen = 0, 0
        while page := self.client.call("GET", f"{API}/{task}/logs?offset={cursor}&limit=37")["logs"]:
            numbers = [line["line_number"] for line in page]
            must(numbers == list(range(seen + 1, seen + len(page) + 1)), "each line once", numbers)
            seen += len(page)
            cursor = self.client.call("GET", f"{API}/{task}/logs?offset={cursor}&limit=37")["next_cursor"]
        must(seen == tail["total_lines"], "the cursor reached every line", seen)
        found = self.client.call("GET", f"{API}/{task}/logs/search?keyword=training+complete")
        must(found["total_matches"] == 1, "found once", found)
        self.client.call("GET", f"{API}/{task}/logs/search?keyword=(&regex=true", expect=422)
        status, headers, raw = self.client.raw("GET", f"{API}/{task}/logs/stream")
        must(
            headers["Content-Type"].startswith("text/event-stream") and b"event: end" in raw, "the stream ends", status
        )

    def files(self, task: str) -> None:
        kinds = {saved["kind"] for saved in self.client.call("GET", f"{API}/{task}/checkpoints")["checkpoints"]}
        must(kinds == {"state", "weights"}, "state and weights", kinds)
        files = self.client.call("GET", f"{API}/{task}/artifacts")["artifacts"]
        file = next(f for f in files if f["path"].endswith(".safetensors"))
        path = f"{API}/{task}/artifacts/{file['path']}"
        status, headers, whole = self.client.raw("GET", path)
        must(status == 200 and len(whole) == file["size_bytes"], "the whole file", status)
        status, headers, part = self.client.raw("GET", path, Range="bytes=10-19")
        must(status == 206 and part == whole[10:20], "ten bytes of it", (status, headers.get("Content-Range")))
        status, _, _ = self.client.raw("GET", f"{API}/{task}/artifacts/..%2f..%2ftrainyard.db")
        must(status == 404, "no way out of the output", status)

    def stopped(self) -> str:
        task = self.start(500)
        self.until(task, lambda p: (p["progress"]["current_step"] or 0) >= 3)
        data = self.client.call("POST", f"{API}/stop/{task}?wait=60")
        must(data["status"] == "stopped" and data["checkpoint_saved"], "stopped with a checkpoint", data)
        return task

    def resumed(self, task: str) -> None:
        before = self.client.call("GET", f"{API}/{task}/progress")["progress"]["current_step"]
        self.client.call("POST", f"{API}/resume/{task}")
        self.until(task, lambda p: (p["progress"]["current_step"] or 0) > before)
        data = self.client.call("GET", f"{API}/{task}/metrics?limit=10000")["data"]
        steps = [point["step"] for point in data]
        must(steps == list(range(1, len(steps) + 1)), "one whole series, nothing doubled", steps)

    def forced(self, task: str) -> None:
        data = self.client.call("POST", f"{API}/stop/{task}?wait=60", {"force": True})
        must(data["status"] == "stopped", "stopped", data)

    def restarted(self, task: str) -> None:
        self.client.call("POST", f"{API}/restart/{task}")
        self.until(task, lambda p: p["status"] == "running" and (p["progress"]["current_step"] or 0) > 0)
        attempts = self.client.call("GET", f"{API}/{task}")["attempts"]
        must(len({attempt["output_dir"] for attempt in attempts}) == 2, "an output directory of its own", attempts)

    def deleted(self, task: str) -> None:
        self.client.call("DELETE", f"{API}/{task}", expect=409)
        self.client.call("POST", f"{API}/stop/{task}?wait=60", {"force": True})
        self.client.call("DELETE", f"{API}/{task}?files=true")
        self.client.call("GET", f"{API}/{task}", expect=404)
        self.made.remove(task)

    def unknown(self) -> None:
        self.client.call("GET", f"{API}/train_20200101_000000_00000000", expect=404)
        self.client.call("GET", "/api/v1/no/such/path", expect=404)
        self.client.call("PUT", f"{API}/list", expect=405)

    def clean(self) -> None:
        """Removes what the walk made, whatever state it is in."""
        for task in self.made:
            status, _, _ = self.client.raw("GET", f"{API}/{task}")
            if status == 200:
                self.client.raw(
                    "POST", f"{API}/stop/{task}?wait=30", b'{"force":true}', **{"Content-Type": "application/json"}
                )
                self.client.raw("DELETE", f"{API}/{task}?files=true")


def walk(base: str, token: str | None) -> int:
    tour = Walk(Client(base, token))
    try:
        tour.run()
    except (WrongAnswer, OSError) as problem:
        print(f"WRONG    after {tour.passed} good checks: {problem}", file=sys.stderr)
        return 1
    finally:
        tour.clean()
    print(f"{tour.passed} checks passed")
    return 0


def with_private_service() -> int:
    with tempfile.TemporaryDirectory(prefix="trainyard-") as data_dir:
        command = [sys.executable, str(ROOT / "run.py"), "--data-dir", data_dir, "--port", "0"]
        service = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert service.stdout is not None
            line = service.stdout.readline()
            if not line.startswith("Serving on "):
                print("WRONG    the private service did not start; try: python run.py", file=sys.stderr)
                return 1
            return walk(line.split()[-1], None)
        finally:
            service.terminate()
            service.wait(15)


def main() -> int:
    parser = argparse.ArgumentParser(description="Walk through the training v1 API of a running service.")
    parser.add_argument("--base-url", help="of a running service; without it a private one is started")
    parser.add_argument("--token", help="where the service asks for one")
    options = parser.parse_args()
    return walk(options.base_url, options.token) if options.base_url else with_private_service()


if __name__ == "__main__":
    sys.exit(main())
