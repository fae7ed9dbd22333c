"""A real service in a process of its own, driven over HTTP and killed at will, and nothing of it left behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from tests import postgres
from tests.acceptance.fake_trainer.train import loss_of

REPO = Path(__file__).resolve().parents[2]
MINI = REPO / "examples" / "mini_diffusion_pipe"
FAKE = Path(__file__).resolve().parent / "fake_trainer"
TERMINAL = ("completed", "failed", "stopped")
BASE = "/api/v1/training"
T = TypeVar("T")


def wait_for(look: Callable[[], T], deadline: float = 20.0, what: str = "", every: float = 0.02) -> T:
    """The first truthy answer of `look`, within `deadline` seconds."""
    end = time.monotonic() + deadline
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what or look}; last seen: {seen!r}")
        time.sleep(every)


@dataclass
class Answer:
    """An answer and what stands in its envelope."""

    code: int
    body: Any
    headers: httpx.Headers
    raw: bytes

    @property
    def data(self) -> Any:
        return self.body["data"]

    def expect(self, code: int) -> Any:
        assert self.code == code, f"{self.code}, not {code}: {self.raw[:2000]!r}"
        return self.data if isinstance(self.body, dict) and "data" in self.body else self.body


@dataclass
class Event:
    """One server-sent event."""

    kind: str
    id: str | None
    data: Any


@dataclass
class Service:
    """One data directory and the services that run on it, one after the other."""

    home: Path
    fake: bool = True
    workers: int = 4
    entry: str = "run.py"
    environ: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    url: str = ""
    starts: int = 0

    def __post_init__(self) -> None:
        self.data = self.home / "data"
        self.images = self.data / "workspace" / "images"
        self.images.mkdir(parents=True, exist_ok=True)
        for picture in sorted((MINI / "data" / "train").glob("red_*"))[:6]:
            shutil.copy(picture, self.images)
        self.stderr = self.home / "service.err"
        self.database = postgres.environment()

    # ---- life

    def start(self, *flags: str, fault: str | None = None, ready: bool = True, wait: bool = True) -> Service:
        assert self.process is None or self.process.poll() is not None
        self.starts += 1
        self.close_client()
        out = self.home / f"service.{self.starts}.out"
        environ = {k: v for k, v in os.environ.items() if not k.startswith("TRAINYARD_")}
        environ["TRAINYARD_STOP_GRACE"] = "10"
        environ |= {**self.database, **self.environ}
        if self.fake:
            environ["TRAINYARD_DIFFUSION_PIPE_ROOT"] = str(FAKE)
        if fault is not None:
            environ["TRAINYARD_FAULT"] = fault
        argv = [sys.executable, self.entry, "--data-dir", str(self.data), "--port", "0", "--workers", str(self.workers)]
        with open(out, "wb") as stdout, open(self.stderr, "ab") as stderr:
            self.process = subprocess.Popen([*argv, *flags], cwd=REPO, env=environ, stdout=stdout, stderr=stderr)

        if not wait:
            return self

        def serving() -> str | None:
            lines = out.read_text().splitlines()
            assert self.process is not None
            assert self.process.poll() is None or not ready, f"ended: {self.process.poll()}\n{self.errors()}"
            urls = [line.removeprefix("Serving on ") for line in lines if line.startswith("Serving on ")]
            return urls[0] if urls else ("dead" if self.process.poll() is not None else None)

        self.url = wait_for(serving, 60, "the service to print its address")
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """As abrupt as it gets; its trainings live on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        self.close_client()

    def terminate(self, deadline: float = 10.0) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(deadline)

    def restart(self) -> Service:
        self.kill()
        return self.start()

    def wait_dead(self, deadline: float = 20.0) -> int:
        """For a service that a crash point must kill; its exit status."""
        assert self.process is not None
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError("the service lives: its crash point was not passed") from None

    def errors(self, limit: int = 8000) -> str:
        return self.stderr.read_text(errors="replace")[-limit:] if self.stderr.exists() else ""

    def rss(self) -> int:
        return psutil.Process(self.pid).memory_info().rss

    def close(self) -> None:
        """Whatever happened: no process of this data directory is left."""
        self.close_client()
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        end = time.monotonic() + 10
        while self.kill_all() and time.monotonic() < end:
            time.sleep(0.02)

    # ---- processes, known by the data directory, which no other test has

    def processes(self) -> list[psutil.Process]:
        """Keepers and trainers of this data directory and everything below them, the service itself aside."""
        marker = str(self.data)
        found: dict[int, psutil.Process] = {}
        for each in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if each.pid in (os.getpid(), self.process.pid if self.process else 0):
                    continue
                if each.status() != psutil.STATUS_ZOMBIE and any(marker in part for part in each.cmdline()):
                    found[each.pid] = each
                    found |= {p.pid: p for p in each.children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE}
        return list(found.values())

    def kill_all(self) -> int:
        """SIGKILL to keepers and trainers all at once, as when the machine goes down."""
        doomed = self.processes()
        for each in doomed:
            with contextlib.suppress(psutil.Error):
                each.kill()
        return len(doomed)

    # ---- HTTP

    @property
    def client(self) -> httpx.Client:
        if not hasattr(self, "_client") or self._client is None:
            self._client: httpx.Client | None = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        assert self._client is not None
        return self._client

    def close_client(self) -> None:
        if getattr(self, "_client", None) is not None:
            self._client.close()  # type: ignore[union-attr]
            self._client = None

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """`path` from the root or relative to training v1."""
        path = path if path.startswith("/api") or path in ("/healthz", "/readyz", "/metrics") else BASE + path
        if body is not None:
            more["json"] = body
        answer = self.client.request(method, path, **more)
        with contextlib.suppress(ValueError):
            return Answer(answer.status_code, json.loads(answer.content), answer.headers, answer.content)
        return Answer(answer.status_code, None, answer.headers, answer.content)

    def get(self, path: str, **more: Any) -> Any:
        return self.call("GET", path, **more).expect(200)

    @contextlib.contextmanager
    def stream(self, path: str, last_id: str | None = None) -> Iterator[Iterator[Event]]:
        headers = {"Last-Event-ID": last_id} if last_id is not None else {}
        with self.client.stream("GET", BASE + path, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield parse_events(answer.iter_raw())

    # ---- what tests ask for

    def request(self, *, epochs: int = 2, dataset: Any = None, top: Any = None, config: Any = None, **x: Any) -> Any:
        """A body for POST /start; `x` are the fake trainer's keys without their prefix."""
        if self.fake:
            model: dict[str, Any] = {"checkpoint_path": "fake", **{f"x_{k}": v for k, v in x.items()}}
        else:
            model = {"checkpoint_path": str(MINI / "checkpoints" / "mini.safetensors")}
        settings = {
            "epochs": epochs,
            "save_every_n_epochs": 1,
            "checkpoint_every_n_epochs": 1,
            "model": model,
            "adapter": {"type": "lora", "rank": 4},
            "optimizer": {"type": "adamw", "lr": 2e-3},
        }
        directory = {"resolutions": [32], "directory": [{"path": str(self.images), "num_repeats": 1}]}
        return {
            "model_type": "sdxl",
            "dataset": dataset or directory,
            "config": {**settings, **(config or {})},
            **(top or {}),
        }

    def submit(self, **wanted: Any) -> str:
        return str(self.call("POST", "/start", self.request(**wanted)).expect(201)["task_id"])

    def detail(self, job: str) -> Any:
        return self.get(f"/{job}")

    def status(self, job: str) -> str:
        return str(self.get(f"/{job}/progress")["status"])

    def end_of(self, job: str) -> dict[str, Any]:
        """What explains an end, for a message."""
        detail = self.detail(job)
        return {key: detail[key] for key in ("status", "attempts", "failure", "warnings", "progress")}

    def wait_status(self, job: str, *wanted: str, deadline: float = 30.0) -> Any:
        """The detail, once the status is one of these; fails at once at another end."""

        def look() -> Any:
            status = self.status(job)
            if status in wanted:
                return True
            assert status not in TERMINAL, f"{job} is {status}, not {wanted}: {self.end_of(job)}"
            return False

        wait_for(look, deadline, f"{job} to be {' or '.join(wanted)}")
        return self.detail(job)

    def wait_step(self, job: str, step: int, deadline: float = 30.0) -> int:
        def look() -> int:
            seen = self.get(f"/{job}/progress")
            assert seen["status"] not in TERMINAL, self.end_of(job)
            now = seen["progress"]["current_step"] or 0
            return now if now >= step else 0

        return wait_for(look, deadline, f"step {step} of {job}")

    def points(self, job: str, metric: str = "loss", **query: Any) -> list[tuple[int, float]]:
        found = self.get(f"/{job}/metrics", params={"metric": metric, "limit": 10_000, **query})
        assert found["total_points"] == len(found["data"])
        return [(point["step"], point["value"]) for point in found["data"]]

    def log_pages(self, job: str, limit: int = 1000) -> list[dict[str, Any]]:
        """Every line, by the byte cursor."""
        lines: list[dict[str, Any]] = []
        cursor = 0
        while True:
            page = self.get(f"/{job}/logs", params={"offset": cursor, "limit": limit})
            if not page["logs"]:
                return lines
            assert page["next_cursor"] > cursor
            lines += page["logs"]
            cursor = page["next_cursor"]

    def log_file(self, job: str) -> Path:
        return self.data / "logs" / f"{job}.log"

    def jobs(self) -> list[Any]:
        found: list[Any] = self.get("/list", params={"limit": 500})["tasks"]
        return found

    def files(self) -> set[str]:
        """Everything below the data directory but what the service itself keeps open."""
        own = ("trainyard.db", "service.lock", "tmp")
        found = (str(path.relative_to(self.data)) for path in self.data.rglob("*"))
        return {name for name in found if not name.startswith(own)}


def parse_events(chunks: Iterator[bytes]) -> Iterator[Event]:
    """Complete events of a stream; comments are passed over."""
    rest = b""
    for chunk in chunks:
        *blocks, rest = (rest + chunk).split(b"\n\n")
        for block in blocks:
            kind, identity, data = "message", None, []
            for line in block.split(b"\n"):
                name, _, value = line.partition(b":")
                value = value.removeprefix(b" ")
                if name == b"event":
                    kind = value.decode()
                elif name == b"id":
                    identity = value.decode()
                elif name == b"data":
                    data.append(value.decode())
            if data:
                yield Event(kind, identity, json.loads("\n".join(data)))


def losses(steps: int, first: int = 1) -> list[tuple[int, float]]:
    """What the fake trainer's loss series must be."""
    return [(step, loss_of(step)) for step in range(first, steps + 1)]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill_tree(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
