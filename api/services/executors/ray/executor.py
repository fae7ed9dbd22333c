"""Hands attempts to Ray, one at a time as there is room for them; on their node they run under the same keeper as here.

What is known of an attempt lies in its control directory, on a disk that the nodes share: `ray.json` says what it is
called there and, once that is over, how Ray says that it ended; the keeper's records say the rest, and its output goes
straight into our log: nothing of it is lost with a node. One thread asks Ray, about all jobs at once.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from api.models.cluster import ClusterState
from api.models.job import Command, Resources
from api.models.workspace import Workspace
from api.services.executors import records
from api.services.executors.asker import Asker
from api.services.executors.base import LaunchError, Observation, RunState, Terms, Traits, Usage
from api.services.executors.local import PYTHON, LocalExecutor
from api.services.executors.ray import nodes, submission
from api.services.executors.ray.client import Ray, RayError, Row
from api.services.executors.ray.doctor import findings
from api.services.executors.ray.tracks import GONE, LIVE, RUNNING, Track, conclude
from api.utils import training_wrapper as keeper
from api.utils.errors import Forbidden, Unavailable
from api.utils.faults import fault

log = logging.getLogger(__name__)

RAY = "ray.json"
PATIENCE = 10.0  # seconds without a sign of life before an attempt that Ray has lost is given up
KILL_SLACK = 15.0  # after a stop's grace, before Ray is told to end what the keeper has not
NODES = 3  # so many intervals lie between two looks at the nodes
SLOWEST = 15.0  # between two questions while Ray is away
REPORT = 30.0  # seconds for which an end can matter to what Ray reports as used


class RayExecutor:
    """`linger`: as of the keeper. `interval`: seconds between two questions while there is something to ask about."""

    name = "ray"
    traits = Traits(remote=True)

    def __init__(
        self,
        ray: Ray,
        *,
        python: str = "",
        linger: float = 10.0,
        interval: float = 1.0,
        patience: float = PATIENCE,
        shared: tuple[Path, ...] = (),
    ) -> None:
        self._ray = ray
        self._python = python or PYTHON
        self._linger = linger
        self._local = LocalExecutor(linger=linger)
        self._interval = interval
        self._patience = patience
        self._shared = shared
        self._lock = threading.Lock()  # for the tracks; never held while Ray is asked
        self._launching = threading.Lock()
        self._tracks: dict[str, Track] = {}  # by handle; those that are over are dropped
        self._ended: deque[nodes.Load] = deque(maxlen=1000)
        self._machines: tuple[nodes.Machine, ...] = ()
        self._heard_at = 0.0
        self._nodes_at = 0.0
        self._problem: str | None = None
        self._failures = 0
        self._asker = Asker(self.name, self._run)

    # ---- life

    def start(self) -> None:
        self._asker.begin()

    def close(self) -> bool:
        if not self._asker.end():
            return False
        with self._lock:
            self._tracks.clear()
            self._ended.clear()
        self._machines, self._problem = (), None
        self._heard_at, self._nodes_at, self._failures = 0.0, 0.0, 0
        return True

    def state(self) -> ClusterState:
        problem = self._problem or self._asker.silence
        return ClusterState(nodes.nodes(self._machines, self._loads()), self._heard_at, problem)

    def problem(self) -> str | None:
        if self._problem is not None:
            return f"Ray cannot be asked: {self._problem}"
        return None if self._heard_at else self._asker.silence or "Ray has not answered yet"

    def amend(self, handle: str, terms: Terms) -> None:
        """Ray knows no priorities; the queue is ours."""

    def check_placement(self, placement: Mapping[str, str]) -> None:
        if placement:
            raise Forbidden(f"placement.{min(placement)}: Ray has no such thing to choose")

    def check(self) -> Iterator[tuple[bool | None, str]]:
        return findings(self._ray, self._python, self._shared)

    def _loads(self) -> list[nodes.Load]:
        now = time.time()
        with self._lock:
            tracks = list(self._tracks.items())
            while self._ended and (self._ended[0].until or 0.0) < now - REPORT:
                self._ended.popleft()
            over = list(self._ended)
        for handle, track in tracks:
            if track.ended_at is None and Path(handle, keeper.EXIT).exists():
                track.ended_at = now
        return [*over, *(track.load for _, track in tracks)]

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
        except RayError as error:
            if error.transient:
                raise Unavailable(str(error)) from error
            raise LaunchError(f"Ray refuses it: {error}") from error

    def _launch(self, handle: str, command: Command, workspace: Workspace, terms: Terms) -> None:
        begun = records.read(handle, keeper.PID) is not None
        if records.read(handle, RAY) or records.read(handle, keeper.EXIT) or (begun and not records.is_tied(handle)):
            return  # once is enough
        if records.read(handle, keeper.STOP) and not begun:
            records.never(handle)
            return
        name = submission.submission_id(handle, workspace)
        again = records.read(handle, keeper.LAUNCH) is not None
        if not begun and not (again and self._ray.job(name) is not None):
            self._need_room(terms.resources)
            keeper.put(handle, keeper.LAUNCH, submission.description(command, workspace, terms, self._linger))
            fault("launch.after_lock")
            self._ray.submit(name, submission.body(handle, workspace, terms, self._python, keeper.__file__))
            fault("launch.after_spawn")
        wanted, at = submission.asked(terms.resources), time.time()
        keeper.put(handle, RAY, {"name": name, "job": workspace.job_id, "wanted": wanted, "at": at})
        with self._lock:
            self._tracks[handle] = Track(name, workspace.job_id, _amount(wanted), at, time.monotonic())
        self._asker.wake.set()

    def _need_room(self, wanted: Resources) -> None:
        """Ray has no queue to speak of: what waits there has no order, and fails after 15 minutes."""
        if told := self.problem():
            raise Unavailable(told)
        if not any(not node.free.short_of(wanted) for node in self.state().nodes if node.up):
            raise Unavailable("no node of the cluster has room for all of it now")

    def poll(self, handle: str) -> Observation:
        known = records.read(handle, RAY)
        verdict = records.read(handle, keeper.EXIT)
        started = records.read(handle, keeper.PID)
        if known is None:
            return self._unknown(handle, verdict)
        asked, end = records.read(handle, keeper.STOP) is not None, known.get("end")
        if verdict and not records.doubtful(verdict, asked=asked):
            return records.ended(verdict, started)
        if end:
            seen = records.ended(verdict, started) if verdict else records.observed(RunState.EXITED, started)
            return conclude(seen, end, asked=asked, recorded=verdict is not None)
        track = self._track(handle)
        if started:
            return records.observed(RunState.RUNNING, started)
        return Observation(RunState.PENDING, note=self._asker.silence or (track.message if track else None))

    def _unknown(self, handle: str, verdict: records.Record | None) -> Observation:
        """Not handed over; or by a launch that was cut short, which its repetition mends; or begun on this machine."""
        if verdict is None and records.is_tied(handle):
            return Observation(RunState.ABSENT)
        return self._local.poll(handle)

    def _track(self, handle: str) -> Track | None:
        """Made anew from the disk, by a service that did not submit it."""
        with self._lock:
            if handle in self._tracks:
                return self._tracks[handle]
            known = records.read(handle, RAY)
            if known is None or known.get("end"):
                return None
            track = Track(str(known["name"]), str(known["job"]), _amount(known["wanted"]), float(known["at"]), 0.0)
            if not self._asker.on:
                return track  # of this moment: nobody would keep it true
            self._tracks[handle] = track
        self._asker.wake.set()
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
        if _enter(handle):
            records.never(handle)  # Ray may start it yet, and finds the door shut
        kill_at = time.monotonic() + grace + KILL_SLACK
        if track.kill_at is None or kill_at < track.kill_at - 0.5:
            track.kill_at = kill_at
            self._asker.wake.set()

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
        while not self._asker.stopping.is_set():
            try:
                self.turn()
            except Exception as problem:  # noqa: BLE001 - the thread must outlive it; it is logged, and told by /readyz
                self._failed(problem)
                self._asker.stopping.wait(min(SLOWEST, self._interval * self._failures))
                continue
            self._problem, self._failures = None, 0
            self._asker.wake.wait(self._interval if self._tracks else NODES * self._interval)
            self._asker.wake.clear()

    def _failed(self, problem: Exception) -> None:
        if not isinstance(problem, RayError):
            log.exception("asking Ray failed; will try again")
        elif str(problem) != self._problem:
            log.warning("Ray cannot be asked: %s; will try again", problem)
        self._problem = str(problem) or repr(problem)
        self._failures += 1

    def turn(self) -> None:
        """Says what is to be said, asks about all jobs at once, and now and then about the nodes."""
        with self._lock:
            tracks = dict(self._tracks)
        for handle, track in tracks.items():
            self._tell(handle, track)
        if tracks:
            asked_at = time.monotonic()
            rows = self._ray.jobs()
            for handle, track in tracks.items():
                self._hear(handle, track, rows.get(track.name), asked_at)
        if self._failures or not self._nodes_at or time.monotonic() >= self._nodes_at + NODES * self._interval:
            self._look_at_nodes()

    def _look_at_nodes(self) -> None:
        found, status = self._ray.nodes(), self._ray.status()
        self._machines = nodes.parse(found, status, time.time())
        self._nodes_at, self._heard_at = time.monotonic(), time.time()

    def _tell(self, handle: str, track: Track) -> None:
        if track.kill_at is None or track.stopped:
            return
        if records.read(handle, keeper.PID) and time.monotonic() < track.kill_at:
            return  # its keeper looks for `stop` itself
        track.stopped = True
        self._stop(track)

    def _stop(self, track: Track) -> None:
        """One job that Ray will not stop must not keep the others from being heard of."""
        try:
            self._ray.stop(track.name)
        except RayError as problem:
            if problem.transient and not problem.status:
                track.stopped = False
                raise
            log.info("job %s in Ray: %s", track.name, problem)

    def _hear(self, handle: str, track: Track, row: Row | None, asked_at: float) -> None:
        now = time.monotonic()
        used = records.read(handle, keeper.USAGE)
        if used and used["at"] != track.sign:
            track.sign, track.sign_at = used["at"], now
        if row is None:
            if asked_at > track.submitted:
                self._over(handle, track, Row(GONE), now)
            return
        track.status, track.message, track.node = row.status, row.message, row.node or track.node
        if row.status not in LIVE:
            self._over(handle, track, row, now)
            return
        track.over_since = None
        if row.status == RUNNING and not track.devices:
            track.devices = _devices(handle)

    def _over(self, handle: str, track: Track, row: Row, now: float) -> None:
        """Written down once the keeper's record is there too, or cannot be expected any more: one that still gives
        signs of life runs on, whatever became of Ray's head."""
        track.over_since = track.over_since or now
        if not os.path.isdir(handle):
            self._drop(handle, track)
            return
        os.listdir(handle)  # a network disk looks anew at what is in a directory
        promised = os.path.isdir(f"{handle}/{submission.BEGAN}") and not records.read(handle, keeper.EXIT)
        if promised and now < max(track.over_since, track.sign_at) + self._patience and not _never(row):
            return
        end = {"status": row.status, "message": row.message[-500:], "node": self._named(track.node), "code": row.code}
        self._write(handle, end={**end, "output": self._output(handle, track), "at": time.time()})
        self._drop(handle, track)
        if row.status != GONE:
            self._delete(track)

    def _drop(self, handle: str, track: Track) -> None:
        with self._lock:
            self._tracks.pop(handle, None)
            self._ended.append(replace(track.load, until=track.ended_at or time.time()))

    def _output(self, handle: str, track: Track) -> str:
        """What the entrypoint itself said, where it is all there is. With its node it may be gone."""
        if records.read(handle, keeper.EXIT) or records.read(handle, keeper.PID):
            return ""
        try:
            lines = self._ray.output(track.name).splitlines()
        except RayError as problem:
            log.info("the output of %s in Ray is not to be had: %s", track.name, problem)
            return ""
        said = [line for line in lines if "Running entrypoint for job" not in line and "Runtime env is" not in line]
        return " ".join(" ".join(said).split())[-300:]

    def _delete(self, track: Track) -> None:
        """Ray's list is read whole at each turn, and would grow without end."""
        try:
            self._ray.delete(track.name)
        except RayError as problem:
            log.info("job %s stays in Ray's list: %s", track.name, problem)

    def _named(self, node: str | None) -> str | None:
        return next((machine.name for machine in self._machines if machine.id == node), node)

    def _write(self, handle: str, **changes: object) -> None:
        known = records.read(handle, RAY)
        if known is not None:
            keeper.put(handle, RAY, {**known, **changes})


def _amount(wanted: tuple[int, ...] | list[int]) -> nodes.Amount:
    cpus, gpus, memory = wanted
    return float(cpus), float(gpus), float(memory)


def _enter(handle: str) -> bool:
    """As the entrypoint does, which only one can be the first to do."""
    try:
        os.mkdir(f"{handle}/{submission.BEGAN}", 0o700)
    except FileExistsError:
        return False
    return True


def _never(row: Row) -> bool:
    """Its entrypoint came to an end of its own without a keeper: 75 is a door that was shut, 127 no interpreter."""
    return row.code is not None and row.code > 0


def _devices(handle: str) -> tuple[int, ...]:
    try:
        words = Path(handle, submission.DEVICES).read_text().split(",")
    except OSError:
        return ()
    return tuple(int(word) for word in words if word.isdecimal())
