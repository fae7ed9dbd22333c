"""A script's output on its way into the store: turns, restarts of the service, event files."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from api.models.events import Axis
from api.models.job import Job, JobStatus
from api.models.progress import Progress, shown
from api.services.engines.script import ScriptEngine
from api.services.store import jobs as store
from api.services.store import metrics
from api.utils.paths import AllowedRoots
from tests.unit.test_script_output import LOGS, log
from tests.unit.toys import World


@pytest.fixture
def scripts(world: World, tmp_path: Path) -> World:
    (tmp_path / "train.py").write_text("")
    world.engines["script"] = ScriptEngine(AllowedRoots((tmp_path,)), sys.executable)
    return world


def started(world: World, tmp_path: Path) -> Job:
    return world.running(engine="script", params={"script_path": str(tmp_path / "train.py")})


def points(world: World, job: Job, name: str, axis: Axis) -> list[tuple[int, float | None]]:
    with world.db.read() as connection:
        line = metrics.last_points(connection, metrics.segments(connection, job, 1, axis, name), 1000, None)
    return [(point.x, point.value) for point in line.points]


def names(world: World, job: Job) -> set[tuple[object, object]]:
    with world.db.read() as connection:
        return {(row["name"], row["type"]) for row in metrics.names(connection, job, 1)}


def turn(world: World) -> None:
    world.clock.tick(3)
    world.supervisor.step()


RECORDED = [
    "plain_brackets",
    "plain_restarting",
    "plain_transfer",
    "keras_lines",
    "plain_json",
    "hf_notqdm",
    "torchvision",
]


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("restarts", [False, True])
def test_turns_and_restarts_change_nothing(scripts: World, tmp_path: Path, name: str, restarts: bool) -> None:
    job = started(scripts, tmp_path)
    text = (LOGS / f"{name}.log").read_bytes()
    for start in range(0, len(text), 97):
        scripts.write(job.id, text[start : start + 97])
        turn(scripts)
        if restarts:
            scripts.revive()
            scripts.supervisor.adopt()
    whole = log(name)
    assert names(scripts, job) == whole.names
    for (metric, axis), expected in whole.series.items():
        assert points(scripts, job, metric, axis) == expected
    after = Progress.from_dict(scripts.get(job.id).progress)
    assert (after.epoch, after.step, after.total_steps) == (
        whole.progress.epoch, whole.progress.step, whole.progress.total_steps,
    )  # fmt: skip


def copy_events(world: World, job: Job, kind: str) -> None:
    with world.db.read() as connection:
        output = Path(store.attempt(connection, job).output_dir)
    shutil.copytree(LOGS / "events" / kind, output, dirs_exist_ok=True)


def test_event_files_become_metrics(scripts: World, tmp_path: Path) -> None:
    job = started(scripts, tmp_path)
    copy_events(scripts, job, "tb")
    turn(scripts)
    assert [x for x, _ in points(scripts, job, "loss", Axis.STEP)] == list(range(1, 21))
    assert len(points(scripts, job, "Accuracy/train", Axis.STEP)) == 20
    assert points(scripts, job, "compare/a", Axis.STEP) == [(1, 2.0), (2, 3.0)]
    assert points(scripts, job, "compare/b", Axis.STEP) == [(1, 3.0), (2, 4.0)]
    assert scripts.get(job.id).progress["step"] == 20


def test_keras_event_files(scripts: World, tmp_path: Path) -> None:
    job = started(scripts, tmp_path)
    copy_events(scripts, job, "keras")
    turn(scripts)
    train, validation = (points(scripts, job, f"{run}/epoch_loss", Axis.EPOCH) for run in ("train", "validation"))
    assert [x for x, _ in train] == [x for x, _ in validation] == [1, 2, 3] and train != validation
    assert "step" not in scripts.get(job.id).progress or scripts.get(job.id).progress["step"] == 60


@pytest.mark.parametrize("first", ["log", "files"])
def test_what_is_printed_and_written_to_a_file_is_one_metric(scripts: World, tmp_path: Path, first: str) -> None:
    job = started(scripts, tmp_path)
    printed = (LOGS / "tensorboard.log").read_bytes()
    for one in (first, "files" if first == "log" else "log"):
        if one == "log":
            scripts.write(job.id, printed)
        else:
            copy_events(scripts, job, "tb")
        turn(scripts)
        scripts.revive()
        scripts.supervisor.adopt()
    scripts.write(job.id, "epoch=3 step=25 loss=0.01\n")
    turn(scripts)
    xs = [x for x, _ in points(scripts, job, "loss", Axis.STEP)]
    assert xs == ([5, 10, 15, 20, 25] if first == "log" else list(range(1, 21)))
    assert len(points(scripts, job, "Accuracy/train", Axis.STEP)) == 20


def test_epochs_alone_give_progress_and_a_time_left(scripts: World, tmp_path: Path) -> None:
    job = started(scripts, tmp_path)
    begun = scripts.get(job.id).started_at
    assert begun is not None
    seen: list[tuple[float | None, float | None]] = []
    for line in ("Epoch 1/4\n", "Epoch 1/4, Loss: 0.9\n", "Epoch 2/4\n", "Epoch 2/4, Loss: 0.5\n", "validating\n"):
        scripts.clock.tick(10)
        scripts.write(job.id, line)
        scripts.supervisor.step()
        now = scripts.get(job.id)
        group = shown(Progress.from_dict(now.progress), now.status, begun, None, scripts.clock.now)
        seen.append((group["overall_progress"], group["eta_seconds"]))
    shares = [share for share, _ in seen]
    assert shares == [None, 25.0, 25.0, 50.0, 50.0]
    first = scripts.clock.now - 50 - begun  # what passed before the first line
    one = (40 + first) / 2
    assert seen[0][1] is None and seen[3][1] == round(2 * one, 1) and seen[4][1] == round(2 * one - 10, 1)
    done = shown(Progress.from_dict(now.progress), JobStatus.COMPLETED, begun, scripts.clock.now, scripts.clock.now)
    assert done["overall_progress"] == 100.0 and done["eta_seconds"] is None


def test_epochs_of_a_script_that_goes_on_from_its_own_checkpoint(scripts: World, tmp_path: Path) -> None:
    job = started(scripts, tmp_path)
    begun = scripts.get(job.id).started_at or 0.0
    scripts.clock.now = begun + 30
    scripts.write(job.id, "Epoch 8/10, Loss: 0.5\n")
    scripts.supervisor.step()
    now = scripts.get(job.id)
    group = shown(Progress.from_dict(now.progress), now.status, begun, None, scripts.clock.now)
    assert (group["overall_progress"], group["eta_seconds"]) == (80.0, 60.0)  # one epoch in 30 s, not eight


def test_a_caught_traceback_and_silence_are_no_hang(scripts: World, tmp_path: Path) -> None:
    job = started(scripts, tmp_path)
    scripts.write(job.id, (LOGS / "fail_caught.log").read_bytes())
    turn(scripts)
    assert scripts.get(job.id).progress["faults"] == ["KeyError: 'missing'"]
    assert "fatal_since" not in scripts.get(job.id).progress
