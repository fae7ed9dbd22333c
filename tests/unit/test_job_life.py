"""The life of jobs under everything at once: users, children that end, crashes at any point, a machine that reboots."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from api.models.accounts import Viewer
from api.models.job import EndReason, Job, JobStatus
from api.models.room import Lane, lane_of
from api.services import ingest, jobs, worker
from api.services.executors.base import RunState
from api.services.store import job_lists, leases
from api.services.store import jobs as store
from api.utils.errors import Conflict
from tests.unit.conftest import MEMORY
from tests.unit.toys import GIB, Template, World, member

ME = member()
LIVE = (RunState.RUNNING, RunState.ORPHAN)


class Killed(BaseException):
    """The service died at a crash point; whatever was not committed is gone."""


class CrashPoints:
    """Where the service dies next: at the nth time that it passes a point."""

    def __init__(self) -> None:
        self.armed: tuple[str, int] | None = None

    def __call__(self, name: str) -> None:
        if self.armed is not None and self.armed[0] == name:
            left = self.armed[1]
            self.armed = (name, left - 1) if left > 1 else None
            if left <= 1:
                raise Killed(name)


@cache
def template() -> tuple[Template, tempfile.TemporaryDirectory[str]]:
    directory = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
    return Template(Path(directory.name)), directory


STEP_POINTS = [
    "worker.before_prepare", "worker.after_prepare", "worker.after_launch", "ingest.before_commit",
    "ingest.after_commit", "worker.before_finish", "worker.after_finish",
]  # fmt: skip


class JobLife(RuleBasedStateMachine):
    """A model that knows only what was promised, held against the service after every step."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.files = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.db = template()[0].copy()
        self.world = World(Path(self.files.name), self.db)
        self.patch = pytest.MonkeyPatch()
        self.points = CrashPoints()
        for module in (worker, ingest, jobs):
            self.patch.setattr(module, "fault", self.points)
        self.known: set[str] = set()  # acknowledged and not deleted
        self.gone: set[str] = set()
        self.final: dict[str, tuple[Any, ...]] = {}  # what was seen of an end
        self.codes: dict[tuple[str, int], int] = {}  # how the test let attempts end
        self.starts = 0

    def teardown(self) -> None:
        self.patch.undo()
        template()[0].discard(self.db)
        self.files.cleanup()

    # ---- helpers

    def guarded(self, act: Any, *given: Any, **named: Any) -> bool:
        """Does something that the service may die of; then it starts again. False: it died."""
        try:
            act(*given, **named)
        except Killed:
            self.restart_service()
            return False
        finally:
            self.points.armed = None
        return True

    def restart_service(self) -> None:
        self.points.armed = None
        self.world.revive()
        self.world.jobs.finish_removals()
        self.world.supervisor.adopt()

    def live(self) -> list[str]:
        """In the order of their launch, which is the same each time."""
        return [handle for handle, run in self.world.executor.runs.items() if run.seen.state in LIVE]

    def all(self) -> dict[str, Job]:
        with self.db.read() as connection:
            found, _ = job_lists.page(
                connection, Viewer(0, everything=True), job_lists.JobFilter(), limit=10_000, offset=0
            )
        return {job.id: job for job in found}

    # ---- what happens

    @initialize(target=ids, wanted=st.lists(st.sampled_from([0, 1, 2, (1,)]), min_size=2, max_size=4))
    def begin(self, wanted: list[Any]) -> Any:
        found = [self.world.submit(ME, gpus=gpus).id for gpus in wanted]
        self.known |= set(found)
        self.world.supervisor.step(times=2)
        return multiple(*found)

    @rule(
        target=ids,
        gpus=st.sampled_from([0, 0, 1, 1, 2, (0,), (1,)]),
        cpus=st.sampled_from([None, None, 1, 3]),
        gigabytes=st.integers(1, 8),
        priority=st.integers(0, 2),
        limit=st.sampled_from([None, None, 5]),
        retries=st.sampled_from([0, 0, 2]),
        crash=st.sampled_from([None, None, None, "submit.before_insert", "submit.after_insert"]),
    )
    def submit(
        self,
        gpus: Any,
        cpus: int | None,
        gigabytes: int,
        priority: int,
        limit: int | None,
        retries: int,
        crash: str | None,
    ) -> Any:
        before = set(self.all())
        self.points.armed = (crash, 1) if crash else None
        wanted = {"gpus": gpus, "cpus": cpus, "memory": gigabytes * GIB}
        self.guarded(self.world.submit, ME, priority=priority, max_runtime=limit, max_retries=retries, **wanted)
        new = set(self.all()) - before
        assert len(new) == (0 if crash == "submit.before_insert" else 1)
        self.known |= new
        return multiple(*new)

    @rule(seconds=st.sampled_from([0.5, 1.0, 30.0]))
    def turn(self, seconds: float) -> None:
        self.world.clock.tick(seconds)
        self.world.supervisor.step()

    @rule(point=st.sampled_from(STEP_POINTS), times=st.integers(1, 3))
    def die_in_a_turn(self, point: str, times: int) -> None:
        self.world.clock.tick()
        self.points.armed = (point, times)
        self.guarded(self.world.supervisor.step)

    @precondition(lambda self: self.live())
    @rule(reboot=st.booleans())
    def die(self, reboot: bool) -> None:
        """The service alone, or the whole machine."""
        for handle in self.live() if reboot else ():
            self.world.executor.vanish(handle)
        self.world.clock.tick()
        self.restart_service()

    @precondition(lambda self: self.live())
    @rule(
        which=st.integers(0, 50),
        code=st.sampled_from([0, 1, 7, -9]),
        output=st.sampled_from(["", "DONE\n", "BOOM: x\n"]),
        seen=st.booleans(),
    )
    def child_exits(self, which: int, code: int, output: str, seen: bool) -> None:
        live = self.live()
        handle = live[which % len(live)]
        run = self.world.executor.runs[handle]
        self.world.executor.write(handle, "step=1 loss=1\n" + output)
        if run.seen.state is RunState.RUNNING:
            self.codes[run.workspace.job_id, run.workspace.attempt] = code
        self.world.executor.exit(handle, code)
        if seen:
            self.turn(1.0)

    @precondition(lambda self: self.live())
    @rule(which=st.integers(0, 50))
    def child_prints(self, which: int) -> None:
        live = self.live()
        self.world.executor.write(live[which % len(live)], "step=2 loss=nan\nhalf a line")

    @precondition(lambda self: self.live())
    @rule(which=st.integers(0, 50), how=st.sampled_from(["vanish", "orphan", "stubborn"]))
    def child_in_trouble(self, which: int, how: str) -> None:
        live = self.live()
        if how == "stubborn":
            self.world.executor.runs[live[which % len(live)]].stubborn = True
        else:
            getattr(self.world.executor, how)(live[which % len(live)])

    @rule(job_id=ids, force=st.booleans(), soft=st.booleans(), die=st.booleans())
    def stop(self, job_id: str, force: bool, soft: bool, die: bool) -> None:
        self.world.engine.soft = soft
        before = self.all()[job_id].status
        self.points.armed = ("stop.after_flag", 1) if die else None
        if before.is_terminal:
            with pytest.raises(Conflict):
                self.world.jobs.stop(ME, job_id, force=force, wait=0.0)
            self.points.armed = None
            return
        self.guarded(self.world.jobs.stop, ME, job_id, force=force, wait=0.0)
        job = self.all()[job_id]
        assert job.stop_requested_at is not None
        assert job.status.is_terminal or before is JobStatus.RUNNING

    @rule(job_id=ids, resume=st.booleans())
    def again(self, job_id: str, resume: bool) -> None:
        before = self.all()[job_id]
        if resume:
            self.world.save_state(job_id, 3)
        act = (lambda: self.world.jobs.resume(ME, job_id, None)) if resume else (
            lambda: self.world.jobs.restart(ME, job_id)
        )  # fmt: skip
        if not before.status.is_terminal:
            with pytest.raises(Conflict):
                act()
            return
        job = act()
        del self.final[job_id]
        assert (job.status, job.attempt) == (JobStatus.QUEUED, before.attempt + 1)
        assert job.series == (before.series if resume else job.attempt)

    @rule(job_id=consumes(ids), point=st.sampled_from([None, None, "delete.after_note", "delete.after_row"]))
    def delete(self, job_id: str, point: str | None) -> Any:
        job = self.all()[job_id]
        if job.status is JobStatus.RUNNING:
            with pytest.raises(Conflict):
                self.world.jobs.delete(ME, job_id, files=True)
            self.kept(job_id)
            return
        self.points.armed = (point, 1) if point else None
        self.guarded(self.world.jobs.delete, ME, job_id, files=True)
        if point == "delete.after_note":
            self.kept(job_id)
        else:
            self.known.discard(job_id)
            self.gone.add(job_id)
            self.final.pop(job_id, None)

    def kept(self, job_id: str) -> None:
        """It was taken out of the bundle and must be looked at nevertheless: the invariants know it."""
        assert job_id in self.all()

    # ---- what is promised

    @invariant()
    def nothing_is_lost_and_nothing_comes_back(self) -> None:
        assert set(self.all()) == self.known and not self.known & self.gone

    @invariant()
    def an_end_is_final_and_true(self) -> None:
        for job_id, job in self.all().items():
            if not job.status.is_terminal:
                assert job_id not in self.final and job.ended_at is None and job.reason is None
                continue
            seen = (job.status, job.reason, job.ended_at, job.attempt, job.failure, job.progress, job.warnings)
            assert self.final.setdefault(job_id, seen) == seen
            assert job.reason is not None and job.reason.status is job.status
            assert job.reason is not EndReason.STOPPED_BY_USER or job.stop_requested_at is not None
            with self.db.read() as connection:
                attempt = store.attempt(connection, job)
            code = self.codes.get((job_id, job.attempt))
            if code is not None and job.reason is not EndReason.LOST:
                assert attempt.exit_code == code
                assert job.status is not JobStatus.COMPLETED or code == 0

    @invariant()
    def never_two_of_one_job_and_none_without_a_row(self) -> None:
        everything = self.all()
        seen = [self.world.executor.runs[handle].workspace.job_id for handle in self.live()]
        assert len(set(seen)) == len(seen)
        for job_id in seen:
            assert everything[job_id].status is JobStatus.RUNNING

    @invariant()
    def each_attempt_is_launched_once(self) -> None:
        assert len(self.world.executor.launches) == len(self.world.executor.runs)

    @invariant()
    def a_leased_gpu_has_one_running_job(self) -> None:
        with self.db.read() as connection:
            held = {gpu: job_id for gpu, (job_id, _) in leases.gpu_holders(connection).items()}
            left = leases.left_of(connection, self.world.machine)
        running = [job for job in self.all().values() if job.status is JobStatus.RUNNING]
        assert held == {gpu: job.id for job in running for gpu in job.gpu_ids}
        assert len(held) == sum(len(job.gpu_ids) for job in running)
        given = [leases.held_by(job) for job in running]
        assert sorted((*left.cores, *(core for one in given for core in one.cores))) == list(self.world.machine.cores)
        assert left.memory == self.world.machine.memory - sum(one.memory for one in given) >= 0
        assert sum(lane_of(job.spec.resources) is Lane.PLACE for job in running) <= self.world.machine.places

    @invariant()
    def one_worker_follows_each_running_job(self) -> None:
        followed = [worker.job.id for worker in self.world.supervisor.workers()]
        running = {job.id for job in self.all().values() if job.status is JobStatus.RUNNING}
        assert len(set(followed)) == len(followed) and running <= set(followed)

    @invariant()
    def no_files_of_the_gone(self) -> None:
        spaces = self.world.workspaces
        assert list(spaces.trash.iterdir()) == []
        for directory in (spaces.control_root, spaces.log_dir, spaces.output_dir):
            assert not {path.name.split(".")[0] for path in directory.iterdir()} & self.gone


TestJobLife = JobLife.TestCase
TestJobLife.settings = settings(max_examples=18, stateful_step_count=30, deadline=None)
