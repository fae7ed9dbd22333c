"""A service of our own in a directory of its own, and ways to speak to it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def workplace() -> Iterator[Path]:
    """A directory that is gone afterwards. On the disk of the checkout, since /tmp may be memory."""
    home = ROOT / "data" / "bench"
    home.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(dir=home))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Client:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, method: str, path: str, body: Any = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        self._connection.request(method, path, data, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path} answered {answer.status}: {text[:300]!r}")
        return text

    def get(self, path: str) -> Any:
        return json.loads(self.ask("GET", path))

    def data(self, method: str, path: str, body: Any = None) -> Any:
        return json.loads(self.ask(method, path, body))["data"]

    def seconds(self, path: str) -> float:
        began = time.perf_counter()
        self.ask("GET", path)
        return time.perf_counter() - began


@dataclass(frozen=True, slots=True)
class Service:
    """A process that listens: ours, or the bare one that it is compared with."""

    process: subprocess.Popen[str]
    port: int

    def client(self) -> Client:
        return Client(self.port)

    def memory(self, field: str = "Pss") -> float:
        """MB, of /proc's smaps_rollup."""
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
        raise RuntimeError(f"smaps_rollup has no {field}")

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def process(argv: Sequence[str], env: dict[str, str] | None = None, log: Path | None = None) -> Iterator[Service]:
    """Something that prints an address on its first line and answers there until it is ended."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TRAINYARD_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # an install that was started before has its bytecode
    kept["PYTHONPYCACHEPREFIX"] = str(ROOT / "data" / "bench" / "bytecode")
    with open(log or os.devnull, "w") as errors:
        started = subprocess.Popen(
            [sys.executable, *argv],
            cwd=ROOT,
            env={**kept, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert started.stdout is not None
        line = started.stdout.readline()
        if not line:
            raise RuntimeError(f"{argv[0]} did not start")
        yield Service(started, int(line.rpartition(":")[2]))
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextmanager
def trainyard(data_dir: Path, *flags: str, env: dict[str, str] | None = None) -> Iterator[Service]:
    log = data_dir.parent / f"{data_dir.name}.log"
    argv = ("run.py", "--data-dir", str(data_dir), "--port", "0", *flags)
    with process(argv, env, log) as service:
        wait_ready(service.port)
        yield service


def wait_ready(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            Client(port).ask("GET", "/readyz")
            return
        except (OSError, RuntimeError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.005)


@contextmanager
def hello(*arguments: str) -> Iterator[Service]:
    """The barest: one Flask route on waitress."""
    with process(("-m", "benchmarks.hello", *arguments)) as service:
        yield service


def trainer(directory: Path, source: str) -> dict[str, str]:
    """Settings that make a script the service's diffusion-pipe."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "train.py").write_text(source)
    return {
        "TRAINYARD_DIFFUSION_PIPE_ROOT": str(directory),
        "TRAINYARD_DIFFUSION_PIPE_PYTHON": os.path.realpath(sys.executable),
        "TRAINYARD_DIFFUSION_PIPE_LAUNCHER": "python",
    }


def training_request(data_dir: Path, env: dict[str, str] | None = None) -> dict[str, Any]:
    """A request that passes; the script above decides what it does."""
    images = data_dir / "workspace" / "images"
    images.mkdir(parents=True, exist_ok=True)
    (images / "one.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return {
        "model_type": "sdxl",
        "dataset": {"resolutions": [32], "directory": [{"path": str(images)}]},
        "config": {"epochs": 1, "model": {"checkpoint_path": "bench/none", "dtype": "bfloat16"}},
        "env": env or {},
    }


def until(condition: Callable[[], Any], within: float = 60.0, every: float = 0.02) -> Any:
    deadline = time.monotonic() + within
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise RuntimeError("it did not happen in time")
        time.sleep(every)
    return found


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def interleaved(clocks: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Each once a round, so that what else the machine does falls on all alike."""
    found: dict[str, list[float]] = {name: [] for name in clocks}
    for _ in range(rounds):
        for name, clock in clocks.items():
            found[name].append(clock())
    return found


def ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    """Median of the rounds' own ratios."""
    return median(one / other for one, other in zip(ones, others, strict=True))
