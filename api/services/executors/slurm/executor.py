"""Hands attempts to Slurm, which queues them; on their node they run under the same keeper as on this machine.

What is known of an attempt lies in its control directory, on a disk that the nodes share: `slurm.json` says which job
it is there and, once that is over, how Slurm says that it ended; the keeper's records say the rest. So a restarted
service knows as much as the one before. One thread asks Slurm, about all jobs at once.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from api.models.cluster import ClusterState
from api.models.job import Command
from api.models.workspace import Workspace
from api.services.executors import records
from api.services.executors.asker import Asker
from api.services.executors.base import LaunchError, Observation, RunState, Terms, Traits, Usage
from api.services.executors.local import PYTHON, LocalExecutor
from api.services.executors.records import Record
from api.services.executors.slurm.commands import Row, Slurm, SlurmError
from api.services.executors.slurm.doctor import findings
from api.services.executors.slurm.submission import OUTPUT, Choices, comment, description, flags
from api.services.executors.slurm.tracks import FINAL, GONE, REQUEUED, Track, conclude
from api.utils import training_wrapper as keeper
from api.utils.errors import Forbidden, Unavailable
from api.utils.faults import fault

log = logging.getLogger(__name__)

SLURM = "slurm.json"
PATIENCE = 10.0  # seconds for which a record that Slurm's end promises may be under way on a network disk
KILL_SLACK = 15.0  # after a stop's grace, before Slurm is told to end what the keeper has not
FIRST_ANSWER_SECONDS = 2.0
NODES_SECONDS = 5.0  # between two looks at the nodes
SLOWEST = 15.0  # between two questions while the controller is away
WAITING = ("PENDING", "REQUEUED", "REQUEUE_HOLD")


class SlurmExecutor:
    """`linger`: as of the keeper. `interval`: seconds between two questions while there is something to ask about."""

    name = "slurm"
    traits = Traits(queues=True, remote=True)

    def __init__(
        self,
        slurm: Slurm,
        choices: Choices | None = None,
        *,
        python: str = "",
        linger: float = 10.0,
        interval: float = 1.0,
        patience: float = PATIENCE,
        shared: tuple[Path, ...] = (),
    ) -> None:
        self._slurm = slurm
        self._choices = choices or Choices()
        self._python = python or PYTHON
        self._linger = linger
        self._local = LocalExecutor(linger=linger)
        self._interval = interval
        self._patience = patience
        self._shared = shared
        self._lock = threading.Lock()  # for the tracks; never held while Slurm is asked
        self._launching = threading.Lock()
        self._tracks: dict[str, Track] = {}  # by handle; those that are over are dropped
        self._state = ClusterState()
        self._problem: str | None = None
        self._nodes_at = 0.0
        self._failures = 0
        self._asked = threading.Event()
        self._asker = Asker(self.name, self._run)

    # ---- life

    def start(self) -> None:
        """Waits a moment for the first answer, so that what the cluster has is known from the start."""
        self._asker.begin()
        if not self._asked.wait(FIRST_ANSWER_SECONDS):
            log.warning("Slurm did not answer within %g s; what the cluster has is not known yet", FIRST_ANSWER_SECONDS)

    def close(self) -> bool:
        if not self._asker.end():
            return False
        with self._lock:
            self._tracks.clear()
        self._state, self._problem = ClusterState(), None
        self._nodes_at, self._failures = 0.0, 0
        self._asked.clear()
        return True

    def state(self) -> ClusterState:
        with self._lock:
            tracks = [track for track in self._tracks.values() if track.places]
        owners = {place: track.name for track in tracks for place in track.places or ()}
        nodes = tuple(
            replace(node, gpus=tuple(replace(gpu, job=owners.get((node.name, gpu.index))) for gpu in node.gpus))
            for node in self._state.nodes
        )
        return replace(self._state, nodes=nodes, problem=self._problem or self._asker.silence)

    def problem(self) -> str | None:
        return f"Slurm cannot be asked: {self._problem}" if self._problem else self._asker.silence

    def check_placement(self, placement: Mapping[str, str]) -> None:
        for name, value in placement.items():
            allowed = self._choices.allow.get(name, frozenset())
            if value not in allowed:
                there = ", ".join(sorted(allowed)) or "nothing"
                raise Forbidden(f"placement.{name}: {value!r} may not be chosen here; allowed: {there}")

    def check(self) -> Iterator[tuple[bool | None, str]]:
        return findings(self._slurm, self._choices.flags({}), self._python, self._shared)

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
        except SlurmError as error:
            if error.transient:
                raise Unavailable(str(error)) from error
            raise LaunchError(f"Slurm refuses it: {error}") from error

    def _launch(self, handle: str, command: Command, workspace: Workspace, terms: Terms) -> None:
        begun = records.read(handle, keeper.PID) is not None and not records.is_tied(handle)
        if begun or records.read(handle, SLURM) or records.read(handle, keeper.EXIT):
            return  # once is enough
        if records.read(handle, keeper.STOP):
            records.never(handle)
            return
        found = self._submitted(handle) if records.read(handle, keeper.LAUNCH) else None
        if found is None:
            keeper.put(handle, keeper.LAUNCH, description(command, workspace, terms, self._linger))
            fault("launch.after_lock")
            found = self._slurm.submit(
                flags(handle, workspace, terms, self._choices), self._python, keeper.__file__, handle
            )
            fault("launch.after_spawn")
        priority = (terms.priority, terms.held)
        name, gpus = workspace.job_id, terms.resources.gpus
        known = {"job": found, "name": name, "gpus": gpus, "priority": terms.priority, "held": terms.held}
        keeper.put(handle, SLURM, {**known, "at": time.time()})
        with self._lock:
            self._tracks[handle] = Track(found, name, gpus, time.monotonic(), priority, priority)
        self._asker.wake.set()

    def _submitted(self, handle: str) -> int | None:
        """The job of a launch that was cut short; of several, which a repeated sbatch can leave, the first."""
        mine = sorted(number for number, row in self._slurm.jobs().items() if row.comment.startswith(comment(handle)))
        for surplus in mine[1:]:
            self._slurm.cancel(surplus)
        return mine[0] if mine else None

    def amend(self, handle: str, terms: Terms) -> None:
        track = self._track(handle)
        if track is not None and track.want != (terms.priority, terms.held):
            track.want = terms.priority, terms.held
            self._asker.wake.set()

    def poll(self, handle: str) -> Observation:
        """Asks the disk as little as it can: it is a network's, and many jobs are looked at often."""
        track = self._tracks.get(handle)
        if track is not None and track.state in WAITING and not track.began:
            return Observation(RunState.PENDING, note=track.note)
        known = records.read(handle, SLURM) if track is None else {}
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
                return conclude(seen, end, asked=asked, recorded=verdict is not None, output=_tail(handle))
        track = track or self._track(handle)
        if started is None:
            return Observation(RunState.PENDING, note=self._asker.silence or (track.note if track else None))
        if track is not None:
            track.began = started
        return records.observed(RunState.RUNNING, started)

    def _unknown(self, handle: str, verdict: Record | None) -> Observation:
        """Not handed over; or by a launch that was cut short, which its repetition mends; or begun on this machine."""
        if verdict is None and records.is_tied(handle):
            return Observation(RunState.ABSENT)
        return self._local.poll(handle)

    def _track(self, handle: str) -> Track | None:
        """Made anew from the disk, by a service that did not submit it."""
        with self._lock:
            if handle in self._tracks:
                return self._tracks[handle]
            known = records.read(handle, SLURM)
            if known is None or known.get("end"):
                return None
            have = int(known["priority"]), bool(known["held"])
            track = Track(int(known["job"]), str(known["name"]), int(known["gpus"]), 0.0, have, have)
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
        kill_at = time.monotonic() + grace + KILL_SLACK
        if track.kill_at is None or kill_at < track.kill_at - 0.5:
            track.told = False
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
            pause = self._interval
            try:
                self.turn()
            except Exception as problem:  # noqa: BLE001 - the thread must outlive it; it is logged, and told by /readyz
                pause = self._failed(problem)
            else:
                self._problem, self._failures = None, 0
            self._asked.set()
            self._asker.wake.wait(pause if self._tracks else NODES_SECONDS)
            self._asker.wake.clear()

    def _failed(self, problem: Exception) -> float:
        if not isinstance(problem, SlurmError):
            log.exception("asking Slurm failed; will try again")
        elif str(problem) != self._problem:
            log.warning("Slurm cannot be asked: %s; will try again", problem)
        self._problem = str(problem) or repr(problem)
        self._failures += 1
        self._asked.set()
        self._asker.stopping.wait(min(SLOWEST, self._interval * self._failures))
        return self._interval

    def turn(self) -> None:
        """Says what is to be said, asks about all jobs at once, and now and then about the nodes."""
        with self._lock:
            tracks = dict(self._tracks)
        for handle, track in tracks.items():
            self._tell(handle, track)
        if tracks:
            for handle, track in tracks.items():  # first: what begins while Slurm answers was not put back
                track.begun = track.begun or records.read(handle, keeper.PID) is not None
            asked_at = time.monotonic()
            rows = self._slurm.jobs()
            for handle, track in tracks.items():
                self._hear(handle, track, self._row(handle, track, rows), asked_at)
        if time.monotonic() >= self._nodes_at + NODES_SECONDS or not self._nodes_at:
            nodes = self._slurm.nodes()
            self._nodes_at = time.monotonic()
            self._state = ClusterState(nodes, time.time())

    def _tell(self, handle: str, track: Track) -> None:
        """One job that Slurm will not have changed must not keep the others from it."""
        try:
            if track.kill_at is not None:
                self._end(handle, track)
            elif track.state in WAITING and track.want != track.have:
                self._change(handle, track)
        except SlurmError as problem:
            if problem.transient:
                raise
            log.warning("job %s (%s in Slurm) stays as it is there: %s", track.name, track.job, problem)
            track.have = track.want

    def _end(self, handle: str, track: Track) -> None:
        began = records.read(handle, keeper.PID) is not None
        if not began or time.monotonic() >= (track.kill_at or 0.0):
            if not track.cancelled:
                track.cancelled = began
                self._slurm.cancel(track.job)
        elif not track.told:
            track.told = True  # the keeper looks for `stop` itself; this is for a network disk that is slow to show it
            self._slurm.cancel(track.job, tell=True)

    def _change(self, handle: str, track: Track) -> None:
        (priority, held), (was, was_held) = track.want, track.have
        if priority != was and self._choices.nice:
            self._slurm.set_nice(track.job, self._choices.nice_of(priority))
        if held != was_held:
            self._slurm.hold(track.job, held)
        track.have = priority, held
        self._write(handle, priority=priority, held=held)

    def _row(self, handle: str, track: Track, rows: Mapping[int, Row]) -> Row | None:
        """The job's; of two, which an sbatch leaves that was believed to have failed, the one that has begun."""
        row = rows.get(track.job)
        if row is None or row.state == "RUNNING" or not track.begun:
            return row
        mine = comment(handle)
        for twin in rows.values():
            if twin.job != track.job and twin.state == "RUNNING" and twin.comment.startswith(mine):
                if row.state not in FINAL:
                    self._slurm.cancel(track.job)
                track.job = twin.job
                self._write(handle, job=twin.job)
                return twin
        return row

    def _hear(self, handle: str, track: Track, row: Row | None, asked_at: float) -> None:
        if row is None:
            if asked_at > track.submitted:
                self._over(handle, track, GONE, asked_at)
            return
        track.state, track.reason, track.node = row.state, row.reason, row.nodes
        if row.state in FINAL:
            self._over(handle, track, row.state, asked_at)
            return
        track.over_since = None
        if row.state in WAITING and track.begun:
            self._slurm.cancel(track.job)
            self._over(handle, track, REQUEUED, asked_at)
        elif track.begun and track.gpus and track.places is None:
            track.places = self._slurm.gpus_of(track.job)

    def _over(self, handle: str, track: Track, state: str, now: float) -> None:
        """Written down once the keeper's record is there too, or cannot be expected any more. A job that Slurm does not
        name gets the same patience: a controller that has just started may not know all yet."""
        track.over_since = track.over_since or now
        os.listdir(handle)  # a network disk looks anew at what is in a directory
        promised = records.read(handle, keeper.PID) is not None and state in ("COMPLETED", "FAILED", "CANCELLED")
        if (
            (promised or state == GONE)
            and not records.read(handle, keeper.EXIT)
            and now < track.over_since + self._patience
        ):
            return
        self._write(handle, end={"state": state, "reason": track.reason, "node": track.node, "at": time.time()})
        with self._lock:
            self._tracks.pop(handle, None)

    def _write(self, handle: str, **changes: object) -> None:
        known = records.read(handle, SLURM)
        if known is not None:
            keeper.put(handle, SLURM, {**known, **changes})


def _tail(handle: str) -> str:
    try:
        return " ".join(Path(handle, OUTPUT).read_text(errors="replace").split())[-300:]
    except OSError:
        return ""
