"""Hands attempts to Slurm, which queues them. `slurm.json` beside each says which job it is there."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from api.models.cluster import Node
from api.models.workspace import Workspace
from api.services.executors import records
from api.services.executors.base import Terms, Traits
from api.services.executors.cluster import AskingExecutor, Ways
from api.services.executors.records import Record
from api.services.executors.slurm.commands import Row, Slurm, SlurmError
from api.services.executors.slurm.doctor import findings
from api.services.executors.slurm.submission import OUTPUT, Choices, comment, flags, inherited
from api.services.executors.slurm.tracks import FINAL, GONE, REQUEUED, WAITING, Track, conclude
from api.utils import training_wrapper as keeper
from api.utils.errors import Forbidden

log = logging.getLogger(__name__)


class SlurmExecutor(AskingExecutor[Track]):
    name = "slurm"
    traits = Traits(queues=True, remote=True)
    record = "slurm.json"
    look_every = 5.0
    inherited, conclude = staticmethod(inherited), staticmethod(conclude)

    def __init__(self, slurm: Slurm, choices: Choices | None = None, **ways: Unpack[Ways]) -> None:
        super().__init__(**ways)
        self._slurm = slurm
        self._choices = choices or Choices()
        self._machines: tuple[Node, ...] = ()

    def check_placement(self, placement: Mapping[str, str]) -> None:
        for name, value in placement.items():
            allowed = self._choices.allow.get(name, frozenset())
            if value not in allowed:
                there = ", ".join(sorted(allowed)) or "nothing"
                raise Forbidden(f"placement.{name}: {value!r} may not be chosen here; allowed: {there}")

    def check(self) -> Iterator[tuple[bool | None, str]]:
        return findings(self._slurm, self._choices.flags({}), self._python, self._shared)

    def amend(self, handle: str, terms: Terms) -> None:
        track = self._track(handle)
        if track is not None and track.want != (terms.priority, terms.held):
            track.want = terms.priority, terms.held
            self._wake.set()

    # ---- the nodes

    def _look(self) -> None:
        self._machines = self._slurm.nodes()

    def _nodes(self) -> tuple[Node, ...]:
        with self._lock:
            tracks = [track for track in self._tracks.values() if track.places]
        owners = {place: track.name for track in tracks for place in track.places or ()}
        return tuple(
            replace(node, gpus=tuple(replace(gpu, job=owners.get((node.name, gpu.index))) for gpu in node.gpus))
            for node in self._machines
        )

    # ---- a launch

    def _submit(self, handle: str, workspace: Workspace, terms: Terms) -> Record:
        wanted = flags(handle, workspace, terms, self._choices)
        return _record(self._slurm.submit(wanted, self._python, keeper.__file__, handle), workspace, terms)

    def _found(self, handle: str, workspace: Workspace, terms: Terms) -> Record | None:
        """Of several, which a repeated sbatch can leave, the one that has begun, or the first."""
        mine = [row for row in self._slurm.jobs().values() if row.comment.startswith(comment(handle))]
        mine.sort(key=lambda row: (row.state != "RUNNING", row.job))
        for surplus in mine[1:]:
            if surplus.state not in FINAL:
                self._slurm.cancel(surplus.job)
        return _record(mine[0].job, workspace, terms) if mine else None

    def _tracked(self, known: Record, submitted: float) -> Track:
        have = int(known["priority"]), bool(known["held"])
        job, name, gpus = int(known["job"]), str(known["name"]), int(known["gpus"])
        return Track(job=job, name=name, gpus=gpus, submitted=submitted, have=have, want=have)

    # ---- what Slurm is told, and what it says

    def _tell(self, handle: str, track: Track) -> None:
        """One job that Slurm will not have changed must not keep the others from it."""
        try:
            if track.kill_at is not None:
                self._withdraw(handle, track)
            elif track.state in WAITING and track.want != track.have:
                self._change(handle, track)
        except SlurmError as problem:
            if problem.transient:
                raise
            log.warning("job %s (%s in Slurm) stays as it is there: %s", track.name, track.job, problem)
            track.have = track.want

    def _withdraw(self, handle: str, track: Track) -> None:
        began = records.read(handle, keeper.PID) is not None
        if not began or time.monotonic() >= (track.kill_at or 0.0):
            if not track.cancelled:
                track.cancelled = began
                self._slurm.cancel(track.job)
        elif track.told != track.kill_at:
            track.told = track.kill_at  # it looks for `stop` itself; this is for a network disk slow to show it
            self._slurm.cancel(track.job, tell=True)

    def _change(self, handle: str, track: Track) -> None:
        (priority, held), (was, was_held) = track.want, track.have
        if priority != was and self._choices.nice:
            self._slurm.set_nice(track.job, self._choices.nice_of(priority))
        if held != was_held:
            self._slurm.hold(track.job, held)
        track.have = priority, held
        self._write(handle, priority=priority, held=held)

    def _ask(self, tracks: Mapping[str, Track]) -> set[str]:
        for handle, track in tracks.items():  # first: what begins while Slurm answers was not put back
            track.begun = track.begun or records.read(handle, keeper.PID) is not None
        asked_at, rows = time.monotonic(), self._slurm.jobs()
        return {
            handle for handle, track in tracks.items() if self._hear(track, self._row(handle, track, rows), asked_at)
        }

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

    def _hear(self, track: Track, row: Row | None, asked_at: float) -> bool:
        """Whether it is over there."""
        if row is None:
            if asked_at <= track.submitted:
                return False  # it was not there yet
            track.state = GONE
            return True
        track.state, track.reason, track.node = row.state, row.reason, row.nodes
        if row.state in WAITING and track.begun:
            self._slurm.cancel(track.job)
            track.state = REQUEUED
            return True
        if row.state not in FINAL and track.begun and track.gpus and track.places is None:
            track.places = self._slurm.gpus_of(track.job)
        return row.state in FINAL

    def _end(self, handle: str, track: Track, now: float) -> Record | None:
        """A job that Slurm does not name is waited for too: a controller that has just started may not know all yet."""
        begun = records.read(handle, keeper.PID) is not None
        promised = track.state == GONE or (begun and track.state in ("COMPLETED", "FAILED", "CANCELLED"))
        late = now >= (track.over_since or now) + self._patience
        if promised and not late and not records.read(handle, keeper.EXIT):
            return None
        return {"state": track.state, "reason": track.reason, "node": track.node, "output": _tail(handle)}


def _record(job: int, workspace: Workspace, terms: Terms) -> Record:
    known = {"job": job, "name": workspace.job_id, "gpus": terms.resources.gpus}
    return {**known, "priority": terms.priority, "held": terms.held}


def _tail(handle: str) -> str:
    try:
        return " ".join(Path(handle, OUTPUT).read_text(errors="replace").split())[-300:]
    except OSError:
        return ""
