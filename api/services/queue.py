"""The queue as people see it: what it may give, who waits for what and why, and what they may change about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from api.models.accounts import Actor
from api.models.job import Job, JobStatus
from api.models.room import Offer, Room
from api.services.engine_queue import EngineQueue
from api.services.executors.base import ClusterExecutor
from api.services.feed import Feed
from api.services.gpus.desk import GpuDesk, GpuView
from api.services.jobs import JobService
from api.services.queue_reasons import Scene
from api.services.store import jobs as store
from api.services.store import queue
from api.services.store.database import Database
from api.services.store.queue import Drain, Waiting
from api.utils.errors import Conflict, NotFound

SHOWN = 500  # of a long queue: places of the others are known, their reasons are not worked out


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job stands in the queue. `position` None: it is held back."""

    waiting: Waiting
    position: int | None
    reason: str


class QueueDesk:
    """Looks and answers. `machine` is what jobs may have of cores, memory and places; the GPUs are the desk's.

    `engine`: where the queue is an engine's, what that says of a job that waits in it. `cluster`: where jobs run on
    one. There its nodes say what jobs may have, GPUs too; while it cannot be asked they may have nothing.
    """

    def __init__(
        self,
        db: Database,
        gpus: GpuDesk,
        machine: Callable[[], Room],
        *,
        per_user: int = 0,
        engine: EngineQueue | None = None,
        cluster: ClusterExecutor | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = db
        self._gpus = gpus
        self._machine = machine
        self._per_user = per_user
        self._engine = engine
        self._cluster = cluster
        self._clock = clock

    def offer(self, view: GpuView | None = None) -> Offer:
        """What the scheduler may give now."""
        if self._cluster is not None:
            return self._offer_of(self._cluster)
        view = view or self._gpus.view()
        return Offer(replace(self._machine(), gpus=view.free), view.in_service, self._per_user)

    def _offer_of(self, cluster: ClusterExecutor) -> Offer:
        """Which GPUs are whose only the nodes know: the numbers that are leased are a count."""
        state = cluster.state()
        if cluster.problem() is not None:
            return Offer(Room(), per_user=self._per_user, nodes=())
        up, room = [node for node in state.nodes if node.up], state.room
        whole, free = tuple(node.room for node in up), tuple(node.free for node in up)
        return Offer(room, room.gpus, self._per_user, whole, free)

    def _away(self) -> str | None:
        """Why nothing can start on the cluster."""
        if self._cluster is None or self._engine is not None:
            return None
        return self._cluster.problem()

    def position(self, job: Job) -> int | None:
        with self._db.read() as connection:
            return queue.position(connection, job)

    def positions(self, jobs: Sequence[Job]) -> dict[str, int | None]:
        """The same of many, by their ids."""
        with self._db.read() as connection:
            places = queue.positions(connection) if any(job.status is JobStatus.QUEUED for job in jobs) else {}
        return {job.id: places.get(job.seq) for job in jobs}

    def length(self) -> int:
        with self._db.read() as connection:
            return queue.length(connection)

    def reason(self, job: Job) -> str | None:
        """What a queued job waits for, in words; None when it does not wait."""
        if job.status is not JobStatus.QUEUED:
            return None
        if self._engine is not None:
            return self._engine.reason(job)
        if told := self._away():
            return told
        with self._db.read() as connection:
            ahead = queue.line(connection, limit=SHOWN, until=job)
            position = queue.position(connection, job)
            try:
                mine = queue.waiting(connection, job)
            except Conflict:  # it was started between two looks
                return None
            scene = self._scene(store.with_status(connection, JobStatus.RUNNING))
        if position is not None and position > SHOWN + 1:
            return f"waits behind {position - 1} others"
        for other in ahead:
            scene.explain(other)
        return scene.explain(mine)

    def line(self) -> list[Place]:
        """The whole queue in order, the held ones last; of a very long one its first `SHOWN`."""
        with self._db.read() as connection:
            waiting = queue.line(connection, limit=SHOWN)
            if self._engine is not None:
                told = self._engine.reasons([store.get(connection, one.id) for one in waiting])
                return [
                    Place(one, None if one.held else number, reason)
                    for number, (one, reason) in enumerate(zip(waiting, told, strict=True), start=1)
                ]
            scene = self._scene(store.with_status(connection, JobStatus.RUNNING))
        away = self._away()
        return [
            Place(one, None if one.held else number, away or scene.explain(one))
            for number, one in enumerate(waiting, start=1)
        ]

    def _scene(self, running: Sequence[Job]) -> Scene:
        view = self._gpus.view()
        return Scene(self.offer(view), view, running, self._clock())


class QueueService:
    """What people change about the queue."""

    def __init__(
        self,
        db: Database,
        jobs: JobService,
        gpus: GpuDesk,
        feed: Feed,
        wake: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._db = db
        self._jobs = jobs
        self._gpus = gpus
        self._feed = feed
        self._wake = wake
        self._clock = clock

    def reorder(self, actor: Actor, job_id: str, *, priority: int | None = None, held: bool | None = None) -> Job:
        """Another priority (0 to 10), or held back, or released. Raises Conflict when the job does not wait."""
        job = self._jobs.mine(actor, job_id)
        changes = {name: value for name, value in (("priority", priority), ("held", held)) if value is not None}
        with self._db.write() as connection:
            job = queue.reorder(connection, job, self._clock(), **changes)
        self._feed.notify()
        self._wake()
        return job

    def drain(self, actor: Actor, gpu_id: int, reason: str) -> None:
        """Nothing new is started on the GPU from now on; what runs there goes on."""
        actor.require_admin()
        with self._db.write() as connection:
            queue.drain(connection, Drain(self._uuid(gpu_id), reason, actor.name, self._clock()))

    def undrain(self, actor: Actor, gpu_id: int) -> None:
        """Raises Conflict when it is in service."""
        actor.require_admin()
        with self._db.write() as connection:
            if not queue.undrain(connection, self._uuid(gpu_id)):
                raise Conflict(f"GPU {gpu_id} is not drained")
        self._wake()

    def _uuid(self, gpu_id: int) -> str:
        gpu = self._gpus.monitor.snapshot().get(gpu_id)
        if gpu is None:
            raise NotFound(f"there is no GPU {gpu_id}")
        if gpu.node is not None:
            raise Conflict(f"GPU {gpu_id} is on node {gpu.node} of a cluster; whoever runs the cluster drains the node")
        if gpu.uuid is None:
            raise Conflict(f"the driver does not name GPU {gpu_id}; it cannot be told from others")
        return gpu.uuid
