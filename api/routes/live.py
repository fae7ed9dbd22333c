"""One stream for a screen that stays open: the machine, the GPUs, the queue and the jobs, as they change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from flask import Response, current_app

from api.models.accounts import Actor
from api.models.events import Axis
from api.models.job import Job, JobStatus
from api.models.progress import Progress
from api.routes import machine, render
from api.routes.streams import LISTED, Client, respond
from api.services.container import Services
from api.services.store import jobs as store
from api.services.store.job_lists import JobFilter
from api.utils.errors import NotFound
from api.utils.sse import event

LOOK = 1.0  # seconds between two looks at what has changed
MACHINE = 2.0  # seconds between two readings of the machine
SILENCE = 10.0  # seconds after which the machine is told although nothing has changed
POINTS = 60  # of a running job's loss
RUNNING = 100  # jobs shown as running, at most
ENDED = 8  # jobs shown that ended last
QUEUED = 100  # places of the queue shown
TRAIL = 30  # readings of a GPU, two seconds apart


class Board:
    """What one caller sees."""

    def __init__(self, everything: Services, who: Actor) -> None:
        self._everything = everything
        self._who = who

    def machine(self) -> dict[str, Any]:
        view = self._everything.gpus.view()
        queue = machine.waiting(self._everything, self._who)
        return {
            "overview": machine.overview(self._everything),
            "gpus": [machine.gpu(self._everything, gpu, view) for gpu in view.snapshot.gpus],
            "queue": {**queue, "jobs": queue["jobs"][:QUEUED]},
        }

    def state(self) -> dict[str, Any]:
        return {**self.machine(), "trails": self._trails(), "running": self._running(), "ended": self._ended()}

    def job(self, job_id: str) -> dict[str, Any] | None:
        with self._everything.db.read() as connection:
            try:
                job = store.get(connection, job_id)
            except NotFound:
                return None
        return render.list_item(job, self._everything.gpus.view())

    def _trails(self) -> dict[str, list[int | None]]:
        """Each GPU's utilization in the last minute, oldest first."""
        monitor = self._everything.gpus.monitor
        found: dict[str, list[int | None]] = {}
        for gpu in self._everything.gpus.view().snapshot.gpus:
            points = monitor.history(gpu.index)
            found[str(gpu.index)] = [point.utilization_percent for point in points[:: max(1, len(points) // TRAIL)]]
        return found

    def _running(self) -> list[dict[str, Any]]:
        gpus = self._everything.gpus.view()
        wanted = JobFilter(status=JobStatus.RUNNING)
        found, _ = self._everything.jobs.page(self._who, wanted, limit=RUNNING, offset=0)
        lines = {job.id: self._losses(job) for job in found}
        return [{**render.list_item(job, gpus), "losses": lines[job.id]} for job in found]

    def _losses(self, job: Job) -> list[list[float | None]]:
        """By step, or by epoch of a job that tells no steps."""
        axis = Axis.STEP if Progress.from_dict(job.progress).step is not None else Axis.EPOCH
        line = self._everything.history.line(job, "loss", axis, limit=POINTS)
        return [[point.x, point.value] for point in line.points]

    def _ended(self) -> list[dict[str, Any]]:
        gpus = self._everything.gpus.view()
        found = [
            job
            for status in JobStatus
            if status.is_terminal
            for job in self._everything.jobs.page(self._who, JobFilter(status=status), limit=ENDED, offset=0)[0]
        ]
        newest = sorted(found, key=lambda job: job.ended_at or 0.0, reverse=True)[:ENDED]
        return [render.list_item(job, gpus) for job in newest]


def live_state(who: Actor) -> Response:
    """`state` first, and again whenever a job's status changes; `machine` and `job` between them."""
    dump = current_app.json.dumps

    def follow(everything: Services, client: Client) -> Iterator[bytes]:
        board, told = Board(everything, who), Told()
        cursor = everything.history.newest_event()
        version = everything.feed.version
        state = board.state()
        told.whole(state, time.monotonic())
        yield event(dump(state), event="state")
        while not client.gone():
            version, waited = everything.feed.wait(version, LOOK), time.monotonic()
            found = everything.history.events(None, cursor, LISTED, version)
            cursor = found[-1].seq if found else cursor
            mine = [one for one in found if who.may_read(one.owner_id, one.team_id)]
            if any(one.kind == "status" for one in mine):
                state = board.state()
                told.whole(state, waited)
                yield event(dump(state), event="state")
            else:
                yield from (
                    event(dump(job), event="job")
                    for job in map(board.job, dict.fromkeys(one.job_id for one in mine))
                    if job is not None
                )
            if waited - told.looked >= MACHINE:
                yield from _machine(dump, board, told, waited)
            everything.closing.wait(LOOK / 2)  # a chatty job is told twice a second, not a hundred times

    return respond(follow)


class Told:
    """What the client was told last about the machine, and when."""

    def __init__(self) -> None:
        self.looked = 0.0
        self._at = 0.0
        self._last: Any = None
        self._jobs: Any = None

    def whole(self, now: dict[str, Any], at: float) -> None:
        self.changed(now, at)
        self._jobs = now["overview"]["tasks"]

    def changed(self, now: dict[str, Any], at: float) -> bool:
        """Whether it is worth telling: something but the clocks has changed, or it was silent for long."""
        self.looked = at
        overview = now["overview"]
        clocks = {"uptime": None, "queue": overview["queue"]["waiting"]}
        shown = ({**overview, **clocks}, now["gpus"], now["queue"])
        if shown == self._last and at - self._at < SILENCE:
            return False
        self._last, self._at = shown, at
        return True

    def jobs_changed(self, now: dict[str, Any]) -> bool:
        """A deleted job leaves no event, but it is counted no more."""
        return bool(self._jobs != now["overview"]["tasks"])


def _machine(dump: Any, board: Board, told: Told, at: float) -> Iterator[bytes]:
    now = board.machine()
    if told.jobs_changed(now):
        now = board.state()
        told.whole(now, at)
        yield event(dump(now), event="state")
    elif told.changed(now, at):
        yield event(dump(now), event="machine")
