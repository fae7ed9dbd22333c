"""A worker's turns: how attempts begin, are stopped, hang, run too long and end, and what is said of it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from api.models.job import EndReason, Job, JobStatus, Phase
from api.services.executors.base import RunState, Usage
from api.services.launching import free_ports
from api.services.store import jobs as store
from api.services.store.database import StorageFull
from api.services.worker import GrowthWatch, HangWatch, Worker, stop_grace
from api.utils.errors import Invalid
from tests.unit.toys import START, World, claim, member

STALL = 100.0


def step(world: World, times: int = 1, seconds: float = 1.0) -> None:
    for _ in range(times):
        world.clock.tick(seconds)
        world.supervisor.step()


def ask_to_stop(world: World, job: Job, *, force: bool = False) -> Job:
    return world.jobs.stop(world_owner, job.id, force=force, wait=0.0).job


world_owner = member()


# ---- beginning


def test_a_job_is_launched_followed_and_done(world: World) -> None:
    job = world.submit(params={"epochs": 2}, env={"MINE": "1"})
    world.supervisor.step()
    (command,) = world.executor.launches
    assert command.argv == ("toy", job.id) and command.env == {"PATH": "/bin", "MINE": "1", "TOY": "1"}
    (launch,) = world.engine.prepared
    assert len(set(launch.ports)) == 2 and launch.gpu_ids == () and launch.resume_from is None
    world.clock.tick(5)
    world.supervisor.step()
    world.write(job.id, "epoch 1/2\nstep=1 loss=3\nDONE\n")
    world.executor.exit(world.handle(job.id), 0)
    step(world)
    done = world.get(job.id)
    with world.db.read() as connection:
        attempt = store.attempt(connection, done)
    assert (done.status, done.reason, done.failure) == (JobStatus.COMPLETED, EndReason.DONE, None)
    assert (attempt.exit_code, attempt.pid, attempt.reason) == (0, 1000, EndReason.DONE)
    assert (attempt.started_at, attempt.ended_at) == (START, START + 5)
    assert attempt.command == ("toy", job.id) and attempt.environment == {"MINE": "1", "TOY": "1"}
    assert done.progress["step"] == 1 and done.progress["loss"] == 3.0 and done.progress["phase"] == Phase.DONE
    assert world.supervisor.workers() == []


def test_leased_gpus_reach_the_engine(world: World) -> None:
    job = world.running(gpus=2)
    assert world.engine.prepared[0].gpu_ids == job.gpu_ids == (0, 1)


@pytest.mark.parametrize(
    ("problem", "kind"),
    [(Invalid("dataset", "is empty"), "bad_config"), (FileNotFoundError(2, "no such", "x"), "unknown")],
)
def test_what_cannot_be_prepared_fails(world: World, problem: Exception, kind: str) -> None:
    world.engine.prepare_error = problem
    job = world.submit(gpus=1)
    step(world)
    failed = world.get(job.id)
    assert (failed.status, failed.reason) == (JobStatus.FAILED, EndReason.LAUNCH_FAILED)
    assert failed.failure is not None and failed.failure.kind == kind and str(problem) in failed.failure.hint
    assert world.executor.launches == [] and world.gpus.view().free == (0, 1)


def test_what_the_executor_refuses_fails(world: World) -> None:
    world.executor.refuse_next("no room in the inn")
    job = world.submit()
    step(world)
    failed = world.get(job.id)
    assert failed.reason is EndReason.LAUNCH_FAILED and failed.error_message == "no room in the inn"


def test_a_database_that_cannot_be_written_is_not_the_jobs_fault(world: World) -> None:
    world.engine.prepare_error = StorageFull("the disk is full")
    job = world.submit()
    step(world, 3)
    assert world.status(job.id) is JobStatus.RUNNING
    world.engine.prepare_error = None
    step(world)
    assert len(world.executor.launches) == 1 and world.status(job.id) is JobStatus.RUNNING


# ---- the verdict

End = Callable[[World, str], None]


def exits(code: int, output: str = "", *, oom: bool = False) -> End:
    def end(world: World, handle: str) -> None:
        world.executor.write(handle, output)
        world.executor.exit(handle, code, oom_killed=oom)

    return end


def vanishes(world: World, handle: str) -> None:
    world.executor.vanish(handle)


def is_orphaned(world: World, handle: str) -> None:
    world.executor.orphan(handle)
    step(world)
    world.executor.exit(handle, 0)


VERDICTS = [
    (exits(0, "DONE\n"), EndReason.DONE, None),
    (exits(0, "DONE"), EndReason.DONE, None),  # a last line without its end is a line too
    (exits(0), EndReason.EXIT_CODE, "incomplete"),
    (exits(3, "DONE\n"), EndReason.EXIT_CODE, "unknown"),
    (exits(1, "BOOM: CUDA out of memory\n"), EndReason.EXIT_CODE, "cuda_oom"),
    (exits(1, "ModuleNotFoundError: No module named 'x'\n"), EndReason.EXIT_CODE, "import_error"),
    (exits(-signal.SIGSEGV), EndReason.EXIT_CODE, "signal"),
    (exits(-signal.SIGKILL), EndReason.EXIT_CODE, "killed_by_oom"),
    (exits(-signal.SIGKILL, oom=True), EndReason.OUT_OF_MEMORY, "killed_by_oom"),
    (vanishes, EndReason.LOST, "lost"),
    (is_orphaned, EndReason.LOST, "lost"),
]


@pytest.mark.parametrize(("end", "reason", "kind"), VERDICTS)
def test_verdicts(world: World, end: End, reason: EndReason, kind: str | None) -> None:
    job = world.running(gpus=1)
    end(world, world.handle(job.id))
    step(world)
    job = world.get(job.id)
    assert (job.reason, job.status) == (reason, reason.status)
    assert (job.failure and job.failure.kind) == kind
    assert job.error_message == (job.failure and job.failure.hint)
    assert world.gpus.view().free == (0, 1)


def test_what_cannot_be_started_at_all(world: World) -> None:
    world.executor.break_next("No such file or directory: python9")
    job = world.submit()
    step(world, 2)
    job = world.get(job.id)
    assert job.reason is EndReason.LAUNCH_FAILED and job.failure is not None
    assert "python9" in job.failure.hint and job.failure.kind == "missing_file"


@pytest.mark.parametrize("end", [exits(0, "DONE\n"), exits(0), exits(7, "BOOM: x\n"), exits(-9, oom=True), vanishes])
def test_after_a_stop_request_every_end_is_a_stop(world: World, end: End) -> None:
    world.engine.soft = True
    job = world.running()
    ask_to_stop(world, job)
    world.clock.tick()
    end(world, world.handle(job.id))
    step(world)
    job = world.get(job.id)
    assert (job.reason, job.status, job.failure) == (EndReason.STOPPED_BY_USER, JobStatus.STOPPED, None)


@pytest.mark.parametrize(("code", "reason"), [(0, EndReason.DONE), (5, EndReason.EXIT_CODE)])
def test_an_end_before_the_stop_request_is_what_it_was(world: World, code: int, reason: EndReason) -> None:
    job = world.running()
    exits(code, "DONE\n")(world, world.handle(job.id))
    world.clock.tick()
    ask_to_stop(world, job)
    step(world)
    assert world.get(job.id).reason is reason


def test_the_status_is_terminal_only_after_everything_was_read(world: World) -> None:
    job = world.running()
    size = 3 * 2**20
    line = "x" * 1023 + "\n"
    world.write(job.id, line * (size // len(line)) + "step=7 loss=2\nDONE")
    world.executor.exit(world.handle(job.id), 0)
    turns = 0
    while world.status(job.id) is JobStatus.RUNNING:
        step(world)
        turns += 1
    job = world.get(job.id)
    with world.db.read() as connection:
        total = store.extras(connection, job.seq).total_lines
    assert turns > 1 and (job.status, total) == (JobStatus.COMPLETED, size // len(line) + 2)
    assert job.progress["step"] == 7


# ---- stops


def stops(world: World) -> list[float]:
    return [grace for _, grace in world.executor.stops]


def test_a_stop_before_the_start(world: World) -> None:
    job = world.submit()
    with world.db.write() as connection:
        claimed = claim(connection, (), 1, now=world.clock())
        assert claimed is not None
        store.request_stop(connection, claimed, world.clock(), force=False)
    step(world)
    assert world.get(job.id).reason is EndReason.STOPPED_BY_USER and world.executor.launches == []


def test_a_trainer_that_cannot_be_asked_is_ended_at_once(world: World) -> None:
    job = world.running()
    ask_to_stop(world, job)
    step(world)
    assert stops(world) == [world.limits.kill_grace]
    step(world)
    assert world.status(job.id) is JobStatus.STOPPED


def test_a_soft_stop_has_its_grace(world: World) -> None:
    world.engine.soft = True
    job = world.running()
    asked = world.clock.now
    ask_to_stop(world, job)
    step(world)
    assert world.engine.asked == [job.id] and stops(world) == []
    while not stops(world):
        step(world)
        assert world.clock.now < asked + 100
    assert 60 + GrowthWatch.QUIET <= world.clock.now - asked <= 63 + GrowthWatch.QUIET
    assert set(stops(world)) == {world.limits.kill_grace}
    step(world, 2)
    assert world.status(job.id) is JobStatus.STOPPED


def test_slow_steps_and_saves_lengthen_the_grace(world: World) -> None:
    world.engine.soft = True
    job = world.running()
    world.write(job.id, "saving: x\n")
    step(world, seconds=10)
    world.write(job.id, "step=1 loss=1 took=50\n")
    step(world, seconds=30)
    grace = stop_grace(world.get(job.id), world.limits.stop_grace)
    assert grace == 3 * 50 + 30 and stop_grace(job, 7.0) == 7.0
    asked = world.clock.now
    ask_to_stop(world, job)
    while not stops(world):
        step(world, seconds=2)
    assert world.clock.now - asked >= grace


def test_a_save_that_still_grows_is_not_cut_short(world: World) -> None:
    world.engine.soft = True
    job = world.running()
    ask_to_stop(world, job)
    for size in range(1, 100):
        world.save_state(job.id, size)
        step(world)
    assert stops(world) == []
    step(world, 8)
    assert stops(world)[:1] == [world.limits.kill_grace]


def test_force(world: World) -> None:
    world.engine.soft = True
    job = world.running()
    world.executor.runs[world.handle(job.id)].stubborn = True
    ask_to_stop(world, job)
    step(world)
    ask_to_stop(world, job, force=True)
    step(world)
    assert stops(world) == [world.limits.force_grace] and world.status(job.id) is JobStatus.RUNNING
    step(world, 6)
    with world.db.read() as connection:
        assert store.attempt(connection, world.get(job.id)).exit_code == -9
    assert world.status(job.id) is JobStatus.STOPPED


def test_a_flood_of_output_does_not_keep_a_stop_from_being_acted_on(world: World) -> None:
    job = world.running()
    world.write(job.id, b"y\n" * (3 * 2**20))
    ask_to_stop(world, job)
    step(world)
    assert world.worker(job.id).behind and stops(world)


# ---- hung, and too long


def quiet(world: World, job: Job, seconds: float, cpu: float) -> None:
    """Time passes without output; the tree uses `cpu` of a core."""
    handle = world.handle(job.id)
    for _ in range(int(seconds)):
        used = world.executor.runs[handle].usage
        world.executor.runs[handle].usage = Usage(used.cpu_seconds + cpu, 1, used.pids)
        step(world)


def test_a_hung_trainer_is_ended_and_failed_with_what_it_printed(world: World) -> None:
    job = world.running()
    world.write(job.id, "step=3 loss=1\nBOOM: weird\n")
    quiet(world, job, STALL - 1, cpu=0.0)
    assert stops(world) == []
    quiet(world, job, 8, cpu=0.0)
    job = world.get(job.id)
    assert (job.reason, job.failure and job.failure.kind) == (EndReason.TIMED_OUT, "stalled")
    assert job.failure is not None and job.failure.line == "BOOM: weird"


@pytest.mark.parametrize(
    ("output", "cpu", "seconds"),
    [("BOOM: x\n", 0.5, 250), ("OOPS: x\n", 0.0, 250), ("x\n", 0.0, 250), ("BOOM: x\nstep=9\n", 0.0, 250)],
)
def test_a_healthy_trainer_is_left_alone(world: World, output: str, cpu: float, seconds: float) -> None:
    job = world.running()
    world.write(job.id, output)
    quiet(world, job, seconds, cpu)
    assert stops(world) == []


def test_output_after_a_traceback_is_a_sign_of_life(world: World) -> None:
    job = world.running()
    world.write(job.id, "BOOM: x\n")
    for _ in range(4):
        quiet(world, job, STALL - 10, cpu=0.0)
        world.write(job.id, "still here\n")
    assert stops(world) == []


def test_a_hang_is_also_seen_by_the_next_service(world: World) -> None:
    job = world.running()
    world.write(job.id, "BOOM: x\n")
    quiet(world, job, STALL - 10, cpu=0.0)
    world.revive()
    world.supervisor.adopt()
    quiet(world, job, STALL - 10, cpu=0.0)  # what was before it came was not measured by it
    assert stops(world) == []
    quiet(world, job, 20, cpu=0.0)
    assert world.get(job.id).reason is EndReason.TIMED_OUT


def test_max_runtime(world: World) -> None:
    job = world.running(max_runtime=50)
    step(world, 49)
    assert stops(world) == []
    step(world, 3)
    job = world.get(job.id)
    assert (job.reason, job.failure and job.failure.kind) == (EndReason.TIMED_OUT, "timed_out")


def test_an_orphan_that_runs_too_long(world: World) -> None:
    job = world.running(max_runtime=50)
    world.executor.orphan(world.handle(job.id))
    step(world, 55)
    assert world.get(job.id).reason is EndReason.TIMED_OUT


def test_hang_watch_without_a_process_list() -> None:
    watch = HangWatch(10.0)
    assert not any(watch.hung(0.0, 0.0, None, now) for now in (0.0, 50.0, 500.0))
    busy = [watch.hung(0.0, 0.0, Usage(cpu, 0, ()), now) for now, cpu in ((500.0, 50.0), (509.0, 20.0), (518.0, 20.0))]
    assert busy == [False] * 3  # a process of the tree ended: its time is no longer in the sum
    assert watch.hung(0.0, 0.0, Usage(20.0, 0, ()), 519.0)


@pytest.mark.parametrize("patience", [2.0, 120.0])
def test_hang_watch_lets_one_work_that_gets_little_of_a_core(patience: float) -> None:
    looks = [patience * number / 4 for number in range(40)]
    working, hung = HangWatch(patience), HangWatch(patience)
    assert not any(working.hung(0.0, 0.0, Usage(0.05 * now, 0, ()), now) for now in looks)  # one of twenty
    assert any(hung.hung(0.0, 0.0, Usage(0.01 * now, 0, ()), now) for now in looks[:6])


# ---- the rest


def test_usage_is_kept(world: World) -> None:
    job = world.running()
    quiet(world, job, 12, cpu=0.5)
    with world.db.read() as connection:
        usage = store.extras(connection, job.seq).usage
    assert usage["cpu_percent"] == 50.0 and usage["pids"] == [1000] == list(world.supervisor.own_pids())
    assert world.supervisor.owner_of(1000) == job.id and world.supervisor.owner_of(1) is None


def test_a_worker_of_an_attempt_that_was_followed_by_another_lets_go(world: World) -> None:
    job = world.running()
    old: Worker = world.worker(job.id)
    exits(1)(world, world.handle(job.id))
    step(world)
    world.jobs.restart(world_owner, job.id)
    step(world, 2)
    assert old.turn(world.clock()) is True and world.status(job.id) is JobStatus.RUNNING
    assert world.executor.poll(world.handle(job.id)).state is RunState.RUNNING


def test_ports_are_free_and_nobody_elses() -> None:
    first = free_ports(3, set())
    assert len(set(first)) == 3 and not set(free_ports(3, set(first))) & set(first)


def test_growth_of_a_directory_that_is_not_there(tmp_path: Path) -> None:
    watch = GrowthWatch()
    assert watch.grows(tmp_path / "none", 0.0) and not watch.grows(tmp_path / "none", 6.0)
