"""The one thread that runs models. Requests for one model that wait together run as one batch where that pays."""

from __future__ import annotations

import math
import os
import resource
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from api.children.yolo_infer.cache import Models
from api.children.yolo_infer.problems import Cancelled, Failed

EXPIRY = 5.0  # seconds between looks for models that nobody uses


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model and how it is to look: what one batch has in common."""

    model: str
    path: str
    conf: float
    iou: float
    imgsz: int
    max_det: int
    classes: tuple[int, ...] | None


@dataclass(slots=True)
class Work:
    wanted: Wanted
    image: Any
    result: Future[Any] = field(default_factory=Future)
    cancelled: Callable[[], bool] = bool
    together: int = 0  # images of the batch that it was part of

    def fits(self, other: Work) -> bool:
        """Images of one shape alone: others would be padded, and seen a little differently than by themselves."""
        return self.wanted == other.wanted and self.image.shape == other.image.shape


class Predictor:
    """`batch`: images at a time. `seconds` of all cores' time may pass between two answers, then the kernel ends it."""

    def __init__(self, models: Models, device: str, batch: int, seconds: float) -> None:
        self.models = models
        self.batch = batch
        self._device = device
        self._cpu_seconds = math.ceil(seconds) * (os.cpu_count() or 1) + 60
        self._ready: deque[Work] = deque()
        self._changed = threading.Condition()

    def submit(self, work: Work) -> Future[Any]:
        with self._changed:
            self._ready.append(work)
            self._changed.notify()
        return work.result

    def run(self) -> None:
        """For ever."""
        expired = time.monotonic()
        while True:
            group = self._take(EXPIRY)
            if group:
                self._answer(group)
                self._renew()
            if time.monotonic() - expired > EXPIRY:
                self.models.expire()
                expired = time.monotonic()

    def _take(self, seconds: float) -> list[Work]:
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._ready), seconds):
                return []
            group, rest = [self._ready.popleft()], deque[Work]()
            while self._ready and len(group) < self.batch:
                work = self._ready.popleft()
                (group if work.fits(group[0]) else rest).append(work)
            self._ready.extendleft(reversed(rest))
            return group

    def _answer(self, group: list[Work]) -> None:
        wanted = []
        for work in group:
            if work.cancelled():
                work.result.set_exception(Cancelled())
            else:
                wanted.append(work)
        if not wanted:
            return
        try:
            results = self._predict(wanted)
        except Exception as problem:  # noqa: BLE001  (whatever a model raises is its requests' answer)
            if len(wanted) > 1 and _is_memory(problem):
                for work in wanted:
                    self._answer([work])
                return
            for work in wanted:
                work.result.set_exception(_told(problem))
            return
        for work, result in zip(wanted, results, strict=True):
            work.together = len(wanted)
            work.result.set_result(result)

    def _predict(self, group: list[Work]) -> list[Any]:
        wanted = group[0].wanted
        model = self.models.get(wanted.model, wanted.path)
        found = model.predict(
            [work.image for work in group],
            conf=wanted.conf,
            iou=wanted.iou,
            imgsz=wanted.imgsz,
            max_det=wanted.max_det,
            classes=None if wanted.classes is None else list(wanted.classes),
            device=self._device,
            batch=len(group),
            verbose=False,
            save=False,
        )
        return [result.cpu() for result in found]  # here, so that what CUDA could not do is known to `_told`

    def _renew(self) -> None:
        """A loop that never ends is ended by the kernel, also where nobody else watches."""
        used = time.process_time()
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used) + self._cpu_seconds, hard))


def _is_memory(problem: Exception) -> bool:
    return isinstance(problem, MemoryError) or "out of memory" in str(problem) or "can't allocate" in str(problem)


def _told(problem: Exception) -> Exception:
    if isinstance(problem, Failed):
        return problem
    if _is_memory(problem):
        return Failed("memory", "there is not enough memory for this model and image size")
    traceback.print_exception(problem)
    if "CUDA error" in str(problem):  # nothing works in this process any more
        sys.stderr.flush()
        os._exit(70)
    said = " ".join(str(problem).split())[:300]
    return Failed("model", f"the model cannot look at this: {type(problem).__name__}: {said}")


def rows(result: Any) -> list[list[Any]]:
    """Class, its name, confidence and corners, of each box."""
    names = result.names
    return [
        [int(kind), str(names[int(kind)]), round(conf, 6), *(round(corner, 3) for corner in corners)]
        for *corners, conf, kind in result.boxes.data[:, :6].tolist()
    ]
