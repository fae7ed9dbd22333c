"""The inference process's life, over a child without torch: crashes, hangs, growth, idleness, its GPU."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from api.services.access import RequestHead
from api.services.executors.warm import WarmExecutor
from api.services.infer_files import harmless
from api.services.infer_process import InferLimits, InferProcess, Left
from api.settings import ROOT, load
from api.utils.errors import Unavailable
from api.utils.framing import Torn, receive, send
from api.web import JSON_BODY, body_limit

OPTIONS = {"conf": 0.25, "iou": 0.7, "imgsz": 64, "max_det": 300, "classes": None}


class Seat:
    """A GPU, and somebody who may want it."""

    def __init__(self, gpu: int | None = None) -> None:
        self.gpu = gpu
        self.held = False
        self.waits = False

    def take(self) -> int | None:
        self.held = self.gpu is not None
        return self.gpu

    def leave(self) -> None:
        self.held = False

    def wanted(self) -> bool:
        return self.waits


Maker = Callable[..., InferProcess]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Maker]:
    made: list[InferProcess] = []

    def maker(seat: Seat | None = None, *, home: str = "home", python: str = sys.executable, **limits: Any) -> Any:
        given = {"models": 4, "idle": 300.0, "memory": 1 << 30, "seconds": 20.0, "video_seconds": 60.0, **limits}
        process = InferProcess(
            WarmExecutor(ROOT, python, "/usr/bin"),
            seat or Seat(),
            InferLimits(**given),
            home=tmp_path / home,
            weights=tmp_path,
            log_file=tmp_path / "log",
            module="tests.unit.infer_toy",
        )
        made.append(process)
        return process

    yield maker
    for process in made:
        process.close()


def detect(process: InferProcess, model: str = "good", data: bytes = b"x", gone: Callable[[], bool] = bool) -> Any:
    header = {"op": "detect", "model": model, "path": "x", "options": OPTIONS, "draw": False}
    with process.call(header, data, gone=gone) as call:
        return process.receive(call).header


def pid(process: InferProcess) -> int:
    return next(iter(process.pids()))


def until(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_starts_when_it_is_needed_and_stays(make: Maker) -> None:
    process = make()
    assert process.starts == 0 and not process.pids()
    assert detect(process)["event"] == "done"
    first = pid(process)
    assert detect(process)["event"] == "done" and pid(process) == first and process.starts == 1
    process.close()
    assert not psutil.pid_exists(first)
    with pytest.raises(Unavailable):
        detect(process)


def test_its_environment_has_nothing_of_ours(make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "secret")
    monkeypatch.setenv("TRAINYARD_OPENAI_API_KEY", "secret")
    detect(make())
    assert "ULTRALYTICS_SAFE_LOAD" in (tmp_path / "log").read_text()
    assert "KEY" not in (tmp_path / "log").read_text()


def test_many_at_once_each_get_their_own(make: Maker) -> None:
    process = make()
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda n: detect(process, data=b"bad" if n % 2 else b"x")["event"], range(64)))
    assert found == ["done", "failed"] * 32 and process.starts == 1


def test_a_crash_ends_those_that_wait_and_the_next_starts_another(make: Maker) -> None:
    process = make()
    detect(process)
    header = {"op": "video", "model": "endless", "path": "x", "options": OPTIONS, "source": __file__, "target": None}
    with process.call(header) as call:
        assert process.receive(call).header["event"] == "info"
        with pytest.raises(Unavailable):
            detect(process, "crash")
        with pytest.raises(Unavailable):
            while True:
                process.receive(call)
    assert detect(process)["event"] == "done" and process.starts == 2


def test_one_that_is_killed_between_requests_is_started_anew(make: Maker) -> None:
    process = make()
    detect(process)
    os.kill(pid(process), signal.SIGKILL)
    until(lambda: not process.pids())
    assert detect(process)["event"] == "done" and process.starts == 2


@pytest.mark.parametrize("stopped", [False, True])
def test_a_hang_is_ended(make: Maker, stopped: bool) -> None:
    process = make(seconds=1.0)
    detect(process)
    first = pid(process)
    if stopped:
        os.kill(first, signal.SIGSTOP)
    with pytest.raises(Unavailable):
        detect(process, "good" if stopped else "hang")
    until(lambda: not psutil.pid_exists(first))
    assert detect(process)["event"] == "done"


def test_a_client_that_leaves_stops_the_waiting(make: Maker) -> None:
    process = make()
    detect(process)
    began = time.monotonic()
    with pytest.raises(Left):
        detect(process, "hang", gone=lambda: True)
    assert time.monotonic() - began < 10


def test_an_interpreter_that_is_not_there(make: Maker) -> None:
    process = make(python="/nowhere/python")
    with pytest.raises(Unavailable):
        detect(process)
    assert not process.pids()


def test_it_is_ended_when_it_is_idle(make: Maker) -> None:
    process = make(idle=0.05)
    detect(process)
    time.sleep(0.1)
    process.tidy()
    until(lambda: not process.pids())


def test_it_is_ended_when_it_grows(make: Maker) -> None:
    process = make(memory=-(1 << 40))
    detect(process)
    process.tidy()
    until(lambda: not process.pids())
    assert detect(process)["event"] == "done"


def test_it_is_not_idle_while_it_is_asked(make: Maker) -> None:
    process = make(idle=0.01)
    header = {"op": "video", "model": "endless", "path": "x", "options": OPTIONS, "source": __file__, "target": None}
    with process.call(header) as call:
        process.receive(call)
        time.sleep(0.05)
        process.tidy()
        assert process.receive(call).header["event"] == "frame"


def test_a_gpu_is_held_while_it_lives_and_left_to_jobs(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seat = Seat(3)
    process = make(seat)
    detect(process)
    assert seat.held and (tmp_path / "log").read_text().startswith("gpu 3 ")
    process.tidy()
    assert seat.held and process.pids()
    seat.waits = True
    process.tidy()
    assert process.pids()  # it was used just now
    monkeypatch.setattr("api.services.infer_process.YIELD_SECONDS", 0.0)
    process.tidy()
    until(lambda: not process.pids())
    assert not seat.held
    seat.gpu = None
    detect(process)
    assert (tmp_path / "log").read_text().startswith("gpu  ")


def test_a_crash_gives_the_gpu_back(make: Maker) -> None:
    seat = Seat(0)
    process = make(seat)
    with pytest.raises(Unavailable):
        detect(process, "crash")
    assert not seat.held


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # which is what the log gets
@pytest.mark.parametrize("by", ["tidying", "the next start"])
def test_a_gpu_that_cannot_be_given_back_now_is_given_back_later(make: Maker, by: str) -> None:
    class Busy(Seat):
        refusals = 1

        def leave(self) -> None:
            self.refusals -= 1
            if self.refusals >= 0:
                raise OSError("the database takes nothing now")
            super().leave()

    seat = Busy(0)
    process = make(seat)
    detect(process)
    life = process._life
    assert life is not None and life.child is not None
    os.kill(pid(process), signal.SIGKILL)
    assert life.child.join(20) and seat.held
    if by == "tidying":
        process.tidy()
        assert not seat.held
    assert detect(process)["event"] == "done" and seat.refusals == -1


def test_no_more_threads_are_no_end_of_it(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    seat = Seat(0)
    process = make(seat)

    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch, pytest.raises(Unavailable):
        patch.setattr(threading.Thread, "start", start)
        detect(process)
    assert not seat.held
    assert detect(process)["event"] == "done"


def test_it_goes_with_the_thread_that_keeps_it(tmp_path: Path) -> None:
    """The service's SIGKILL closes the socket: tests/infer has that for the real child."""
    ended = threading.Event()
    child = WarmExecutor(ROOT, sys.executable, "/usr/bin").start(
        "tests.unit.infer_toy",
        {"CUDA_VISIBLE_DEVICES": ""},
        log_file=tmp_path / "log",
        send_seconds=5,
        on_message=lambda message: None,
        on_end=ended.set,
    )
    child._sock.shutdown(socket.SHUT_RDWR)
    assert ended.wait(20) and child.rss() == 0


