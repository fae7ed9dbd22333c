"""The supervisor: adopts before it starts anything, starts as many as fit, and outlives a worker's failures."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from api.models.job import Job, JobStatus
from api.services.executors.base import RunState
from api.services.ingest import Ingestor
from api.services.store import jobs as store
from api.services.store import leases as lease_store
from api.services.store.database import Database
from api.services.supervisor import Limits, Supervisor
from api.utils.errors import Conflict, Unavailable
from tests.unit.toys import Clock, World, claim, member


def statuses(world: World, jobs: list[Job]) -> list[str]:
    return [world.status(job.id).value for job in jobs]


def leases(world: World) -> dict[int, str]:
    with world.db.read() as connection:
        return {gpu: job_id for gpu, (job_id, _) in lease_store.gpu_holders(connection).items()}


# ---- scheduling


def test_as_many_start_as_fit(world: World) -> None:
    cpu = [world.submit() for _ in range(4)]
    gpu = [world.submit(gpus=1) for _ in range(3)]
    assert world.supervisor.turn() == 4  # two places and two GPUs
    assert statuses(world, cpu) == ["running", "running", "queued", "queued"]
    assert statuses(world, gpu) == ["running", "running", "queued"]
    assert leases(world) == {0: gpu[0].id, 1: gpu[1].id}
    assert world.supervisor.turn() == 0
    world.supervisor.step()
    assert len(world.executor.launches) == 4
    for job in (cpu[0], gpu[1]):
        world.executor.exit(world.handle(job.id), 1)
    world.supervisor.step()
    assert world.supervisor.turn() == 2
    assert statuses(world, cpu)[2] == statuses(world, gpu)[2] == "running"
    assert leases(world) == {0: gpu[0].id, 1: gpu[2].id}


def test_a_gpu_that_a_stranger_uses_is_left_alone(world: World) -> None:
    world.source.occupy(0, pid=77, memory_mb=9000)
    world.monitor.turn(0.0)
    jobs = [world.submit(gpus=1) for _ in range(2)]
    assert world.supervisor.turn() == 1
    assert leases(world) == {1: jobs[0].id}
    world.source.release(0, pid=77)
    world.monitor.turn(0.0)
    assert world.supervisor.turn() == 1


def test_nothing_starts_after_the_end(world: World) -> None:
    job = world.submit()
    world.supervisor.close()
    assert world.supervisor.turn() == 0 and world.status(job.id) is JobStatus.QUEUED


# ---- adoption


def test_what_runs_is_adopted_before_anything_starts(world: World) -> None:
    running = [world.running(gpus=1), world.running()]
    waiting = world.submit(gpus=2)
    world.revive()
    world.supervisor.adopt()
    assert {worker.job.id for worker in world.supervisor.workers()} == {job.id for job in running}
    assert world.status(waiting.id) is JobStatus.QUEUED and len(world.executor.launches) == 2
    world.write(running[0].id, "step=4 loss=1\n")
    world.supervisor.step()
    assert world.get(running[0].id).progress["step"] == 4


def test_what_ended_meanwhile_is_ended_by_the_adoption(world: World) -> None:
    done, lost = world.running(gpus=1), world.running(gpus=1)
    world.write(done.id, "step=9 loss=1\nDONE\n")
    world.executor.exit(world.handle(done.id), 0)
    world.executor.vanish(world.handle(lost.id))
    world.revive()
    world.supervisor.adopt()
    world.supervisor.step()  # what was printed last is read in a turn of its own where it is much
    assert statuses(world, [done, lost]) == ["completed", "failed"]
    assert world.get(done.id).progress["step"] == 9 and leases(world) == {}


def test_a_claim_whose_launch_never_came_is_launched(world: World) -> None:
    job = world.submit(gpus=1)
    with world.db.write() as connection:
        claim(connection, (1,), 0, now=world.clock())
    world.revive()
    world.supervisor.adopt()
    assert len(world.executor.launches) == 1 and leases(world) == {1: job.id}
    world.revive()
    world.supervisor.adopt()
    world.supervisor.step()
    assert len(world.executor.launches) == 1
    assert world.executor.poll(world.handle(job.id)).state is RunState.RUNNING


def test_leases_are_rebuilt_from_what_runs(world: World) -> None:
    job, gone = world.running(gpus=1), world.running(gpus=1)
    with world.db.write() as connection:  # as if a version with a bug had left one behind
        lease_store.give_back(connection, job.seq)
        store.transition(connection, store.get(connection, gone.id), JobStatus.FAILED, world.clock())
    assert leases(world) == {1: gone.id}
    world.revive()
    world.supervisor.adopt()
    assert leases(world) == {0: job.id}


# ---- failures


def test_a_worker_whose_turn_raises_is_tried_again_and_others_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sick, well = world.running(), world.running()
    problems: list[Exception] = [RuntimeError("a bug"), Unavailable("busy"), Conflict("x"), OSError(28, "full")]
    real = Ingestor._commit

    def commit(self: Ingestor, *given: object) -> None:
        if self._job.id == sick.id and problems:
            real(self, *given)  # type: ignore[arg-type]
            raise problems.pop(0)
        real(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Ingestor, "_commit", commit)
    for number in range(1, 7):
        for job in (sick, well):
            world.write(job.id, f"step={number} loss={number}\n")
        world.clock.tick()
        world.supervisor.step()
        assert world.get(well.id).progress["step"] == number
    assert not problems and world.get(sick.id).progress["step"] == 6
    assert not world.worker(sick.id).broken
    assert "a turn failed" in caplog.text and len(caplog.records) == 4


def test_one_that_cannot_be_followed_does_not_keep_the_others_from_it(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.engines["removed"] = world.engine
    sick, well = world.running(engine="removed"), world.running(gpus=1)
    del world.engines["removed"]
    world.revive()
    world.supervisor.adopt()
    assert [worker.job.id for worker in world.supervisor.workers()] == [well.id]
    for _ in range(3):
        world.supervisor.step()
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1  # said once
    world.engines["removed"] = world.engine  # an operator brought it back
    world.supervisor.step()
    assert {worker.job.id for worker in world.supervisor.workers()} == {sick.id, well.id}


def test_a_claim_that_nobody_followed_is_followed_by_a_later_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.submit()
    with monkeypatch.context() as patch:
        patch.setattr(Ingestor, "reset", lambda self: (_ for _ in ()).throw(OSError(5, "the disk")))
        world.supervisor.turn()
    assert world.status(job.id) is JobStatus.RUNNING and world.supervisor.workers() == []
    world.supervisor.step()
    assert len(world.executor.launches) == 1


def test_the_worker_of_a_resume_is_not_dropped_by_the_one_before(world: World) -> None:
    job = world.running()
    old = world.worker(job.id)
    world.executor.exit(world.handle(job.id), 1)
    world.clock.tick()
    assert old.turn(world.clock()) is True  # ended; its thread has not yet taken itself off the list
    world.jobs.restart(member(), job.id)
    with world.db.write() as connection:
        claimed = claim(connection, (), 1, now=world.clock())
    assert claimed is not None
    world.supervisor._take(claimed)
    assert world.supervisor._turn(old) is True
    assert world.worker(job.id) is not old and world.worker(job.id).attempt.number == 2


# ---- with threads


def test_a_real_one_runs_a_job_from_the_queue_to_its_end(world: World, db: Database) -> None:
    world.executor.exit_next(0)
    limits = Limits()
    supervisor = Supervisor(
        replace(world.parts, limits=limits), lambda: world.queue.offer(), clock=Clock(), interval=0.005
    )
    job = world.submit()
    seen = world.feed.version
    supervisor.start()
    try:
        while world.status(job.id) in (JobStatus.QUEUED, JobStatus.RUNNING):
            assert world.feed.wait(seen, 20.0) != seen
            seen = world.feed.version
        assert world.get(job.id).failure is not None and supervisor.last_turn_age() < 20
    finally:
        supervisor.close()
    assert supervisor.workers() == []
