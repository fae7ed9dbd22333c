"""A trainer, a clock and a whole service without threads or processes, for tests of the core."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, make_url

from api.models.accounts import ALL_SCOPES, Actor, Role, Scope
from api.models.dialect import TRAINING_V1, Dialect
from api.models.events import Advance, Done, Event, Fault, Level, LineType, Metric, Parsed, Saved, Warn
from api.models.job import Checkpoint, Command, Failure, Job, JobSpec, JobStatus, Phase, Resources
from api.models.room import Offer, Room
from api.models.workspace import Workspace
from api.services.engine_queue import EngineQueue
from api.services.engines.base import Availability, Ending, Launch
from api.services.engines.failures import classify
from api.services.executors.fake import FakeCluster, FakeExecutor
from api.services.feed import Feed
from api.services.fitting import ClusterFitting, Fitting, MachineFitting
from api.services.gpus.desk import GpuDesk
from api.services.gpus.fake import FakeSource
from api.services.gpus.monitor import GpuMonitor
from api.services.jobs import JobService, Request
from api.services.queue import QueueDesk, QueueService
from api.services.store import jobs as store
from api.services.store import queue
from api.services.store.database import Database
from api.services.supervisor import Limits, Parts, Supervisor
from api.services.worker import Worker
from api.services.workspaces import Workspaces
from api.utils.errors import Invalid
from tests import postgres

START = 1_700_000_000.0
GIB = 1024**3
MACHINE = Room(places=2, cores=(0, 1, 2, 3), memory=8 * GIB)


class Clock:
    """Time as a test says."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float = 1.0) -> float:
        self.now += seconds
        return self.now


_STEP = re.compile(r"step=(\d{1,12})(?: loss=(\S+))?(?: took=([\d.]+))?")
_EPOCH = re.compile(r"epoch (\d{1,9})(?:/(\d{1,9}))?$")


class ToyEngine:
    """Trainer whose output is what a test writes: `step=N loss=X`, `epoch N/M`, `DONE`, `BOOM: text` and so on."""

    name = "toy"
    exit_code_is_proof = False

    def __init__(self) -> None:
        self.soft = False  # whether it can be asked to save and quit
        self.asked: list[str] = []  # job ids that were
        self.prepare_error: Exception | None = None
        self.prepared: list[Launch] = []

    def availability(self) -> Availability:
        return Availability(True, "1")

    def schema(self) -> Mapping[str, Any]:
        return {"type": "object"}

    def validate(self, spec: JobSpec) -> JobSpec:
        if spec.params.get("bad"):
            raise Invalid("bad", "is bad")
        return spec

    def prepare(self, launch: Launch) -> Command:
        if self.prepare_error is not None:
            raise self.prepare_error
        self.prepared.append(launch)
        return Command(("toy", launch.job.id), {**launch.base_env, "TOY": "1"}, "/")

    def parse(self, line: str) -> Parsed:
        step = _STEP.search(line)
        if step:
            return Parsed(events=_step(step))
        epoch = _EPOCH.match(line)
        if epoch:
            total = int(epoch[2]) if epoch[2] else None
            return Parsed(events=(Advance(phase=Phase.TRAINING, epoch=int(epoch[1]), total_epochs=total),))
        word, _, rest = line.partition(": ")
        found: dict[str, tuple[Level, LineType, Event]] = {
            "BOOM": (Level.ERROR, LineType.TRAIN, Fault(line)),
            "OOPS": (Level.ERROR, LineType.TRAIN, Fault(line, fatal=False)),
            "WARN": (Level.WARNING, LineType.SYSTEM, Warn(rest)),
            "eval": (Level.INFO, LineType.EVAL, Advance(phase=Phase.EVALUATING)),
            "saving": (Level.INFO, LineType.TRAIN, Saved("state", rest)),
        }
        if word in found:
            level, kind, event = found[word]
            return Parsed(level, kind, (event,))
        return Parsed(events=(Done(),)) if line == "DONE" else Parsed()

    def totals(self, job: Job, workspace: Workspace) -> Sequence[Event]:
        return (Advance(total_epochs=job.spec.params.get("epochs"), total_steps=job.spec.params.get("steps")),)

    def event_files(self, workspace: Workspace) -> Iterable[Path]:
        return sorted(workspace.output_dir.glob("events*"))

    def from_tensorboard(
        self, spec: JobSpec, tag: str, step: int, value: float | None, at: float, run: str
    ) -> Sequence[Event]:
        return (Metric(tag, value, step, at=at),)

    def soft_stop(self, workspace: Workspace) -> bool:
        if self.soft:
            self.asked.append(workspace.job_id)
        return self.soft

    def checkpoints(self, workspace: Workspace) -> Sequence[Checkpoint]:
        paths = sorted(workspace.output_dir.glob("state-*"), key=lambda p: int(p.name.split("-")[1]))
        return [
            Checkpoint(p.name, "state", str(p), None, int(p.name.split("-")[1]), p.stat().st_mtime, p.stat().st_size)
            for p in paths
        ]

    def explain(self, ending: Ending) -> Failure:
        return classify(ending)


