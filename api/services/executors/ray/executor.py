"""Hands attempts to Ray, one at a time as there is room for them. `ray.json` beside each says what it is called there.

Its output goes straight into our log: nothing of it is lost with a node.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from api.models.cluster import Node
from api.models.job import Resources
from api.models.workspace import Workspace
from api.services.executors import records
from api.services.executors.base import Terms, Traits
from api.services.executors.cluster import AskingExecutor, Ways
from api.services.executors.ray import nodes, submission
from api.services.executors.ray.client import Ray, RayError, Row
from api.services.executors.ray.doctor import findings
from api.services.executors.ray.tracks import GONE, LIVE, RUNNING, Track, conclude
from api.services.executors.records import Record
from api.utils import training_wrapper as keeper
from api.utils.errors import Forbidden, Unavailable

log = logging.getLogger(__name__)

REPORT = 30.0  # seconds for which an end can matter to what Ray reports as used


class RayExecutor(AskingExecutor[Track]):
    name = "ray"
    traits = Traits(remote=True)
    record = "ray.json"
    look_every = 3.0
    inherited, conclude = staticmethod(submission.inherited), staticmethod(conclude)

    def __init__(self, ray: Ray, **ways: Unpack[Ways]) -> None:
        super().__init__(**ways)
        self._ray = ray
        self._ended: deque[nodes.Load] = deque(maxlen=1000)
        self._machines: tuple[nodes.Machine, ...] = ()

    def check_placement(self, placement: Mapping[str, str]) -> None:
        if placement:
            raise Forbidden(f"placement.{min(placement)}: Ray has no such thing to choose")

    def check(self) -> Iterator[tuple[bool | None, str]]:
        return findings(self._ray, self._python, self._shared)

    def amend(self, handle: str, terms: Terms) -> None:
        """Ray knows no priorities; the queue is ours."""

    # ---- the nodes

    def _look(self) -> None:
        found, status = self._ray.nodes(), self._ray.status()
        self._machines = nodes.parse(found, status, time.time())

    def _nodes(self) -> tuple[Node, ...]:
        return nodes.nodes(self._machines, self._loads())

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

    # ---- a launch

    def _submit(self, handle: str, workspace: Workspace, terms: Terms) -> Record:
        self._need_room(terms.resources)
        name = submission.submission_id(handle, workspace)
        self._ray.submit(name, submission.body(handle, workspace, terms, self._python, keeper.__file__))
        return _record(name, workspace, terms)

    def _need_room(self, wanted: Resources) -> None:
        """Ray has no queue to speak of: what waits there has no order, and fails after 15 minutes."""
        if told := self.problem():
            raise Unavailable(told)
        if not any(not node.free.short_of(wanted) for node in self.state().nodes if node.up):
            raise Unavailable("no node of the cluster has room for all of it now")

    def _found(self, handle: str, workspace: Workspace, terms: Terms) -> Record | None:
        name = submission.submission_id(handle, workspace)
        there = records.read(handle, keeper.PID) is not None or self._ray.job(name) is not None
        return _record(name, workspace, terms) if there else None

    def _tracked(self, known: Record, submitted: float) -> Track:
        cpus, gpus, memory = known["wanted"]
        wanted = float(cpus), float(gpus), float(memory)
        name, job, at = str(known["name"]), str(known["job"]), float(known["at"])
        return Track(name=name, job=job, wanted=wanted, at=at, submitted=submitted)

    # ---- what Ray is told, and what it says

    def stop(self, handle: str, grace: float) -> None:
        super().stop(handle, grace)
        if self._track(handle) is not None and _enter(handle):
            records.never(handle)  # Ray may start it yet, and finds the door shut

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

    def _ask(self, tracks: Mapping[str, Track]) -> set[str]:
        asked_at, rows = time.monotonic(), self._ray.jobs()
        return {handle for handle, track in tracks.items() if self._hear(handle, track, rows.get(track.name), asked_at)}

    def _hear(self, handle: str, track: Track, row: Row | None, asked_at: float) -> bool:
        """Whether it is over there."""
        used = records.read(handle, keeper.USAGE)
        if used and used["at"] != track.sign:
            track.sign, track.sign_at = used["at"], time.monotonic()
        if row is None:
            if asked_at <= track.submitted:
                return False  # it was not there yet
            track.status = GONE
            return True
        track.status, track.message, track.code = row.status, row.message, row.code
        track.node = row.node or track.node
        if row.status == RUNNING and not track.devices:
            track.devices = _devices(handle)
        return row.status not in LIVE

    def _end(self, handle: str, track: Track, now: float) -> Record | None:
        """One that gives signs of life runs on, whatever became of Ray's head. One whose entrypoint ended by itself had
        no keeper: 75 is a door that was shut, 127 no interpreter."""
        never = track.status != GONE and (track.code or 0) > 0
        promised = os.path.isdir(f"{handle}/{submission.BEGAN}") and not never
        late = now >= max(track.over_since or now, track.sign_at) + self._patience
        if promised and not late and not records.read(handle, keeper.EXIT):
            return None
        node = next((machine.name for machine in self._machines if machine.id == track.node), track.node)
        end = {"status": track.status, "message": track.message[-500:], "node": node, "code": track.code}
        return {**end, "output": self._output(handle, track)}

    def _drop(self, handle: str, track: Track) -> None:
        with self._lock:
            self._tracks.pop(handle, None)
            self._ended.append(replace(track.load, until=track.ended_at or time.time()))
        if track.status != GONE:
            self._delete(track)

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


def _record(name: str, workspace: Workspace, terms: Terms) -> Record:
    return {"name": name, "job": workspace.job_id, "wanted": submission.asked(terms.resources)}


def _enter(handle: str) -> bool:
    """As the entrypoint does, which only one can be the first to do."""
    try:
        os.mkdir(f"{handle}/{submission.BEGAN}", 0o700)
    except FileExistsError:
        return False
    return True


def _devices(handle: str) -> tuple[int, ...]:
    try:
        words = Path(handle, submission.DEVICES).read_text().split(",")
    except OSError:
        return ()
    return tuple(int(word) for word in words if word.isdecimal())
