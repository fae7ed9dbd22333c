"""Inference over HTTP against ultralytics used by hand on the same machine: yolov8n at 640 on a picture of 810 x 1080.

`python -m benchmarks.inference --long` also runs ten minutes of video, to see whether memory stays where it is.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from api import app as composition
from api.services.engines.ultralytics.engine import FIXED_ENV
from api.services.gpus.fake import FakeSource
from api.settings import ROOT, load
from benchmarks.report import Row, ratio_at_least, ratio_at_most, table
from benchmarks.service import Client, Service, interleaved, quantile, ratio, trainyard, workplace
from tests.infer.models import add_model, make_weights
from tests.unit.videos import make_video

IMGSZ, CLIENTS = 640, 8
COLD = 12  # models that are the same, to be loaded one after the other


def form(field: str, path: Path, **fields: str) -> tuple[bytes, dict[str, str]]:
    """A multipart body and its headers."""
    mark = b"benchmark-boundary"
    parts = [
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (mark, name.encode(), value.encode())
        for name, value in fields.items()
    ]
    head = f'Content-Disposition: form-data; name="{field}"; filename="{path.name}"\r\n'.encode()
    parts.append(b"--%s\r\n%sContent-Type: application/octet-stream\r\n\r\n%s\r\n" % (mark, head, path.read_bytes()))
    return b"".join(parts) + b"--%s--\r\n" % mark, {"Content-Type": f"multipart/form-data; boundary={mark.decode()}"}


@dataclass
class Bench:
    service: Service
    bare: subprocess.Popen[str]
    image: Path
    video: Path

    def __post_init__(self) -> None:
        self._form = form("file", self.image, imgsz=str(IMGSZ))
        self._small = form("file", self.image, imgsz="160")
        self._film = form("file", self.video, imgsz=str(IMGSZ))

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> float:
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=3600)
        with contextlib.closing(connection):
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {text[:300]!r}")
        return time.perf_counter() - began

    def look(self, model: str = "cold0") -> float:
        return self.post(f"/infer/{model}", *self._form)

    def film(self) -> float:
        return self.post("/infer/video/cold0", *self._film)

    def looks(self, count: int, *, small: bool = False) -> float:
        """Seconds for as many pictures from eight clients. `small`: at 160."""
        body = self._small if small else self._form
        began = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(lambda _: self.post("/infer/cold0", *body), range(count)))
        return time.perf_counter() - began

    def by_hand(self, command: str) -> float:
        assert self.bare.stdin is not None and self.bare.stdout is not None
        self.bare.stdin.write(command + "\n")
        self.bare.stdin.flush()
        return float(self.bare.stdout.readline())

    def child(self) -> psutil.Process:
        children = psutil.Process(self.service.process.pid).children()
        return next(each for each in children if "api.children.yolo_infer" in each.cmdline())


def picture() -> Path:
    import importlib.util

    found = importlib.util.find_spec("ultralytics")
    assert found is not None and found.origin is not None
    return Path(found.origin).parent / "assets" / "bus.jpg"


@contextmanager
def bench(home: Path, seconds_of_video: float = 2.4) -> Iterator[Bench]:
    weights = make_weights(sys.executable, home, architecture="yolov8n.yaml", sees=False)[0]
    video = make_video(home / "x.mp4", seconds=seconds_of_video, fps=25, size=(640, 360))
    services = composition.build_services(load({"data_dir": str(home / "data")}, {}), {}, FakeSource(0))
    services.accounts.ensure_operator()
    for number in range(COLD):
        add_model(services, services.accounts.operator(), weights, f"cold{number}")
    services.db.close()
    given = {"home": str(home), "image": str(picture()), "imgsz": IMGSZ, "weights": str(weights),
             "video": str(video), "film": str(home / "film.mp4")}  # fmt: skip
    env = {**os.environ, **FIXED_ENV, "YOLO_CONFIG_DIR": str(home), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", "benchmarks.infer_bare", json.dumps(given)]
    with contextlib.ExitStack() as stack:
        bare = stack.enter_context(
            subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=ROOT)
        )
        stack.callback(bare.kill)
        flags = ("--infer-device", "cpu", "--infer-video-seconds", "3600")
        service = stack.enter_context(trainyard(home / "data", *flags))
        made = Bench(service, bare, picture(), video)
        assert bare.stdout is not None
        while bare.stdout.readline().strip() != "ready":
            if bare.poll() is not None:
                raise RuntimeError("the bare process did not start")
        made.look()
        yield made


def run(quick: bool) -> list[Row]:
    rounds = 5 if quick else 25
    with workplace() as home, bench(home) as made:
        rows = [*_latency(made, rounds), _throughput(made, 3 if quick else 5), _cold(made)]
        rows += [_video(made, 2 if quick else 5), _health(made, 100 if quick else 400)]
        rows.append(_memory(made, 100 if quick else 1000))
    return rows


def _latency(made: Bench, rounds: int) -> list[Row]:
    found = interleaved({"http": made.look, "bare": lambda: made.by_hand("look 1")}, rounds)
    best = min(found["http"]) * 1000, min(found["bare"]) * 1000
    middle = median(found["http"]) * 1000, median(found["bare"]) * 1000
    against = "predict of a loaded model"
    return [
        Row("a picture, model loaded: median", middle[0], "ms", middle[1], against,
            ratio(found["http"], found["bare"]), ratio_at_most(1.15)),
        Row("a picture, model loaded: least", best[0], "ms", best[1], against, best[0] / best[1]),
    ]  # fmt: skip


def _throughput(made: Bench, rounds: int) -> Row:
    count = 48
    clocks: dict[str, Callable[[], float]] = {
        "http": lambda: made.looks(count), "bare": lambda: made.by_hand(f"look {count}"),
    }  # fmt: skip
    found = interleaved(clocks, rounds)
    rates = count / median(found["http"]), count / median(found["bare"])
    return Row("pictures a second, 8 clients", rates[0], "1/s", rates[1], "the same loop of predicts",
               ratio(found["bare"], found["http"]), ratio_at_least(0.9))  # fmt: skip


def _cold(made: Bench) -> Row:
    numbers = iter(range(1, COLD))
    clocks: dict[str, Callable[[], float]] = {
        "http": lambda: made.look(f"cold{next(numbers)}"), "bare": lambda: made.by_hand("cold"),
    }  # fmt: skip
    found = interleaved(clocks, COLD - 1)
    made.look()  # the warm one is loaded again
    middle = median(found["http"]) * 1000, median(found["bare"]) * 1000
    return Row("a picture, model not loaded", middle[0], "ms", middle[1], "YOLO(path) and predict",
               ratio(found["http"], found["bare"]), ratio_at_most(1.2))  # fmt: skip


def _video(made: Bench, rounds: int) -> Row:
    found = interleaved({"http": made.film, "bare": lambda: made.by_hand("film")}, rounds)
    middle = median(found["http"]), median(found["bare"])
    return Row("a video of 60 frames, 640 x 360", middle[0], "s", middle[1], "decode, predict, plot, encode",
               ratio(found["http"], found["bare"]), ratio_at_most(1.2))  # fmt: skip


def _health(made: Bench, count: int) -> Row:
    client: Client = made.service.client()

    def p99() -> float:
        found = []
        for _ in range(count):
            found.append(client.seconds("/healthz"))
            time.sleep(0.01)
        return quantile(found, 0.99) * 1000

    p99()
    idle = p99()
    argv = [sys.executable, "-m", "benchmarks.infer_load", str(made.service.port), str(made.image), str(IMGSZ)]
    with subprocess.Popen([*argv, str(CLIENTS)], cwd=ROOT) as clients:
        try:
            time.sleep(2.0)  # until all of them ask
            loaded = p99()
        finally:
            clients.kill()
    return Row("/healthz p99 while 8 clients infer", loaded, "ms", idle, "the same, idle", loaded / idle,
               ratio_at_most(3.0))  # fmt: skip


def _memory(made: Bench, count: int) -> Row:
    made.looks(count // 5, small=True)
    before = made.child().memory_info().rss / 2**20
    made.looks(count, small=True)
    after = made.child().memory_info().rss / 2**20
    what = f"memory of the process after {count} more pictures"
    return Row(what, after, "MB", before, "after the first", after / before, ratio_at_most(1.05))


def long_video() -> list[Row]:
    """Ten minutes at 10 frames a second; the memory at one minute of work, and the most later."""
    with workplace() as home:
        with bench(home) as made:
            video = make_video(home / "long.mp4", seconds=600, fps=10, size=(640, 360))
            body = form("file", video, imgsz="160")
            followed = {"the inference process": made.child(), "the service": psutil.Process(made.service.process.pid)}
            seen: list[tuple[float, dict[str, float]]] = []
            began = time.monotonic()
            with ThreadPoolExecutor(1) as pool:
                asking = pool.submit(made.post, "/infer/video/cold0", *body)
                while not asking.done():
                    sizes = {name: each.memory_info().rss / 2**20 for name, each in followed.items()}
                    seen.append((time.monotonic() - began, sizes))
                    time.sleep(0.5)
                asking.result()
        took = seen[-1][0]
        rows = [Row("ten minutes of video, 6000 frames", took, "s", 600.0, "its length")]
        for name in followed:
            early = max(sizes[name] for at, sizes in seen if at < took / 6)
            late = max(sizes[name] for at, sizes in seen if at > took / 2)
            rows.append(Row(f"memory of {name}, second half", late, "MB", early, "the most of the first sixth",
                            late / early, ratio_at_most(1.05)))  # fmt: skip
            tenths = [max(sizes[name] for at, sizes in seen if at * 10 < took * n) for n in range(1, 11)]
            print(f"{name}, MB by tenths, the most so far: {' '.join(f'{size:.0f}' for size in tenths)}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--long", action="store_true", help="ten minutes of video alone")
    chosen = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.2f}", flush=True)
    rows: list[Any] = long_video() if chosen.long else run(chosen.quick)
    print(table(rows))


if __name__ == "__main__":
    main()
