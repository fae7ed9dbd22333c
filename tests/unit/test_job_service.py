"""What people do with jobs: the rules and refusals of submit, stop, resume, restart, delete."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from api.models.accounts import Scope
from api.models.job import EndReason, Job, JobSpec, JobStatus, Resources
from api.services.store import jobs as store
from api.services.store import schema
from api.services.store.job_lists import JobFilter
from api.services.workspaces import Workspaces
from api.utils.errors import Conflict, Forbidden, Insufficient, Invalid, NotFound, TrainyardError, Unavailable
from api.utils.times import iso
from tests.unit.toys import ADMIN, ToyEngine, World, member

ME, OTHER = member(1), member(2)
READER = member(1, scopes=frozenset({Scope.READ}))


def ended(world: World, code: int = 1, **spec: object) -> Job:
    job = world.running(**spec)
    world.executor.exit(world.handle(job.id), code)
    world.clock.tick()
    world.supervisor.step()
    return world.get(job.id)


def count(world: World) -> int:
    return world.jobs.page(ADMIN, JobFilter(), limit=1, offset=0)[1]


# ---- submit


def test_a_job_is_in_the_queue_and_its_owners(world: World) -> None:
    job = world.submit(name="mine")
    assert (job.status, job.owner_id, job.dialect, job.created_at) == (
        JobStatus.QUEUED,
        1,
        "training_v1",
        world.clock(),
    )
    assert world.jobs.get(ME, job.id) == job == world.jobs.get(ADMIN, job.id)
    assert world.jobs.page(ME, JobFilter(), limit=5, offset=0) == ([job], 1)
    assert world.jobs.page(OTHER, JobFilter(), limit=5, offset=0) == ([], 0)
    with world.db.read() as connection:
        assert store.attempt(connection, job).output_dir == str(world.workspaces.output_dir / job.id)


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ({"engine": "nobody"}, Invalid), ({"params": {"bad": True}}, Invalid),
        ({"gpus": (5,)}, Insufficient), ({"gpus": 3}, Insufficient),
    ],
)  # fmt: skip
def test_refused(world: World, spec: dict[str, object], error: type[TrainyardError]) -> None:
    with pytest.raises(error) as caught:
        world.submit(**spec)
    assert count(world) == 0
    if error is Insufficient:
        assert caught.value.data is not None and caught.value.data["available_gpus"] == [0, 1]


def test_a_token_that_may_only_read_starts_nothing(world: World) -> None:
    with pytest.raises(Forbidden):
        world.submit(READER)
    assert count(world) == 0


def test_without_a_gpu_one_is_replaced_by_the_cpu(world: World) -> None:
    world.source.resize(0)
    world.monitor.turn(0.0)
    assert world.submit(gpus=1).spec.resources == Resources(gpus=0)
    for gpus in (2, (0,)):
        with pytest.raises(Insufficient):
            world.submit(gpus=gpus)


def test_a_driver_that_does_not_answer(world: World) -> None:
    world.monitor._latest = None
    with pytest.raises(Unavailable):
        world.submit(gpus=1)
    world.submit()


def test_a_busy_gpu_is_refused_unless_the_caller_waits(world: World) -> None:
    holder = world.running(gpus=(1,))
    world.write(holder.id, "step=10 loss=1 took=2\n")
    world.clock.tick()
    world.supervisor.step()
    with world.db.write() as connection:
        progress = {**store.get(connection, holder.id).progress, "total_steps": 40}
        store.save(connection, holder, world.clock(), progress=progress)
    with pytest.raises(Conflict) as caught:
        world.submit(gpus=(1,), wait=False)
    known = {"gpu_id": 1, "current_task": holder.id, "available_gpus": [0]}
    assert caught.value.data == known | {"estimated_available_time": iso(world.clock() + 60)}
    waiting = world.submit(gpus=(1,), wait=True)
    free = world.submit(gpus=(0,), wait=False)
    with pytest.raises(Conflict) as caught:  # nobody runs on it yet, but somebody waits for just this one
        world.submit(gpus=(0,), wait=False)
    assert caught.value.data is not None and caught.value.data["current_task"] == free.id
    assert world.status(waiting.id) is JobStatus.QUEUED and count(world) == 3


def test_an_output_directory_that_is_not_empty(world: World, tmp_path: Path) -> None:
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    (chosen / "x").touch()
    for path in (chosen, chosen / "x"):
        with pytest.raises(Invalid, match="output_dir"):
            world.submit(output_dir=str(path))


def test_an_output_directory_belongs_to_one_job(world: World, tmp_path: Path) -> None:
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    first = world.submit(output_dir=str(chosen))
    with pytest.raises(Invalid, match=first.id):
        world.submit(output_dir=str(chosen))


# ---- whose


@pytest.mark.parametrize("act", ["get", "stop", "resume", "restart", "delete"])
def test_others(world: World, act: str) -> None:
    job = world.submit()
    do = {
        "get": world.jobs.get,
        "stop": lambda who, i: world.jobs.stop(who, i, force=True, wait=0.0),
        "resume": lambda who, i: world.jobs.resume(who, i, None),
        "restart": lambda who, i: world.jobs.restart(who, i),
        "delete": lambda who, i: world.jobs.delete(who, i, files=True),
    }[act]
    with pytest.raises(Forbidden):
        do(OTHER, job.id)
    if act != "get":
        with pytest.raises(Forbidden):
            do(READER, job.id)
    for who in (ME, OTHER, ADMIN):
        with pytest.raises(NotFound):
            do(who, "train_nobody")
    assert world.get(job.id) == job


def test_a_team_may_read_and_not_change(world: World) -> None:
    job = world.submit()
    with world.db.write() as connection:
        connection.execute(schema.jobs.update().values(team_id=7))
    mate = OTHER.__class__(2, "mate", OTHER.role, OTHER.scopes, frozenset({7}))
    assert world.jobs.get(mate, job.id).id == job.id
    with pytest.raises(Forbidden):
        world.jobs.stop(mate, job.id, force=False, wait=0.0)


# ---- stop


def test_a_queued_job_stops_at_once(world: World) -> None:
    job = world.submit()
    result = world.jobs.stop(ME, job.id, force=False, wait=0.0)
    assert (result.job.status, result.job.reason) == (JobStatus.STOPPED, EndReason.STOPPED_BY_USER)
    assert (result.grace_seconds, result.checkpoint_saved, result.last_checkpoint) == (None, False, None)
    world.supervisor.step()
    assert world.executor.launches == []


def test_a_stop_is_a_flag_until_it_took_effect(world: World) -> None:
    world.engine.soft = True
    job = world.running()
    asked = world.clock.tick()
    for force in (False, False, True, False):
        result = world.jobs.stop(ME, job.id, force=force, wait=0.0)
        assert (result.job.status, result.job.stop_requested_at) == (JobStatus.RUNNING, asked)
        assert result.grace_seconds == world.limits.stop_grace
        world.clock.tick()
    assert world.get(job.id).stop_forced
    world.supervisor.step(times=2)
    with pytest.raises(Conflict):
        world.jobs.stop(ME, job.id, force=False, wait=0.0)
    assert world.get(job.id).status is JobStatus.STOPPED


def test_the_checkpoint_of_a_stop_is_one_that_is_newer_than_the_request(world: World) -> None:
    world.engine.soft = True
    job = world.running()
    os.utime(world.save_state(job.id, 5), (world.clock() - 50, world.clock() - 50))
    result = world.jobs.stop(ME, job.id, force=False, wait=0.0)
    assert not result.checkpoint_saved and result.last_checkpoint is not None and result.last_checkpoint.step == 5
    os.utime(world.save_state(job.id, 9), (world.clock() + 1, world.clock() + 1))
    result = world.jobs.stop(ME, job.id, force=False, wait=0.0)
    assert result.checkpoint_saved and result.last_checkpoint is not None and result.last_checkpoint.step == 9


def test_a_stop_that_waits_is_answered_with_the_end(world: World) -> None:
    job = world.running()
    seen = threading.Event()
    wake = world.supervisor.wake_worker
    world.supervisor.wake_worker = lambda job_id: (wake(job_id), seen.set())  # type: ignore[method-assign]

    def follow() -> None:
        seen.wait(20.0)
        world.clock.tick()
        world.supervisor.step(times=2)

    worker = threading.Thread(target=follow)
    worker.start()
    result = world.jobs.stop(ME, job.id, force=True, wait=30.0)
    worker.join()
    assert result.job.status is JobStatus.STOPPED and result.grace_seconds is None


# ---- again


@pytest.mark.parametrize("code", [0, 1])
def test_resume(world: World, code: int) -> None:
    job = world.running()
    for step in (5, 10):
        world.save_state(job.id, step)
    world.write(job.id, "step=10 loss=2\n" + ("DONE\n" if code == 0 else ""))
    world.executor.exit(world.handle(job.id), code)
    world.clock.tick()
    world.supervisor.step()
    with pytest.raises(NotFound, match="state-5, state-10"):
        world.jobs.resume(ME, job.id, "state-7")
    again = world.jobs.resume(ME, job.id, None)
    assert (again.status, again.attempt, again.series, again.id) == (JobStatus.QUEUED, 2, 1, job.id)
    world.supervisor.step(times=2)
    launch = world.engine.prepared[-1]
    first = world.engine.prepared[0]
    assert launch.resume_from == "state-10" and launch.workspace.output_dir == first.workspace.output_dir
    assert launch.workspace.control != first.workspace.control
    world.write(job.id, "step=11 loss=1\n")
    world.executor.exit(world.handle(job.id), 1)
    world.clock.tick()
    world.supervisor.step()
    assert world.get(job.id).progress["best_loss"] == 1.0
    assert world.jobs.resume(ME, job.id, "state-5").attempt == 3


def test_a_resume_needs_a_checkpoint_and_an_end(world: World) -> None:
    running, queued = world.running(), world.submit()
    world.save_state(running.id, 3)
    for job in (running, queued):
        with pytest.raises(Conflict, match="has not ended"):
            world.jobs.resume(ME, job.id, None)
    failed = ended(world, gpus=1)
    with pytest.raises(Conflict, match="no checkpoint"):
        world.jobs.resume(ME, failed.id, None)
    assert world.get(failed.id) == failed


def test_restart(world: World, tmp_path: Path) -> None:
    job = ended(world, output_dir=str(tmp_path / "chosen"))
    for number in (2, 3):
        again = world.jobs.restart(ME, job.id)
        assert (again.attempt, again.series, again.progress) == (number, number, {})
        with pytest.raises(Conflict):
            world.jobs.restart(ME, job.id)
        world.jobs.stop(ME, job.id, force=False, wait=0.0)
    with world.db.read() as connection:
        found = [Path(a.output_dir).name for a in store.attempts_of(connection, world.get(job.id))]
    assert found == ["chosen", "chosen.2", "chosen.3"]


def test_again_is_judged_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = ended(world)
    world.save_state(job.id, 1)
    monkeypatch.setattr(world.engine, "validate", lambda _: ToyEngine().validate(JobSpec("toy", "x", {"bad": True})))
    for act in (lambda: world.jobs.restart(ME, job.id), lambda: world.jobs.resume(ME, job.id, None)):
        with pytest.raises(Invalid):
            act()
    assert world.get(job.id) == job


# ---- delete


def files(world: World, job: Job) -> dict[str, Path]:
    """What the service keeps of a job, made where the toy trainer makes nothing."""
    spaces = world.workspaces
    found = {
        "control": spaces.control_root / job.id / "1", "log": spaces.log_file(job.id),
        "config": spaces.config_dir / f"{job.id}.toml", "dataset": spaces.config_dir / f"{job.id}_dataset.toml",
        "output": spaces.output_dir / job.id,
    }  # fmt: skip
    for name in ("control", "output"):
        found[name].mkdir(parents=True, exist_ok=True)
        (found[name] / "file").touch()
    for name in ("log", "config", "dataset"):
        found[name].touch()
    return found


def there(found: dict[str, Path]) -> set[str]:
    return {name for name, path in found.items() if path.exists()}


def notes(world: World) -> list[str]:
    return [path.name for path in world.workspaces.trash.iterdir()]


@pytest.mark.parametrize("output", [False, True])
def test_delete(world: World, output: bool) -> None:
    job, other = ended(world), world.submit()
    mine, theirs = files(world, job), files(world, other)
    neighbour = world.workspaces.config_dir / f"{job.id}9.toml"
    neighbour.touch()
    world.jobs.delete(ME, job.id, files=output)
    assert there(mine) == (set() if output else {"output"})
    assert there(theirs) == set(theirs) and neighbour.exists() and notes(world) == []
    for act in (lambda: world.get(job.id), lambda: world.jobs.delete(ME, job.id, files=True)):
        with pytest.raises(NotFound):
            act()


def test_every_attempts_output_goes(world: World) -> None:
    job = ended(world)
    world.save_state(job.id, 1)
    world.jobs.restart(ME, job.id)
    second = world.save_state(job.id, 1)
    world.jobs.delete(ME, job.id, files=True)  # a queued job may be deleted
    assert not second.parent.exists() and list(world.workspaces.output_dir.iterdir()) == []
    world.supervisor.step()
    assert len(world.executor.launches) == 1


def test_a_running_job_is_not_deleted(world: World) -> None:
    job = world.running()
    found = files(world, job)
    with pytest.raises(Conflict):
        world.jobs.delete(ME, job.id, files=True)
    assert there(found) == set(found) and notes(world) == []


def test_a_job_that_starts_while_it_is_deleted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = world.submit()
    found = files(world, job)
    note = Workspaces.note_removal
    monkeypatch.setattr(Workspaces, "note_removal", lambda *given: (note(*given), world.supervisor.step()))
    with pytest.raises(Conflict):
        world.jobs.delete(ME, job.id, files=True)
    assert there(found) == set(found) and notes(world) == [] and world.status(job.id) is JobStatus.RUNNING


def test_two_deletes_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job, other = ended(world), ended(world, gpus=1)
    found = files(world, job)
    note = Workspaces.note_removal

    def interrupted(self: Workspaces, noted: Job, outputs: list[str]) -> None:
        note(self, noted, outputs)
        if noted.id == job.id:
            monkeypatch.setattr(Workspaces, "note_removal", note)
            world.jobs.delete(ME, other.id, files=True)  # must leave the note of the first alone
            assert notes(world) == [f"{job.id}.json"]

    monkeypatch.setattr(Workspaces, "note_removal", interrupted)
    world.jobs.delete(ME, job.id, files=True)
    assert there(found) == set() and notes(world) == []


@pytest.mark.parametrize("point", ["delete.after_note", "delete.after_row"])
def test_a_crash_during_a_delete(world: World, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    class Killed(BaseException):
        pass

    def crash(name: str) -> None:
        if name == point:
            raise Killed

    job = ended(world)
    found = files(world, job)
    monkeypatch.setattr("api.services.jobs.fault", crash)
    with pytest.raises(Killed):
        world.jobs.delete(ME, job.id, files=True)
    assert there(found) == set(found) and notes(world) == [f"{job.id}.json"]
    world.revive()
    world.jobs.finish_removals()
    gone = point == "delete.after_row"
    assert there(found) == (set() if gone else set(found)) and notes(world) == []
    assert count(world) == (0 if gone else 1)


def test_a_file_that_cannot_be_removed_does_not_keep_the_rest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = ended(world)
    found = files(world, job)
    unlink = Path.unlink

    def refuse(self: Path, missing_ok: bool = False) -> None:
        if self == found["log"]:
            raise PermissionError(13, "Permission denied")
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    world.jobs.delete(ME, job.id, files=True)
    assert there(found) == {"log"} and notes(world) == []