def _step(found: re.Match[str]) -> tuple[Event, ...]:
    step, text, took = int(found[1]), found[2], found[3]
    advance = Advance(phase=Phase.TRAINING, step=step, time_per_step=float(took) if took else None)
    if text is None:
        return (advance,)
    try:
        value = float(text)
    except ValueError:
        return (advance,)
    return (advance, Metric("loss", value if abs(value) < 1e300 else None, step))


# ---- rows

_numbers = count(1)


def add_job(
    connection: Connection,
    *,
    now: float = START,
    owner: int = 1,
    team: int | None = None,
    dialect: str = "training_v1",
    gpus: int | tuple[int, ...] = 0,
    cpus: int | None = None,
    memory: int = 0,
    **spec: Any,
) -> Job:
    """One job in the queue. `gpus`: how many, or which."""
    fields = {"engine": "toy", "name": "a job", "resources": wanted(gpus, cpus, memory), **spec}
    new = store.NewJob(JobSpec(**fields), dialect, owner, team, lambda i: f"/out/{i}", lambda: f"job{next(_numbers)}")
    return store.add(connection, new, now)


def wanted(gpus: int | tuple[int, ...] = 0, cpus: int | None = None, memory: int = 0) -> Resources:
    ids = gpus if isinstance(gpus, tuple) else ()
    number = len(ids) if isinstance(gpus, tuple) else gpus
    return Resources(number, ids, cpus, None if cpus is None else memory)


def claim(
    connection: Connection, gpus: tuple[int, ...] = (), places: int = 0, *, now: float = START, **more: Any
) -> Job | None:
    """The next job that fits into so much; the machine has these GPUs and no others."""
    return queue.claim(connection, Offer(Room(gpus, places, **more), tuple(range(8))), now)


def member(user_id: int = 1, *, scopes: frozenset[Scope] = frozenset({Scope.READ, Scope.RUN})) -> Actor:
    return Actor(user_id, f"user{user_id}", Role.MEMBER, scopes)


ADMIN = Actor(99, "root", Role.ADMIN, ALL_SCOPES)


# ---- a database of one's own, quickly


class Template:
    """A prepared database that others are copied from; migrations run once."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url = postgres.new_url(f"sqlite:///{directory / 'template.db'}")
        db = Database(self.url)
        db.prepare()
        db.close()
        self._numbers = count(1)

    def copy(self) -> Database:
        if postgres.WANTED:
            server, template = postgres.cluster(), str(make_url(self.url).database)
            return Database(server.url(server.database(template)))
        path = self.directory / f"copy{next(self._numbers)}.db"
        shutil.copy(self.directory / "template.db", path)
        return Database(f"sqlite:///{path}")

    def discard(self, db: Database) -> None:
        db.close()
        if postgres.WANTED:
            postgres.drop(db.url)
        else:
            Path(db.backend.name).unlink()


# ---- a service without threads


class StillSupervisor(Supervisor):
    """Starts no threads: `step` gives each worker one turn."""

    def _follow(self, worker: Worker) -> None:
        """Its turns are the test's."""

    def step(self, *, times: int = 1) -> None:
        for _ in range(times):
            self.turn()
            for worker in self.workers():
                self._turn(worker)


