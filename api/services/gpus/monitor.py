"""The thread that asks the driver, so that nobody else ever waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from api.models.gpu import GpuPoint, GpuSnapshot
from api.services.gpus.base import GpuSource

log = logging.getLogger(__name__)

HISTORY_SECONDS = 60.0
FIRST_ANSWER_SECONDS = 2.0
NO_ANSWER = GpuSnapshot(stale=True)


class GpuMonitor:
    """Keeps the last answer of a source. Every method but `start` and `stop` returns at once, hang or not.

    `clock` (monotonic seconds) measures ages, `wall` (Unix seconds) dates. An answer older than `timeout`
    seconds is stale. `also` are other samplers of a turn, called with the clock's time before the driver.
    """

    def __init__(
        self,
        source: GpuSource,
        clock: Callable[[], float] = time.monotonic,
        interval: float = 1.0,
        timeout: float = 5.0,
        wall: Callable[[], float] = time.time,
        also: Sequence[Callable[[float], None]] = (),
    ) -> None:
        self._source = source
        self._clock = clock
        self._wall = wall
        self._interval = interval
        self._timeout = timeout
        self._also = tuple(also)
        self._latest: tuple[float, GpuSnapshot] | None = None  # replaced whole, never changed
        self._lock = threading.Lock()  # for the history; never held while the driver is asked
        self._history: dict[int, deque[GpuPoint]] = {}
        self._last_turn = clock()
        self._failures: set[str] = set()
        self._stop = threading.Event()
        self._answered = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread and waits for its first answer, two seconds at most."""
        if self._thread is not None:
            raise RuntimeError("the GPU monitor was started before")
        self._thread = threading.Thread(target=self._run, name="gpu-monitor", daemon=True)
        self._thread.start()
        if not self._answered.wait(FIRST_ANSWER_SECONDS):
            log.warning("the GPU driver did not answer within %g s; its GPUs are unknown", FIRST_ANSWER_SECONDS)

    def stop(self) -> None:
        """Ends the thread; one that hangs in the driver is left to die with the process."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def turn(self, now: float) -> None:
        """Asks once. `now` is the clock's time: an answer is as old as its question."""
        failures: set[str] = set()
        for step in (*self._also, self._ask):
            try:
                step(now)
            except Exception as error:
                failures.add(repr(error))
                if repr(error) not in self._failures:  # said once, not every second
                    log.exception("a turn of the GPU monitor failed; it goes on")
        self._failures = failures
        self._last_turn = self._clock()

    def snapshot(self) -> GpuSnapshot:
        """The last answer, marked stale when it is too old; stale and empty before the first."""
        latest = self._latest
        if latest is None:
            return NO_ANSWER
        asked_at, snapshot = latest
        return replace(snapshot, stale=True) if self._clock() - asked_at > self._timeout else snapshot

    def history(self, index: int) -> tuple[GpuPoint, ...]:
        """The last 60 s of a GPU, oldest first; nothing for seconds in which it did not answer."""
        with self._lock:
            return tuple(self._history.get(index, ()))

    def last_turn_age(self) -> float:
        """Seconds since a turn ended, well or not; since the monitor was made if none did."""
        return max(0.0, self._clock() - self._last_turn)

    def _run(self) -> None:
        try:
            self._source.open()
        except Exception:
            log.exception("the GPU source did not open")
        self.turn(self._clock())
        self._answered.set()
        while not self._stop.wait(self._interval):
            self.turn(self._clock())
        self._source.close()

    def _ask(self, now: float) -> None:
        at = self._wall()
        reading = self._source.read()
        before = self._latest[1] if self._latest else NO_ANSWER
        snapshot = GpuSnapshot(at, reading.driver_version, reading.cuda_version, reading.gpus, reading.unknown)
        with self._lock:
            self._remember(at, before, snapshot)
        self._latest = (now, snapshot)

    def _remember(self, at: float, before: GpuSnapshot, snapshot: GpuSnapshot) -> None:
        kept: dict[int, deque[GpuPoint]] = {}
        for gpu in snapshot.gpus:
            last = before.get(gpu.index)
            same = last is not None and last.uuid == gpu.uuid
            points = self._history.get(gpu.index) if same else None
            kept[gpu.index] = points = deque(maxlen=self._points()) if points is None else points
            if not gpu.lost:
                points.append(GpuPoint(at, gpu.memory_used_mb, gpu.utilization_percent, gpu.temperature_c, gpu.power_w))
            # too old, or of a future that the clock was set back from
            while points and not at - HISTORY_SECONDS < points[0].at <= at:
                points.popleft()
        self._history = kept

    def _points(self) -> int:
        return max(1, round(HISTORY_SECONDS / self._interval))
