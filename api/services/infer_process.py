"""The inference process: started when it is first needed, asked by many, ended when it is idle, hangs or grows."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from api.services.engines.ultralytics.engine import FIXED_ENV
from api.services.executors.warm import Gone, WarmChild
from api.utils.errors import Unavailable
from api.utils.framing import Message
from api.utils.images import MOST_PIXELS

log = logging.getLogger(__name__)
CHILD = "api.children.yolo_infer"
START_SECONDS = 120.0  # until a new process must have spoken
YIELD_SECONDS = 10.0  # idle for so long, it leaves a GPU to a job that waits
GLANCE = 0.5  # seconds between looks at whether it hangs, or nobody waits any more
END = Message({"event": "end"}, b"")


@dataclass(frozen=True, slots=True)
class InferLimits:
    """`seconds`: longest silence about something that was asked. `memory`: bytes beyond what it begins with."""

    models: int
    idle: float
    memory: int
    seconds: float
    video_seconds: float
    batch: int = 0  # 0: as the device has it


class Launcher(Protocol):
    def start(
        self,
        module: str,
        env: Mapping[str, str],
        *,
        log_file: Path,
        send_seconds: float,
        on_message: Callable[[Message], None],
        on_end: Callable[[], None],
    ) -> WarmChild: ...


class GpuSeat(Protocol):
    """The GPU that the process may have; api.services.infer_gpu."""

    def take(self) -> int | None: ...

    def leave(self) -> None: ...

    def wanted(self) -> bool:
        """Whether a job waits."""
        ...


class Left(Exception):
    """Whoever asked does not wait any more."""


class Call:
    """One request under way. `gone`: whether its client has left."""

    def __init__(self, number: int, gone: Callable[[], bool]) -> None:
        self.number = number
        self.gone = gone
        self.inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.heard = self.looked = time.monotonic()
        self.over = False


class _Life:
    """One child and what it was asked."""

    def __init__(self) -> None:
        self.child: WarmChild | None = None
        self.calls: dict[int, Call] = {}
        self.ready = False
        self.retired = False  # it is being ended, and is asked no more
        self.ended = False
        self.base = 0  # bytes that it has when it is ready


class InferProcess:
    """`home`: a directory for what ultralytics writes of its own. `module`: the child's."""

    def __init__(
        self,
        launcher: Launcher,
        seat: GpuSeat,
        limits: InferLimits,
        *,
        home: Path,
        weights: Path,
        log_file: Path,
        module: str = CHILD,
    ) -> None:
        self._launcher = launcher
        self._seat = seat
        self._limits = limits
        self._home = home
        self._weights = weights
        self._log_file = log_file
        self._module = module
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._life: _Life | None = None
        self._closed = False
        self._holds_gpu = False
        self._used = time.monotonic()
        self.starts = 0

    # ---- asking

    @contextmanager
    def call(
        self, header: Mapping[str, Any], payload: bytes = b"", *, gone: Callable[[], bool] = bool
    ) -> Iterator[Call]:
        """For `receive`. What is not over at the end is cancelled. Raises Unavailable."""
        life, call = self._begin(gone)
        assert life.child is not None
        try:
            life.child.send({**header, "id": call.number}, payload)
            yield call
        except Gone:
            life.retired = True
            raise _ended() from None
        finally:
            self._finish(life, call)

    def _begin(self, gone: Callable[[], bool]) -> tuple[_Life, Call]:
        while True:
            with self._lock:
                life = self._life or self._start()
                if not life.retired:
                    call = Call(next(self._numbers), gone)
                    life.calls[call.number] = call
                    return life, call
            assert life.child is not None
            life.child.join(1.0)  # it was killed: its end is near

    def _finish(self, life: _Life, call: Call) -> None:
        with self._lock:
            life.calls.pop(call.number, None)
            self._used = time.monotonic()
        if not call.over and not life.ended and life.child is not None:
            try:
                life.child.send({"op": "cancel", "id": call.number})
            except Gone:
                pass

    def receive(self, call: Call) -> Message:
        """The next thing said about a call. Raises Unavailable where there will be none, Left where nobody waits."""
        while True:
            if time.monotonic() - call.looked > GLANCE:  # also while one message comes after the other
                self._look(call)
            try:
                message = call.inbox.get(timeout=GLANCE)
            except queue.Empty:
                continue
            if message is END:
                call.over = True
                raise _ended()
            call.heard = time.monotonic()
            call.over = message.header["event"] in ("done", "failed", "cancelled")
            return message

    def acknowledge(self, call: Call) -> None:
        """A frame was taken; the next may come."""
        with self._lock:
            child = self._life.child if self._life is not None and call.number in self._life.calls else None
        if child is not None:
            try:
                child.send({"op": "ack", "id": call.number})
            except Gone:
                pass  # the next `receive` tells

    def _look(self, call: Call) -> None:
        call.looked = now = time.monotonic()
        if call.gone():
            raise Left
        with self._lock:
            life = self._life
            if life is None or call.number not in life.calls or life.child is None:
                return  # the end is on its way to the inbox
            patience = self._limits.seconds if life.ready else max(START_SECONDS, self._limits.seconds)
            silent = now - max(life.child.heard, call.heard)
            if silent > patience:
                log.error("the inference process said nothing for %.0f s; it is ended", silent)
                self._retire(life)
                return
        if now - call.heard > 2 * patience:
            raise Unavailable("inference has too much to do; try again", retry_after=5)

    # ---- its life

    def _start(self) -> _Life:
        if self._closed:
            raise Unavailable("the service ends")
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._leave_gpu()  # the last one's, where that could not be done
        gpu = self._seat.take()
        self._holds_gpu = gpu is not None
        env = {**FIXED_ENV, "YOLO_CONFIG_DIR": str(self._home), "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
               "CUDA_VISIBLE_DEVICES": "" if gpu is None else str(gpu)}  # fmt: skip
        life = _Life()
        self._life = life
        self.starts += 1
        try:
            life.child = self._launcher.start(
                self._module,
                env,
                log_file=self._log_file,
                send_seconds=max(START_SECONDS, self._limits.seconds),
                on_message=lambda message: self._heard(life, message),
                on_end=lambda: self._gone(life),
            )
            life.child.send(self._settings(gpu))
        except (Gone, OSError):
            self._gone(life)
            raise Unavailable(f"the inference process cannot be started; see {self._log_file}") from None
        return life

    def _settings(self, gpu: int | None) -> dict[str, Any]:
        limits = self._limits
        return {
            "parent": os.getpid(),
            "gpu": gpu is not None,
            "models": limits.models,
            "idle": limits.idle,
            "memory": limits.memory,
            "seconds": limits.seconds,
            "video_seconds": limits.video_seconds,
            "batch": limits.batch,
            "pixels": MOST_PIXELS,
            "threads": 1,  # until ultralytics sets its own number
            "weights_dir": str(self._weights),
        }

    def _heard(self, life: _Life, message: Message) -> None:
        """By the child's thread."""
        if message.header["event"] == "ready":
            with self._lock:
                assert life.child is not None
                life.ready, life.base = True, life.child.rss()
                if self._holds_gpu and not message.header["gpu"]:  # its torch cannot use it
                    log.warning("inference was given a GPU that its torch cannot use")
                    self._leave_gpu()
            return
        with self._lock:
            call = life.calls.get(message.header["id"])
        if call is not None:
            call.inbox.put(message)

    def _gone(self, life: _Life) -> None:
        """By the child's thread; or by the one that could not start it."""
        with self._lock:
            if life.ended:
                return
            life.ended = True
            for call in life.calls.values():
                call.inbox.put(END)
            if self._life is life:
                self._life = None
                self._leave_gpu()

    def _leave_gpu(self) -> None:
        """Where the database does not take it, `tidy` and the next start try again."""
        if self._holds_gpu:
            self._seat.leave()
            self._holds_gpu = False

    @staticmethod
    def _retire(life: _Life) -> None:
        assert life.child is not None
        life.retired = True
        life.child.kill()

    def pids(self) -> frozenset[int]:
        """Takes no lock: who asks may hold the database's, which we ask for while we hold ours."""
        life = self._life
        pid = None if life is None or life.child is None else life.child.pid
        return frozenset() if pid is None else frozenset({pid})

    def tidy(self) -> None:
        """Now and then: ends a process that nobody needs, or that has grown too large."""
        with self._lock:
            life = self._life
            if life is None:
                self._leave_gpu()
            if life is None or life.child is None or not life.ready:
                return
            idle = time.monotonic() - self._used
            grown = life.child.rss() - life.base
            if grown > self._limits.memory:
                log.error("the inference process has grown by %d MB; it is ended", grown >> 20)
                self._retire(life)
            elif not life.calls and idle > self._limits.idle:
                self._retire(life)
            elif not life.calls and self._holds_gpu and idle > YIELD_SECONDS and self._seat.wanted():
                log.info("the inference process leaves its GPU to a job")
                self._retire(life)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            child = self._life.child if self._life is not None else None
        if child is not None:
            child.kill()
            child.join(5.0)


def _ended() -> Unavailable:
    message = "the inference process has ended over this or another request; the next request starts a new one"
    return Unavailable(message, retry_after=1)