# ---- what may be sent


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/infer/model_a", 10), ("/api/v1/infer/model_a", 10), ("/infer/batch/run", 320), ("/infer/a/export", 320),
        ("/infer/video/a", 5000), ("/api/v1/infer/video/a/stream", 5000), ("/infer/results/a/export", 0),
        ("/infer/a/b/c", 0),
    ],
)  # fmt: skip
def test_how_long_a_body_may_be(path: str, limit: int, tmp_path: Path) -> None:
    given = {"data_dir": str(tmp_path), "infer_image_bytes": "10", "infer_video_bytes": "5000"}
    head = RequestHead("POST", path, "", {"content-type": "multipart/form-data"}, frozenset(), "", 0, "", 0)
    assert body_limit(head, load(given, {})) == limit + JSON_BODY


# ---- messages


def test_messages_arrive_as_they_were_sent() -> None:
    one, other = socket.socketpair()
    with one, other:
        sender = threading.Thread(target=send, args=(one, {"name": "é\ud800"}, b"x" * 3_000_000))
        sender.start()
        message = receive(other)
        sender.join()
        assert message is not None and message.header == {"name": "é?"} and message.payload == b"x" * 3_000_000
        one.close()
        assert receive(other) is None


@pytest.mark.parametrize("sent", [b"\xff" * 8, b"\0\0", b"\0\0\0\x02\0\0\0\0{", b"\0\0\0\x02\0\0\0\0[]"])
def test_what_is_no_message_is_refused(sent: bytes) -> None:
    one, other = socket.socketpair()
    with one, other:
        one.sendall(sent)
        one.close()
        with pytest.raises(Torn):
            receive(other)


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", "\t=1", "\r"])
def test_formulas_are_quoted(cell: str) -> None:
    assert harmless(cell) == "'" + cell
    assert harmless(-1.5) == -1.5 and harmless("a=1") == "a=1"
