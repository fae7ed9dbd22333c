"""Preparing a dataset: a child does it, a request waits for it, and who asks again joins who asked before."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from api.models.yolo import Dataset, Preparation, Version
from api.services.executors.short import Ended
from api.services.store import yolo_datasets as store
from api.services.store.database import Database
from api.services.yolo_files import SOURCE, YoloFiles
from api.utils.errors import Conflict, Unavailable
from api.utils.faults import fault

log = logging.getLogger(__name__)
CHILD = "api.children.yolo_prepare"
UNUSABLE = 3  # the child's exit code for a dataset that cannot be prepared
AT_A_TIME = 2
MOST_ASKED = 16  # datasets that are prepared or wait for it
MOST_WAITING = 6  # requests that hold a thread meanwhile


class Runner(Protocol):
    def run(self, module: str, given: bytes, *, cwd: Path, seconds: float) -> Ended: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Run:
    key: str
    result: Future[Version]


class Preparer:
    """`patience`: seconds that a request waits; the child goes on, and the next request finds what it made."""

    def __init__(
        self,
        db: Database,
        files: YoloFiles,
        runner: Runner,
        *,
        seconds: float,
        most_files: int,
        patience: float = 100.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = db
        self._files = files
        self._runner = runner
        self._seconds = seconds
        self._most_files = most_files
        self._patience = patience
        self._clock = clock
        self._lock = threading.RLock()
        self._running: dict[str, _Run] = {}
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)
        self._pool = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="prepare")

    def is_busy(self, dataset_id: str) -> bool:
        return dataset_id in self._running

    def prepare(self, dataset: Dataset, wanted: Preparation) -> Version:
        """The version that was asked for, old or new. Raises Conflict for what cannot be prepared, Unavailable while
        it is still being made."""
        made = next((each for each in dataset.versions if each.key == wanted.key), None)
        return made or self._wait(self._begin(dataset, wanted), dataset)

    def _begin(self, dataset: Dataset, wanted: Preparation) -> _Run:
        with self._lock:
            run = self._running.get(dataset.id)
            if run is None:
                if len(self._running) >= MOST_ASKED:
                    raise Unavailable("too many datasets are being prepared; try again", retry_after=30)
                run = _Run(wanted.key, self._pool.submit(self._make, dataset.id, wanted))
                self._running[dataset.id] = run
                run.result.add_done_callback(lambda _: self._forget(dataset.id))
            elif run.key != wanted.key:
                raise Conflict("the dataset is being prepared in another way; ask again when that is done")
            return run

    def _forget(self, dataset_id: str) -> None:
        with self._lock:
            self._running.pop(dataset_id, None)

    def _wait(self, run: _Run, dataset: Dataset) -> Version:
        free = self._waiting.acquire(blocking=False)
        try:
            return run.result.result(self._patience if free else 0)
        except StillRunning:
            message = f"dataset {dataset.id} is still being prepared; the same request later answers with what it made"
            raise Unavailable(message, retry_after=10) from None
        finally:
            if free:
                self._waiting.release()

    def _make(self, dataset_id: str, wanted: Preparation) -> Version:
        with self._db.read() as connection:
            dataset = store.get(connection, dataset_id)
        made = next((each for each in dataset.versions if each.key == wanted.key), None)
        if made is not None:  # somebody asked for it just now
            return made
        number = dataset.newest.number + 1 if dataset.newest else 1
        final = self._files.of(dataset_id) / f"v{number}"
        with self._files.draft() as draft:
            summary = self._run(dataset, wanted, draft, final)
            version = Version(number, wanted.key, summary, self._clock())
            with self._db.write() as connection:
                dataset = store.get(connection, dataset_id)  # it may have been removed meanwhile
                self._files.name(draft, final)
                fault("dataset.prepared")
                store.add_version(connection, dataset, version)
        return version

    def _run(self, dataset: Dataset, wanted: Preparation, draft: Path, final: Path) -> dict[str, Any]:
        task = {
            "parent": os.getpid(),
            "source": dataset.path or str(self._files.of(dataset.id) / SOURCE),
            "target": str(draft),
            "final": str(final),
            "classes": None if wanted.classes is None else list(wanted.classes),
            "val_part": wanted.val_part,
            "seed": wanted.seed,
            "most_files": self._most_files,
        }
        ended = self._runner.run(CHILD, json.dumps(task).encode(), cwd=draft, seconds=self._seconds)
        if ended.timed_out:
            raise Conflict(f"the dataset could not be prepared within {self._seconds:.0f} s")
        if ended.code == UNUSABLE:
            raise Conflict(f"the dataset cannot be prepared: {ended.error}")
        if ended.code:
            log.error("preparing %s ended with %d: %s", dataset.id, ended.code, ended.error)
            raise Conflict(f"the dataset could not be prepared: its process ended with exit code {ended.code}")
        found: dict[str, Any] = json.loads((draft / "summary.json").read_bytes())
        return found

    def close(self) -> None:
        self._runner.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