@dataclass
class World:
    """A service over a directory, its clock and its places to run in the test's hands."""

    directory: Path
    db: Database
    clock: Clock = field(default_factory=Clock)
    gpu_count: int = 2
    machine: Room = MACHINE
    per_user: int = 0
    max_queued: int = 0
    cluster: bool = False  # a fake engine with a queue of its own instead of this machine
    limits: Limits = field(default_factory=lambda: Limits(stop_grace=60.0, stall_seconds=100.0))

    def __post_init__(self) -> None:
        self.engine = ToyEngine()
        self.engines: dict[str, Any] = {"toy": self.engine}
        self.executor: FakeExecutor = FakeCluster(self.clock) if self.cluster else FakeExecutor(self.clock)
        base = self.directory
        self.workspaces = Workspaces(base / "data", base / "configs", base / "logs", base / "out")
        self.workspaces.prepare()
        self.source = FakeSource(self.gpu_count)
        self.monitor = GpuMonitor(self.source, clock=lambda: 0.0)
        self.monitor.turn(0.0)
        self.revive()

    def revive(self) -> None:
        """As a service that starts over the same data: everything in memory is made anew. Not yet adopted."""
        self.feed = Feed()
        self.parts = Parts(
            self.db, self.engines, self.executor, self.workspaces, self.feed, self.limits, {"PATH": "/bin"}
        )
        self.supervisor = StillSupervisor(self.parts, lambda: self.queue.offer(), clock=self.clock)
        self.gpus = GpuDesk(self.monitor, self.db, self.supervisor.own_pids)
        fitting: Fitting = MachineFitting(self.gpus, self.machine)
        handed = None
        if isinstance(self.executor, FakeCluster) and self.supervisor.handover is not None:
            fitting = ClusterFitting(self.executor)
            handed = EngineQueue(self.parts, self.supervisor.handover, self.clock)
        self.queue = QueueDesk(
            self.db, self.gpus, lambda: self.machine, per_user=self.per_user, engine=handed, clock=self.clock
        )
        self.jobs = JobService(
            self.db, self.engines, self.executor, self.supervisor, self.workspaces, self.feed, self.gpus,
            grace=self.limits.stop_grace, fitting=fitting, max_queued=self.max_queued, clock=self.clock,
        )  # fmt: skip
        self.orders = QueueService(self.db, self.jobs, self.gpus, self.feed, self.supervisor.wake, self.clock)

    def submit(
        self,
        actor: Actor | None = None,
        dialect: Dialect = TRAINING_V1,
        *,
        wait: bool = True,
        gpus: int | tuple[int, ...] = 0,
        cpus: int | None = None,
        memory: int = 0,
        request: Request | None = None,
        **spec: Any,
    ) -> Job:
        fields = {"engine": "toy", "name": "a job", "resources": wanted(gpus, cpus, memory), **spec}
        return self.jobs.submit(actor or member(), JobSpec(**fields), dialect, wait=wait, request=request)

    def get(self, job_id: str) -> Job:
        with self.db.read() as connection:
            return store.get(connection, job_id)

    def status(self, job_id: str) -> JobStatus:
        return self.get(job_id).status

    def handle(self, job_id: str, attempt: int | None = None) -> str:
        with self.db.read() as connection:
            job = store.get(connection, job_id)
            found = store.attempt(connection, job, attempt)
        return self.executor.handle(self.workspaces.of(found))

    def write(self, job_id: str, text: str | bytes) -> None:
        self.executor.write(self.handle(job_id), text)

    def running(self, **spec: Any) -> Job:
        """A job whose child runs and was seen to."""
        job = self.submit(**spec)
        self.supervisor.step(times=2)
        assert self.status(job.id) is JobStatus.RUNNING
        return self.get(job.id)

    def worker(self, job_id: str) -> Worker:
        return next(worker for worker in self.supervisor.workers() if worker.job.id == job_id)

    def save_state(self, job_id: str, step: int) -> Path:
        """A checkpoint of the job's current attempt appears on disk."""
        with self.db.read() as connection:
            output = Path(store.attempt(connection, store.get(connection, job_id)).output_dir)
        output.mkdir(parents=True, exist_ok=True)
        path = output / f"state-{step}"
        path.write_text("x" * step)
        return path
