"""What the executors that run jobs on a cluster share, where they run under the same keeper as on this machine.

What is known of an attempt lies in its control directory, on a disk that the nodes share: `slurm.json`, `ray.json` says
what it is called there and, once that is over, how the engine says that it ended; the keeper's records say the rest. So
a restarted service knows as much as the one before. One thread asks the engine, about all jobs at once.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypedDict, TypeVar, Unpack

from api.models.cluster import ClusterState, Node
from api.models.job import Command
from api.models.workspace import Workspace
from api.services.executors import records
from api.services.executors.base import LaunchError, Observation, RunState, Terms, Traits, Usage
from api.services.executors.local import PYTHON, LocalExecutor
from api.services.executors.records import Record
from api.utils import training_wrapper as keeper
from api.utils.errors import Unavailable
from api.utils.faults import fault

log = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds for which a record that is to be expected may be under way on a network disk
KILL_SLACK = 15.0  # after a stop's grace, before the engine is told to end what the keeper has not
SLOWEST = 15.0  # between two questions while the engine is away
FIRST_ANSWER_SECONDS = 2.0


class EngineError(Exception):
    """What was asked of the engine was not done. `transient`: the same may work later."""

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


class Conclude(Protocol):
    """What has become of an attempt whose job is over. `seen`: what the keeper left, if it did (`recorded`); `end`: as
    the engine told of it; `asked`: it was us who wanted it to end."""

    def __call__(self, seen: Observation, end: Record, *, asked: bool, recorded: bool) -> Observation: ...


class Ways(TypedDict, total=False):
    """`linger`: as of the keeper. `interval`: seconds between two questions while there is something to ask about."""

    python: str
    linger: float
    interval: float
    patience: float
    shared: tuple[Path, ...]


@dataclass(slots=True, kw_only=True)
class Track:
    """One job in the engine's hands, as last heard. Belongs to the executor's lock."""

    submitted: float  # monotonic seconds; 0: by a service before this one
    began: Record | None = None  # what its keeper wrote when it began, once that was seen
    over_since: float | None = None  # monotonic: since when the engine says so, while the keeper's record is waited for
    kill_at: float | None = None  # monotonic: when a stop was to have ended it

    @property
    def note(self) -> str | None:
        """Why it waits, in words."""
        return None

    @property
    def pending(self) -> bool:
        """Whether it can be believed not to have begun, without a look at the disk."""
        return False


T = TypeVar("T", bound=Track)


class AskingExecutor(ABC, Generic[T]):
    name: str
    traits: Traits
    record: str  # the file that says what an attempt is called there
    look_every: float  # so many intervals lie between two looks at the nodes
    inherited: Callable[[Command, Terms], list[str]]  # names of a node's own environment that the trainer gets
    conclude: Conclude

    def __init__(self, **ways: Unpack[Ways]) -> None:
        self._python = ways.get("python") or PYTHON
        self._linger = ways.get("linger", 10.0)
        self._interval = ways.get("interval", 1.0)
        self._patience = ways.get("patience", PATIENCE)
        self._shared = ways.get("shared", ())
        self._local = LocalExecutor(linger=self._linger)
        self._lock = threading.Lock()  # for the tracks; never held while the engine is asked
        self._launching = threading.Lock()
        self._tracks: dict[str, T] = {}  # by handle; those that are over are dropped
        self._problem: str | None = None
        self._failures = 0
        self._heard_at = 0.0  # Unix seconds: of the nodes
        self._look_at = 0.0  # monotonic: of the nodes again
        self._thread: threading.Thread | None = None
        self._stopping, self._wake, self._asked = threading.Event(), threading.Event(), threading.Event()

    # ---- what each engine has of its own

    @abstractmethod
    def _submit(self, handle: str, workspace: Workspace, terms: Terms) -> Record:
        """What is to be kept of it, so that `_tracked` can make a track of it."""

    @abstractmethod
    def _found(self, handle: str, workspace: Workspace, terms: Terms) -> Record | None:
        """The same, of a launch that was cut short, where the engine has it."""

    @abstractmethod
    def _tracked(self, known: Record, submitted: float) -> T: ...

    @abstractmethod
    def _tell(self, handle: str, track: T) -> None:
        """Says what is to be said to the engine: that it should end, say."""

    @abstractmethod
    def _ask(self, tracks: Mapping[str, T]) -> set[str]:
        """Asks about them all and takes down what is said; the handles of those that are over there."""

    @abstractmethod
    def _end(self, handle: str, track: T, now: float) -> Record | None:
        """How the engine says that it ended, for `conclude`. None: the keeper's record is to be waited for yet."""

    @abstractmethod
    def _look(self) -> None:
        """Asks about the nodes."""

    @abstractmethod
    def _nodes(self) -> tuple[Node, ...]:
        """As last heard."""

    # ---- life

    def start(self) -> None:
        """Waits a moment for the first answer, so that what the cluster has is known from the start."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            self._thread.start()
        if not self._asked.wait(FIRST_ANSWER_SECONDS):
            log.warning("%s did not answer within %g s", self._title, FIRST_ANSWER_SECONDS)

    def close(self) -> bool:
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(1.0)
            if self._thread.is_alive():
                return False
            self._thread = None
        with self._lock:
            self._tracks.clear()
        self._problem, self._failures = None, 0
        self._heard_at, self._look_at = 0.0, 0.0
        self._asked.clear()
        return True

    def state(self) -> ClusterState:
        nodes = self._nodes() if self._heard_at else ()
        return ClusterState(nodes, self._heard_at, self._problem or self._silence)

    def problem(self) -> str | None:
        if self._problem is not None:
            return f"{self._title} cannot be asked: {self._problem}"
        return None if self._heard_at else self._silence or f"{self._title} has not answered yet"

    @property
    def _title(self) -> str:
        return self.name.capitalize()

    @property
    def _silence(self) -> str | None:
        """Why nothing is heard, where nobody asks."""
        return None if self._thread else f"this service stands by and does not ask {self._title}"

    # ---- one attempt

    def handle(self, workspace: Workspace) -> str:
        return str(workspace.control.absolute())

    def launch(self, command: Command, workspace: Workspace, terms: Terms) -> None:
        handle = self.handle(workspace)
        fault("launch.before_lock")
        try:
            records.make(handle)
            with self._launching:
                self._launch(handle, command, workspace, terms)
        except OSError as error:
            raise LaunchError(f"{error.strerror}: {error.filename or handle}") from error
        except EngineError as error:
            if error.transient:
                raise Unavailable(str(error)) from error
            raise LaunchError(f"{self._title} refuses it: {error}") from error

    def _launch(self, handle: str, command: Command, workspace: Workspace, terms: Terms) -> None:
        begun = records.read(handle, keeper.PID) is not None
        tied = records.is_tied(handle)
        if (begun and not tied) or records.read(handle, self.record) or records.read(handle, keeper.EXIT):
            return  # once is enough
        if records.read(handle, keeper.STOP) and not begun:
            records.never(handle)
            return
        known = self._found(handle, workspace, terms) if tied else None
        if known is None:
            wanted = records.launch(command, workspace, terms, self._linger)  # shown to nobody, the environment too
            inherited = self.inherited(command, terms)
            keeper.put(handle, keeper.LAUNCH, {**wanted, "inherit": inherited, "report": True, "tied": True})
            fault("launch.after_lock")
            known = self._submit(handle, workspace, terms)
            fault("launch.after_spawn")
        known["at"] = time.time()
        keeper.put(handle, self.record, known)
        with self._lock:
            self._tracks[handle] = self._tracked(known, time.monotonic())
        self._wake.set()

    def poll(self, handle: str) -> Observation:
        """Asks the disk as little as it can: it is a network's, and many jobs are looked at often."""
        track = self._tracks.get(handle)
        if track is not None and track.pending and not track.began:
            return Observation(RunState.PENDING, note=track.note)
        known = records.read(handle, self.record) if track is None else {}
        verdict = records.read(handle, keeper.EXIT)
        if known is None:
            return self._unknown(handle, verdict)
        started = track.began if track is not None and track.began else records.read(handle, keeper.PID)
        end = known.get("end")
        if verdict is not None or end is not None:
            asked = records.read(handle, keeper.STOP) is not None
            if verdict is not None and not records.doubtful(verdict, asked=asked):
                return records.ended(verdict, started)  # it came to its own end, whatever befell its node then
            if end is not None:
                seen = records.ended(verdict, started) if verdict else records.observed(RunState.EXITED, started)
                return self.conclude(seen, end, asked=asked, recorded=verdict is not None)
        track = track or self._track(handle)
        if started is None:
            return Observation(RunState.PENDING, note=self._silence or (track.note if track else None))
        if track is not None:
            track.began = started
        return records.observed(RunState.RUNNING, started)

    def _unknown(self, handle: str, verdict: Record | None) -> Observation:
        """Not handed over; or by a launch that was cut short, which its repetition mends; or begun on this machine."""
        if verdict is None and records.is_tied(handle):
            return Observation(RunState.ABSENT)
        return self._local.poll(handle)

    def _track(self, handle: str) -> T | None:
        """Made anew from the disk, by a service that did not submit it."""
        with self._lock:
            if handle in self._tracks:
                return self._tracks[handle]
            known = records.read(handle, self.record)
            if known is None or known.get("end"):
                return None
            track = self._tracked(known, 0.0)
            if self._thread is None:
                return track  # of this moment: nobody would keep it true
            self._tracks[handle] = track
        self._wake.set()
        return track

    def stop(self, handle: str, grace: float) -> None:
        if self.poll(handle).state in (RunState.EXITED, RunState.VANISHED):
            return
        track = self._track(handle)
        if track is None and not records.is_tied(handle):
            self._local.stop(handle, grace)
            return
        with self._lock:
            records.intend(handle, grace)
        if track is None:
            return
        kill_at = time.monotonic() + grace + KILL_SLACK
        if track.kill_at is None or kill_at < track.kill_at - 0.5:
            track.kill_at = kill_at
            self._wake.set()

    def usage(self, handle: str) -> Usage | None:
        if self._track(handle) is None:
            return self._local.usage(handle)
        used = records.read(handle, keeper.USAGE)
        if used is None or self.poll(handle).state is not RunState.RUNNING:
            return None
        return Usage(used["cpu_seconds"], used["rss_bytes"], tuple(used["pids"]))

    def forget(self, handle: str) -> None:
        if self.poll(handle).state in (RunState.PENDING, RunState.RUNNING, RunState.ORPHAN):
            raise RuntimeError(f"an attempt that runs cannot be forgotten: {handle}")
        with self._lock:
            self._tracks.pop(handle, None)
        shutil.rmtree(handle, ignore_errors=True)

    # ---- the thread that asks

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.turn()
            except Exception as problem:  # noqa: BLE001 - the thread must outlive it; it is logged, and told by /readyz
                self._failed(problem)
                self._asked.set()
                self._stopping.wait(min(SLOWEST, self._interval * self._failures))
                continue
            self._problem, self._failures = None, 0
            self._asked.set()
            self._wake.wait(self._interval * (1.0 if self._tracks else self.look_every))
            self._wake.clear()

    def _failed(self, problem: Exception) -> None:
        if not isinstance(problem, EngineError):
            log.exception("asking %s failed; will try again", self._title)
        elif str(problem) != self._problem:
            log.warning("%s cannot be asked: %s; will try again", self._title, problem)
        self._problem = str(problem) or repr(problem)
        self._failures += 1

    def turn(self) -> None:
        """Says what is to be said, asks about all jobs at once, and now and then about the nodes."""
        with self._lock:
            tracks = dict(self._tracks)
        for handle, track in tracks.items():
            self._tell(handle, track)
        if tracks:
            over = self._ask(tracks)
            for handle, track in tracks.items():
                if handle in over:
                    self._over(handle, track)
                else:
                    track.over_since = None
        if self._failures or time.monotonic() >= self._look_at:
            self._look()
            self._heard_at, self._look_at = time.time(), time.monotonic() + self.look_every * self._interval

    def _over(self, handle: str, track: T) -> None:
        """Written down once the keeper's record is there too, or cannot be expected any more."""
        now = time.monotonic()
        track.over_since = track.over_since or now
        if os.path.isdir(handle):
            os.listdir(handle)  # a network disk looks anew at what is in a directory
            end = self._end(handle, track, now)
            if end is None:
                return
            self._write(handle, end={**end, "at": time.time()})
        self._drop(handle, track)

    def _drop(self, handle: str, track: T) -> None:
        with self._lock:
            self._tracks.pop(handle, None)

    def _write(self, handle: str, **changes: object) -> None:
        known = records.read(handle, self.record)
        if known is not None:
            keeper.put(handle, self.record, {**known, **changes})
